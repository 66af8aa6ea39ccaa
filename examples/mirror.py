#!/usr/bin/env python3
"""mirror.py ENDPOINT STORE.public KEY_STEM FOLDER: copies every finished scan of a store into FOLDER,
as it comes; started again, it goes on where it was.

Written from delivery/PROTOCOL.md alone, for Debian's python3-zmq and python3-protobuf. Before the first
run: protoc -I delivery --python_out=examples messages.proto
"""
import hashlib
import os
import pathlib
import random
import secrets
import struct
import sys
import time

import zmq
from google.protobuf.message import DecodeError

import messages_pb2 as sxp

HEADER = struct.Struct("<4sBBHQQQQQIII")  # section 2; its CRC-32C follows
HELLO, WELCOME, PING, PONG, BYE, REJECT = 1, 2, 3, 4, 5, 21
SUBSCRIBE, EVENTS, FETCH, BLOB = 48, 49, 51, 52
CHUNK_LIMIT = 512 * 1024


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Lost(Exception):
    """The session is over: a new socket says HELLO again."""


class Refused(Exception):
    """REJECT: what was asked for can't be had now."""


class Session:
    def __init__(self, endpoint, store_public, public, secret):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.MAXMSGSIZE, 2 << 20)
        self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = store_public, public, secret
        self.socket.connect(endpoint)
        self.number = secrets.randbits(64)
        self.requests = 0
        self.welcome = sxp.Welcome.FromString(self.ask(HELLO, sxp.Hello(software_version="mirror.py"), WELCOME)[1])

    def close(self):
        self.socket.close()

    def send(self, kind, body=None, offset=0, credit=0):
        self.requests += 1
        payload = body.SerializeToString() if body is not None else b""
        header = HEADER.pack(b"SXP1", 1, 0, kind, self.number, self.requests, 0, offset, credit, len(payload), 0, 0)
        self.socket.send_multipart([header + struct.pack("<I", crc32c(header)), payload])
        return self.requests

    def ask(self, kind, body, answer, offset=0, credit=0):
        """One question, its answer: header fields, body, raw bytes. Waits as long as the store is alive."""
        request = self.send(kind, body, offset, credit)
        silent = 0
        while True:
            if not self.socket.poll(5000):
                silent += 1
                if silent == 3:
                    raise Lost("the store stopped answering")
                self.send(PING)
                continue
            silent = 0
            frames = self.socket.recv_multipart()
            if len(frames) not in (2, 3) or len(frames[0]) != 64 or crc32c(frames[0][:60]) != struct.unpack("<I", frames[0][60:])[0]:
                raise Lost("the store sent something that is not SXP")
            header = HEADER.unpack(frames[0][:60])
            if header[4] != self.number or header[3] == PONG:
                continue
            if header[3] == BYE:
                raise Lost(sxp.Bye.FromString(frames[1]).reason)
            if header[5] != request:
                continue
            if header[3] == REJECT:
                reject = sxp.Reject.FromString(frames[1])
                raise (Lost if reject.code >= 300 else Refused)(reject.text)
            if header[3] != answer:
                raise Lost("the store gave a wrong answer")
            return header, frames[1], frames[2] if len(frames) == 3 else b""


def write_synced(path, data):
    draft = path.with_name(path.name + ".new")
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def fetch(session, blob, target):
    data = bytearray()
    while len(data) < blob.size_bytes:
        piece = min(CHUNK_LIMIT, session.welcome.max_chunk_bytes, blob.size_bytes - len(data))
        header, _, chunk = session.ask(FETCH, sxp.Fetch(sha256=blob.sha256), BLOB, offset=len(data), credit=piece)
        if header[7] != len(data) or len(chunk) != piece:
            raise Lost("the store sent another piece than it was asked for")
        data += chunk
    if hashlib.sha256(data).hexdigest() != blob.sha256:
        raise Lost(f"file {blob.sha256} arrived damaged")
    write_synced(target, data)


def keep(session, event, folder):
    if hashlib.sha256(event.envelope).hexdigest() != event.envelope_sha256:
        raise Lost("an envelope arrived damaged")
    parcel = sxp.Parcel.FromString(event.envelope)
    scan = folder / parcel.ticket_id / f"revision-{parcel.revision}"
    scan.mkdir(parents=True, exist_ok=True)
    for stage in parcel.stages:
        for blob in stage.blobs:
            target = scan / f"{stage.stage}-{blob.role}-{blob.file_name}"
            if not target.exists():
                fetch(session, blob, target)
    return scan


def follow(session, folder):
    position = folder / "position"
    since, epoch = position.read_text().split() if position.exists() else ("0", "")
    since = int(since) if epoch == session.welcome.store_epoch else 0
    epoch = session.welcome.store_epoch
    while True:
        _, body, _ = session.ask(SUBSCRIBE, sxp.Subscribe(store_epoch=epoch, since=since), EVENTS)
        for event in sxp.Events.FromString(body).events:
            print(keep(session, event, folder), flush=True)
            since = event.seq
            write_synced(position, f"{since} {epoch}\n".encode())


def main(endpoint, store_key, key_stem, folder):
    read = lambda name: pathlib.Path(name).read_text().split()[0].encode()
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pause = 0.2
    while True:
        session = None
        try:
            session = Session(endpoint, read(store_key), read(key_stem + ".public"), read(key_stem + ".secret"))
            pause = 0.2
            follow(session, folder)
        except (Lost, Refused, DecodeError, zmq.ZMQError) as why:
            print(f"mirror.py: {why}", file=sys.stderr, flush=True)
        finally:
            if session is not None:
                session.close()
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, 30)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: mirror.py ENDPOINT STORE.public KEY_STEM FOLDER")
    main(*sys.argv[1:])
