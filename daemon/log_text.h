// How words go into a line of the log.
#pragma once

#include <string>
#include <string_view>

namespace cusp::daemon {

// For a value with spaces: no line break and no quote of its own gets through.
inline std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : text)
    result += c == '"' ? '\'' : static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return result + '"';
}

}  // namespace cusp::daemon
