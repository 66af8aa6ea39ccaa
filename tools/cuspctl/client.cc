#include "tools/cuspctl/client.h"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>

#include "core/uuid.h"

namespace cusp::cuspctl {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace errc = boost::system::errc;

constexpr std::chrono::seconds kAnswerWithin{30};
constexpr std::chrono::seconds kPictureWithin{90};  // a slow camera that fails at first
constexpr std::chrono::minutes kFileWithin{10};     // 8 GiB from the same disk
constexpr std::uint64_t kMaxAnswerBytes = 64 << 20;
constexpr std::uint64_t kNoLimit = UINT64_MAX;  // Beast 1.74 takes boost::none for "nothing"

}  // namespace

Result<json> Client::get(const std::string& target) const {
  CUSP_ASSIGN(const Answer answer, call("GET", target, "", kAnswerWithin));
  return json_of(target, answer);
}

Result<json> Client::post(const std::string& target, const json& body) const {
  CUSP_ASSIGN(const Answer answer,
              call("POST", target, body.dump(-1, ' ', false, json::error_handler_t::replace),
                   kAnswerWithin));
  return json_of(target, answer);
}

Result<Picture> Client::post_for_picture(const std::string& target) const {
  CUSP_ASSIGN(Answer answer, call("POST", target, "", kPictureWithin));
  if (answer.status < 400 && answer.content_type.starts_with("image/"))
    return Picture{std::move(answer.content_type), std::move(answer.body)};
  CUSP_TRY(json_of(target, answer));
  return error(ErrorCode::kUnavailable, "{}: the answer to {} is no picture", socket_.string(),
               target);
}

Result<void> Client::download(const std::string& target, const std::filesystem::path& file) const {
  std::error_code failure;
  if (std::filesystem::symlink_status(file, failure).type() !=
      std::filesystem::file_type::not_found)
    return error(ErrorCode::kConflict, "{}: is there already, and is not overwritten",
                 file.string());
  std::filesystem::path part = file;
  part += "." + new_uuid().substr(0, 8) + ".part";
  auto answer = call("GET", target, "", kFileWithin, part);
  Result<void> saved;
  if (!answer.ok())
    saved = answer.error();
  else if (answer->status >= 400)
    saved = json_of(target, *answer).error();
  else if (std::filesystem::rename(part, file, failure); failure)
    saved = error(ErrorCode::kIo, "{}: {}", file.string(), failure.message());
  if (!saved.ok()) std::filesystem::remove(part, failure);
  return saved;
}

// Into the file `into`, when one is named and what is asked for is there.
Result<Client::Answer> Client::call(std::string_view method, const std::string& target,
                                    const std::string& body, std::chrono::seconds within,
                                    const std::filesystem::path& into) const {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  const std::string path = socket_.string();
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return error(ErrorCode::kUnavailable, "{}: too long for a socket's path", path);
  http::request<http::string_body> request;
  request.method_string({method.data(), method.size()});
  request.target(target);
  request.version(11);
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() = body;
  request.prepare_payload();

  boost::beast::flat_buffer buffer;
  http::response_parser<http::empty_body> head;
  head.body_limit(kNoLimit);
  std::optional<http::response_parser<http::string_body>> text;
  std::optional<http::response_parser<http::file_body>> file;
  // Each step begins the next; the first that fails is the last.
  bool connected = false;
  bool done = false;
  boost::system::error_code failure;
  boost::system::error_code not_written;
  const auto failed = [&](const boost::system::error_code& code) {
    failure = code;
    return failure.failed();
  };
  const auto on_end = [&](const auto& read, std::size_t) {
    if (!failed(read)) done = true;
  };
  const auto on_head = [&](const auto& read, std::size_t) {
    if (failed(read)) return;
    if (into.empty() || head.get().result_int() >= 400) {
      text.emplace(std::move(head));
      text->body_limit(kMaxAnswerBytes);
      http::async_read(socket, buffer, *text, on_end);
      return;
    }
    file.emplace(std::move(head));
    file->body_limit(kNoLimit);
    file->get().body().open(into.c_str(), boost::beast::file_mode::write_new, not_written);
    if (!not_written.failed()) http::async_read(socket, buffer, *file, on_end);
  };
  socket.async_connect(asio::local::stream_protocol::endpoint(path), [&](const auto& code) {
    if (failed(code)) return;
    connected = true;
    http::async_write(socket, request, [&](const auto& written, std::size_t) {
      if (!failed(written)) http::async_read_header(socket, buffer, head, on_head);
    });
  });
  io.run_for(within);
  if (failure == errc::no_space_on_device || failure == errc::io_error) not_written = failure;
  if (not_written.failed())
    return error(ErrorCode::kIo, "{}: can't be written: {}", into.string(), not_written.message());
  if (failure.failed())
    return error(ErrorCode::kUnavailable, "{}: {}: {}", path,
                 connected ? "the connection broke" : "cuspd does not answer there",
                 failure.message());
  if (!done)
    return error(ErrorCode::kUnavailable, "{}: no answer within {} s", path, within.count());
  if (file) return Answer{.status = file->get().result_int()};
  const auto type = text->get()[http::field::content_type];
  return Answer{.status = text->get().result_int(),
                .content_type = {type.data(), type.size()},
                .body = std::move(text->get().body())};
}

Result<json> Client::json_of(const std::string& target, const Answer& answer) const {
  json value = json::parse(answer.body, nullptr, false);
  if (value.is_discarded() || !value.is_object())
    return error(ErrorCode::kUnavailable, "{}: the answer to {} is not JSON", socket_.string(),
                 target);
  if (answer.status >= 400) {
    const auto detail = value.find("detail");
    return error(ErrorCode::kConflict, "{}",
                 detail != value.end() && detail->is_string()
                     ? detail->get<std::string>()
                     : fmt::format("status {}", answer.status));
  }
  return value;
}

}  // namespace cusp::cuspctl
