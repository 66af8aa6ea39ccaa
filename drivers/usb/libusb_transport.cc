#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <limits>
#include <thread>

#include "drivers/bytes.h"
#include "drivers/usb/libusb_stream_internal.h"
#include "drivers/usb/libusb_transport_internal.h"
#include "drivers/usb/stream_errors.h"
#include "drivers/usb/usb_holder_internal.h"
#include "drivers/usb/usbfs_memory.h"

namespace cusp {
namespace {

constexpr std::size_t kDeviceDescriptorBytes = 18, kConfigHeadBytes = 9;
constexpr std::size_t kConfigCountAt = 17, kTotalBytesAt = 2, kConfigValueAt = 5;
constexpr std::chrono::milliseconds kDescriptorTimeout{1000};
// A pulled cable may look like a bus error until the hub has told of it.
constexpr std::chrono::milliseconds kUnplugTime{1000}, kProbeTimeout{200}, kProbePause{50};

// A handle that can't be closed (closable_) was left open on purpose.
std::atomic<bool> is_one_lost{false};

UsbSpeed speed_of(libusb_device* device, std::span<const std::uint8_t> descriptor) {
  switch (libusb_get_device_speed(device)) {
    case LIBUSB_SPEED_LOW:
      return UsbSpeed::kLow;
    case LIBUSB_SPEED_FULL:
      return UsbSpeed::kFull;
    case LIBUSB_SPEED_HIGH:
      return UsbSpeed::kHigh;
    case LIBUSB_SPEED_SUPER:
      return UsbSpeed::kSuper;
    case LIBUSB_SPEED_SUPER_PLUS:
      return UsbSpeed::kSuperPlus;
    default:  // the kernel does not say: the least that the device's USB version makes likely
      return read_le<std::uint16_t>(descriptor, 2) >= 0x0200 ? UsbSpeed::kHigh : UsbSpeed::kFull;
  }
}

class LibusbTransport final : public UsbTransport {
 public:
  LibusbTransport(UsbHandle handle, std::string what, std::string location,
                  std::vector<std::uint8_t> device, std::vector<std::uint8_t> config)
      : handle_(std::move(handle)),
        what_(std::move(what)),
        location_(std::move(location)),
        device_(std::move(device)),
        config_(std::move(config)),
        speed_(speed_of(libusb_get_device(handle_.get()), device_)) {
    // The kernel's own uvcvideo gives interfaces up, and takes them back after us.
    static_cast<void>(libusb_set_auto_detach_kernel_driver(handle_.get(), 1));
  }

  ~LibusbTransport() override {
    for (const int number : claimed_)
      static_cast<void>(libusb_release_interface(handle_.get(), number));
    if (closable_) return;
    static_cast<void>(handle_.release());
    is_one_lost = true;
  }

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }

  Result<std::string> string_descriptor(std::uint8_t index) override {
    std::array<unsigned char, 256> text{};
    const int size = libusb_get_string_descriptor_ascii(handle_.get(), index, text.data(),
                                                        static_cast<int>(text.size()));
    if (size < 0) return failed(size);
    return std::string(text.begin(), text.begin() + size);
  }

  UsbSpeed speed() const override { return speed_; }
  std::string location() const override { return location_; }

