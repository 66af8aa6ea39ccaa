#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "http/server.h"
#include "http/text.h"

namespace cusp::http {
namespace {

namespace fs = std::filesystem;

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Error";
  }
}

Response problem_with(unsigned status, std::string_view detail, std::optional<ErrorCode> code) {
  nlohmann::ordered_json body{
      {"type", "about:blank"}, {"title", title_of(status)}, {"status", status}, {"detail", detail}};
  if (code) body["code"] = to_string(*code);
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  // A detail may quote what a peer sent; bytes that are not UTF-8 become U+FFFD.
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

unsigned status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kProtocol:
      return 400;
    case ErrorCode::kPermission:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDisconnected:
    case ErrorCode::kCancelled:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    case ErrorCode::kNoSpace:
      return 507;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      return 500;
  }
  return 500;
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  path.remove_prefix(path.substr(0, 1) == "/" ? 1 : 0);
  while (true) {
    const auto slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool match(const std::vector<std::string>& pattern, const std::vector<std::string>& segments,
           std::map<std::string, std::string>& params) {
  if (pattern.size() != segments.size()) return false;
  params.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!is_parameter(pattern[i])) {
      if (pattern[i] != segments[i]) return false;
    } else {
      if (segments[i].empty()) return false;
      params[pattern[i].substr(1, pattern[i].size() - 2)] = segments[i];
    }
  }
  return true;
}

std::optional<fs::path> file_below(const fs::path& folder,
                                   const std::vector<std::string>& segments) {
  fs::path relative;
  for (const auto& segment : segments) {
    // Hidden files, "." and ".." are nobody's business.
    if (segment.empty() || segment.front() == '.') return std::nullopt;
    relative /= segment;
  }
  std::error_code failure;
  const auto root = fs::canonical(folder, failure);
  if (failure) return std::nullopt;
  const auto path =
      fs::canonical(root / relative, failure);  // follows links, so that none leads outside
  if (failure || !fs::is_regular_file(path, failure)) return std::nullopt;
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  if (in_root != root.end()) return std::nullopt;
  return path;
}

}  // namespace

Response problem(unsigned status, std::string_view detail) {
  return problem_with(status, detail, std::nullopt);
}

Response problem(const Error& error) {
  return problem_with(status_of(error.code), error.message, error.code);
}

void Router::add(std::string method, std::string pattern, Handler handler) {
  CUSP_CHECK(pattern.substr(0, 1) == "/", "a route begins with a slash");
  routes_.push_back({std::move(method), split(pattern), std::move(handler)});
}

void Router::serve_folder(std::filesystem::path folder) { folder_ = std::move(folder); }

Response Router::route(Request request) const {
  const auto segments = split(request.path);
  std::string allowed;
  for (const auto& candidate : routes_) {
    if (!match(candidate.segments, segments, request.params)) continue;
    if (candidate.method != request.method) {
      allowed += (allowed.empty() ? "" : ", ") + candidate.method;
      continue;
    }
    try {
      return candidate.handler(request);
    } catch (const std::exception&) {
      return problem(500, "the server failed while it answered this request");
    }
  }
  if (!allowed.empty()) {
    auto response = problem(405, request.method + " is not possible here, only " + allowed);
    response.headers["Allow"] = allowed;
    return response;
  }
  if (folder_ && request.method == "GET") {
    const bool is_root = segments.size() == 1 && segments[0].empty();
    if (auto file =
            file_below(*folder_, is_root ? std::vector<std::string>{"index.html"} : segments)) {
      Response response;
      response.content_type = content_type_of(file->filename().string());
      response.file = std::move(file);
      // Vite puts a hash of the content into the names below assets/.
      response.headers["Cache-Control"] =
          segments[0] == "assets" ? "private, max-age=31536000, immutable" : "no-cache";
      return response;
    }
  }
  return problem(404, "there is nothing at " + request.path);
}

}  // namespace cusp::http
