#include "tools/sim/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <future>

#include "tests/tools/temporary_folder.h"

namespace cusp::sim {
namespace {

using std::chrono::seconds;

class ControlSocket : public ::testing::Test {
 protected:
  // Serves on a thread; the socket listens when this returns.
  void serve() {
    std::promise<void> listening;
    served_ = std::async(std::launch::async, [&] {
      return serve_until_signal(
          socket_, [](const std::string& line) { return "heard " + line; },
          [&]() -> Result<void> {
            listening.set_value();
            return {};
          });
    });
    listening.get_future().wait();
  }
  Result<void> stop() {
    std::raise(SIGTERM);
    return served_.get();
  }

  TemporaryFolder folder_;
  std::filesystem::path socket_ = folder_.path() / "control.sock";
  std::future<Result<void>> served_;
};

TEST_F(ControlSocket, AnswersLineByLineUntilTheSignal) {
  serve();
  EXPECT_EQ(*ask(socket_, "one", seconds(5)), "heard one");
  EXPECT_EQ(*ask(socket_, "two", seconds(5)), "heard two");
  EXPECT_TRUE(stop().ok());
  EXPECT_FALSE(std::filesystem::exists(socket_));
  EXPECT_EQ(ask(socket_, "three", seconds(5)).error().code, ErrorCode::kUnavailable);
}

TEST_F(ControlSocket, OutlivesClientsThatSayNothingOrTooMuch) {
  serve();
  const auto connected = [&] {
    const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  };
  const int silent = connected();
  const int endless = connected();
  const std::string flood(256 * 1024, 'x');
  for (std::size_t sent = 0; sent < flood.size();) {
    const ssize_t more = ::send(endless, flood.data() + sent, flood.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) break;
    sent += static_cast<std::size_t>(more);
  }
  EXPECT_EQ(*ask(socket_, "still there", seconds(5)), "heard still there");
  ::close(silent);
  ::close(endless);
  EXPECT_TRUE(stop().ok());
}

TEST_F(ControlSocket, RefusesASecondServerAndReplacesADeadOnesFile) {
  { std::ofstream(socket_) << ""; }  // left behind
  serve();
  const auto second = serve_until_signal(
      socket_, [](const std::string&) { return std::string(); },
      []() -> Result<void> { return {}; });
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(*ask(socket_, "one", seconds(5)), "heard one");
  EXPECT_TRUE(stop().ok());
}

TEST_F(ControlSocket, EndsWithTheErrorOfWhatHadToBeReady) {
  const auto served = serve_until_signal(
      socket_, [](const std::string&) { return std::string(); },
      []() -> Result<void> { return error(ErrorCode::kUnavailable, "bus: not there"); });
  EXPECT_EQ(served.error().message, "bus: not there");
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(ControlSocket, SaysThatAPathIsTooLong) {
  const auto asked = ask(folder_.path() / std::string(120, 'x'), "one", seconds(1));
  EXPECT_EQ(asked.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cusp::sim
