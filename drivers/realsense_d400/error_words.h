// The error word of a D400 camera (selector 7 of the depth unit) as a sentence for the operator.
//
// Facts: librealsense (Apache-2.0), src/ds/d400/d400-private.h. Threads: pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cusp::realsense_d400 {

// Nothing for 0: all is well. A word that newer firmware may know is told by its number.
std::optional<std::string> problem_of(std::uint8_t error_word);

}  // namespace cusp::realsense_d400