  Result<void> claim_interface(int number) override {
    // Until the kernel's word of the unplugging is here, libusb says that it is claimed already.
    if (gone_) return device_gone(what_);
    const int code = libusb_claim_interface(handle_.get(), number);
    // Which of the two depends on how the kernel was asked.
    if (code == LIBUSB_ERROR_NOT_FOUND || code == LIBUSB_ERROR_INVALID_PARAM)
      return interface_missing(what_, number);
    if (code == LIBUSB_ERROR_BUSY) return in_use();
    CUSP_TRY(check(code));
    if (!is_claimed(number)) claimed_.push_back(number);
    return {};
  }
  Result<void> set_alternate(int interface_number, int alternate) override {
    if (!is_claimed(interface_number)) return interface_unclaimed(what_, interface_number);
    // libusb 1.0.26 must not be called here when the device has left: it unlocks a lock that it
    // does not hold, and ends the process when the handle is closed (libusb issue 1199). Claiming
    // once more does nothing else but ask.
    CUSP_TRY(check(libusb_claim_interface(handle_.get(), interface_number)));
    errno = 0;
    const int code = libusb_set_interface_alt_setting(handle_.get(), interface_number, alternate);
    const int error_number = errno;
    // It left just then, and the kernel was not even asked: the lock is broken.
    if (code == LIBUSB_ERROR_NO_DEVICE && error_number == 0) closable_ = false;
    if (code == LIBUSB_ERROR_NOT_FOUND)
      return alternate_missing(what_, interface_number, alternate);
    if (code == LIBUSB_ERROR_OTHER && error_number == ENOSPC)
      return error(ErrorCode::kNoSpace,
                   "{}: the bus has no bandwidth left for it; unplug other cameras, or use a port "
                   "of another USB controller",
                   what_);
    return check(code);
  }

  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds timeout) override {
    return control(setup, data.data(), data.size(), timeout);
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds timeout) override {
    // libusb only reads the data of an OUT request.
    CUSP_ASSIGN(const std::size_t size,
                control(setup, const_cast<std::uint8_t*>(data.data()), data.size(), timeout));
    if (size != data.size())
      return error(ErrorCode::kProtocol, "{}: took {} of {} bytes of a control request", what_,
                   size, data.size());
    return {};
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    const int code = libusb_clear_halt(handle_.get(), endpoint);
    if (code == LIBUSB_ERROR_NOT_FOUND) return endpoint_missing(what_, endpoint);
    return check(code);
  }
  Result<void> reset() override {
    const int code = libusb_reset_device(handle_.get());
    if (code != LIBUSB_ERROR_NOT_FOUND) return check(code);
    if (is_gone()) {  // it came back as another device
      gone_ = true;
      return error(ErrorCode::kDisconnected, "{}: left the bus when it was reset", what_);
    }
    // Another program was quicker with one of its interfaces, and may have let go of it since.
    for (const int number : claimed_) {
      static_cast<void>(libusb_release_interface(handle_.get(), number));
      CUSP_TRY(claim_interface(number));
    }
    return {};
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    check_stream_options(endpoints);
    CUSP_ASSIGN(const auto counts, plan_transfers(what_, endpoints, usbfs_memory_bytes()));
    Result<void> result;
    {
      LibusbStream transfers(handle_.get(), what_, endpoints, counts);
      result = transfers.run(stop, on_chunk);
    }  // all transfers are home
    if (!result && result.error().code == ErrorCode::kIo && !gone_ && is_gone(stop))
      result = device_gone(what_);
    if (!result && result.error().code == ErrorCode::kDisconnected) gone_ = true;
    return result;
  }

 private:
  bool is_claimed(int number) const {
    return std::find(claimed_.begin(), claimed_.end(), number) != claimed_.end();
  }

  Result<void> check(int code) {
    if (code < 0) return failed(code);
    return {};
  }

  // Of a device that has just left, libusb may say that the bus failed or that it does not know.
  Error failed(int code) {
    if ((code == LIBUSB_ERROR_IO || code == LIBUSB_ERROR_OTHER) && (gone_ || is_gone())) {
      gone_ = true;
      return device_gone(what_);
    }
    return usb_error(code, what_);
  }

  Result<std::size_t> control(const ControlSetup& setup, std::uint8_t* data, std::size_t size,
                              std::chrono::milliseconds timeout) {
    CUSP_CHECK(size <= std::numeric_limits<std::uint16_t>::max(), "a control request is small");
    CUSP_CHECK(timeout.count() > 0, "no request waits for ever");
    const int code = libusb_control_transfer(
        handle_.get(), setup.request_type, setup.request, setup.value, setup.index, data,
        static_cast<std::uint16_t>(size), static_cast<unsigned>(timeout.count()));
    if (code < 0) return failed(code);
    return static_cast<std::size_t>(code);
  }

  // After a bus error: whether the device left the bus. Answers as soon as that is known.
  bool is_gone(const std::stop_token& stop = {}) const {
    std::array<std::uint8_t, 2> status{};
    const auto deadline = std::chrono::steady_clock::now() + kUnplugTime;
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
      const int code = libusb_control_transfer(
          handle_.get(), LIBUSB_ENDPOINT_IN, LIBUSB_REQUEST_GET_STATUS, 0, 0, status.data(),
          status.size(), static_cast<unsigned>(kProbeTimeout.count()));
      if (code >= 0 || code == LIBUSB_ERROR_PIPE || code == LIBUSB_ERROR_OVERFLOW) return false;
      if (code == LIBUSB_ERROR_NO_DEVICE) return true;
      std::this_thread::sleep_for(kProbePause);
    }
    return false;
  }

  Error in_use() const {
    libusb_device* const device = libusb_get_device(handle_.get());
    const std::string holder =
        program_that_holds(libusb_get_bus_number(device), libusb_get_device_address(device));
    return error(ErrorCode::kConflict, "{}: another program is using it{}{}", what_,
                 holder.empty() ? "" : ": ", holder);
  }

  UsbHandle handle_;
  const std::string what_;
  const std::string location_;
  const std::vector<std::uint8_t> device_;
  const std::vector<std::uint8_t> config_;
  const UsbSpeed speed_;
  std::vector<int> claimed_;
  bool gone_ = false;     // a stream or a request found it so
  bool closable_ = true;  // false: an open handle that is lost is better than an abort
};

