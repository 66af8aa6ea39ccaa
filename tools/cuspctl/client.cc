#include "tools/cuspctl/client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace cusp::cuspctl {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr timeval kAnswerWithin{30, 0};
constexpr std::uint64_t kMaxAnswerBytes = 64 << 20;

ErrorCode code_from(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kCancelled); ++i)
    if (to_string(static_cast<ErrorCode>(i)) == name) return static_cast<ErrorCode>(i);
  return ErrorCode::kConflict;
}

}  // namespace

Result<json> Client::get(const std::string& target) const { return call("GET", target, ""); }

Result<json> Client::post(const std::string& target, const json& body) const {
  return call("POST", target, body.dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<json> Client::call(std::string_view method, const std::string& target,
                          const std::string& body) const {
  boost::system::error_code failure;
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  const std::string path = socket_.string();
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return error(ErrorCode::kUnavailable, "{}: too long for a socket's path", path);
  socket.connect(asio::local::stream_protocol::endpoint(path), failure);
  if (failure)
    return error(ErrorCode::kUnavailable, "{}: cuspd does not answer there: {}", path,
                 failure.message());
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerWithin,
               sizeof kAnswerWithin);
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &kAnswerWithin,
               sizeof kAnswerWithin);

  http::request<http::string_body> request;
  request.method_string({method.data(), method.size()});
  request.target(target);
  request.version(11);
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() = body;
  request.prepare_payload();
  http::write(socket, request, failure);

  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> answer;
  answer.body_limit(kMaxAnswerBytes);
  if (!failure) http::read(socket, buffer, answer, failure);
  if (failure == asio::error::would_block || failure == asio::error::try_again ||
      failure == asio::error::timed_out)
    return error(ErrorCode::kTimeout, "{}: no answer within {} s", path, kAnswerWithin.tv_sec);
  if (failure)
    return error(ErrorCode::kUnavailable, "{}: the connection broke: {}", path, failure.message());

  json value = json::parse(answer.get().body(), nullptr, false);
  if (value.is_discarded() || !value.is_object())
    return error(ErrorCode::kProtocol, "{}: the answer to {} is not JSON", path, target);
  if (answer.get().result_int() >= 400)
    return Error{code_from(value.value("code", "")),
                 value.value("detail", fmt::format("status {}", answer.get().result_int()))};
  return value;
}

}  // namespace cusp::cuspctl
