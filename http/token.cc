#include "http/token.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace cusp::http {
namespace {

constexpr std::size_t kMinTokenChars = 16;
constexpr std::string_view kTokenChars =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

Error failed(const std::filesystem::path& path, std::string_view what) {
  const int cause = errno;
  return error(cause == EACCES   ? ErrorCode::kPermission
               : cause == ENOENT ? ErrorCode::kNotFound
                                 : ErrorCode::kIo,
               "{} {}: {}", path.string(), what, std::generic_category().message(cause));
}

Result<void> write_draft(const std::filesystem::path& draft, const std::string& line) {
  const File file{::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.fd < 0) return failed(draft, "can't be made");
  if (::write(file.fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      ::fsync(file.fd) != 0)
    return failed(draft, "can't be written");
  return {};
}

Result<std::string> make_token(const std::filesystem::path& path) {
  std::array<unsigned char, 32> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return failed(path, "needs random bytes, the system gave none");
  std::string token;
  for (const unsigned char byte : random) token += fmt::format("{:02x}", byte);
  // Written beside it and linked: the name never stands for half a token, and never replaces one.
  auto draft = path;
  draft += fmt::format(".{}.draft", ::getpid());
  ::unlink(draft.c_str());
  const auto made = write_draft(draft, token + "\n");
  const bool linked = made.ok() && ::link(draft.c_str(), path.c_str()) == 0;
  const auto outcome = !made.ok() ? made : linked ? Result<void>() : failed(path, "can't be made");
  ::unlink(draft.c_str());
  if (!outcome.ok()) return outcome.error();
  return token;
}

}  // namespace

Result<std::string> load_token(const std::filesystem::path& path) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return failed(path, "can't be opened");
  struct stat about {};
  if (::fstat(file.fd, &about) != 0) return failed(path, "can't be looked at");
  if ((about.st_mode & 077) != 0)
    return error(ErrorCode::kPermission, "{} can be read by others: chmod 600 it", path.string());
  std::array<char, 512> buffer{};
  const ssize_t size = ::read(file.fd, buffer.data(), buffer.size());
  if (size < 0) return failed(path, "can't be read");
  std::string token(buffer.data(), static_cast<std::size_t>(size));
  token.resize(std::min(token.find('\n'), token.size()));
  if (token.size() < kMinTokenChars || token.find_first_not_of(kTokenChars) != std::string::npos)
    return error(
        ErrorCode::kCorrupt,
        "{} holds no token (16 or more letters and digits): remove it and a new one is made",
        path.string());
  return token;
}

Result<std::string> load_or_make_token(const std::filesystem::path& path) {
  auto token = load_token(path);
  if (token.ok() || token.error().code != ErrorCode::kNotFound) return token;
  return make_token(path);
}

}  // namespace cusp::http
