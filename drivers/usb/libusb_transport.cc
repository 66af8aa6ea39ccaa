#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>

#include "drivers/usb/libusb_transport_internal.h"

namespace cusp {
namespace {

constexpr int kDeviceDescriptorBytes = 18;
constexpr std::chrono::milliseconds kDescriptorTimeout{1000}, kAliveTimeout{500};

// One reusable bulk transfer with its buffer.
class Transfer {
 public:
  Transfer(libusb_device_handle* handle, std::size_t size)
      : handle_(handle), size_(size), transfer_(libusb_alloc_transfer(0)) {
    kernel_buffer_ = libusb_dev_mem_alloc(handle, size);  // saves a copy; null where there is none
    buffer_ =
        kernel_buffer_ != nullptr ? kernel_buffer_ : static_cast<unsigned char*>(std::malloc(size));
    CUSP_CHECK(transfer_ != nullptr && buffer_ != nullptr, "out of memory");
  }
  ~Transfer() {
    libusb_free_transfer(transfer_);
    if (kernel_buffer_ != nullptr)
      libusb_dev_mem_free(handle_, kernel_buffer_, size_);
    else
      std::free(buffer_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  libusb_transfer* get() const { return transfer_; }
  unsigned char* buffer() const { return buffer_; }

 private:
  libusb_device_handle* handle_;
  std::size_t size_;
  libusb_transfer* transfer_;
  unsigned char* kernel_buffer_;
  unsigned char* buffer_;
};

// The transfers of one stream(): submitted here, completed on the event thread.
class Stream {
 public:
  struct Completed {
    libusb_transfer* transfer = nullptr;
    MonoTime arrival{};
  };

  Stream(libusb_device_handle* handle, const StreamOptions& options) {
    const auto size = static_cast<std::size_t>(options.transfer_size_bytes);
    for (int i = 0; i < options.transfer_count; ++i) {
      Transfer& made = transfers_.emplace_back(handle, size);
      libusb_fill_bulk_transfer(made.get(), handle, options.endpoint, made.buffer(),
                                options.transfer_size_bytes, &Stream::on_completed, this, 0);
    }
  }
  // Waits until every transfer is home: the kernel writes into their buffers until then.
  ~Stream() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return in_flight_ == 0; });
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int submit_all() {
    for (Transfer& transfer : transfers_)
      if (const int code = submit(transfer.get()); code != LIBUSB_SUCCESS) return code;
    return LIBUSB_SUCCESS;
  }

  int submit(libusb_transfer* transfer) {
    {
      const std::lock_guard lock(mutex_);
      ++in_flight_;
    }
    const int code = libusb_submit_transfer(transfer);
    if (code != LIBUSB_SUCCESS) {
      const std::lock_guard lock(mutex_);
      --in_flight_;
    }
    return code;
  }

  // Those that are in flight end as cancelled; the others answer "not found", which is fine.
  void cancel_all() {
    for (Transfer& transfer : transfers_) static_cast<void>(libusb_cancel_transfer(transfer.get()));
  }

  std::optional<Completed> next(const std::stop_token& stop, MonoTime deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, stop, deadline, [&] { return !completed_.empty(); });
    if (stop.stop_requested() || completed_.empty()) return std::nullopt;
    const Completed first = completed_.front();
    completed_.pop_front();
    return first;
  }

 private:
  static void LIBUSB_CALL on_completed(libusb_transfer* transfer) {
    auto& self = *static_cast<Stream*>(transfer->user_data);
    const std::lock_guard lock(self.mutex_);
    --self.in_flight_;
    self.completed_.push_back({transfer, std::chrono::steady_clock::now()});
    self.changed_.notify_all();
  }

  std::deque<Transfer> transfers_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int in_flight_ = 0;
  std::deque<Completed> completed_;  // in the order of completion
};

class LibusbTransport final : public UsbTransport {
 public:
  LibusbTransport(UsbHandle handle, std::string name, std::vector<std::uint8_t> device,
                  std::vector<std::uint8_t> config)
      : handle_(std::move(handle)),
        name_(std::move(name)),
        device_(std::move(device)),
        config_(std::move(config)) {}

