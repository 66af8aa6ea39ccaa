#include <libusb.h>

#include <array>
#include <cstdlib>

#include "drivers/usb/usb_bus.h"
#include "tools/bench/usb/usb_bench_internal.h"

namespace cusp::bench {
namespace {

class Stopwatch {
 public:
  Reading read(std::uint64_t bytes) const {
    const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start_;
    return {.bytes = bytes,
            .seconds = span.count(),
            .cpu_seconds = cpu_seconds_so_far() - cpu_seconds_};
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const double cpu_seconds_ = cpu_seconds_so_far();
};

struct BareLoop {
  std::uint64_t bytes = 0, wanted = 0;
  int in_flight = 0;
};

void LIBUSB_CALL on_transfer(libusb_transfer* transfer) {
  auto& loop = *static_cast<BareLoop*>(transfer->user_data);
  --loop.in_flight;
  loop.bytes += static_cast<std::uint64_t>(transfer->actual_length);
  if (transfer->status == LIBUSB_TRANSFER_COMPLETED && loop.bytes < loop.wanted &&
      libusb_submit_transfer(transfer) == LIBUSB_SUCCESS)
    ++loop.in_flight;
}

Error failed(const char* what, int code) {
  return error(ErrorCode::kIo, "bare libusb: {}: {}", what,
               libusb_strerror(static_cast<libusb_error>(code)));
}

}  // namespace

Result<Reading> read_with_transport(std::uint64_t bytes) {
  CUSP_ASSIGN(const auto bus, UsbBus::start());
  const auto addresses = bus->list();
  if (addresses.empty()) return error(ErrorCode::kNotFound, "no device on the bus");
  CUSP_ASSIGN(const auto transport, bus->open(addresses.front()));
  CUSP_TRY(transport->claim_interface(0));
  const StreamOptions options{
      .endpoint = kEndpoint, .transfer_count = kTransfers, .transfer_size_bytes = kTransferBytes};
  const Stopwatch watch;
  std::uint64_t read = 0;
  CUSP_TRY(transport->stream(std::span(&options, 1), {}, [&](const StreamChunk& chunk) {
    read += chunk.bytes.size();
    return read < bytes;
  }));
  return watch.read(read);
}

Result<Reading> read_with_bare_libusb(std::uint64_t bytes) {
  libusb_context* context = nullptr;
  if (const int code = libusb_init(&context); code != LIBUSB_SUCCESS) return failed("init", code);
  libusb_device_handle* const handle = libusb_open_device_with_vid_pid(context, 0x8086, 0x0B5B);
  if (handle == nullptr) return error(ErrorCode::kNotFound, "bare libusb: no device");
  if (const int code = libusb_claim_interface(handle, 0); code != LIBUSB_SUCCESS)
    return failed("claim", code);
  BareLoop loop{.wanted = bytes};
  std::array<libusb_transfer*, kTransfers> transfers{};
  std::array<unsigned char*, kTransfers> kernel_buffers{};
  const Stopwatch watch;
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    transfers[i] = libusb_alloc_transfer(0);
    kernel_buffers[i] = libusb_dev_mem_alloc(handle, kTransferBytes);
    unsigned char* const buffer = kernel_buffers[i] != nullptr
                                      ? kernel_buffers[i]
                                      : static_cast<unsigned char*>(std::malloc(kTransferBytes));
    libusb_fill_bulk_transfer(transfers[i], handle, kEndpoint, buffer, kTransferBytes, on_transfer,
                              &loop, 0);
    if (const int code = libusb_submit_transfer(transfers[i]); code != LIBUSB_SUCCESS)
      return failed("submit", code);
    ++loop.in_flight;
  }
  while (loop.in_flight > 0)
    if (const int code = libusb_handle_events(context); code != LIBUSB_SUCCESS)
      return failed("events", code);
  const Reading reading = watch.read(loop.bytes);
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    if (kernel_buffers[i] != nullptr)
      libusb_dev_mem_free(handle, kernel_buffers[i], kTransferBytes);
    else
      std::free(transfers[i]->buffer);
    libusb_free_transfer(transfers[i]);
  }
  libusb_close(handle);
  libusb_exit(context);
  return reading;
}

}  // namespace cusp::bench
