#include <asm/ioctls.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

#include "drivers/bytes.h"
#include "drivers/emulation/standard_requests.h"
#include "drivers/emulation/usbfs_node_internal.h"

namespace cusp {
namespace {

constexpr std::uint32_t kCapabilities = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                                        USBDEVFS_CAP_BULK_SCATTER_GATHER |
                                        USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
constexpr long kSuperSpeed = 5;            // enum usb_device_speed
constexpr int kMaxBufferBytes = 16 << 20;  // usbfs_memory_mb
constexpr std::size_t kSetupBytes = 8;
constexpr std::uint8_t kInBit = 0x80;

}  // namespace

Result<std::unique_ptr<UsbfsNode>> UsbfsNode::create(UsbFunction& function,
                                                     std::filesystem::path fifo,
                                                     UmockCounters& counters) {
  if (mkfifo(fifo.c_str(), 0666) != 0)
    return error(ErrorCode::kIo, "{}: cannot make the device node: {}", fifo.string(),
                 std::generic_category().message(errno));
  const int fd = ::open(fifo.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  // One page makes one slot: a single byte fills it.
  if (fd < 0 || fcntl(fd, F_SETPIPE_SZ, 4096) < 0) {
    const int error_number = errno;
    if (fd >= 0) ::close(fd);
    ::unlink(fifo.c_str());
    return error(ErrorCode::kIo, "{}: cannot use the device node: {}", fifo.string(),
                 std::generic_category().message(error_number));
  }
  return std::unique_ptr<UsbfsNode>(new UsbfsNode(function, std::move(fifo), fd, counters));
}

UsbfsNode::UsbfsNode(UsbFunction& function, std::filesystem::path fifo, int fifo_fd,
                     UmockCounters& counters)
    : function_(&function), fifo_(std::move(fifo)), fifo_fd_(fifo_fd), counters_(counters) {
  set_ready(false);
  function_->set_wake([this] {
    const std::lock_guard lock(mutex_);
    if (!urbs_.empty()) set_ready(true);
  });
}

UsbfsNode::~UsbfsNode() {
  pull();
  ::close(fifo_fd_);
}

void UsbfsNode::set_ready(bool ready) {
  if (ready == ready_) return;
  ready_ = ready;
  char byte = 0;
  const ssize_t moved = ready ? ::read(fifo_fd_, &byte, 1) : ::write(fifo_fd_, &byte, 1);
  CUSP_CHECK(moved == 1, "only this code moves bytes through the node");
}

void UsbfsNode::pull() {
  UsbFunction* function = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!plugged_) return;
    plugged_ = false;
    std::swap(function, function_);
    for (Urb& urb : urbs_) {
      if (urb.done) continue;
      urb.done = true;
      urb.fields().status = -ESHUTDOWN;
      urb.fields().actual_length = 0;
    }
    claims_.clear();
    if (!urbs_.empty()) set_ready(true);
    ::unlink(fifo_.c_str());
  }
  // Not under the lock: a wake may be waiting for it.
  function->set_wake({});
  function->reset();
}

void UsbfsNode::vanish(UMockdevIoctlClient* client) {
  const std::lock_guard lock(mutex_);
  std::erase_if(urbs_, [&](const Urb& urb) { return urb.client == client; });
  std::erase_if(claims_, [&](const auto& claim) { return claim.second == client; });
  if (urbs_.empty()) set_ready(false);
}

void UsbfsNode::handle(UMockdevIoctlClient* client) {
  counters_.ioctls.fetch_add(1, std::memory_order_relaxed);
  Answer result;
  {
    const std::lock_guard lock(mutex_);
    result = answer(client, static_cast<unsigned>(umockdev_ioctl_client_get_request(client)),
                    umockdev_ioctl_client_get_arg(client));
  }
  umockdev_ioctl_client_complete(client, result.result, result.error_number);
}

UsbfsNode::IoctlData UsbfsNode::resolve(UMockdevIoctlData* data, std::size_t offset,
                                        std::size_t size) {
  GError* failure = nullptr;
  IoctlData resolved(umockdev_ioctl_data_resolve(data, offset, size, &failure));
  if (failure != nullptr) {  // the client died in the middle of its call
    g_error_free(failure);
    return nullptr;
  }
  return resolved;
}

