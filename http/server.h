// One small HTTP/1.1 and WebSocket server over Boost.Beast for cuspd and cusp-records.
//
// Routes are patterns such as "/api/v1/tickets/{id}/claim"; a handler is a function from Request to
// Response that runs on the io_context's thread and must not block for long: what takes a while is
// answered later, from any thread (Response::later). Errors leave as problem+json (RFC 9457).
//
// Limits: header 16 KiB (431), body `max_body_bytes` (413), `idle_timeout` and 256 connections
// (closed).
//
// Security: a Unix socket (mode 0660) trusts its file rights. A loopback listener demands the
// bearer token when one is given, or the cookie cusp_token_<port> that GET /?token=... sets
// (browsers share cookies between ports, hence the name); it answers only to Host names that are
// loopback (DNS rebinding) and refuses requests of other origins' pages. Only loopback can be
// listened on. Every answer carries a Content-Security-Policy that allows own files alone.
//
// Threads: everything on the io_context's thread, except broadcast() and stop(), which any thread
// may call; the io_context outlives the Server and every Reply. After stop() no handler is called
// any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace boost::asio {
class io_context;
}

namespace cusp::http {

struct Request {
  std::string method;
  std::string path;                           // decoded, without the query
  std::map<std::string, std::string> params;  // {id} of the pattern
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct Response;
// Takes the answer, once, on any thread.
using Reply = std::function<void(Response)>;

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body{};
  // Sent instead of the body, streamed; ranges are honoured.
  std::optional<std::filesystem::path> file{};
  std::map<std::string, std::string> headers{};
  // The answer is not there yet: this is called on the io_context's thread with where to give it.
  // Its connection waits until then, and when it is closed meanwhile the answer is thrown away.
  std::function<void(Reply)> later{};
};

// {"type": "about:blank", "title": ..., "status": ..., "detail": ...}
Response problem(unsigned status, std::string_view detail);
// The status that fits the code: 400, 403, 404, 409, 503, 507, ...
Response problem(const Error& error);

using Handler = std::function<Response(const Request&)>;

class Router {
 public:
  void add(std::string method, std::string pattern, Handler handler);
  // Files below the folder for GET of paths that no route takes; "/" gives index.html. Never leaves
  // the folder.
  void serve_folder(std::filesystem::path folder);
  [[nodiscard]] Response route(Request request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
  std::optional<std::filesystem::path> folder_;
};

struct ServerOptions {
  std::size_t max_body_bytes = 8 << 20;
  std::string token{};           // for loopback; empty: none is asked
  std::string websocket_path{};  // e.g. "/api/v1/events"; empty: no WebSocket
  // A request must arrive, and each piece of an answer must leave, within it.
  std::chrono::milliseconds idle_timeout{60'000};
};

class Server {
 public:
  Server(boost::asio::io_context& io, Router router, ServerOptions options);
  ~Server();

  Result<void> listen_unix(const std::filesystem::path& path);
  // Port 0 takes a free one; answers the port.
  Result<std::uint16_t> listen_loopback(std::uint16_t port);
  // Text to every WebSocket; a client that falls 64 messages behind is closed.
  void broadcast(std::string text);
  // What a new WebSocket hears first. Set it before the io_context runs.
  void set_greeting(std::function<std::string()> greeting);
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace cusp::http
