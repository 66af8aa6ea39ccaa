// The texts of HTTP that this server reads itself: targets, ranges, cookies, host names.
// Threads: pure functions. All input is hostile: nothing here throws or reads beyond what it is
// given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace cusp::http {

struct Target {
  std::string path;                          // decoded
  std::map<std::string, std::string> query;  // decoded; of a repeated name the first counts
};

// Origin form alone ("/a/b?c=d"). An encoded slash or a control character is refused: the decoded
// path must mean the same to everybody who splits it.
Result<Target> parse_target(std::string_view target);

// RFC 9110 section 14: one range of a file. Several ranges, or a range that we cannot read, mean
// the whole file.
struct FilePart {
  enum class Kind { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};
FilePart choose_part(std::string_view range_header, std::uint64_t file_bytes);

std::string_view content_type_of(std::string_view file_name);
std::optional<std::string> cookie_value(std::string_view cookie_header, std::string_view name);
// "127.0.0.1", "localhost" or "[::1]", with or without a port.
bool is_loopback_host(std::string_view host_header);
// Takes the same time wherever the two differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace cusp::http
