#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "drivers/usb/usb_holder_internal.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;

bool is_open_in(const fs::path& process, const struct stat& node) {
  std::error_code failure;
  for (fs::directory_iterator file(process / "fd", failure), end; !failure && file != end;
       file.increment(failure)) {
    struct stat opened {};
    if (::stat(file->path().c_str(), &opened) == 0 && opened.st_dev == node.st_dev &&
        opened.st_ino == node.st_ino)
      return true;
  }
  return false;
}

}  // namespace

std::string program_that_holds(int bus, int address) {
  struct stat node {};
  if (::stat(fmt::format("/dev/bus/usb/{:03}/{:03}", bus, address).c_str(), &node) != 0) return {};
  const std::string own = std::to_string(::getpid());
  std::error_code failure;
  for (fs::directory_iterator process("/proc", failure), end; !failure && process != end;
       process.increment(failure)) {
    const std::string pid = process->path().filename().string();
    if (pid == own ||
        !std::all_of(pid.begin(), pid.end(), [](char c) { return '0' <= c && c <= '9'; }) ||
        !is_open_in(process->path(), node))
      continue;
    std::string name;
    std::getline(std::ifstream(process->path() / "comm"), name);
    return fmt::format("{} (process {})", name, pid);
  }
  return {};
}

}  // namespace cusp
