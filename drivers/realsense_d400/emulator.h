// A firmware double of a RealSense D400 depth camera: descriptors, UVC probe/commit, hardware
// monitor with its calibration table, and Z16 frames from a source of the caller's.
//
// Frames leave no faster than the committed rate; when the host or the source is slower they leave
// later (the source is asked once a frame, in order, so a scan depends on frames and never on
// time). Threads: as UsbFunction; the source is called on a thread of the emulator's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/frame.h"
#include "drivers/emulation/usb_function.h"

namespace cusp::realsense_d400 {

// Fills one Z16 frame (width*height counts of depth_unit_mm, row by row). False: no more frames:
// the stream stays open and silent, as a camera with a covered lens would not; the caller decides
// what that means.
using FrameSource = std::function<bool(std::uint64_t index, std::span<std::uint16_t> z16)>;

struct EmulatorOptions {
  std::uint16_t product_id = 0x0B5B;    // D405
  std::string serial = "000000000001";  // 12 lower-case hex digits
  std::string firmware = "5.15.1.0";
  Intrinsics depth;  // its size is the one mode that is offered beside the model's own list
  double baseline_mm = 18.0;
  double max_rate_hz = 30.0;
  bool real_time = true;  // false: as fast as the host reads
};

class EmulatorControl {  // faults and life of the double, for tests and for cusp-sim
 public:
  virtual ~EmulatorControl() = default;
  [[nodiscard]] virtual bool streaming() const = 0;
  [[nodiscard]] virtual std::uint64_t frames_sent() const = 0;
  virtual void stall_after(std::uint64_t frames) = 0;  // halts the endpoint once
  virtual void go_silent_after(
      std::uint64_t frames) = 0;           // stops sending until the endpoint is cleared
  virtual void corrupt_calibration() = 0;  // breaks the table's CRC
};

struct Emulator {
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* control = nullptr;  // owned by the function
};

Emulator make_emulator(EmulatorOptions options, FrameSource source);

}  // namespace cusp::realsense_d400
