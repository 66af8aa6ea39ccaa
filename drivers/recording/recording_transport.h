// A cable that records: every request, chunk, stall and unplugging that passes over another one.
//
// The file gets what usbmon would have seen of the transfers, and at the opening the device's
// descriptors, so that it stands alone. Threads and errors: as the transport inside.
#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/recording/recording.h"

namespace cusp::recording {

// Where the device sits, for the records.
struct BusAddress {
  int bus = 0;
  int device = 0;

  auto operator<=>(const BusAddress&) const = default;
};

std::unique_ptr<UsbTransport> make_recording_transport(std::unique_ptr<UsbTransport> inner,
                                                       std::shared_ptr<Recording> recording,
                                                       BusAddress address);

}  // namespace cusp::recording