  ~LibusbTransport() override {
    for (const int number : claimed_)
      static_cast<void>(libusb_release_interface(handle_.get(), number));
  }

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }

  Result<std::string> string_descriptor(std::uint8_t index) override {
    std::array<unsigned char, 256> text{};
    const int size = libusb_get_string_descriptor_ascii(handle_.get(), index, text.data(),
                                                        static_cast<int>(text.size()));
    if (size < 0) return usb_error(size, name_);
    return std::string(text.begin(), text.begin() + size);
  }

  UsbSpeed speed() const override { return UsbSpeed::kSuper; }
  std::string location() const override { return name_; }
  Result<void> claim_interface(int number) override {
    // The kernel's own uvcvideo gives the interface up, and takes it back after us.
    static_cast<void>(libusb_set_auto_detach_kernel_driver(handle_.get(), 1));
    CUSP_TRY(check(libusb_claim_interface(handle_.get(), number)));
    if (std::find(claimed_.begin(), claimed_.end(), number) == claimed_.end())
      claimed_.push_back(number);
    return {};
  }
  Result<void> set_alternate(int interface_number, int alternate) override {
    return check(libusb_set_interface_alt_setting(handle_.get(), interface_number, alternate));
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
      return error(ErrorCode::kProtocol, "{}: took {} of {} bytes of a control request", name_,
                   size, data.size());
    return {};
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    return check(libusb_clear_halt(handle_.get(), endpoint));
  }
  Result<void> reset() override {
    const int code = libusb_reset_device(handle_.get());
    if (code == LIBUSB_ERROR_NOT_FOUND)  // it came back as another device
      return error(ErrorCode::kDisconnected, "{}: left the bus when it was reset", name_);
    return check(code);
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    CUSP_CHECK(endpoints.size() == 1, "one endpoint");
    const StreamOptions& options = endpoints.front();
    CUSP_CHECK(options.transfer_count > 0 && options.transfer_size_bytes > 0,
               "a stream has transfers");
    Stream stream(handle_.get(), options);
    Result<void> result = run(stream, options, stop, on_chunk);
    stream.cancel_all();
    return result;  // ~Stream waits for the transfers
  }

 private:
  Result<void> check(int code) const {
    if (code < 0) return usb_error(code, name_);
    return {};
  }

  Result<std::size_t> control(const ControlSetup& setup, std::uint8_t* data, std::size_t size,
                              std::chrono::milliseconds timeout) const {
    CUSP_CHECK(size <= std::numeric_limits<std::uint16_t>::max(), "a control request is small");
    const int code = libusb_control_transfer(
        handle_.get(), setup.request_type, setup.request, setup.value, setup.index, data,
        static_cast<std::uint16_t>(size), static_cast<unsigned>(timeout.count()));
    if (code < 0) return usb_error(code, name_);
    return static_cast<std::size_t>(code);
  }

  Result<void> run(Stream& stream, const StreamOptions& options, const std::stop_token& stop,
                   const std::function<bool(const StreamChunk&)>& on_chunk) const {
    CUSP_TRY(check(stream.submit_all()));
    MonoTime last = std::chrono::steady_clock::now();
    while (true) {
      const auto completed = stream.next(stop, last + options.watchdog);
      if (stop.stop_requested()) return {};
      if (!completed)
        return error(ErrorCode::kTimeout, "{}: no data on endpoint {:#04x} for {} ms", name_,
                     options.endpoint, options.watchdog.count());
      last = completed->arrival;
      libusb_transfer* const transfer = completed->transfer;
      if (transfer->status != LIBUSB_TRANSFER_COMPLETED)
        return ended(transfer->status, options.endpoint);
      if (!on_chunk({.endpoint = options.endpoint,
                     .bytes = {transfer->buffer, static_cast<std::size_t>(transfer->actual_length)},
                     .ends_payload = transfer->actual_length < transfer->length,
                     .arrival = completed->arrival}))
        return {};
      CUSP_TRY(check(stream.submit(transfer)));
    }
  }

