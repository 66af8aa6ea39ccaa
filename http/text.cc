#include "http/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace cusp::http {
namespace {

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex_digit(text[i + 1]);
      const auto low = hex_digit(text[i + 2]);
      if (!high || !low) return std::nullopt;
      out.push_back(static_cast<char>(*high * 16 + *low));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

std::optional<std::uint64_t> to_number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (target.empty() || target.front() != '/')
    return error(ErrorCode::kInvalidArgument, "request: the target must begin with a slash");
  const auto question = target.find('?');
  const auto raw_path = target.substr(0, question);
  const auto path = percent_decode(raw_path, false);
  const bool encoded_slash = path && std::count(path->begin(), path->end(), '/') !=
                                         std::count(raw_path.begin(), raw_path.end(), '/');
  if (!path || encoded_slash || has_control_character(*path))
    return error(ErrorCode::kInvalidArgument, "request: the path is not well formed");
  Target out{*path, {}};
  if (question == std::string_view::npos) return out;
  auto rest = target.substr(question + 1);
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    const auto name = percent_decode(pair.substr(0, equals), true);
    const auto value = equals == std::string_view::npos
                           ? std::optional<std::string>{""}
                           : percent_decode(pair.substr(equals + 1), true);
    if (!name || !value)
      return error(ErrorCode::kInvalidArgument, "request: the query is not well formed");
    out.query.emplace(*name, *value);
  }
  return out;
}

FilePart choose_part(std::string_view range_header, std::uint64_t file_bytes) {
  const FilePart whole{FilePart::Kind::kWhole, 0, file_bytes};
  const FilePart unsatisfiable{FilePart::Kind::kUnsatisfiable, 0, 0};
  auto text = trimmed(range_header);
  constexpr std::string_view kUnit = "bytes=";
  if (text.substr(0, kUnit.size()) != kUnit) return whole;
  text = trimmed(text.substr(kUnit.size()));
  const auto dash = text.find('-');
  if (dash == std::string_view::npos || text.find(',') != std::string_view::npos) return whole;
  const auto first_text = trimmed(text.substr(0, dash));
  const auto last_text = trimmed(text.substr(dash + 1));
  if (first_text.empty()) {  // the last n bytes
    const auto count = to_number(last_text);
    if (!count) return whole;
    if (*count == 0 || file_bytes == 0) return unsatisfiable;
    const auto size_bytes = std::min(*count, file_bytes);
    return {FilePart::Kind::kPart, file_bytes - size_bytes, size_bytes};
  }
  const auto first = to_number(first_text);
  const auto last =
      last_text.empty() ? std::optional<std::uint64_t>{UINT64_MAX} : to_number(last_text);
  if (!first || !last || *last < *first) return whole;
  if (*first >= file_bytes) return unsatisfiable;
  return {FilePart::Kind::kPart, *first, std::min(*last, file_bytes - 1) - *first + 1};
}

std::string_view content_type_of(std::string_view file_name) {
  struct Row {
    std::string_view ending, type;
  };
  static constexpr std::array<Row, 14> kTypes{{
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".wasm", "application/wasm"},
      {".txt", "text/plain; charset=utf-8"},
      {".stl", "model/stl"},
      {".ply", "application/x-ply"},
      {".map", "application/json"},
  }};
  for (const auto& [ending, type] : kTypes)
    if (file_name.size() >= ending.size() &&
        file_name.substr(file_name.size() - ending.size()) == ending)
      return type;
  return "application/octet-stream";
}

std::optional<std::string> cookie_value(std::string_view cookie_header, std::string_view name) {
  while (!cookie_header.empty()) {
    const auto pair = cookie_header.substr(0, cookie_header.find(';'));
    cookie_header.remove_prefix(std::min(cookie_header.size(), pair.size() + 1));
    const auto text = trimmed(pair);
    if (text.size() > name.size() && text[name.size()] == '=' &&
        text.substr(0, name.size()) == name)
      return std::string(text.substr(name.size() + 1));
  }
  return std::nullopt;
}

bool is_loopback_host(std::string_view host_header) {
  auto host = host_header;
  const auto colon = host.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (host.front() != '[' || host[colon - 1] == ']');
  if (has_port) {
    const auto port = to_number(host.substr(colon + 1));
    if (!port || *port > 65535) return false;
    host = host.substr(0, colon);
  }
  return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;  // the length of a token is no secret
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

}  // namespace cusp::http
