// A firmware double of a RealSense D400 depth camera: its video functions, hardware monitor,
// calibration tables and controls, with Z16 frames and YUY2 pictures from sources of the caller's.
//
// Frames leave as drivers/emulation/uvc_function.h says: in order, no faster than the committed
// rate. Threads: as UsbFunction; sources are called on threads of the double's own, one a stream;
// EmulatedCamera from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/calibration.h"
#include "core/frame.h"
#include "drivers/emulation/uvc_function.h"
#include "drivers/realsense_d400/protocol.h"

namespace cusp::realsense_d400 {

// Fills one Z16 frame (width*height counts of depth, row by row). False: no more frames: the stream
// stays open and silent, as a camera with a covered lens would not; the caller decides what that
// means.
using FrameSource = std::function<bool(std::uint64_t index, std::span<std::uint16_t> z16)>;
// The same for a picture of the colour stream, 4:2:2 ("YUYV"), of the committed size.
using ColourSource = std::function<bool(std::uint64_t index, int width_px, int height_px,
                                        std::span<std::uint8_t> yuy2)>;

struct EmulatorOptions {
  std::uint16_t product_id = 0x0B5B;    // D405
  std::string serial = "000000000001";  // 12 lower-case hex digits
  std::string firmware = "5.15.1.0";
  Intrinsics depth;  // its size is the one mode that is offered beside the model's own list
  // Its size is the one colour mode that is offered beside the model's own list. Without it, or
  // without a source of pictures, there is no colour stream.
  std::optional<ColourOptics> colour{};
  double baseline_mm = 18.0;
  double max_rate_hz = 30.0;
  UsbSpeed speed = UsbSpeed::kSuper;
  bool real_time = true;       // false: as fast as the host reads
  bool sends_metadata = true;  // older firmware sends none
};

// What goes on inside the camera, for tests and for cusp-sim.
class EmulatedCamera {
 public:
  virtual ~EmulatedCamera() = default;
  virtual void corrupt_calibration() = 0;         // breaks the CRC of the depth table
  virtual void corrupt_colour_calibration() = 0;  // and of the colour table
  virtual void set_temperatures(const ChipTemperatures& temperatures) = 0;
  virtual void report_error(std::uint8_t error_word) = 0;
  // As if somebody had changed the count of depth in advanced mode; none: not in advanced mode.
  virtual void set_advanced_depth_unit(std::optional<std::uint32_t> micrometres) = 0;
  // The next `count` commands of the hardware monitor are refused with this error number.
  virtual void refuse_commands(std::int32_t error_number, int count) = 0;
  // The camera's own count leaves out so many numbers before its next frame.
  virtual void lose_frames(std::uint32_t count) = 0;
  // What a power cycle or a USB reset leaves: every control at its default.
  virtual void forget_settings() = 0;
};

struct Emulator {
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* control = nullptr;  // owned by the function
  std::shared_ptr<EmulatedCamera> camera;
};

Emulator make_emulator(EmulatorOptions options, FrameSource source, ColourSource colour = {});

}  // namespace cusp::realsense_d400
