// clang-format off
#include "http/connection_internal.h"  // first: it mends an include of Boost 1.74
// clang-format on

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/file.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "http/text.h"

namespace cusp::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;

constexpr std::uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr std::size_t kMaxBufferBytes = 64 * 1024;
constexpr std::size_t kMaxMessagesBehind = 64;
constexpr std::size_t kMaxWebSocketMessageBytes = 64 * 1024;
constexpr std::size_t kFilePieceBytes = 256 * 1024;
constexpr std::chrono::seconds kLinger{1};

constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'";

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }
beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

// The peer sent something else than HTTP, as opposed to leaving or falling silent.
bool is_malformed(beast::error_code failure) {
  return failure.category() == wire::make_error_code(wire::error::bad_method).category() &&
         failure != wire::error::end_of_stream && failure != wire::error::partial_message;
}

std::string header(const Request& request, const std::string& name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string{} : found->second;
}

Response unauthorized(const Request& request) {
  constexpr std::string_view kWhatToDo =
      "open this page with the address that holds its token; the program's \"address\" command "
      "prints it";
  Response response = problem(401, kWhatToDo);
  if (header(request, "accept").find("text/html") != std::string::npos) {
    response.content_type = "text/html; charset=utf-8";
    response.body = fmt::format(
        "<!doctype html><html lang=\"en\"><title>Token needed</title><h1>Token needed</h1>"
        "<p>Please {}.</p></html>",
        kWhatToDo);
  }
  response.headers["WWW-Authenticate"] = "Bearer";
  return response;
}

}  // namespace

Connection::Connection(std::shared_ptr<Shared> shared, Gate gate, Stream::socket_type socket)
    : shared_(std::move(shared)),
      gate_(gate),
      stream_(std::move(socket)),
      buffer_(kMaxBufferBytes),
      later_came_(stream_.get_executor()) {
  shared_->connections.insert(this);
}

Connection::~Connection() { shared_->connections.erase(this); }

void Connection::start() {
  asio::co_spawn(
      stream_.get_executor(),
      [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->run(); },
      // A failure inside one connection (memory, a library's exception) ends that connection alone.
      [self = shared_from_this()](std::exception_ptr) { self->close(); });
}

void Connection::close() {
  auto& stream = websocket_ ? websocket_->next_layer() : stream_;
  stream.close();
  later_came_.cancel();
}

void Connection::deliver(const std::shared_ptr<const std::string>& text) {
  if (!websocket_ || !websocket_->is_open()) return;
  if (outgoing_.size() >= kMaxMessagesBehind) return close();
  outgoing_.push_back(text);
  if (outgoing_.size() == 1) write_next();
}

void Connection::write_next() {
  websocket_->async_write(asio::buffer(*outgoing_.front()),
                          [self = shared_from_this()](beast::error_code failure, std::size_t) {
                            if (failure) return self->close();
                            self->outgoing_.pop_front();
                            if (!self->outgoing_.empty()) self->write_next();
                          });
}

asio::awaitable<void> Connection::run() {
  while (!shared_->stopped) {
    const bool go_on = co_await serve_one();
    if (!go_on) break;
  }
  close();
}