UsbfsNode::Answer UsbfsNode::answer(UMockdevIoctlClient* client, unsigned request,
                                    UMockdevIoctlData* argument) {
  if (request == FIONBIO) return {};
  if (request == USBDEVFS_REAPURB || request == USBDEVFS_REAPURBNDELAY)
    return reap(client, argument);
  if (request == USBDEVFS_DISCARDURB) return discard(client, argument);
  if (!plugged_) return {-1, ENODEV};

  const auto number = [&]() -> unsigned {
    const auto data = resolve(argument, 0, sizeof(unsigned));
    return data ? *reinterpret_cast<const unsigned*>(data->data) : 0;
  };
  switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
      if (const auto data = resolve(argument, 0, sizeof(std::uint32_t)); data)
        std::memcpy(data->data, &kCapabilities, sizeof kCapabilities);
      return {};
    case USBDEVFS_GET_SPEED:
      return {kSuperSpeed, 0};
    case USBDEVFS_CLAIMINTERFACE:
    case USBDEVFS_DISCONNECT_CLAIM:  // its struct begins with the interface; no driver is in the
                                     // way
      return claim(client, number());
    case USBDEVFS_RELEASEINTERFACE:
      return release(client, number());
    case USBDEVFS_GETDRIVER:
      return {-1, ENODATA};  // no kernel driver holds an interface
    case USBDEVFS_IOCTL:
      return {-1, ENODATA};  // so none can be detached or attached
    case USBDEVFS_SETCONFIGURATION:
      return {};
    case USBDEVFS_SETINTERFACE: {
      const auto data = resolve(argument, 0, sizeof(usbdevfs_setinterface));
      if (!data) return {-1, EFAULT};
      const auto& wish = *reinterpret_cast<const usbdevfs_setinterface*>(data->data);
      const ControlSetup setup = set_interface_request(static_cast<int>(wish.interface),
                                                       static_cast<int>(wish.altsetting));
      return answer_request(*function_, setup, {}).kind == UsbOutcome::Kind::kData
                 ? Answer{}
                 : Answer{-1, EINVAL};
    }
    case USBDEVFS_CLEAR_HALT:
      function_->clear_halt(static_cast<std::uint8_t>(number()));
      return {};
    case USBDEVFS_RESETEP:
      return {};  // the host's side alone
    case USBDEVFS_RESET:
      function_->reset();
      return {};
    case USBDEVFS_SUBMITURB:
      return submit(client, argument);
    default:
      counters_.unhandled.fetch_add(1, std::memory_order_relaxed);
      return {-1, ENOTTY};
  }
}

UsbfsNode::Answer UsbfsNode::claim(UMockdevIoctlClient* client, unsigned interface) {
  const auto [holder, taken] = claims_.try_emplace(interface, client);
  if (!taken && holder->second != client) return {-1, EBUSY};
  return {};
}

UsbfsNode::Answer UsbfsNode::release(UMockdevIoctlClient* client, unsigned interface) {
  const auto holder = claims_.find(interface);
  if (holder == claims_.end() || holder->second != client) return {-1, EINVAL};
  claims_.erase(holder);
  return {};
}

UsbfsNode::Answer UsbfsNode::submit(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  Urb urb{.client = client, .data = resolve(argument, 0, sizeof(usbdevfs_urb))};
  if (!urb.data) return {-1, EFAULT};
  usbdevfs_urb& fields = urb.fields();
  if (fields.buffer_length < 0 || fields.buffer_length > kMaxBufferBytes) return {-1, EINVAL};
  fields.status = 0;
  fields.actual_length = 0;
  switch (fields.type) {
    case USBDEVFS_URB_TYPE_CONTROL:
      if (fields.buffer_length < static_cast<int>(kSetupBytes)) return {-1, EINVAL};
      run_control(urb);
      break;
    case USBDEVFS_URB_TYPE_BULK:
      if ((fields.endpoint & kInBit) == 0) {  // no function of ours takes bulk data
        urb.done = true;
        fields.status = -EPIPE;
      }
      break;
    case USBDEVFS_URB_TYPE_INTERRUPT:
      break;  // waits for ever: the functions have no news
    default:
      return {-1, EINVAL};
  }
  urbs_.push_back(std::move(urb));
  set_ready(true);
  return {};
}

