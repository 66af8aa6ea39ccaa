// One accepted connection: HTTP requests until it is closed or becomes a WebSocket.
// Threads: the io_context's.
#pragma once

// clang-format off
#include <utility>  // Boost 1.74's awaitable.hpp forgets it
#include <boost/asio/awaitable.hpp>
// clang-format on
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "http/server.h"

namespace cusp::http {

class Connection;

// What a server's connections share.
struct Shared {
  Router router;
  ServerOptions options;
  std::function<std::string()> greeting;
  std::atomic<bool> stopped = false;
  std::set<Connection*> connections;
};

// Whom a listener lets in.
struct Gate {
  bool trusted = false;    // a Unix socket: its file rights are the check
  std::uint16_t port = 0;  // names the cookie
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Unix and loopback sockets in one type.
  using Stream = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;

  Connection(std::shared_ptr<Shared> shared, Gate gate, Stream::socket_type socket);
  ~Connection();

  void start();
  void close();
  // To a WebSocket; others ignore it.
  void deliver(const std::shared_ptr<const std::string>& text);

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using Message = boost::beast::http::request<boost::beast::http::string_body>;

  boost::asio::awaitable<void> run();
  // One request and its answer; false: close.
  boost::asio::awaitable<bool> serve_one();
  // Nothing when the connection was closed meanwhile.
  boost::asio::awaitable<std::optional<Response>> wait_for(std::function<void(Reply)> later);
  boost::asio::awaitable<bool> send(Response response, bool with_content, bool keep_alive,
                                    std::string range);
  boost::asio::awaitable<bool> send_file(std::filesystem::path path, std::uint64_t offset,
                                         std::uint64_t size_bytes);
  boost::asio::awaitable<void> refuse(Response response);
  boost::asio::awaitable<void> run_websocket(Message upgrade);
  // The answer for someone who may not come in, or for GET /?token=...
  std::optional<Response> stop_at_gate(const Request& request) const;
  void write_next();

  std::shared_ptr<Shared> shared_;
  Gate gate_;
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::steady_timer later_came_;  // cancelled when it did, or never will
  std::optional<Response> later_;
  std::optional<boost::beast::websocket::stream<Stream>> websocket_;
  std::deque<std::shared_ptr<const std::string>> outgoing_;
};

}  // namespace cusp::http
