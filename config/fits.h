// Shapes of text that more than one program's configuration asks for.
#pragma once

#include <algorithm>
#include <string_view>

#include "core/text.h"

namespace cusp::config {

inline bool is_endpoint(std::string_view text) {
  const bool tcp = text.starts_with("tcp://") && text.find(':', 6) != std::string_view::npos;
  return tcp && text.size() <= 255 && text.find(' ') == std::string_view::npos;
}
inline constexpr std::string_view kEndpointAllowed = "tcp://host:port";

inline bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= 128 && is_utf8(text) &&
         std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}
inline constexpr std::string_view kLabelAllowed = "1 to 128 bytes of text";

// Safe as a file name, a log field and a ZeroMQ identity.
inline bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.front() != '.' && text.front() != '-' &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string_view::npos;
}
inline constexpr std::string_view kIdentifierAllowed =
    "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit";

}  // namespace cusp::config
