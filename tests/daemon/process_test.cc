// cuspd as a process: its exit codes, and a stop at every moment of its life.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "core/uuid.h"
#include "delivery/keys.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Process {
 public:
  // SIGTERM is blocked across exec, so that one that comes before main() waits for cuspd to be
  // ready for it.
  Process(const std::vector<std::string>& arguments, const fs::path& output) {
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    pid_ = ::fork();
    if (pid_ != 0) {
      sigprocmask(SIG_SETMASK, &before, nullptr);
      return;
    }
    const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    std::vector<char*> argv = {const_cast<char*>(CUSPD_PATH)};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(CUSPD_PATH, argv.data());
    ::_exit(127);
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  // The exit code, or minus the signal that ended it; nothing when it is still there after a
  // generous while.
  std::optional<int> wait() {
    for (int i = 0; i < 6000; ++i) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      }
      std::this_thread::sleep_for(5ms);
    }
    return std::nullopt;
  }

 private:
  pid_t pid_ = -1;
};

class Cuspd : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cuspd-" + new_uuid().substr(0, 8));
    fs::create_directories(folder_);
    ASSERT_TRUE(delivery::save_key_pair(folder_ / "station", delivery::make_key_pair()).ok());
    ASSERT_TRUE(delivery::save_key_pair(folder_ / "store", delivery::make_key_pair()).ok());
    write_config("");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write_config(const std::string& more) {
    std::ofstream(folder_ / "cuspd.yaml") << "station:\n  data_folder: data\n"
                                             "control:\n  socket: s\n"
                                          << more
                                          << "store:\n  endpoint: tcp://127.0.0.1:1\n"
                                             "  key_stem: station\n  public_key: store.public\n";
  }
  std::vector<std::string> with_config() const { return {"--config", folder_ / "cuspd.yaml"}; }
  std::string output() const {
    std::ifstream file(folder_ / "out");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  ::testing::AssertionResult comes_up() {
    for (int i = 0; i < 6000; ++i) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (folder_ / "s").c_str());
      const bool up = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
      ::close(fd);
      if (up) return ::testing::AssertionSuccess();
      std::this_thread::sleep_for(5ms);
    }
    return ::testing::AssertionFailure() << output();
  }

  fs::path folder_;
};

TEST_F(Cuspd, TermAtAnyMomentEndsItCleanly) {
  // From before main() to well after it is up.
  for (const auto delay : {0ms, 1ms, 3ms, 7ms, 13ms, 20ms, 30ms, 50ms, 80ms, 130ms, 300ms, 700ms}) {
    Process cuspd(with_config(), folder_ / "out");
    std::this_thread::sleep_for(delay);
    cuspd.signal(SIGTERM);
    EXPECT_EQ(cuspd.wait(), 0) << "after " << delay.count() << " ms:\n" << output();
    EXPECT_FALSE(fs::exists(folder_ / "s")) << "the control socket goes with it";
  }
}

TEST_F(Cuspd, KilledOneLeavesNothingThatStopsTheNext) {
  {
    Process cuspd(with_config(), folder_ / "out");
    ASSERT_TRUE(comes_up());
    cuspd.signal(SIGKILL);
    EXPECT_EQ(cuspd.wait(), -SIGKILL);
  }
  Process cuspd(with_config(), folder_ / "out");
  ASSERT_TRUE(comes_up());
  cuspd.signal(SIGINT);
  EXPECT_EQ(cuspd.wait(), 0) << output();
}

TEST_F(Cuspd, SecondOneOnTheSameDataIsRefused) {
  Process first(with_config(), folder_ / "out");
  ASSERT_TRUE(comes_up());
  Process second(with_config(), folder_ / "second");
  EXPECT_EQ(second.wait(), 3);
  std::ifstream file(folder_ / "second");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(file), {}),
              HasSubstr("another cuspd works with this data folder"));
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 0) << "the first one goes on";
}

TEST_F(Cuspd, ConfigurationIsCheckedBeforeAnythingIsTouched) {
  {
    Process check({"--check", "--config", folder_ / "cuspd.yaml"}, folder_ / "out");
    EXPECT_EQ(check.wait(), 0) << output();
  }
  write_config("scan:\n  frame_queue: many\n");
  {
    Process cuspd(with_config(), folder_ / "out");
    EXPECT_EQ(cuspd.wait(), 4);
    EXPECT_THAT(output(), HasSubstr("cuspd.yaml:6: scan.frame_queue is many: a whole number"));
  }
  {
    Process cuspd({"--config", folder_ / "none.yaml"}, folder_ / "out");
    EXPECT_EQ(cuspd.wait(), 4);
  }
  {
    Process cuspd({"--speed", "9"}, folder_ / "out");
    EXPECT_EQ(cuspd.wait(), 2);
  }
  EXPECT_FALSE(fs::exists(folder_ / "data"));
}

TEST_F(Cuspd, WhatKeepsItFromRunningIsSaidInOneLine) {
  fs::remove(folder_ / "station.secret");
  Process cuspd(with_config(), folder_ / "out");
  EXPECT_EQ(cuspd.wait(), 1);
  EXPECT_THAT(output(), HasSubstr("level=error event=failed"));
  EXPECT_THAT(output(), HasSubstr("station.secret"));
}

TEST_F(Cuspd, LoopbackTokenIsMadeForItsOwnerAlone) {
  write_config("  http_port: 0\n");
  std::uint16_t port = 0;
  {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    ::close(fd);
  }
  write_config(fmt::format("  http_port: {}\n", port));
  const fs::path token = folder_ / "data/control.token";
  {
    Process cuspd(with_config(), folder_ / "out");
    ASSERT_TRUE(comes_up());
    EXPECT_EQ(fs::status(token).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(fs::file_size(token), 65u);
    cuspd.signal(SIGTERM);
    EXPECT_EQ(cuspd.wait(), 0);
  }
  fs::permissions(token, fs::perms::others_read, fs::perm_options::add);
  Process cuspd(with_config(), folder_ / "out");
  EXPECT_EQ(cuspd.wait(), 1);
  EXPECT_THAT(output(), HasSubstr("read by others"));
}

TEST_F(Cuspd, SystemdHearsReadyAndStopping) {
  const fs::path path = folder_ / "n";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "300000", 1);
  Process cuspd(with_config(), folder_ / "out");
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  const auto next = [&] {
    char buffer[64];
    const timeval within{30, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof within);
    const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
    return size < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(size));
  };
  EXPECT_EQ(next(), "READY=1");
  EXPECT_EQ(next(), "WATCHDOG=1");
  cuspd.signal(SIGTERM);
  std::string last;
  while ((last = next()) == "WATCHDOG=1") {
  }
  EXPECT_EQ(last, "STOPPING=1");
  EXPECT_EQ(cuspd.wait(), 0);
  ::close(fd);
}

}  // namespace
}  // namespace cusp
