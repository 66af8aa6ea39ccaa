#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "drivers/usb/libusb_stream_internal.h"
#include "drivers/usb/libusb_transport_internal.h"
#include "drivers/usb/stream_errors.h"
#include "drivers/usb/usbfs_memory.h"

namespace cusp {
namespace {

constexpr std::chrono::hours kLongTime{1};

MonoTime now() { return std::chrono::steady_clock::now(); }

// One chunk a packet. False: enough.
bool deliver_packets(const libusb_transfer& transfer, MonoTime arrival,
                     const std::function<bool(const StreamChunk&)>& on_chunk) {
  const unsigned char* bytes = transfer.buffer;
  for (const auto& packet :
       std::span(transfer.iso_packet_desc, static_cast<std::size_t>(transfer.num_iso_packets))) {
    if (!on_chunk({.endpoint = transfer.endpoint,
                   .bytes = {bytes, std::min(packet.actual_length, packet.length)},
                   .ends_payload = true,
                   .damaged = packet.status != LIBUSB_TRANSFER_COMPLETED,
                   .arrival = arrival}))
      return false;
    bytes += packet.length;
  }
  return true;
}

bool came_damaged(const libusb_transfer& transfer) {
  return transfer.status == LIBUSB_TRANSFER_ERROR || transfer.status == LIBUSB_TRANSFER_OVERFLOW;
}

// Whole, damaged or cut short: no byte that the device sent goes uncounted.
bool has_come(const libusb_transfer& transfer) {
  return transfer.status == LIBUSB_TRANSFER_COMPLETED || came_damaged(transfer) ||
         (transfer.type != LIBUSB_TRANSFER_TYPE_ISOCHRONOUS && transfer.actual_length > 0);
}

bool deliver(const libusb_transfer& transfer, MonoTime arrival,
             const std::function<bool(const StreamChunk&)>& on_chunk) {
  if (transfer.type == LIBUSB_TRANSFER_TYPE_ISOCHRONOUS)
    return deliver_packets(transfer, arrival, on_chunk);
  return on_chunk({.endpoint = transfer.endpoint,
                   .bytes = {transfer.buffer, static_cast<std::size_t>(transfer.actual_length)},
                   .ends_payload = transfer.type == LIBUSB_TRANSFER_TYPE_INTERRUPT ||
                                   transfer.actual_length < transfer.length,
                   .damaged = came_damaged(transfer),
                   .arrival = arrival});
}

}  // namespace

int LibusbStream::Lane::least() const { return std::min(kLeastTransfers, options.transfer_count); }

LibusbStream::Transfer::Transfer(LibusbStream& stream, Lane& lane)
    : stream_(stream),
      lane_(lane),
      size_(transfer_bytes(lane.options)),
      transfer_(libusb_alloc_transfer(lane.options.type == TransferType::kIsochronous
                                          ? lane.options.packets_per_transfer
                                          : 0)) {
  const StreamOptions& options = lane.options;
  // Saves a copy where the amount of data makes that worth a mapping. Null: this kernel has none.
  if (options.type == TransferType::kBulk)
    kernel_buffer_ = libusb_dev_mem_alloc(stream.handle_, size_);
  buffer_ =
      kernel_buffer_ != nullptr ? kernel_buffer_ : static_cast<unsigned char*>(std::malloc(size_));
  CUSP_CHECK(transfer_ != nullptr && buffer_ != nullptr, "out of memory");
  const int size = static_cast<int>(size_);
  switch (options.type) {
    case TransferType::kBulk:
      libusb_fill_bulk_transfer(transfer_, stream.handle_, options.endpoint, buffer_, size,
                                &LibusbStream::on_finished, this, 0);
      break;
    case TransferType::kInterrupt:
      libusb_fill_interrupt_transfer(transfer_, stream.handle_, options.endpoint, buffer_, size,
                                     &LibusbStream::on_finished, this, 0);
      break;
    case TransferType::kIsochronous:
      libusb_fill_iso_transfer(transfer_, stream.handle_, options.endpoint, buffer_, size,
                               options.packets_per_transfer, &LibusbStream::on_finished, this, 0);
      libusb_set_iso_packet_lengths(transfer_, static_cast<unsigned>(options.packet_bytes));
      break;
  }
}

LibusbStream::Transfer::~Transfer() {
  libusb_free_transfer(transfer_);
  if (kernel_buffer_ != nullptr)
    libusb_dev_mem_free(stream_.handle_, kernel_buffer_, size_);
  else
    std::free(buffer_);
}

LibusbStream::LibusbStream(libusb_device_handle* handle, std::string what,
                           std::span<const StreamOptions> endpoints, std::span<const int> counts)
    : handle_(handle), what_(std::move(what)) {
  CUSP_CHECK(endpoints.size() == counts.size(), "a count an endpoint");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    Lane& lane = lanes_.emplace_back(Lane{.options = endpoints[i]});
    for (int n = 0; n < counts[i]; ++n) lane.transfers.emplace_back(*this, lane);
  }
}

LibusbStream::~LibusbStream() { bring_home(); }

void LibusbStream::bring_home() {
  // Those that are in flight end as cancelled; the others answer "not found", which is fine.
  for (Lane& lane : lanes_)
    for (Transfer& transfer : lane.transfers)
      static_cast<void>(libusb_cancel_transfer(transfer.get()));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return in_flight_ == 0; });
}

void LibusbStream::on_finished(libusb_transfer* raw) {
  auto& transfer = *static_cast<Transfer*>(raw->user_data);
  LibusbStream& self = transfer.stream();
  const std::lock_guard lock(self.mutex_);
  const MonoTime arrival = now();
  --self.in_flight_;
  --transfer.lane().in_flight;
  ++transfer.lane().finished;
  transfer.lane().begun = true;
  transfer.lane().moved = arrival;
  self.finished_.push_back({&transfer, arrival});
  self.changed_.notify_all();
}

