// Driver, Device, UsbTransport: the three words between a cable and the pipeline.
//
// A Driver is a row of a table: which USB ids it knows and how to open one. A Device is one opened
// scanner. A UsbTransport is the cable: libusb, a recorder around it, a replay, or a firmware
// double; a Device never knows which. Threads: open and every verb of a Device are called from one
// thread at a time (the daemon's capture thread for that device); capture() blocks it until told to
// stop. Drivers start no threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/bounded_queue.h"
#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

// Setup packet of a control transfer, USB 2.0 section 9.3.
struct ControlSetup {
  std::uint8_t request_type = 0;
  std::uint8_t request = 0;
  std::uint16_t value = 0;
  std::uint16_t index = 0;
};

// One bulk transfer that a stream delivered. `bytes` is valid during the call alone.
struct BulkChunk {
  std::span<const std::uint8_t> bytes;
  bool short_transfer = false;  // fewer bytes than asked: the end of a USB payload
  MonoTime arrival{};
};

struct StreamOptions {
  std::uint8_t endpoint = 0;
  int transfer_count = 8;
  int transfer_size_bytes = 256 * 1024;
  // No chunk for this long: kTimeout. A driver sets 10 frame periods.
  std::chrono::milliseconds watchdog{1000};
};

class UsbTransport {
 public:
  virtual ~UsbTransport() = default;

  // Device descriptor and active configuration descriptor, as the device sends them.
  [[nodiscard]] virtual std::span<const std::uint8_t> device_descriptor() const = 0;
  [[nodiscard]] virtual std::span<const std::uint8_t> config_descriptor() const = 0;
  virtual Result<std::string> string_descriptor(std::uint8_t index) = 0;

  virtual Result<void> claim_interface(int number) = 0;
  virtual Result<void> set_alternate(int interface_number, int alternate) = 0;
  virtual Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                         std::chrono::milliseconds timeout) = 0;
  virtual Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                                   std::chrono::milliseconds timeout) = 0;
  virtual Result<void> clear_halt(std::uint8_t endpoint) = 0;
  virtual Result<void> reset() = 0;

  // Keeps transfers in flight on a bulk IN endpoint and calls `on_chunk` on this thread, in order,
  // until it answers false or `stop` is asked (both: ok), the watchdog barks (kTimeout), the
  // endpoint stalls (kProtocol) or the device is gone (kDisconnected). All transfers are home when
  // it returns.
  virtual Result<void> stream(const StreamOptions& options, std::stop_token stop,
                              const std::function<bool(const BulkChunk&)>& on_chunk) = 0;
};

// Where a device sits: enough to open it and to tell two arrivals of one device apart.
struct DeviceAddress {
  std::uint16_t vendor_id = 0;
  std::uint16_t product_id = 0;
  int bus = 0;
  int address = 0;
  std::string port_path;  // "2-1.4": stays the same over a replug

  auto operator<=>(const DeviceAddress&) const = default;
};

struct DeviceInfo {
  std::string driver;  // "realsense_d400"
  std::string maker;
  std::string model;  // "RealSense D405"
  std::string serial;
  std::string firmware;
};

struct StreamMode {
  int width_px = 0;
  int height_px = 0;
  double rate_hz = 0;
};

struct CaptureCounts {
  std::uint64_t frames = 0;    // given to the queue
  std::uint64_t broken = 0;    // error bit, wrong size: never given on
  std::uint64_t restarts = 0;  // after the watchdog or a stall
};

class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual const DeviceInfo& info() const = 0;
  [[nodiscard]] virtual std::vector<StreamMode> modes() const = 0;
  // Chooses the stream; kInvalidArgument lists what the device offers.
  virtual Result<void> configure(const StreamMode& mode) = 0;
  // Of the configured stream. kCorrupt when the table's size or CRC is wrong.
  virtual Result<Calibration> read_calibration() = 0;
  // Streams into the queue until `stop` is asked (ok) or the device can't go on (the error says
  // what the operator should do). A stalled stream is restarted in here before it becomes an error.
  virtual Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) = 0;
  // Any thread, also during capture.
  [[nodiscard]] virtual CaptureCounts counts() const = 0;
};

struct UsbId {
  std::uint16_t vendor_id = 0;
  std::uint16_t product_id = 0;
};

struct Driver {
  std::string name;
  std::vector<UsbId> ids;
  std::function<Result<std::unique_ptr<Device>>(std::unique_ptr<UsbTransport>)> open;
};

// Every driver of this build (drivers/registry.cc is the table).
const std::vector<Driver>& drivers();
// The one that knows this id, or null.
const Driver* find_driver(UsbId id);

}  // namespace cusp
