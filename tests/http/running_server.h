// A Server on its own thread, and clients that speak to it in plain sockets.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "http/server.h"

namespace cusp::http {

class RunningServer : public testing::Test {
 protected:
  using tcp = boost::asio::ip::tcp;

  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cusp-server-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }

  void start(ServerOptions options = {}) {
    Router router;
    router.add("GET", "/hello", [](const Request&) { return Response{.body = "\"hello\""}; });
    router.add("POST", "/echo",
               [](const Request& request) { return Response{.body = request.body}; });
    router.add("GET", "/file", [this](const Request&) {
      Response response;
      response.content_type = "model/stl";
      response.file = folder_ / "model.stl";
      return response;
    });
    router.add("GET", "/later", [this](const Request&) {
      return Response{.later = [this](Reply reply) { later_.set_value(std::move(reply)); }};
    });
    router.add("GET", "/", [](const Request&) { return Response{.body = "\"page\""}; });
    server_ = std::make_unique<Server>(io_, std::move(router), std::move(options));
    server_->set_greeting([] { return std::string("welcome"); });
    auto port = server_->listen_loopback(0);
    ASSERT_TRUE(port.ok()) << port.error().message;
    port_ = *port;
    ASSERT_TRUE(server_->listen_unix(folder_ / "control.sock").ok());
    thread_ = std::thread([this] { io_.run(); });
  }

  void TearDown() override {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();  // run() returns: nothing is left open
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  [[nodiscard]] tcp::socket connect() {
    tcp::socket socket(client_io_);
    socket.connect({boost::asio::ip::address_v4::loopback(), port_});
    return socket;
  }

  [[nodiscard]] std::string host() const {
    return "Host: 127.0.0.1:" + std::to_string(port_) + "\r\n";
  }

  // Sends the bytes and reads until the server closes.
  template <typename Socket>
  static std::string exchange(Socket& socket, const std::string& bytes) {
    boost::system::error_code failure;
    boost::asio::write(socket, boost::asio::buffer(bytes), failure);
    std::string answer;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), failure);
    return answer;
  }

  std::string ask(const std::string& request_line, const std::string& headers = {},
                  const std::string& body = {}) {
    auto socket = connect();
    return exchange(socket, request_line + " HTTP/1.1\r\n" + host() + "Connection: close\r\n" +
                                headers + "\r\n" + body);
  }

  std::filesystem::path folder_;
  boost::asio::io_context io_;
  boost::asio::io_context client_io_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
  std::promise<Reply> later_;  // of GET /later
};

inline std::string status_line(const std::string& answer) {
  return answer.substr(0, answer.find("\r\n"));
}
inline std::string body_of(const std::string& answer) {
  const auto end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace cusp::http
