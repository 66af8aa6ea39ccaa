// Random UUIDs (RFC 9562, version 4) and their check.
#pragma once

#include <string>
#include <string_view>

namespace cusp {

// From the kernel's random source; lower case, 36 characters.
std::string new_uuid();
bool is_uuid(std::string_view text);

}  // namespace cusp