Result<std::vector<std::uint8_t>> read_descriptor(libusb_device_handle* handle, std::uint8_t type,
                                                  std::uint8_t index, std::size_t size,
                                                  const std::string& what) {
  std::vector<std::uint8_t> bytes(size);
  const int code = libusb_control_transfer(
      handle, LIBUSB_ENDPOINT_IN, LIBUSB_REQUEST_GET_DESCRIPTOR,
      static_cast<std::uint16_t>(type << 8 | index), 0, bytes.data(),
      static_cast<std::uint16_t>(size), static_cast<unsigned>(kDescriptorTimeout.count()));
  if (code < 0) return usb_error(code, what);
  bytes.resize(static_cast<std::size_t>(code));
  return bytes;
}

// The configuration that is active, whole. Asked from the device itself: libusb's own copies are
// parsed, and a parser of ours must see every byte.
Result<std::vector<std::uint8_t>> read_config(libusb_device_handle* handle, int count,
                                              const std::string& what) {
  int active = 0;
  if (const int code = libusb_get_configuration(handle, &active); code < 0)
    return usb_error(code, what);
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint8_t>(i);
    CUSP_ASSIGN(const auto head,
                read_descriptor(handle, LIBUSB_DT_CONFIG, index, kConfigHeadBytes, what));
    if (head.size() < kConfigHeadBytes)
      return error(ErrorCode::kProtocol, "{}: its configuration descriptor has {} bytes", what,
                   head.size());
    if (head[kConfigValueAt] == active)
      return read_descriptor(handle, LIBUSB_DT_CONFIG, index,
                             read_le<std::uint16_t>(head, kTotalBytesAt), what);
  }
  return error(ErrorCode::kProtocol, "{}: it describes none of its configurations as number {}",
               what, active);
}

}  // namespace

Error usb_error(int code, const std::string& what) {
  switch (code) {
    case LIBUSB_ERROR_NO_DEVICE:
    case LIBUSB_ERROR_NOT_FOUND:
      return device_gone(what);
    case LIBUSB_ERROR_ACCESS:
      return error(ErrorCode::kPermission,
                   "{}: this user may not open it; install systemd/60-cusp.rules in "
                   "/etc/udev/rules.d, join the group \"cusp\" and plug the device in again",
                   what);
    case LIBUSB_ERROR_BUSY:
      return error(ErrorCode::kConflict, "{}: another program is using it", what);
    case LIBUSB_ERROR_TIMEOUT:
      return error(ErrorCode::kTimeout, "{}: it does not answer", what);
    case LIBUSB_ERROR_PIPE:
      return error(ErrorCode::kProtocol, "{}: it refused a request (stall)", what);
    case LIBUSB_ERROR_OVERFLOW:
      return error(ErrorCode::kProtocol, "{}: it sent more than was asked", what);
    case LIBUSB_ERROR_NO_MEM:
      return error(ErrorCode::kNoSpace,
                   "{}: the kernel's memory for USB transfers is used up; write a larger number "
                   "into /sys/module/usbcore/parameters/usbfs_memory_mb",
                   what);
    case LIBUSB_ERROR_NOT_SUPPORTED:
      return error(ErrorCode::kUnsupported, "{}: this system cannot do that with it", what);
    default:
      return error(ErrorCode::kIo, "{}: USB error: {}", what,
                   libusb_strerror(static_cast<libusb_error>(code)));
  }
}

Result<std::unique_ptr<UsbTransport>> make_libusb_transport(UsbHandle handle, std::string what,
                                                            std::string location) {
  CUSP_ASSIGN(auto device,
              read_descriptor(handle.get(), LIBUSB_DT_DEVICE, 0, kDeviceDescriptorBytes, what));
  if (device.size() < kDeviceDescriptorBytes)
    return error(ErrorCode::kProtocol, "{}: its device descriptor has {} bytes", what,
                 device.size());
  CUSP_ASSIGN(auto config, read_config(handle.get(), device[kConfigCountAt], what));
  return std::unique_ptr<UsbTransport>(
      std::make_unique<LibusbTransport>(std::move(handle), std::move(what), std::move(location),
                                        std::move(device), std::move(config)));
}

}  // namespace cusp

#if defined(__SANITIZE_ADDRESS__)
// Asked by the leak checker at the process's end.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return cusp::is_one_lost ? 1 : 0; }
#endif
