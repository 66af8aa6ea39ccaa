// A cable that replays: a driver, unmodified, runs on what a capture file holds.
//
// Requests are answered with what the device answered then. A driver may ask in another order, at
// other times or more often than was captured: the same request with the same data is looked for
// from the last answered one on, and if it does not come any more, the last one before is taken.
// Of a stream that another program negotiated (Linux's uvcvideo), the probe and commit of UVC are
// answered from the captured ones of the same format, frame and interval; settings of cameras and
// processing units are taken and change nothing. Anything else that was not captured is kNotFound
// (kProtocol, as a stall, for requests that devices may refuse).
//
// Streams give the captured chunks in their order, with the captured times, at full speed or in
// real time: the same either way. Where the stream failed then, it fails again with the same error;
// in captures of other programs a gap longer than the watchdog is kTimeout. Where the host stopped
// it, kCancelled says that another capture can follow, kDisconnected that nothing does. Threads: as
// UsbTransport.
#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/recording/capture.h"

namespace cusp::recording {

struct ReplayOptions {
  bool real_time = false;
};

// `opening` counts from 0. kUnsupported: its descriptors are not in the file.
Result<std::unique_ptr<UsbTransport>> make_replay_transport(std::shared_ptr<const Capture> capture,
                                                            std::size_t opening,
                                                            ReplayOptions options = {});

}  // namespace cusp::recording