asio::awaitable<bool> Connection::serve_one() {
  beast::error_code failure;
  auto to_failure = asio::redirect_error(asio::use_awaitable, failure);
  Parser parser;
  parser.header_limit(kMaxHeaderBytes);
  parser.body_limit(shared_->options.max_body_bytes);
  stream_.expires_after(shared_->options.idle_timeout);
  co_await wire::async_read_header(stream_, buffer_, parser, to_failure);
  if (failure) {
    if (failure == wire::error::header_limit || failure == wire::error::buffer_overflow)
      co_await refuse(problem(431, "the request's header is longer than 16 KiB"));
    else if (failure == wire::error::body_limit)
      co_await refuse(problem(413, fmt::format("the request's body is longer than {} bytes",
                                               shared_->options.max_body_bytes)));
    else if (is_malformed(failure))
      co_await refuse(problem(400, "this is not an HTTP/1.1 request: " + failure.message()));
    co_return false;
  }

  const auto& message = parser.get();
  auto target = parse_target(view(message.target()));
  if (!target) {
    co_await refuse(problem(target.error()));
    co_return false;
  }
  Request request;
  request.method = std::string(view(message.method_string()));
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  for (const auto& field : message)
    request.headers.emplace(lower_case(view(field.name_string())),
                            std::string(view(field.value())));
  const bool with_content = request.method != "HEAD";
  if (!with_content) request.method = "GET";

  // Before the body: nobody fills our memory who may not come in.
  if (auto stopped = stop_at_gate(request)) {
    if (!parser.is_done()) {
      co_await refuse(std::move(*stopped));
      co_return false;
    }
    co_return co_await send(std::move(*stopped), with_content, message.keep_alive(), {});
  }
  const auto& websocket_path = shared_->options.websocket_path;
  if (!websocket_path.empty() && request.path == websocket_path &&
      beast::websocket::is_upgrade(message)) {
    co_await run_websocket(parser.release());
    co_return false;
  }

  if (beast::iequals(message[wire::field::expect], "100-continue")) {
    wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
    co_await wire::async_write(stream_, go_on, to_failure);
    if (failure) co_return false;
  }
  if (!parser.is_done()) co_await wire::async_read(stream_, buffer_, parser, to_failure);
  if (failure == wire::error::body_limit)
    co_await refuse(problem(413, fmt::format("the request's body is longer than {} bytes",
                                             shared_->options.max_body_bytes)));
  else if (is_malformed(failure))
    co_await refuse(problem(400, "the request's body is not well formed: " + failure.message()));
  if (failure || shared_->stopped) co_return false;

  const bool keep_alive = parser.keep_alive();
  const auto range = header(request, "range");
  request.body = std::move(parser.get().body());
  auto response = shared_->router.route(std::move(request));
  if (response.later) {
    auto later = co_await wait_for(std::move(response.later));
    if (!later) co_return false;
    response = std::move(*later);
  }
  co_return co_await send(std::move(response), with_content, keep_alive, range);
}

asio::awaitable<std::optional<Response>> Connection::wait_for(std::function<void(Reply)> later) {
  later_.reset();
  later_came_.expires_at(asio::steady_timer::time_point::max());
  later([executor = stream_.get_executor(), weak = weak_from_this()](Response response) {
    asio::post(executor, [weak, response = std::move(response)]() mutable {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->later_ = std::move(response);
      self->later_came_.cancel();
    });
  });
  beast::error_code cancelled;
  co_await later_came_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  if (shared_->stopped) co_return std::nullopt;
  co_return std::exchange(later_, std::nullopt);
}

std::optional<Response> Connection::stop_at_gate(const Request& request) const {
  if (gate_.trusted) return std::nullopt;
  const auto host = header(request, "host");
  if (!is_loopback_host(host))
    return problem(421, "this server answers to 127.0.0.1 and localhost alone");
  const auto origin = header(request, "origin");
  if (!origin.empty() && origin != "http://" + host)
    return problem(403, "pages of another origin may not use this server");
  const auto& token = shared_->options.token;
  if (token.empty()) return std::nullopt;

  const auto cookie_name = fmt::format("cusp_token_{}", gate_.port);
  const auto shown = request.query.find("token");
  if (request.method == "GET" && request.path == "/" && shown != request.query.end()) {
    if (!equal_in_constant_time(shown->second, token)) return unauthorized(request);
    Response response;
    response.status = 303;
    response.content_type = "text/plain; charset=utf-8";
    response.headers["Location"] =
        "/";  // the token leaves the address bar; the browser keeps the #fragment
    response.headers["Set-Cookie"] =
        fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000", cookie_name, token);
    return response;
  }
  constexpr std::string_view kBearer = "Bearer ";
  const auto authorization = header(request, "authorization");
  const bool bearer =
      std::string_view(authorization).substr(0, kBearer.size()) == kBearer &&
      equal_in_constant_time(std::string_view(authorization).substr(kBearer.size()), token);
  const auto cookie = cookie_value(header(request, "cookie"), cookie_name);
  if (bearer || (cookie && equal_in_constant_time(*cookie, token))) return std::nullopt;
  return unauthorized(request);
}

