#include <sys/stat.h>

#include "tests/http/running_server.h"

namespace cusp::http {
namespace {

using testing::Test;

TEST_F(RunningServer, AnswersOnLoopbackAndKeepsTheConnection) {
  start();
  auto socket = connect();
  const auto request = "GET /hello HTTP/1.1\r\n" + host();
  const auto answer = exchange(socket, request + "\r\n" + request + "Connection: close\r\n\r\n");
  const auto second = answer.find("HTTP/1.1 200", 1);
  EXPECT_NE(second, std::string::npos);
  EXPECT_NE(answer.find("\"hello\"", second), std::string::npos);
}

TEST_F(RunningServer, TellsBrowsersToStayInside) {
  start();
  const auto answer = ask("GET /hello");
  EXPECT_NE(answer.find("Content-Security-Policy: default-src 'self'"), std::string::npos);
  EXPECT_NE(answer.find("X-Content-Type-Options: nosniff"), std::string::npos);
  EXPECT_NE(answer.find("Cache-Control: no-store"), std::string::npos);
}

TEST_F(RunningServer, AnswersHeadWithoutABody) {
  start();
  const auto answer = ask("HEAD /hello");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 200 OK");
  EXPECT_NE(answer.find("Content-Length: 7"), std::string::npos);
  EXPECT_EQ(body_of(answer), "");
}

TEST_F(RunningServer, ServesOthersUntilALateAnswerComes) {
  start();
  auto socket = connect();
  const std::string wanted = "GET /later HTTP/1.1\r\n" + host() + "\r\n";
  boost::asio::write(socket, boost::asio::buffer(wanted));
  const Reply reply = later_.get_future().get();
  EXPECT_EQ(body_of(ask("GET /hello")), "\"hello\"");
  reply({.status = 201, .content_type = "image/png", .body = "picture"});
  const auto answer =
      exchange(socket, "GET /hello HTTP/1.1\r\n" + host() + "Connection: close\r\n\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 201 Created");
  EXPECT_NE(answer.find("Content-Type: image/png"), std::string::npos);
  EXPECT_NE(answer.find("\r\n\r\npictureHTTP/1.1 200 OK"), std::string::npos)
      << "and the connection is kept";
}

TEST_F(RunningServer, StopsWithoutALateAnswer) {
  start();
  auto socket = connect();
  const std::string wanted = "GET /later HTTP/1.1\r\n" + host() + "\r\n";
  boost::asio::write(socket, boost::asio::buffer(wanted));
  const Reply reply = later_.get_future().get();
  server_->stop();
  EXPECT_EQ(exchange(socket, ""), "");
  thread_.join();  // nothing is left open
  reply({.body = "too late"});
}

TEST_F(RunningServer, ReadsBodiesWithLengthInChunksAndAfterContinue) {
  start();
  EXPECT_EQ(body_of(ask("POST /echo", "Content-Length: 5\r\n", "12345")), "12345");
  EXPECT_EQ(body_of(ask("POST /echo", "Transfer-Encoding: chunked\r\n",
                        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")),
            "abcde");
  const auto answer = ask("POST /echo", "Content-Length: 5\r\nExpect: 100-continue\r\n", "12345");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 100 Continue");
  EXPECT_NE(answer.find("12345"), std::string::npos);
}

TEST_F(RunningServer, RefusesAHeaderBeyondTheLimit) {
  start();
  EXPECT_EQ(status_line(ask("GET /hello", "X-Long: " + std::string(70'000, 'x') + "\r\n")),
            "HTTP/1.1 431 Request Header Fields Too Large");
}

TEST_F(RunningServer, RefusesABodyBeyondTheLimitWithAnAnswerThatArrives) {
  start({.max_body_bytes = 1000});
  const std::string body(400'000, 'x');
  EXPECT_EQ(status_line(ask("POST /echo", "Content-Length: 400000\r\n", body)),
            "HTTP/1.1 413 Payload Too Large");
  EXPECT_EQ(status_line(ask("POST /echo", "Transfer-Encoding: chunked\r\n", "61a80\r\n" + body)),
            "HTTP/1.1 413 Payload Too Large");
}

TEST_F(RunningServer, RefusesWhatIsNotHttp) {
  start();
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
        std::string("hello\r\n\r\n"), std::string(1000, '\0'), std::string("GET  HTTP/9.9\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n"),
        std::string("GET /a%2Fb HTTP/1.1\r\nHost: localhost\r\n\r\n")}) {
    auto socket = connect();
    EXPECT_EQ(exchange(socket, garbage).substr(0, 12), "HTTP/1.1 400") << garbage;
  }
  EXPECT_EQ(status_line(ask("GET /hello")), "HTTP/1.1 200 OK");
}

TEST_F(RunningServer, ClosesAConnectionThatFallsSilent) {
  start({.idle_timeout = std::chrono::milliseconds(50)});
  auto socket = connect();
  EXPECT_EQ(exchange(socket, "GET /hello HTT"), "");  // returns only because the server closed
}

TEST_F(RunningServer, AsksLoopbackForItsToken) {
  start({.token = "s3cret"});
  EXPECT_EQ(status_line(ask("GET /hello")), "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(status_line(ask("GET /hello", "Authorization: Bearer s3creT\r\n")),
            "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(status_line(ask("GET /hello", "Authorization: s3cret\r\n")),
            "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(status_line(ask("GET /hello", "Cookie: cusp_token=s3cret\r\n")),
            "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(status_line(ask("GET /hello", "Authorization: Bearer s3cret\r\n")), "HTTP/1.1 200 OK");
}

TEST_F(RunningServer, TurnsTheTokenOfTheAddressIntoACookie) {
  start({.token = "s3cret"});
  EXPECT_EQ(status_line(ask("GET /?token=wrong")), "HTTP/1.1 401 Unauthorized");
  const auto answer = ask("GET /?token=s3cret");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 303 See Other");
  EXPECT_NE(answer.find("Location: /\r\n"), std::string::npos);
  const auto cookie = "cusp_token_" + std::to_string(port_) + "=s3cret";
  EXPECT_NE(answer.find("Set-Cookie: " + cookie + "; Path=/; HttpOnly"), std::string::npos);
  EXPECT_EQ(status_line(ask("GET /", "Cookie: other=1; " + cookie + "\r\n")), "HTTP/1.1 200 OK");
}

TEST_F(RunningServer, ExplainsTheMissingTokenToAPerson) {
  start({.token = "s3cret"});
  const auto answer = ask("GET /", "Accept: text/html\r\n");
  EXPECT_NE(answer.find("Content-Type: text/html"), std::string::npos);
}

TEST_F(RunningServer, ReadsNoBodyOfSomeoneWithoutTheToken) {
  start({.token = "s3cret"});
  // No body follows: an answer comes all the same.
  auto socket = connect();
  EXPECT_EQ(status_line(exchange(
                socket, "POST /echo HTTP/1.1\r\n" + host() + "Content-Length: 1000000\r\n\r\n")),
            "HTTP/1.1 401 Unauthorized");
}

TEST_F(RunningServer, AnswersOnlyToLoopbackNames) {
  start();
  auto socket = connect();
  EXPECT_EQ(
      exchange(socket, "GET /hello HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
          .substr(0, 12),
      "HTTP/1.1 421");
  auto nameless = connect();
  EXPECT_EQ(exchange(nameless, "GET /hello HTTP/1.0\r\n\r\n").substr(0, 12), "HTTP/1.1 421");
}

TEST_F(RunningServer, RefusesPagesOfAnotherOrigin) {
  start();
  EXPECT_EQ(status_line(ask("POST /echo", "Origin: http://evil.example\r\n")),
            "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(status_line(ask("POST /echo", "Origin: http://127.0.0.1:1\r\n")),
            "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(status_line(ask("POST /echo", "Origin: null\r\n")), "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(status_line(ask("POST /echo", "Origin: http://127.0.0.1:" + std::to_string(port_) +
                                              "\r\nContent-Length: 0\r\n")),
            "HTTP/1.1 200 OK");
}

class SentFile : public RunningServer {
 protected:
  void write(std::size_t size_bytes) {
    content_.resize(size_bytes);
    for (std::size_t i = 0; i < content_.size(); ++i)
      content_[i] = static_cast<char>(i * 7 + i / 251);
    std::ofstream(folder_ / "model.stl", std::ios::binary) << content_;
  }
  std::string content_;
};

TEST_F(SentFile, ArrivesWhole) {
  write(1'300'001);
  start();
  const auto answer = ask("GET /file");
  EXPECT_NE(answer.find("Content-Type: model/stl"), std::string::npos);
  EXPECT_NE(answer.find("Accept-Ranges: bytes"), std::string::npos);
  EXPECT_TRUE(body_of(answer) == content_);
}

TEST_F(SentFile, ArrivesInParts) {
  write(600'000);
  start();
  const auto answer = ask("GET /file", "Range: bytes=599990-\r\n");
  EXPECT_EQ(status_line(answer), "HTTP/1.1 206 Partial Content");
  EXPECT_NE(answer.find("Content-Range: bytes 599990-599999/600000"), std::string::npos);
  EXPECT_EQ(body_of(answer), content_.substr(599'990));
  const auto beyond = ask("GET /file", "Range: bytes=600000-\r\n");
  EXPECT_EQ(status_line(beyond), "HTTP/1.1 416 Range Not Satisfiable");
  EXPECT_NE(beyond.find("Content-Range: bytes */600000"), std::string::npos);
}

TEST_F(SentFile, MayBeEmptyOrMissing) {
  write(0);
  start();
  EXPECT_EQ(status_line(ask("GET /file")), "HTTP/1.1 200 OK");
  std::filesystem::remove(folder_ / "model.stl");
  EXPECT_EQ(status_line(ask("GET /file")), "HTTP/1.1 404 Not Found");
}

TEST_F(SentFile, WaitsForNobodyWhoDoesNotRead) {
  write(30'000'000);
  start({.idle_timeout = std::chrono::milliseconds(100)});
  auto socket = connect();
  boost::asio::write(socket, boost::asio::buffer("GET /file HTTP/1.1\r\n" + host() + "\r\n"));
  EXPECT_EQ(status_line(ask("GET /hello")), "HTTP/1.1 200 OK");
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_LT(exchange(socket, "").size(), content_.size());  // was closed on the way
}

TEST_F(RunningServer, TrustsItsUnixSocketsFileRights) {
  start({.token = "s3cret"});
  const auto path = folder_ / "control.sock";
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  boost::asio::local::stream_protocol::socket socket(client_io_);
  socket.connect(boost::asio::local::stream_protocol::endpoint(path.string()));
  EXPECT_EQ(status_line(exchange(socket, "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n")),
            "HTTP/1.1 200 OK");
}

TEST_F(RunningServer, ReplacesASocketThatAKilledProgramLeft) {
  {
    boost::asio::local::stream_protocol::acceptor dead(
        client_io_,
        boost::asio::local::stream_protocol::endpoint((folder_ / "control.sock").string()));
  }
  ASSERT_TRUE(std::filesystem::exists(folder_ / "control.sock"));
  start();
}

TEST_F(RunningServer, LeavesASocketThatIsInUse) {
  start();
  boost::asio::io_context io;
  Server second(io, Router{}, {});
  const auto taken = second.listen_unix(folder_ / "control.sock");
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kConflict);
  std::ofstream(folder_ / "plain") << "x";
  EXPECT_EQ(second.listen_unix(folder_ / "plain").error().code, ErrorCode::kConflict);
  EXPECT_EQ(second.listen_unix(folder_ / std::string(200, 'x')).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(second.listen_unix(folder_ / "absent" / "s").error().code, ErrorCode::kIo);
  EXPECT_EQ(second.listen_loopback(port_).error().code, ErrorCode::kConflict);
}

TEST_F(RunningServer, StopsWithConnectionsOpenAndRemovesItsSocket) {
  start();
  auto idle = connect();
  auto half = connect();
  boost::asio::write(half, boost::asio::buffer(std::string("POST /echo HTTP/1.1\r\n")));
  EXPECT_EQ(status_line(ask("GET /hello")), "HTTP/1.1 200 OK");
  server_->stop();
  thread_.join();  // hangs when stop() leaves anything behind
  EXPECT_FALSE(std::filesystem::exists(folder_ / "control.sock"));
}

}  // namespace
}  // namespace cusp::http
