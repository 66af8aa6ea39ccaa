// A UsbTransport straight into a UsbFunction: no kernel, no libusb, for tests of drivers. It ends
// as the one over libusb does, with the same errors.
//
// Threads: as UsbTransport; it calls the function on the thread that calls it. A request that the
// function leaves unanswered (kNak) waits until its time-out, an isochronous endpoint with nothing
// to send delivers empty packets at the bus's pace.
#pragma once

#include <memory>
#include <stop_token>

#include "drivers/emulation/usb_function.h"

namespace cusp {

// The function must outlive the transport. Once `unplugged` is requested, from any thread, the
// cable is pulled: every verb answers kDisconnected.
std::unique_ptr<UsbTransport> make_in_process_transport(UsbFunction& function,
                                                        std::stop_token unplugged = {});

}  // namespace cusp
