// cuspctl against a cuspd that answers as a test wants: the exit codes that scripts depend on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "core/uuid.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Cuspctl : public ::testing::Test {
 protected:
  void SetUp() override {
    socket_ = fs::temp_directory_path() / ("cuspctl-" + new_uuid().substr(0, 8));
  }
  void TearDown() override { fs::remove(socket_); }

  // The exit code, with what was printed in output_.
  int run(const std::string& arguments) {
    const std::string command =
        std::string(CUSPCTL_PATH) + " --socket " + socket_.string() + " " + arguments + " 2>&1";
    output_.clear();
    FILE* const pipe = ::popen(command.c_str(), "r");
    char buffer[256];
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
      output_.append(buffer, size);
    return WEXITSTATUS(::pclose(pipe));
  }

  // The same, while one connection gets `answer` whatever it asks.
  int run_against(const std::string& answer, const std::string& arguments) {
    fs::remove(socket_);
    const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening, 1), 0);
    std::thread daemon([&] {
      const int peer = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
      char request[4096];
      if (::recv(peer, request, sizeof request, 0) > 0)
        (void)::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(peer);
    });
    const int code = run(arguments);
    daemon.join();
    ::close(listening);
    return code;
  }
  static std::string http(const std::string& status, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

  fs::path socket_;
  std::string output_;
};

TEST_F(Cuspctl, SaysThatNobodyAnswers) {
  EXPECT_EQ(run("status"), 3);
  EXPECT_THAT(output_, HasSubstr("cuspd does not answer there"));
  EXPECT_EQ(run_against("", "status"), 3) << "hung up";
  EXPECT_EQ(run_against("hello\r\n\r\n", "status"), 3) << "no HTTP";
  EXPECT_EQ(run_against(http("200 OK", "hello"), "status"), 3) << "no JSON";
}

TEST_F(Cuspctl, RefusalIsARefusalWhateverItsWords) {
  for (const char* code : {"unavailable", "timeout", "disconnected", "conflict"}) {
    const std::string body = std::string(R"({"detail": "cuspd does not answer: the connection )") +
                             R"(broke", "code": ")" + code + R"("})";
    EXPECT_EQ(run_against(http("503 Service Unavailable", body), "scan pause"), 1) << code;
  }
  EXPECT_EQ(run_against(http("500 Oops", R"({"detail": 7, "code": []})"), "scan pause"), 1);
  EXPECT_THAT(output_, HasSubstr("status 500"));
}

TEST_F(Cuspctl, OutlivesFieldsOfAnotherType) {
  EXPECT_EQ(
      run_against(http("200 OK", R"({"tickets": [{"id": 1, "withdrawn": "x"}, 3]})"), "tickets"),
      0);
  EXPECT_EQ(run_against(http("200 OK", R"({"store": {"connected": 1}, "ticket": [], "scan": 2})"),
                        "status"),
            0);
  EXPECT_EQ(
      run_against(http("200 OK", R"({"models": [{"saved": {}, "files": [1]}, null]})"), "models"),
      0);
  EXPECT_EQ(run_against(http("200 OK", R"({"entries": [{"seq": "a", "receipt": 1}, []]})"),
                        "outbox release 7"),
            0);
}

}  // namespace
}  // namespace cusp
