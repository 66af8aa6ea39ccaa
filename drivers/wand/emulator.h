// A firmware double of a wand: its descriptors, every control of the extension unit, button, tip,
// heater, calibration, and frames from a source of the caller's.
//
// Time inside the wand runs with its frames (one committed interval each), so that temperatures,
// clock and pictures depend on frames and never on when they were read. Threads: as UsbFunction;
// the source is called on a thread of the function's own, WandControl from any.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/emulation/uvc_function.h"
#include "drivers/wand/calibration.h"
#include "drivers/wand/protocol.h"

namespace cusp::wand {

// What the wand is about to take.
struct Shot {
  std::uint64_t index = 0;           // counts what the sensor takes
  std::chrono::nanoseconds time{0};  // the wand's clock, in the middle of the exposure
  FrameKind kind = FrameKind::kFringe;
  FringeIndex fringe;  // of a colour frame: pattern == patterns
};

struct Picture {
  std::vector<std::uint8_t> grey8;  // width * height, row by row; comes with that size
  std::optional<ImuSample> imu{};   // camera frame; none: the sample is marked as missing
};

// Takes one picture. False: no more frames; the stream stays open and silent. A frame that was not
// sent (the stream ended first) is asked for again.
using PictureSource = std::function<bool(const Shot& shot, Picture& picture)>;

// A scene that gives grey fringe pictures and YUY2 colour pictures (pattern == patterns); the wand
// sees the latter under its red, green and blue light.
using ScenePicture =
    std::function<bool(std::uint64_t frame, const FringeIndex& index, std::span<std::uint8_t> out)>;
PictureSource from_scene(ScenePicture scene);

struct EmulatorOptions {
  std::string maker = "Cusp";
  std::string model = "Open wand";
  std::string serial = "wand-0001";
  std::string firmware = "1.0.0";
  // pid.codes' id for private tests: never for a product.
  std::uint16_t vendor_id = 0x1209;
  std::uint16_t product_id = 0x0001;
  Capabilities capabilities;
  std::optional<CalibrationTable> calibration;  // none: never calibrated
  Tip tip{.present = true, .id = "T-000017", .uses = 12, .uses_allowed = 100};
  std::vector<double> rates_hz{120, 60};
  std::chrono::microseconds exposure{4000};  // of its automatic
  double cold_c = 24;                        // the whole wand at the first frame
  double warm_c = 41;                        // the projector after a long time
  std::chrono::seconds warm_up{120};         // to 63 % of the way
  bool button = true;
  UsbSpeed speed = UsbSpeed::kSuper;
  bool isochronous = false;
  bool real_time = true;  // false: as fast as the host reads
  bool tells_of_stop =
      true;  // false: a fault that stops the wand leaves no last frame that says so
};

// Faults and life of the double.
class WandControl {
 public:
  virtual ~WandControl() = default;
  virtual void press_button(ButtonPress press) = 0;
  // Bits of the fault word, beside those that the wand finds by itself. One of fault::kStops ends
  // the stream after a last frame that tells of it.
  virtual void set_faults(std::uint32_t faults, std::string makers_text = {}) = 0;
  virtual void set_tip(Tip tip) = 0;
  virtual void corrupt_calibration() = 0;  // one bit of the table flips
  // After `frames` more frames the sensor takes `lost` that are never sent.
  virtual void lose_frames(std::uint64_t frames, std::uint32_t lost) = 0;
  [[nodiscard]] virtual bool in_standby() const = 0;
  [[nodiscard]] virtual Heater heater() const = 0;
};

struct Emulator {
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* stream = nullptr;  // both owned by the function
  WandControl* wand = nullptr;
};

Emulator make_emulator(EmulatorOptions options, PictureSource source);

// Options of a wand whose optics the pipeline knows: patterns, range, camera and projector are
// those of the calibration, which must be a fringe device's.
EmulatorOptions options_for(const Calibration& calibration);

}  // namespace cusp::wand
