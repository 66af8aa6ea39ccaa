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
#include <string_view>
#include <vector>

#include "core/bounded_queue.h"
#include "core/calibration.h"
#include "core/frame.h"
#include "core/result.h"

namespace cusp {

enum class UsbSpeed : std::uint8_t { kLow, kFull, kHigh, kSuper, kSuperPlus };
// "high speed (480 Mbit/s)"
std::string_view to_string(UsbSpeed speed);

// Setup packet of a control transfer, USB 2.0 section 9.3.
struct ControlSetup {
  std::uint8_t request_type = 0;
  std::uint8_t request = 0;
  std::uint16_t value = 0;
  std::uint16_t index = 0;
};

enum class TransferType : std::uint8_t { kBulk, kInterrupt, kIsochronous };

// What a stream delivered: one bulk or interrupt transfer, or one isochronous packet (an empty one
// too: its interval passed and the device had nothing). `bytes` is valid during the call alone.
struct StreamChunk {
  std::uint8_t endpoint = 0;
  std::span<const std::uint8_t> bytes;
  bool ends_payload = false;  // bulk: fewer bytes than asked; the other types: always
  bool damaged = false;       // the bus lost or garbled this packet, or some of this transfer
  MonoTime arrival{};
};

struct StreamOptions {
  std::uint8_t endpoint = 0;
  TransferType type = TransferType::kBulk;
  int transfer_count = 8;
  int transfer_size_bytes = 256 * 1024;  // bulk and interrupt
  // Isochronous: of one service interval (wMaxPacketSize with its extra transactions, or
  // wBytesPerInterval), and how many of them make a transfer.
  int packet_bytes = 0;
  int packets_per_transfer = 32;
  // No chunk on this endpoint for this long: kTimeout. Zero: silence is no fault here.
  std::chrono::milliseconds watchdog{1000};
  // As long as its first chunk has not come, the longer of both: devices take a while to begin.
  std::chrono::milliseconds start_watchdog{0};
};

class UsbTransport {
 public:
  virtual ~UsbTransport() = default;

  // Device descriptor and active configuration descriptor, as the device sends them.
  [[nodiscard]] virtual std::span<const std::uint8_t> device_descriptor() const = 0;
  [[nodiscard]] virtual std::span<const std::uint8_t> config_descriptor() const = 0;
  virtual Result<std::string> string_descriptor(std::uint8_t index) = 0;
  [[nodiscard]] virtual UsbSpeed speed() const = 0;
  // The port, "2-1.4": the name of a device that has no serial number.
  [[nodiscard]] virtual std::string location() const = 0;

  virtual Result<void> claim_interface(int number) = 0;
  virtual Result<void> set_alternate(int interface_number, int alternate) = 0;
  virtual Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                         std::chrono::milliseconds timeout) = 0;
  virtual Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                                   std::chrono::milliseconds timeout) = 0;
  virtual Result<void> clear_halt(std::uint8_t endpoint) = 0;
  virtual Result<void> reset() = 0;

  // Keeps transfers in flight on each of the IN endpoints and calls `on_chunk` on this thread, in
  // the order of arrival, until it answers false or `stop` is asked (both: ok), a watchdog barks
  // (kTimeout), an endpoint stalls or sends more than was asked (kProtocol), the bus reports an
  // error (kIo), the kernel's memory for transfers is used up (kNoSpace), there is no such endpoint
  // (kNotFound) or the device is gone (kDisconnected). What came before the error is delivered
  // first. `on_chunk` may send control requests. All transfers are home when it returns.
  virtual Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                              const std::function<bool(const StreamChunk&)>& on_chunk) = 0;
};

// Where a device sits: enough to open it and to tell two arrivals of one device apart.
struct DeviceAddress {
  std::uint16_t vendor_id = 0;
  std::uint16_t product_id = 0;
  int bus = 0;
  int address = 0;
  std::string port_path;  // "2-1.4": stays the same over a replug
  std::string driver;     // the Driver that knows it

  auto operator<=>(const DeviceAddress&) const = default;
};

// What a device measures; a scan stage needs one of the first two.
enum class DeviceKind : std::uint8_t {
  kDepth,   // depth images
  kFringe,  // pictures of projected fringes, from which depth is computed
  kPhoto,   // pictures
};
std::string_view to_string(DeviceKind kind);

struct DeviceInfo {
  std::string driver;  // "realsense_d400"
  std::string maker;
  std::string model;  // "RealSense D405"
  std::string serial;
  std::string firmware;
  DeviceKind kind = DeviceKind::kDepth;
  bool has_button = false;
};

struct StreamMode {
  int width_px = 0;
  int height_px = 0;
  double rate_hz = 0;
};

