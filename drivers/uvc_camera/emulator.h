// A firmware double of an ordinary intraoral camera: Motion JPEG and YUY2 over an isochronous
// high-speed endpoint, or over a bulk one; stills by method 2 or 3; a shutter button; exposure and
// gain. Its USB id is the one of the Linux webcam gadget.
//
// Threads: as UsbFunction; the source is called on a thread of the function's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "drivers/emulation/uvc_function.h"

namespace cusp::uvc_camera {

// Fills picture `index`, RGB, row by row. False: no more pictures.
using PictureSource =
    std::function<bool(std::uint64_t index, int width_px, int height_px, std::span<std::uint8_t>)>;

// Colour bars over which a bar moves with the index.
PictureSource test_pictures();

struct EmulatorOptions {
  std::string serial = "000000000001";  // empty: it has none, as many cameras
  bool bulk = false;
  std::uint8_t still_method = 2;  // 0: it has no stills
  bool has_button = true;
  bool leaves_out_huffman_tables = true;
  bool real_time = true;  // false: as fast as the host reads
};

class CameraControl {
 public:
  virtual ~CameraControl() = default;
  virtual void press_button() = 0;
  [[nodiscard]] virtual std::uint32_t exposure_100us() const = 0;
  [[nodiscard]] virtual std::uint16_t gain() const = 0;
};

struct Emulator {
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* stream = nullptr;  // both owned by the function
  CameraControl* camera = nullptr;
};

Emulator make_emulator(const EmulatorOptions& options, PictureSource source);

}  // namespace cusp::uvc_camera
