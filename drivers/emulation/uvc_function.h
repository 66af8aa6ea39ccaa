// UvcFunction: the firmware double of any UVC device. A family describes its device (identity,
// video functions, units, streams) and gives a source of frames for each stream; descriptors, probe
// and commit, still pictures, payload headers, bulk and isochronous framing, pacing and the faults
// of EmulatorControl are done here.
//
// Frames leave no faster than the committed rate; when the host or the source is slower they leave
// later (the source is asked for every frame, in order, so a scan depends on frames and never on
// time). A bulk stream begins with its commit and ends when its endpoint is cleared; an isochronous
// one flows while an alternate setting other than 0 is chosen. Attaching the function
// (UsbFunction::set_wake) powers it on.
//
// Follows UVC 1.5 (USB-IF, 2012) chapters 2.4, 3 and 4.3, and 1.1 and 1.0 where the version says
// so; for stills methods 2 and 3. Threads: as UsbFunction; sources are called on threads of the
// function's own, one a stream, unit handlers on the caller's; EmulatorControl from any. Errors: a
// wrong description is our own bug (CUSP_CHECK).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/emulation/usb_function.h"
#include "drivers/uvc/descriptors.h"
#include "drivers/uvc/stream_control.h"

namespace cusp {

// What the host has committed, for the source.
struct EmulatedMode {
  std::uint8_t format_index = 0;
  int width_px = 0;
  int height_px = 0;
  std::uint32_t interval_100ns = 0;
  bool still = false;  // a still picture that the host has triggered
};

struct EmulatedFrame {
  std::vector<std::uint8_t> pixels;
  // Goes into the header of the frame's first payload, behind the 12 bytes of the standard one, at
  // most 243 bytes, as devices with frame metadata do.
  std::vector<std::uint8_t> metadata;
};

// Makes frame `index` (counts what the stream has sent, over all modes; a frame that was made but
// never begun to be sent, because the stream ended or was flushed, is asked for again). `frame`
// comes empty. False: no more frames; the stream stays open and silent until another is committed.
using EmulatedSource =
    std::function<bool(std::uint64_t index, const EmulatedMode& mode, EmulatedFrame& frame)>;

struct EmulatedStream {
  // Number, alternates and formats as they are described to the host. Isochronous streams list
  // their alternate settings with rising interval_bytes; a bulk stream has one, number 0, whose
  // packet size follows from the speed.
  uvc::StreamingInterface interface;
  EmulatedSource source;
  std::uint32_t max_payload_bytes = 0;  // of a bulk stream; 0: one payload holds a whole frame
};

// A unit's or terminal's control: what GET_CUR answers and SET_CUR takes. None: stall.
struct EmulatedControl {
  std::uint8_t entity = 0;  // unit or terminal id
  std::uint8_t selector = 0;
  std::size_t size_bytes = 0;
  std::function<std::optional<std::vector<std::uint8_t>>()> get{};  // empty: write-only
  std::function<bool(std::span<const std::uint8_t> value)> set{};   // empty: read-only
  // What GET_MIN, GET_MAX, GET_RES and GET_DEF answer; empty: stall.
  std::vector<std::uint8_t> min{}, max{}, step{}, initial{};
};

struct EmulatedVideoFunction {
  // clock_hz, version, interface number, status endpoint, terminals and units; its `streams` are
  // taken from below.
  uvc::VideoFunction function;
  std::vector<EmulatedStream> streams;
  std::vector<EmulatedControl> controls;
};

struct EmulatedUvcDevice {
  std::uint16_t vendor_id = 0;
  std::uint16_t product_id = 0;
  std::uint16_t device_bcd = 0x0100;
  std::string maker, product, serial;
  UsbSpeed speed = UsbSpeed::kSuper;
  std::vector<EmulatedVideoFunction> functions;
  bool real_time = true;   // false: as fast as the host reads
  int max_power_ma = 500;  // bMaxPower
};

// Faults and life of the double, for tests and for cusp-sim. Frames are those of the first stream.
class EmulatorControl {
 public:
  virtual ~EmulatorControl() = default;
  [[nodiscard]] virtual bool streaming() const = 0;
  [[nodiscard]] virtual std::uint64_t frames_sent() const = 0;
  virtual void stall_after(std::uint64_t frames) = 0;  // halts the endpoint once
  // Stops sending until the endpoint is cleared.
  virtual void go_silent_after(std::uint64_t frames) = 0;
  // Nothing but a new plugging in wakes it: a firmware that hangs.
  virtual void freeze_after(std::uint64_t frames) = 0;
  // Forgets the frames of every stream that were made ahead and not begun to be sent; the source is
  // asked for them again. For a source whose scene has changed.
  virtual void flush() = 0;
  // Queues a packet on the status endpoint.
  virtual void send_status(std::size_t function, std::vector<std::uint8_t> packet) = 0;
};

struct UvcDouble {
  std::unique_ptr<UsbFunction> function;
  EmulatorControl* control = nullptr;  // owned by the function
};

UvcDouble make_uvc_function(EmulatedUvcDevice device);

}  // namespace cusp