// Why frames did not come, or not whole. Each is counted once.
struct CaptureCounts {
  std::uint64_t frames = 0;            // given to the queue
  std::uint64_t lost = 0;              // gaps in the device's own frame numbers
  std::uint64_t broken_on_bus = 0;     // a packet that the bus damaged
  std::uint64_t broken_header = 0;     // a payload header that is none
  std::uint64_t broken_size = 0;       // too few or too many bytes
  std::uint64_t broken_by_device = 0;  // the device set the error bit
  std::uint64_t restarts = 0;          // of the stream, after the watchdog or a stall
  std::uint64_t bytes = 0;             // that came over the streams' endpoints

  [[nodiscard]] std::uint64_t broken() const {
    return broken_on_bus + broken_header + broken_size + broken_by_device;
  }
  CaptureCounts& operator+=(const CaptureCounts& more);
};

struct Temperature {
  std::string where;  // "projector"
  double celsius = 0;
};

// What the device says of itself. Empty strings and lists: it does not say.
struct DeviceHealth {
  std::vector<Temperature> temperatures;
  std::vector<std::string> problems;  // its own error words, as sentences
  std::string calibration_id;
  std::string calibrated_on;  // ISO 8601 date
  std::string tip_id;         // of the exchangeable tip
  std::optional<std::uint32_t> tip_uses;
  std::optional<std::uint32_t> tip_uses_allowed;
};

// A number that may be set on a device: an exposure, a projector's power. The README of its family
// says what each name means.
struct Setting {
  std::string name;  // "exposure_us"
  double value = 0;
  double min = 0;
  double max = 0;
  double step = 0;  // values are min + n * step; 0: any between min and max
};
// kInvalidArgument when the name is none of those offered, or the value out of its range; it lists
// what may be set.
Result<void> check_setting(const std::vector<Setting>& offered, std::string_view name,
                           double value);

enum class ButtonPress : std::uint8_t { kShort, kLong };

class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual const DeviceInfo& info() const = 0;
  [[nodiscard]] virtual std::vector<StreamMode> modes() const = 0;
  // Chooses the stream; kInvalidArgument lists what the device offers.
  virtual Result<void> configure(const StreamMode& mode) = 0;
  // Of the configured stream. kCorrupt when the table's size or CRC is wrong.
  virtual Result<Calibration> read_calibration() = 0;
  // What may be set, with the values of now. Unless a device says otherwise: nothing.
  virtual Result<std::vector<Setting>> settings();
  // Holds until the device is unplugged; capture() sets it again when it had to reset the device.
  // kInvalidArgument lists what may be set.
  virtual Result<void> apply(std::string_view name, double value);
  // Streams into the queue until `stop` is asked (ok) or the device can't go on (the error says
  // what the operator should do). A stalled stream is restarted in here before it becomes an error.
  virtual Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) = 0;
  // Keeps the device quiet (no picture, projector and light off) until `stop` is asked (ok), but
  // hears its button. Only devices with a button need more than the default.
  virtual Result<void> standby(std::stop_token stop);
  // One still picture, with the device's own still capture where it has one. kUnsupported: it is
  // no camera for photos; kCancelled: `stop` was asked first.
  virtual Result<RawFrame> photo(std::stop_token stop = {});
  // Set before capture() and standby(), which call it on their thread.
  void on_button(std::function<void(ButtonPress)> call) { button_ = std::move(call); }
  // Any thread, also during capture.
  [[nodiscard]] virtual CaptureCounts counts() const = 0;
  // Any thread. As last read: when the device was opened, and about every five seconds of capture.
  [[nodiscard]] virtual DeviceHealth health() const = 0;

 protected:
  void press(ButtonPress press) const {
    if (button_) button_(press);
  }

 private:
  std::function<void(ButtonPress)> button_;
};

// An interface of a device's active configuration, with the class-specific descriptors behind it.
struct UsbInterface {
  int number = 0;
  std::uint8_t usb_class = 0;
  std::uint8_t subclass = 0;
  std::uint8_t protocol = 0;
  std::vector<std::uint8_t> extra{};  // of its first alternate setting
};

// What can be known of a device without a word to it. Enough to choose the driver.
struct UsbIdentity {
  std::uint16_t vendor_id = 0;
  std::uint16_t product_id = 0;
  std::vector<UsbInterface> interfaces{};
};
// kProtocol: the descriptors are broken.
Result<UsbIdentity> identity_of(std::span<const std::uint8_t> device_descriptor,
                                std::span<const std::uint8_t> config_descriptor);

struct Driver {
  std::string name;
  std::function<bool(const UsbIdentity&)> knows;
  std::function<Result<std::unique_ptr<Device>>(std::unique_ptr<UsbTransport>)> open;
};

// Every driver of this build (drivers/registry.cc is the table). The first that knows a device has
// it.
const std::vector<Driver>& drivers();
const Driver* find_driver(const UsbIdentity& identity);  // null: nobody knows it
const Driver* find_driver(std::string_view name);        // null: no such driver

}  // namespace cusp
