// The firmware doubles whose descriptors the fuzzers start from.
#pragma once

#include <memory>
#include <vector>

#include "drivers/emulation/usb_function.h"

namespace cusp::fuzz {

std::vector<std::unique_ptr<UsbFunction>> doubles();

}  // namespace cusp::fuzz
