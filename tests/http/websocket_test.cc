#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include "tests/http/running_server.h"

namespace cusp::http {
namespace {

namespace beast = boost::beast;
using WebSocket = beast::websocket::stream<boost::asio::ip::tcp::socket>;

class Events : public RunningServer {
 protected:
  void start_events(std::string token = {}) {
    start({.token = std::move(token), .websocket_path = "/events"});
  }

  WebSocket open(const std::string& origin = {}, const std::string& bearer = {}) {
    WebSocket socket(connect());
    socket.set_option(
        beast::websocket::stream_base::decorator([=](beast::websocket::request_type& request) {
          if (!origin.empty()) request.set(beast::http::field::origin, origin);
          if (!bearer.empty()) request.set(beast::http::field::authorization, "Bearer " + bearer);
        }));
    socket.handshake("127.0.0.1:" + std::to_string(port_), "/events");
    return socket;
  }

  static std::string read(WebSocket& socket) {
    beast::flat_buffer buffer;
    socket.read(buffer);
    return beast::buffers_to_string(buffer.data());
  }
};

TEST_F(Events, GreetFirstAndThenTellEverybody) {
  start_events();
  auto first = open();
  auto second = open();
  EXPECT_EQ(read(first), "welcome");
  EXPECT_EQ(read(second), "welcome");
  server_->broadcast("one");
  server_->broadcast("two");
  for (auto* socket : {&first, &second}) {
    EXPECT_EQ(read(*socket), "one");
    EXPECT_EQ(read(*socket), "two");
  }
}

TEST_F(Events, AskForTheTokenAndTheRightOrigin) {
  start_events("s3cret");
  EXPECT_THROW(open(), beast::system_error);
  EXPECT_THROW(open("http://evil.example", "s3cret"), beast::system_error);
  auto socket = open({}, "s3cret");
  EXPECT_EQ(read(socket), "welcome");
}

TEST_F(Events, IgnoreWhatAPageSaysAndCloseOnTooMuch) {
  start_events();
  auto socket = open();
  EXPECT_EQ(read(socket), "welcome");
  socket.write(boost::asio::buffer(std::string("anything")));
  server_->broadcast("still here");
  EXPECT_EQ(read(socket), "still here");
  beast::error_code failure;
  socket.write(boost::asio::buffer(std::string(1 << 20, 'x')), failure);
  EXPECT_THROW(read(socket), beast::system_error);
}

TEST_F(Events, CloseAPageThatFallsBehind) {
  start_events();
  auto slow = open();
  auto quick = open();
  EXPECT_EQ(read(quick), "welcome");
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) {  // far more than the kernel holds for the slow one
    server_->broadcast(megabyte);
    EXPECT_EQ(read(quick).size(), megabyte.size());
  }
  EXPECT_THROW(for (int i = 0; i < 101; ++i) read(slow), beast::system_error);
}

TEST_F(Events, EndWhenTheServerStops) {
  start_events();
  auto socket = open();
  EXPECT_EQ(read(socket), "welcome");
  server_->stop();
  EXPECT_THROW(read(socket), beast::system_error);
  server_->broadcast("nobody hears this");
}

}  // namespace
}  // namespace cusp::http