int LibusbStream::submit(Transfer& transfer) {
  const auto count = [&](int by) {
    const std::lock_guard lock(mutex_);
    in_flight_ += by;
    transfer.lane().in_flight += by;
    transfer.lane().moved = now();
  };
  count(+1);  // before it can come back
  const int code = libusb_submit_transfer(transfer.get());
  if (code != LIBUSB_SUCCESS) count(-1);
  return code;
}

// In turns, so that each endpoint has some before the kernel's memory is used up.
Result<void> LibusbStream::submit_all() {
  std::size_t rounds = 0;
  for (const Lane& lane : lanes_) rounds = std::max(rounds, lane.transfers.size());
  std::vector<std::size_t> submitted(lanes_.size(), 0);
  bool memory_left = true;
  for (std::size_t round = 0; round < rounds && memory_left; ++round)
    for (std::size_t i = 0; i < lanes_.size() && memory_left; ++i) {
      if (round >= lanes_[i].transfers.size()) continue;
      errno = 0;
      const int code = submit(lanes_[i].transfers[round]);
      if (code == LIBUSB_ERROR_NO_MEM)
        memory_left = false;
      else if (code == LIBUSB_SUCCESS)
        ++submitted[i];
      else if (code == LIBUSB_ERROR_IO && errno == ENOENT)  // libusb does not pass it on
        return endpoint_missing(what_, lanes_[i].options.endpoint);
      else
        return usb_error(code, what_);
    }
  if (memory_left) return {};
  // Other programs hold the rest: a stream with fewer transfers is better than none.
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (static_cast<int>(submitted[i]) < lanes_[i].least()) return out_of_memory();
    while (lanes_[i].transfers.size() > submitted[i]) lanes_[i].transfers.pop_back();
  }
  return {};
}

Result<void> LibusbStream::submit_again(Transfer& transfer) {
  // Other programs may have given memory back since the last time.
  Lane& lane = transfer.lane();
  lane.resting.push_back(&transfer);
  for (; !lane.resting.empty(); lane.resting.pop_front()) {
    const int code = submit(*lane.resting.front());
    if (code == LIBUSB_ERROR_NO_MEM) break;
    if (code != LIBUSB_SUCCESS) return usb_error(code, what_);
  }
  const std::lock_guard lock(mutex_);
  if (lane.in_flight + lane.finished < lane.least()) return out_of_memory();
  return {};
}

LibusbStream::Event LibusbStream::next(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    MonoTime wake = now() + kLongTime;
    for (const Lane& lane : lanes_) {
      if (lane.options.watchdog.count() == 0 || lane.finished > 0) continue;
      const auto patience = patience_with(lane.options, lane.begun);
      const MonoTime deadline = lane.moved + patience;
      if (now() >= deadline) return {.silent = &lane, .patience = patience};
      wake = std::min(wake, deadline);
    }
    if (!finished_.empty()) {
      const Finished first = finished_.front();
      finished_.pop_front();
      --first.transfer->lane().finished;
      return {.finished = first.transfer, .arrival = first.arrival};
    }
    changed_.wait_until(lock, stop, wake, [&] { return !finished_.empty(); });
  }
  return {};
}

Result<void> LibusbStream::run(const std::stop_token& stop,
                               const std::function<bool(const StreamChunk&)>& on_chunk) {
  Result<void> result = take_turns(stop, on_chunk);
  bring_home();
  if (!result) deliver_rest(on_chunk);
  return result;
}

Result<void> LibusbStream::take_turns(const std::stop_token& stop,
                                      const std::function<bool(const StreamChunk&)>& on_chunk) {
  CUSP_TRY(submit_all());
  while (true) {
    const Event event = next(stop);
    if (event.silent != nullptr)
      return endpoint_silent(what_, event.silent->options.endpoint, event.patience);
    if (event.finished == nullptr) return {};
    const libusb_transfer& transfer = *event.finished->get();
    const bool whole = transfer.status == LIBUSB_TRANSFER_COMPLETED;
    if (has_come(transfer)) {
      const bool more = deliver(transfer, event.arrival, on_chunk);
      if (whole && !more) return {};
    }
    if (!whole) return ended(transfer.status, transfer.endpoint);
    CUSP_TRY(submit_again(*event.finished));
  }
}

// What had come when the error did, or came before its transfer was cancelled.
void LibusbStream::deliver_rest(const std::function<bool(const StreamChunk&)>& on_chunk) {
  for (const Finished& finished : finished_) {
    const libusb_transfer& transfer = *finished.transfer->get();
    if (has_come(transfer) && !deliver(transfer, finished.arrival, on_chunk)) return;
  }
}

Error LibusbStream::out_of_memory() const {
  std::size_t wanted = 0;
  for (const Lane& lane : lanes_)
    wanted += transfer_bytes(lane.options) * static_cast<std::size_t>(lane.least());
  return usbfs_memory_used_up(what_, wanted, usbfs_memory_bytes());
}

Error LibusbStream::ended(libusb_transfer_status status, std::uint8_t endpoint) const {
  switch (status) {
    case LIBUSB_TRANSFER_NO_DEVICE:
      return device_gone(what_);
    case LIBUSB_TRANSFER_STALL:
      return endpoint_stalled(what_, endpoint);
    case LIBUSB_TRANSFER_OVERFLOW:
      return endpoint_sent_too_much(what_, endpoint);
    default:
      return endpoint_failed(what_, endpoint);
  }
}

}  // namespace cusp