void UsbfsNode::run_control(Urb& urb) {
  usbdevfs_urb& fields = urb.fields();
  urb.done = true;
  const auto buffer = resolve(urb.data.get(), offsetof(usbdevfs_urb, buffer),
                              static_cast<std::size_t>(fields.buffer_length));
  if (!buffer) {
    fields.status = -EFAULT;
    return;
  }
  const std::span<std::uint8_t> bytes(buffer->data, static_cast<std::size_t>(fields.buffer_length));
  const ControlSetup setup{.request_type = bytes[0],
                           .request = bytes[1],
                           .value = read_le<std::uint16_t>(bytes, 2),
                           .index = read_le<std::uint16_t>(bytes, 4)};
  const auto length = read_le<std::uint16_t>(bytes, 6);
  const auto data =
      bytes.subspan(kSetupBytes, std::min<std::size_t>(length, bytes.size() - kSetupBytes));
  const UsbOutcome outcome = answer_request(*function_, setup, data);
  if (outcome.kind == UsbOutcome::Kind::kData)
    fields.actual_length = static_cast<int>(outcome.size);
  else
    fields.status = -EPIPE;
}

bool UsbfsNode::run_bulk_in(Urb& urb) {
  usbdevfs_urb& fields = urb.fields();
  scratch_.resize(static_cast<std::size_t>(fields.buffer_length));
  const UsbOutcome outcome = function_->in(fields.endpoint, scratch_);
  if (outcome.kind == UsbOutcome::Kind::kNak) return false;
  urb.done = true;
  if (outcome.kind == UsbOutcome::Kind::kStall) {
    fields.status = -EPIPE;
    return true;
  }
  if (outcome.size == 0) return true;
  const auto buffer = resolve(urb.data.get(), offsetof(usbdevfs_urb, buffer), outcome.size);
  if (!buffer) {
    fields.status = -EFAULT;
    return true;
  }
  std::memcpy(buffer->data, scratch_.data(), outcome.size);
  fields.actual_length = static_cast<int>(outcome.size);
  return true;
}

// Hands back a URB that is done, or lets the first one of an endpoint try. An endpoint's URBs end
// in order.
UsbfsNode::Answer UsbfsNode::reap(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  auto found = std::find_if(urbs_.begin(), urbs_.end(),
                            [&](const Urb& urb) { return urb.client == client && urb.done; });
  std::vector<std::uint8_t> tried;
  for (auto urb = urbs_.begin(); found == urbs_.end() && urb != urbs_.end(); ++urb) {
    const auto& fields = urb->fields();
    if (urb->client != client || fields.type != USBDEVFS_URB_TYPE_BULK ||
        std::count(tried.begin(), tried.end(), fields.endpoint) > 0)
      continue;
    tried.push_back(fields.endpoint);
    if (run_bulk_in(*urb)) found = urb;
  }
  if (found == urbs_.end()) {
    const bool others =
        std::any_of(urbs_.begin(), urbs_.end(), [](const Urb& u) { return u.done; });
    set_ready(others);
    return {-1, plugged_ ? EAGAIN : ENODEV};
  }
  const auto pointer = resolve(argument, 0, sizeof(void*));
  if (pointer) umockdev_ioctl_data_set_ptr(pointer.get(), 0, found->data.get());
  urbs_.erase(found);
  return pointer ? Answer{} : Answer{-1, EFAULT};
}

UsbfsNode::Answer UsbfsNode::discard(UMockdevIoctlClient* client, UMockdevIoctlData* argument) {
  gulong address = 0;
  std::memcpy(&address, argument->data, sizeof address);
  const auto urb = std::find_if(urbs_.begin(), urbs_.end(), [&](const Urb& candidate) {
    return candidate.client == client && candidate.data->client_addr == address;
  });
  if (urb == urbs_.end() || urb->done) return {-1, EINVAL};  // too late: it is there to be reaped
  urb->done = true;
  urb->fields().status = -ENOENT;
  set_ready(true);
  return {};
}

}  // namespace cusp
