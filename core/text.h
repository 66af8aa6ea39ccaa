// What text from outside must be before it is stored or shown.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/result.h"

namespace cusp {

bool is_utf8(std::string_view text);

// UTF-8, no control characters but newline and tab, at most max_bytes; the error names `what`.
Result<void> check_text(std::string_view what, std::string_view text, std::size_t max_bytes);

}  // namespace cusp