asio::awaitable<bool> Connection::send(Response response, bool with_content, bool keep_alive,
                                       std::string range) {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = response.body.size();
  if (response.file) {
    std::error_code missing;
    const auto file_bytes = std::filesystem::file_size(*response.file, missing);
    if (missing) {
      response = problem(404, "the file is not there any more");
      size_bytes = response.body.size();
    } else {
      const auto part = choose_part(range, file_bytes);
      offset = part.offset;
      size_bytes = part.size_bytes;
      response.headers["Accept-Ranges"] = "bytes";
      if (part.kind == FilePart::Kind::kPart) {
        response.status = 206;
        response.headers["Content-Range"] =
            fmt::format("bytes {}-{}/{}", offset, offset + size_bytes - 1, file_bytes);
      } else if (part.kind == FilePart::Kind::kUnsatisfiable) {
        response = problem(416, "the file has no such range");
        response.headers["Content-Range"] = fmt::format("bytes */{}", file_bytes);
        size_bytes = response.body.size();
      }
    }
  }

  wire::response<wire::string_body> message(static_cast<wire::status>(response.status), 11);
  message.set(wire::field::server, "cusp");
  message.set(wire::field::content_type, response.content_type);
  message.set("Content-Security-Policy", view(kContentSecurityPolicy));
  message.set("X-Content-Type-Options", "nosniff");
  message.set("Referrer-Policy", "no-referrer");
  message.set("Cross-Origin-Resource-Policy", "same-origin");
  message.set(wire::field::cache_control, "no-store");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  message.content_length(size_bytes);
  const bool streams_file = response.file.has_value();
  if (with_content && !streams_file) message.body() = std::move(response.body);

  beast::error_code failure;
  auto to_failure = asio::redirect_error(asio::use_awaitable, failure);
  wire::response_serializer<wire::string_body> serializer(message);
  stream_.expires_after(shared_->options.idle_timeout);
  if (with_content && !streams_file)
    co_await wire::async_write(stream_, serializer, to_failure);
  else
    co_await wire::async_write_header(stream_, serializer, to_failure);
  if (failure) co_return false;
  if (with_content && streams_file) {
    const bool sent = co_await send_file(*response.file, offset, size_bytes);
    if (!sent) co_return false;
  }
  co_return keep_alive;
}

asio::awaitable<bool> Connection::send_file(std::filesystem::path path, std::uint64_t offset,
                                            std::uint64_t size_bytes) {
  beast::error_code failure;
  beast::file file;
  file.open(path.c_str(), beast::file_mode::scan, failure);
  if (!failure) file.seek(offset, failure);
  std::vector<char> piece(std::min<std::uint64_t>(kFilePieceBytes, size_bytes));
  while (!failure && size_bytes > 0) {
    const auto read =
        file.read(piece.data(), std::min<std::uint64_t>(piece.size(), size_bytes), failure);
    // A file that became shorter: the length is promised, so only closing tells the truth.
    if (failure || read == 0) co_return false;
    stream_.expires_after(shared_->options.idle_timeout);
    co_await asio::async_write(stream_, asio::buffer(piece.data(), read),
                               asio::redirect_error(asio::use_awaitable, failure));
    size_bytes -= read;
  }
  co_return !failure;
}

// Answers and closes although the peer may still be sending: what it sends is thrown away for a
// moment, because closing with unread bytes makes the kernel discard our answer.
asio::awaitable<void> Connection::refuse(Response response) {
  const bool sent = co_await send(std::move(response), true, false, {});
  static_cast<void>(sent);
  beast::error_code failure;
  stream_.socket().shutdown(asio::socket_base::shutdown_send, failure);
  stream_.expires_after(kLinger);
  std::vector<char> thrown_away(kMaxBufferBytes);
  while (!failure)
    co_await stream_.async_read_some(asio::buffer(thrown_away),
                                     asio::redirect_error(asio::use_awaitable, failure));
}

asio::awaitable<void> Connection::run_websocket(Message upgrade) {
  beast::error_code failure;
  auto to_failure = asio::redirect_error(asio::use_awaitable, failure);
  stream_.expires_never();  // the WebSocket has its own timeouts, with pings
  auto& websocket = websocket_.emplace(std::move(stream_));
  websocket.set_option(beast::websocket::stream_base::timeout::suggested(beast::role_type::server));
  websocket.read_message_max(kMaxWebSocketMessageBytes);
  co_await websocket.async_accept(upgrade, to_failure);
  if (failure) co_return;
  websocket.text(true);
  if (shared_->greeting) deliver(std::make_shared<const std::string>(shared_->greeting()));
  // Nothing is expected from the page; reading answers its pings and notices that it left.
  beast::flat_buffer ignored(kMaxWebSocketMessageBytes);
  while (!failure) {
    co_await websocket.async_read(ignored, to_failure);
    ignored.consume(ignored.size());
  }
}

}  // namespace cusp::http
