#include "core/text.h"

#include <cstdint>

namespace cusp {

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    const std::size_t length = lead < 0x80             ? 1
                               : (lead & 0xE0) == 0xC0 ? 2
                               : (lead & 0xF0) == 0xE0 ? 3
                               : (lead & 0xF8) == 0xF0 ? 4
                                                       : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<std::uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = (code << 6) | (next & 0x3Fu);
    }
    // Overlong forms, surrogates and what lies beyond Unicode (RFC 3629 section 3).
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
      return false;
    i += length;
  }
  return true;
}

Result<void> check_text(std::string_view what, std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return error(ErrorCode::kInvalidArgument, "{} is {} bytes long: at most {} are allowed", what,
                 text.size(), max_bytes);
  if (!is_utf8(text)) return error(ErrorCode::kInvalidArgument, "{} is not valid UTF-8", what);
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F)
      return error(ErrorCode::kInvalidArgument, "{} holds a control character", what);
  }
  return {};
}

}  // namespace cusp
