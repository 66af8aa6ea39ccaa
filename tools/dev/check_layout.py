#!/usr/bin/env python3
"""Proves the include rules of docs/ARCHITECTURE.md: which folder may use which, and which library;
and that every source is built: a test that no CMakeLists.txt names never fails.

check_layout.py              checks the tree; one line a fault; exit 1 when there is one
check_layout.py --self-test  shows that each rule can fail
"""
import pathlib
import re
import subprocess
import sys

# Folder -> the folders whose headers it may include, besides its own.
MAY_USE = {
    "core": [],
    "drivers": ["core"],
    "pipeline": ["core"],
    "delivery": ["core"],
    "http": ["core"],
    # config turns YAML into the options structs of the programs (see OPTIONS below).
    "config": ["core"],
    "records": ["core", "delivery", "http", "config"],
    "daemon": ["core", "drivers", "pipeline", "delivery", "http", "config"],
    "tools": ["core", "drivers", "pipeline", "delivery", "http", "config"],
    "examples": ["core", "delivery"],
    "tests": ["core", "drivers", "pipeline", "delivery", "http", "config", "records", "daemon", "tools",
              "examples"],
}
# Plain options structs that config may see, and what those structs are made of.
OPTIONS = {"daemon/options.h", "records/options.h", "drivers/driver.h", "pipeline/finish.h", "pipeline/reconstruction.h"}

# Library -> (pattern of its headers, folders whose .cc files may include it).
LIBRARIES = {
    "libusb": (r"libusb", ["drivers/usb", "tools/bench/usb"]),
    "libjpeg": (r"jpeglib", ["drivers/uvc_camera", "tests"]),
    "umockdev": (r"umockdev|^glib", ["drivers/emulation"]),
    "ZeroMQ": (r"zmq", ["delivery", "tests"]),
    "SQLite": (r"sqlite3", ["delivery", "tests"]),
    "protobuf": (r"google/protobuf|messages\.pb", ["delivery", "tests"]),
    "OpenSSL": (r"openssl/", ["delivery", "http", "records"]),
    "yaml-cpp": (r"yaml-cpp", ["config"]),
    "Open3D": (r"open3d/", ["pipeline", "tools"]),
    "Embree": (r"embree3/", ["pipeline", "tools"]),
    "usbredir": (r"usbredir", ["drivers/emulation", "tests"]),
    "Boost": (r"boost/", ["http", "daemon", "records", "tools", "tests", "drivers/emulation"]),
}
# Headers of this tree that a .cc shares with its neighbours and nobody outside sees.
PRIVATE_HEADER = re.compile(r"(_internal|_impl|sqlite_api)\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def faults_of(path, text):
    folder = path.split("/")[0]
    if folder not in MAY_USE:
        return
    is_header = path.endswith(".h")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(2)
        where = f"{path}:{number}"
        if match.group(1) == '"':
            room = target.split("/")[0]
            if room in MAY_USE and "/" in target and room != folder and room not in MAY_USE[folder]:
                if not (folder == "config" and target in OPTIONS):
                    yield f"{where}: {folder}/ may not use {room}/ (\"{target}\")"
        for library, (pattern, homes) in LIBRARIES.items():
            if not re.search(pattern, target) or (match.group(1) == '"' and "/" in target
                                                  and target.split("/")[0] in MAY_USE):
                continue
            if is_header and folder != "tests" and not PRIVATE_HEADER.search(path):
                yield f"{where}: a public header may not include {library} (<{target}>)"
            if not any(path.startswith(home + "/") for home in homes):
                yield f"{where}: {library} belongs to {', '.join(homes)} alone (<{target}>)"
        if target == "open3d/Open3D.h":
            yield f"{where}: the umbrella header open3d/Open3D.h is slow to compile: include the part"


def unbuilt(sources, lists):
    """Of .cc paths, those that no list of their folder or one above names; lists: path -> text."""
    for path in sources:
        stem = re.compile(r"(?<![\w/])([\w/]+/)?" + re.escape(pathlib.PurePath(path).stem) + r"(?!\w)")
        above = [folder.as_posix() for folder in pathlib.PurePath(path).parents]
        if not any(stem.search(text) for name, text in lists.items()
                   if pathlib.PurePath(name).parent.as_posix() in above):
            yield f"{path}: no CMakeLists.txt names it"


def self_test():
    planted = {
        "core/a.h": '#include "drivers/driver.h"\n',
        "pipeline/a.cc": '#include "delivery/outbox.h"\n',
        "tools/a.cc": '#include "daemon/station.h"\n',
        "drivers/usb/a.h": "#include <libusb-1.0/libusb.h>\n",
        "daemon/a.cc": "#include <yaml-cpp/yaml.h>\n",
        "pipeline/b.cc": "#include <open3d/Open3D.h>\n",
        "config/a.cc": '#include "daemon/station.h"\n',
    }
    silent = [path for path, text in planted.items() if not list(faults_of(path, text))]
    allowed = {
        "drivers/usb/a.cc": "#include <libusb-1.0/libusb.h>\n",
        "config/b.cc": '#include <yaml-cpp/yaml.h>\n#include "daemon/options.h"\n',
        "daemon/b.cc": '#include "pipeline/finish.h"\n',
    }
    wrong = [fault for path, text in allowed.items() for fault in faults_of(path, text)]
    lists = {"tests/CMakeLists.txt": "SOURCES a_test.cc pipeline/b_test.cc\nforeach(name c)\n"}
    never = list(unbuilt(["tests/a_test.cc", "tests/pipeline/b_test.cc", "tests/c.cc", "tests/test.cc",
                          "core/a_test.cc"], lists))
    if [fault.split(":")[0] for fault in never] != ["tests/test.cc", "core/a_test.cc"]:
        print(f"self-test: not built: {never}")
        wrong.append("unbuilt")
    for path in silent:
        print(f"self-test: the fault planted in {path} was not seen")
    for fault in wrong:
        print(f"self-test: wrongly refused: {fault}")
    return 1 if silent or wrong else 0


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = pathlib.Path(__file__).resolve().parents[2]
    names = subprocess.run(["git", "ls-files", "*.h", "*.cc"], cwd=root, check=True, capture_output=True,
                           text=True).stdout.split()
    faults = [fault for name in names for fault in faults_of(name, (root / name).read_text(encoding="utf-8"))]
    lists = subprocess.run(["git", "ls-files", "*CMakeLists.txt", "*.cmake"], cwd=root, check=True,
                           capture_output=True, text=True).stdout.split()
    faults += unbuilt([name for name in names if name.endswith(".cc")],
                      {name: (root / name).read_text(encoding="utf-8") for name in lists})
    print("\n".join(faults) if faults else f"layout: {len(names)} files keep the rules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
