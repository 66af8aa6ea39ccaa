// The URBs of a UsbfsNode: submitting, running and reaping them.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "drivers/bytes.h"
#include "drivers/emulation/standard_requests.h"
#include "drivers/emulation/usbfs_node_internal.h"

namespace cusp {
namespace {

constexpr int kMaxBufferBytes = 1 << 30;  // the budget is what limits them
constexpr int kMaxPackets = 128;
constexpr unsigned kMaxPacketBytes = 98304;
constexpr std::size_t kSetupBytes = 8;
constexpr std::uint8_t kInBit = 0x80;
constexpr std::size_t kRecordBytes = 256;  // about struct async and struct urb

int kernel_status(const UsbOutcome& outcome, std::size_t room) {
  switch (outcome.kind) {
    case UsbOutcome::Kind::kData:
      return outcome.size > room ? -EOVERFLOW : 0;
    case UsbOutcome::Kind::kStall:
      return -EPIPE;
    case UsbOutcome::Kind::kDamaged:
      return -EPROTO;
    case UsbOutcome::Kind::kNak:
      break;
  }
  CUSP_CHECK(false, "a transfer that waits has no status");
}

std::size_t transferred(const UsbOutcome& outcome, std::size_t room) {
  return std::min(outcome.size, room);
}

}  // namespace

std::span<usbdevfs_iso_packet_desc> UsbfsNode::Urb::packets() const {
  if (!isochronous()) return {};
  return {fields().iso_frame_desc, static_cast<std::size_t>(fields().number_of_packets)};
}

std::size_t UsbfsNode::Urb::bytes() const {
  std::size_t bytes = kRecordBytes;
  if (!isochronous()) return bytes + static_cast<std::size_t>(fields().buffer_length);
  for (const auto& packet : packets()) bytes += packet.length;
  return bytes;
}

// The struct's size is known once its head was read. umockdev resolves a pointer once, so the
// argument gets a second one.
UsbfsNode::IoctlData UsbfsNode::resolve_urb(UMockdevIoctlData* argument) {
  IoctlData head = resolve(argument, 0, sizeof(usbdevfs_urb));
  if (!head) return nullptr;
  const auto& fields = *reinterpret_cast<const usbdevfs_urb*>(head->data);
  const int packets = fields.number_of_packets;
  if (fields.type != USBDEVFS_URB_TYPE_ISO || packets < 1 || packets > kMaxPackets) return head;
  const gulong address = head->client_addr;
  argument->data = static_cast<guint8*>(g_realloc(argument->data, 2 * sizeof address));
  argument->data_len = 2 * sizeof address;
  std::memcpy(argument->data + sizeof address, &address, sizeof address);
  return resolve(
      argument, sizeof address,
      sizeof(usbdevfs_urb) + static_cast<std::size_t>(packets) * sizeof(usbdevfs_iso_packet_desc));
}

int UsbfsNode::refusal(const Urb& urb) const {
  const usbdevfs_urb& fields = urb.fields();
  if (fields.type == USBDEVFS_URB_TYPE_CONTROL) {
    if (fields.buffer_length < static_cast<int>(kSetupBytes)) return EINVAL;
  } else {
    const ListedEndpoint* const endpoint = settings_.find(fields.endpoint);
    if (endpoint == nullptr) return ENOENT;
    const bool fits = fields.type == USBDEVFS_URB_TYPE_ISO ? endpoint->type() == kIsochronousType
                      : fields.type == USBDEVFS_URB_TYPE_INTERRUPT
                          ? endpoint->type() == kInterruptType
                          // The kernel makes it an interrupt transfer where it must.
                          : endpoint->type() == kBulkType || endpoint->type() == kInterruptType;
    if (!fits) return EINVAL;
  }
  if (fields.buffer_length < 0 || fields.buffer_length > kMaxBufferBytes) return EINVAL;
  if (urb.isochronous()) {
    if (fields.number_of_packets < 1 || fields.number_of_packets > kMaxPackets) return EINVAL;
    for (const auto& packet : urb.packets())
      if (packet.length > kMaxPacketBytes) return EINVAL;
  }
  if (urb.bytes() > counters_.urb_bytes_allowed -
                        std::min(counters_.urb_bytes_allowed, counters_.urb_bytes.load()))
    return ENOMEM;
  return 0;
}

UsbfsNode::Answer UsbfsNode::submit(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  Urb urb{.client = client, .data = resolve_urb(argument)};
  if (!urb.data) return {-1, EFAULT};
  usbdevfs_urb& fields = urb.fields();
  if (fields.type > USBDEVFS_URB_TYPE_BULK) return {-1, EINVAL};
  if (const int why = refusal(urb); why != 0) return {-1, why};
  // All nodes are served by one thread.
  const std::size_t held = counters_.urb_bytes += urb.bytes();
  counters_.most_urb_bytes = std::max(counters_.most_urb_bytes.load(), held);
  fields.status = 0;
  fields.actual_length = 0;
  fields.error_count = 0;
  urbs_.push_back(std::move(urb));
  Urb& queued = urbs_.back();
  if (counters_.garbled)
    end(queued, -EPROTO);
  else if (fields.type == USBDEVFS_URB_TYPE_CONTROL)
    run_control(queued);
  else if ((fields.endpoint & kInBit) == 0)
    end(queued, -EPIPE);  // no function of ours takes bulk data
  if (queued.isochronous()) {
    if (!bus_time_.joinable())
      bus_time_ = std::jthread([this](const std::stop_token& stop) { keep_time(stop); });
    isochronous_work_.notify_all();
  }
  set_ready(true);
  return {};
}

UsbfsNode::Urbs::iterator UsbfsNode::drop(Urbs::iterator urb) {
  counters_.urb_bytes -= urb->bytes();
  return urbs_.erase(urb);
}

void UsbfsNode::end(Urb& urb, int status, std::size_t size) {
  urb.done = true;
  urb.fields().status = status;
  urb.fields().actual_length = static_cast<int>(size);
}

void UsbfsNode::run(Urb& urb) {
  if (urb.isochronous())
    run_packets(urb);
  else if (urb.fields().type == USBDEVFS_URB_TYPE_CONTROL)
    run_control(urb);
  else
    run_in(urb);
}

void UsbfsNode::run_control(Urb& urb) {
  const auto size = static_cast<std::size_t>(urb.fields().buffer_length);
  const auto buffer = resolve(urb.data.get(), offsetof(usbdevfs_urb, buffer), size);
  if (!buffer) return end(urb, -EFAULT);
  const std::span<std::uint8_t> bytes(buffer->data, size);
  const ControlSetup setup{.request_type = bytes[0],
                           .request = bytes[1],
                           .value = read_le<std::uint16_t>(bytes, 2),
                           .index = read_le<std::uint16_t>(bytes, 4)};
  const auto length = read_le<std::uint16_t>(bytes, 6);
  const auto data = bytes.subspan(kSetupBytes, std::min<std::size_t>(length, size - kSetupBytes));
  const UsbOutcome outcome = answer_request(*function_, setup, data);
  if (outcome.kind == UsbOutcome::Kind::kNak) return;
  end(urb, kernel_status(outcome, data.size()), transferred(outcome, data.size()));
}

void UsbfsNode::run_in(Urb& urb) {
  const auto room = static_cast<std::size_t>(urb.fields().buffer_length);
  scratch_.resize(room);
  const UsbOutcome outcome = function_->in(urb.fields().endpoint, scratch_);
  if (outcome.kind == UsbOutcome::Kind::kNak) return;
  const std::size_t size = transferred(outcome, room);
  if (size > 0) {
    const auto buffer = resolve(urb.data.get(), offsetof(usbdevfs_urb, buffer), size);
    if (!buffer) return end(urb, -EFAULT);
    std::memcpy(buffer->data, scratch_.data(), size);
  }
  end(urb, kernel_status(outcome, room), size);
}

// As many packets as the function has; the rest is empty. Without any, only time ends it.
void UsbfsNode::run_packets(Urb& urb) {
  const auto packets = urb.packets();
  scratch_.resize(urb.bytes() - kRecordBytes);
  std::span<std::uint8_t> rest(scratch_);
  bool has_more = true;
  for (usbdevfs_iso_packet_desc& packet : packets) {
    const auto room = rest.first(packet.length);
    rest = rest.subspan(packet.length);
    packet.status = 0;
    packet.actual_length = 0;
    if (!has_more) continue;
    const UsbOutcome outcome = function_->in(urb.fields().endpoint, room);
    if (outcome.kind == UsbOutcome::Kind::kNak) {
      has_more = false;
      if (&packet == &packets.front() && !urb.time_passed) return;
      continue;
    }
    packet.status = static_cast<unsigned>(kernel_status(outcome, room.size()));
    packet.actual_length = static_cast<unsigned>(transferred(outcome, room.size()));
    urb.fields().error_count += packet.status == 0 ? 0 : 1;
  }
  const auto buffer = resolve(urb.data.get(), offsetof(usbdevfs_urb, buffer), scratch_.size());
  if (!buffer) return end(urb, -EFAULT);
  std::memcpy(buffer->data, scratch_.data(), scratch_.size());
  end(urb, 0);
}

std::chrono::microseconds UsbfsNode::duration(const Urb& urb) const {
  const ListedEndpoint* const endpoint = settings_.find(urb.fields().endpoint);
  const auto interval = endpoint != nullptr ? service_interval(*endpoint, function_->speed())
                                            : std::chrono::microseconds(1000);
  return interval * urb.fields().number_of_packets;
}

// Lets the first isochronous URB end when its time has passed. The client reaps it then: its memory
// is within reach in its own calls alone.
void UsbfsNode::keep_time(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto waiting = [&] {
    return std::find_if(urbs_.begin(), urbs_.end(), [](const Urb& urb) {
      return urb.isochronous() && !urb.done && !urb.time_passed;
    });
  };
  while (isochronous_work_.wait(lock, stop, [&] { return plugged_ && waiting() != urbs_.end(); })) {
    isochronous_work_.wait_for(lock, stop, duration(*waiting()), [] { return false; });
    const auto urb = waiting();
    if (!plugged_ || urb == urbs_.end()) continue;
    urb->time_passed = true;
    set_ready(true);
  }
}

// Hands back a URB that is done, or lets the first one of each endpoint try. An endpoint's URBs end
// in order.
UsbfsNode::Answer UsbfsNode::reap(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  auto found = std::find_if(urbs_.begin(), urbs_.end(),
                            [&](const Urb& urb) { return urb.client == client && urb.done; });
  std::vector<std::uint8_t> tried;
  for (auto urb = urbs_.begin(); found == urbs_.end() && urb != urbs_.end(); ++urb) {
    const std::uint8_t endpoint = urb->fields().endpoint;
    if (urb->client != client || std::count(tried.begin(), tried.end(), endpoint) > 0) continue;
    tried.push_back(endpoint);
    run(*urb);
    if (urb->done) found = urb;
  }
  if (found == urbs_.end()) {
    const bool others =
        std::any_of(urbs_.begin(), urbs_.end(), [](const Urb& u) { return u.done; });
    set_ready(others);
    return {-1, plugged_ ? EAGAIN : ENODEV};
  }
  const auto pointer = resolve(argument, 0, sizeof(void*));
  if (pointer) umockdev_ioctl_data_set_ptr(pointer.get(), 0, found->data.get());
  drop(found);
  return pointer ? Answer{} : Answer{-1, EFAULT};
}

UsbfsNode::Answer UsbfsNode::discard(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  gulong address = 0;
  std::memcpy(&address, argument->data, sizeof address);
  const auto urb = std::find_if(urbs_.begin(), urbs_.end(), [&](const Urb& candidate) {
    return candidate.client == client && candidate.data->client_addr == address;
  });
  if (urb == urbs_.end() || urb->done) return {-1, EINVAL};  // too late: it is there to be reaped
  end(*urb, -ENOENT);
  set_ready(true);
  return {};
}

}  // namespace cusp
