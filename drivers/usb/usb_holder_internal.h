// Who holds a USB device, for the sentence that says so.
#pragma once

#include <string>

namespace cusp {

// "cheese (process 4711)", or nothing: another user's programs can't be seen. Linux: the open files
// of /proc.
std::string program_that_holds(int bus, int address);

}  // namespace cusp