  // Why a transfer did not bring data.
  Error ended(libusb_transfer_status status, std::uint8_t endpoint) const {
    switch (status) {
      case LIBUSB_TRANSFER_NO_DEVICE:
        return usb_error(LIBUSB_ERROR_NO_DEVICE, name_);
      case LIBUSB_TRANSFER_STALL:
        return error(ErrorCode::kProtocol, "{}: endpoint {:#04x} stalled", name_, endpoint);
      case LIBUSB_TRANSFER_OVERFLOW:
        return error(ErrorCode::kProtocol, "{}: endpoint {:#04x} sent more than was asked", name_,
                     endpoint);
      default:
        break;
    }
    // Some host controllers report a pulled cable as a plain error first: ask whether the device
    // answers.
    std::array<std::uint8_t, 2> device_status{};
    constexpr ControlSetup kGetStatus{.request_type = 0x80, .request = 0x00};
    const auto alive =
        control(kGetStatus, device_status.data(), device_status.size(), kAliveTimeout);
    if (!alive) return usb_error(LIBUSB_ERROR_NO_DEVICE, name_);
    return error(ErrorCode::kIo, "{}: the bus reported an error on endpoint {:#04x}", name_,
                 endpoint);
  }

  const UsbHandle handle_;
  const std::string name_;
  const std::vector<std::uint8_t> device_;
  const std::vector<std::uint8_t> config_;
  std::vector<int> claimed_;
};

Result<std::vector<std::uint8_t>> read_descriptor(libusb_device_handle* handle, std::uint8_t type,
                                                  std::size_t size, const std::string& name) {
  std::vector<std::uint8_t> bytes(size);
  const int code = libusb_control_transfer(
      handle, LIBUSB_ENDPOINT_IN, LIBUSB_REQUEST_GET_DESCRIPTOR,
      static_cast<std::uint16_t>(type << 8), 0, bytes.data(), static_cast<std::uint16_t>(size),
      static_cast<unsigned>(kDescriptorTimeout.count()));
  if (code < 0) return usb_error(code, name);
  bytes.resize(static_cast<std::size_t>(code));
  return bytes;
}

}  // namespace

Error usb_error(int code, const std::string& what) {
  switch (code) {
    case LIBUSB_ERROR_NO_DEVICE:
    case LIBUSB_ERROR_NOT_FOUND:
      return error(ErrorCode::kDisconnected, "{}: it is not plugged in any more", what);
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
                   "{}: the kernel's memory for USB transfers is used up; raise "
                   "/sys/module/usbcore/parameters/usbfs_memory_mb",
                   what);
    case LIBUSB_ERROR_NOT_SUPPORTED:
      return error(ErrorCode::kUnsupported, "{}: this system cannot do that with it", what);
    default:
      return error(ErrorCode::kIo, "{}: USB error: {}", what,
                   libusb_strerror(static_cast<libusb_error>(code)));
  }
}

Result<std::unique_ptr<UsbTransport>> make_libusb_transport(UsbHandle handle, std::string name) {
  // Asked from the device itself: libusb's own copies are parsed, and a parser of ours must see
  // every byte.
  CUSP_ASSIGN(auto device,
              read_descriptor(handle.get(), LIBUSB_DT_DEVICE, kDeviceDescriptorBytes, name));
  constexpr std::size_t kHeadBytes = 9;
  CUSP_ASSIGN(const auto head, read_descriptor(handle.get(), LIBUSB_DT_CONFIG, kHeadBytes, name));
  if (head.size() < kHeadBytes)
    return error(ErrorCode::kProtocol, "{}: its configuration descriptor has {} bytes", name,
                 head.size());
  const auto total = static_cast<std::size_t>(head[2] | head[3] << 8);
  CUSP_ASSIGN(auto config, read_descriptor(handle.get(), LIBUSB_DT_CONFIG, total, name));
  return std::unique_ptr<UsbTransport>(std::make_unique<LibusbTransport>(
      std::move(handle), std::move(name), std::move(device), std::move(config)));
}

}  // namespace cusp
