// cuspctl against a cuspd that answers as a test wants: the exit codes that scripts depend on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "core/uuid.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Cuspctl : public ::testing::Test {
 protected:
  void SetUp() override {
    socket_ = fs::temp_directory_path() / ("cuspctl-" + new_uuid().substr(0, 8));
    picture_ = socket_.string() + ".jpg";
  }
  void TearDown() override {
    fs::remove(socket_);
    fs::remove(picture_);
  }

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
    return run_against(std::vector{answer}, arguments);
  }
  // One after another; what they ask is in requests_.
  int run_against(const std::vector<std::string>& answers, const std::string& arguments) {
    requests_.clear();
    fs::remove(socket_);
    const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening, 1), 0);
    std::thread daemon([&] {
      for (const std::string& answer : answers) {
        const int peer = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) return;
        char request[4096];
        if (const ssize_t size = ::recv(peer, request, sizeof request, 0); size > 0) {
          requests_.emplace_back(request, static_cast<std::size_t>(size));
          (void)::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
        }
        ::close(peer);
      }
    });
    const int code = run(arguments);
    ::shutdown(listening, SHUT_RDWR);  // what was not asked for is not waited for
    daemon.join();
    ::close(listening);
    return code;
  }
  static std::string http(const std::string& status, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }

  static std::string http_picture(const std::string& type, const std::string& bytes) {
    return "HTTP/1.1 200 OK\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\n\r\n" + bytes;
  }
  std::string picture() const {
    std::ifstream file(picture_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Files that begin with the picture's name.
  std::size_t files() const {
    const std::string name = picture_.filename().string();
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(picture_.parent_path()))
      count += entry.path().filename().string().starts_with(name);
    return count;
  }

  fs::path socket_;
  fs::path picture_;
  std::string output_;
  std::vector<std::string> requests_;
};

constexpr const char* kTwoCamerasAndAScanner =
    R"({"devices": [{"serial": "a 1", "kind": "photo"}, {"serial": "d405", "kind": "depth"},)"
    R"( {"serial": "b", "kind": "photo"}, {"kind": "photo"}, 3]})";

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

TEST_F(Cuspctl, WritesThePhotoOfTheOnlyCamera) {
  const std::string bytes("\xFF\xD8 not \0 text \xFF\xD9", 16);
  const std::string devices =
      R"({"devices": [{"serial": "d405", "kind": "depth"}, {"serial": "a/1 b", "kind": "photo"}]})";
  EXPECT_EQ(run_against({http("200 OK", devices), http_picture("image/jpeg", bytes)},
                        "photo --out " + picture_.string()),
            0)
      << output_;
  EXPECT_EQ(picture(), bytes);
  EXPECT_EQ(files(), 1u) << "nothing is left of the writing";
  EXPECT_THAT(output_, HasSubstr(picture_.string() + ": image/jpeg"));
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_THAT(requests_[1], HasSubstr("POST /api/v1/devices/a%2F1%20b/photo HTTP/1.1"));
}

TEST_F(Cuspctl, AsksForNoListWhenTheCameraIsNamed) {
  EXPECT_EQ(run_against(http_picture("image/png", "pixels"),
                        "--json photo --device b --out " + picture_.string()),
            0)
      << output_;
  EXPECT_EQ(picture(), "pixels");
  EXPECT_THAT(output_, HasSubstr(R"("content_type": "image/png")"));
  EXPECT_THAT(output_, HasSubstr(R"("size_bytes": 6)"));
}

TEST_F(Cuspctl, SavesARecordingThatCuspdAloneMayRead) {
  const std::string list =
      http("200 OK",
           R"({"recordings": [{"id": "r-1", "state": "whole", "size_bytes": 4, "path": "/x"}]})");
  const std::string save = "recordings save r-1 " + picture_.string();
  EXPECT_EQ(run_against({list, http_picture("application/x-pcapng", "take")}, save), 0) << output_;
  EXPECT_EQ(picture(), "take");
  EXPECT_EQ(files(), 1u) << "nothing is left of the writing";
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_THAT(requests_[1], HasSubstr("GET /api/v1/recordings/r-1/file HTTP/1.1"));

  EXPECT_EQ(run_against({list, http_picture("application/x-pcapng", "new")}, save), 1);
  EXPECT_THAT(output_, HasSubstr("is there already"));
  EXPECT_EQ(picture(), "take");
  fs::remove(picture_);

  EXPECT_EQ(
      run_against({list, http("409 Conflict", R"({"detail": "it is still being written"})")}, save),
      1);
  EXPECT_EQ(output_, "cuspctl: it is still being written\n");
  EXPECT_EQ(run_against({list, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"}, save), 3);
  EXPECT_EQ(run_against({list, http_picture("application/x-pcapng", "x")},
                        "recordings save r-1 /nonexistent/folder/x"),
            1);
  EXPECT_THAT(output_, HasSubstr("/nonexistent/folder/x"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Cuspctl, StatusTellsWhatTheOperatorSeesNowhereElse) {
  EXPECT_EQ(
      run_against(http("200 OK", R"({"notice": "the scanner's button is not heard"})"), "status"),
      0);
  EXPECT_THAT(output_, HasSubstr("Notice   the scanner's button is not heard\n"));
  EXPECT_EQ(run_against(http("200 OK", R"({"notice": ""})"), "status"), 0);
  EXPECT_THAT(output_, ::testing::Not(HasSubstr("Notice")));
}

TEST_F(Cuspctl, GuessesNoCamera) {
  const std::string photo = "photo --out " + picture_.string();
  EXPECT_EQ(run_against(http("200 OK", kTwoCamerasAndAScanner), photo), 1);
  EXPECT_THAT(output_, HasSubstr("2 cameras are plugged in: say which with --device: a 1, b"));
  EXPECT_EQ(
      run_against(http("200 OK", R"({"devices": [{"serial": "d", "kind": "depth"}]})"), photo), 1);
  EXPECT_THAT(output_, HasSubstr("no camera for photos is plugged in"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Cuspctl, NeverOverwritesAPhoto) {
  std::ofstream(picture_) << "an earlier one";
  EXPECT_EQ(
      run_against(http_picture("image/jpeg", "new"), "photo --device b --out " + picture_.string()),
      1);
  EXPECT_THAT(output_, HasSubstr("is there already"));
  EXPECT_TRUE(requests_.empty()) << "no photo is taken in vain";
  EXPECT_EQ(picture(), "an earlier one");
}

TEST_F(Cuspctl, LeavesNoFileWithoutAPhoto) {
  const std::string photo = "photo --device b --out " + picture_.string();
  EXPECT_EQ(
      run_against(http("409 Conflict", R"({"detail": "device b: in use by a photo"})"), photo), 1);
  EXPECT_EQ(output_, "cuspctl: device b: in use by a photo\n");
  EXPECT_EQ(run_against(http("200 OK", R"({"devices": []})"), photo), 3) << "no picture";
  EXPECT_THAT(output_, HasSubstr("is no picture"));
  EXPECT_EQ(run_against("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
                        "Content-Length: 1000\r\n\r\nhalf",
                        photo),
            3);
  EXPECT_EQ(run(photo), 3) << "no daemon";
  EXPECT_EQ(files(), 0u);
  EXPECT_EQ(run_against(http_picture("image/jpeg", "x"),
                        "photo --device b --out /nonexistent/folder/x.jpg"),
            1);
  EXPECT_THAT(output_, HasSubstr("/nonexistent/folder/x.jpg"));
  EXPECT_EQ(run("photo"), 2) << "usage";
}

}  // namespace
}  // namespace cusp
