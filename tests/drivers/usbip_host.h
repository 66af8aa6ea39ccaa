// A small USB/IP host for tests: speaks the wire with bytes of its own making, not with the code
// under test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace cusp {

using Bytes = std::vector<std::uint8_t>;

inline void put_be32(Bytes& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}
inline std::uint32_t be32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
         std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

struct IsoRoom {
  std::uint32_t offset = 0, length = 0, actual = 0;
  std::int32_t status = 0;
};

// What a host sends for a transfer. Field by field, so that tests can lie in any of them.
struct UsbipSubmit {
  std::uint32_t command = 1;
  std::uint32_t sequence = 0;
  std::uint32_t device_id = 0;
  std::uint32_t direction = 1;  // IN
  std::uint32_t endpoint = 0;
  std::uint32_t length = 0;
  std::uint32_t packets = 0;
  std::array<std::uint8_t, 8> setup{};
  Bytes data{};                // OUT
  std::vector<IsoRoom> iso{};  // descriptors behind it

  [[nodiscard]] Bytes encode() const {
    Bytes bytes;
    for (const std::uint32_t field :
         {command, sequence, device_id, direction, endpoint, 0U, length, 0U, packets, 1U})
      put_be32(bytes, field);
    bytes.insert(bytes.end(), setup.begin(), setup.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    for (const IsoRoom& room : iso)
      for (const std::uint32_t field : {room.offset, room.length, 0U, 0U}) put_be32(bytes, field);
    return bytes;
  }
};

struct UsbipReply {
  std::uint32_t command = 0;  // 3 submitted, 4 unlinked, 0: the server closed
  std::uint32_t sequence = 0;
  std::int32_t status = 0;
  Bytes data{};
  std::vector<IsoRoom> iso{};
};

class UsbipHost {
 public:
  explicit UsbipHost(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~UsbipHost() { ::close(socket_); }
  UsbipHost(const UsbipHost&) = delete;
  UsbipHost& operator=(const UsbipHost&) = delete;

  // False: the server closed.
  bool send(const Bytes& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const auto now = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) return false;
      sent += static_cast<std::size_t>(now);
    }
    return true;
  }
  // Fewer bytes when the server closed.
  Bytes receive(std::size_t size) {
    Bytes bytes(size);
    std::size_t got = 0;
    while (got < size) {
      const auto now = ::recv(socket_, bytes.data() + got, size - got, 0);
      if (now < 0) {
        EXPECT_TRUE(errno == ECONNRESET) << "the server is silent";
      }
      if (now <= 0) break;
      got += static_cast<std::size_t>(now);
    }
    bytes.resize(got);
    return bytes;
  }
  bool closed_by_server() { return receive(1).empty(); }

  // The status of the reply; the device's description goes to `device`.
  std::uint32_t import_device(const std::string& bus_id) {
    Bytes request{0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0};
    request.insert(request.end(), bus_id.begin(), bus_id.end());
    request.resize(40);
    EXPECT_TRUE(send(request));
    const Bytes head = receive(8);
    if (head.size() < 8) return 0xFFFFFFFF;
    const std::uint32_t status = be32(head, 4);
    if (status == 0) {
      device = receive(312);
      device_id = be32(device, 288) << 16 | be32(device, 292);
    }
    return status;
  }

  std::uint32_t submit(UsbipSubmit transfer) {
    transfer.sequence = ++sequence_;
    transfer.device_id = device_id;
    if (transfer.direction == 0) without_data_.insert(transfer.sequence);
    EXPECT_TRUE(send(transfer.encode()));
    return transfer.sequence;
  }
  std::uint32_t unlink(std::uint32_t victim) {
    Bytes bytes;
    for (const std::uint32_t field : {2U, ++sequence_, device_id, 0U, 0U, victim})
      put_be32(bytes, field);
    bytes.resize(48);
    EXPECT_TRUE(send(bytes));
    return sequence_;
  }
  UsbipReply reply() {
    const Bytes head = receive(48);
    if (head.size() < 48) return {};
    UsbipReply reply{.command = be32(head, 0),
                     .sequence = be32(head, 4),
                     .status = static_cast<std::int32_t>(be32(head, 20))};
    for (const std::size_t zero : {8, 12, 16}) EXPECT_EQ(be32(head, zero), 0U);
    if (reply.command != 3) return reply;
    if (without_data_.erase(reply.sequence) == 0) reply.data = receive(be32(head, 24));
    for (std::uint32_t i = 0; i < be32(head, 32); ++i) {
      const Bytes room = receive(16);
      if (room.size() < 16) return {};
      reply.iso.push_back(
          {be32(room, 0), be32(room, 4), be32(room, 8), static_cast<std::int32_t>(be32(room, 12))});
    }
    return reply;
  }
  UsbipReply control(std::array<std::uint8_t, 8> setup, std::uint32_t in_bytes, Bytes out = {}) {
    const bool in = (setup[0] & 0x80) != 0;
    submit({.direction = in ? 1U : 0U,
            .length = in ? in_bytes : static_cast<std::uint32_t>(out.size()),
            .setup = setup,
            .data = std::move(out)});
    return reply();
  }

  Bytes device;  // the 312 bytes of the import
  std::uint32_t device_id = 0;

 private:
  int socket_;
  std::uint32_t sequence_ = 0;
  std::set<std::uint32_t> without_data_;  // OUT transfers: their answers carry none
};

}  // namespace cusp
