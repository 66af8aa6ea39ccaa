#include <asm/ioctls.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "drivers/emulation/standard_requests.h"
#include "drivers/emulation/usbfs_node_internal.h"

namespace cusp {
namespace {

constexpr std::uint32_t kCapabilities = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                                        USBDEVFS_CAP_BULK_SCATTER_GATHER |
                                        USBDEVFS_CAP_REAP_AFTER_DISCONNECT;

// enum usb_device_speed, linux/usb/ch9.h.
long kernel_speed(UsbSpeed speed) {
  switch (speed) {
    case UsbSpeed::kLow:
      return 1;
    case UsbSpeed::kFull:
      return 2;
    case UsbSpeed::kHigh:
      return 3;
    case UsbSpeed::kSuper:
      return 5;
    case UsbSpeed::kSuperPlus:
      return 6;
  }
  CUSP_CHECK(false, "a USB speed without a number");
}

bool accepted(const UsbOutcome& outcome) { return outcome.kind == UsbOutcome::Kind::kData; }

}  // namespace

Result<std::unique_ptr<UsbfsNode>> UsbfsNode::create(UsbFunction& function,
                                                     std::filesystem::path fifo,
                                                     UsbfsCounters& counters) {
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
                     UsbfsCounters& counters)
    : function_(&function),
      fifo_(std::move(fifo)),
      fifo_fd_(fifo_fd),
      counters_(counters),
      settings_(function.config_descriptor()) {
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
    for (Urb& urb : urbs_)
      if (!urb.done) end(urb, -ESHUTDOWN);
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
  for (auto urb = urbs_.begin(); urb != urbs_.end();)
    urb = urb->client == client ? drop(urb) : std::next(urb);
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
  if (counters_.garbled && (request == USBDEVFS_SETINTERFACE || request == USBDEVFS_CLEAR_HALT ||
                            request == USBDEVFS_RESET))
    return {-1, EPROTO};
  switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
      if (const auto data = resolve(argument, 0, sizeof(std::uint32_t)); data)
        std::memcpy(data->data, &kCapabilities, sizeof kCapabilities);
      return {};
    case USBDEVFS_GET_SPEED:
      return {kernel_speed(function_->speed()), 0};
    case USBDEVFS_CLAIMINTERFACE:
      return claim(client, number(), ENOENT);
    case USBDEVFS_DISCONNECT_CLAIM:  // its struct begins with the interface; no driver is there
      return claim(client, number(), EINVAL);
    case USBDEVFS_RELEASEINTERFACE:
      return release(client, number());
    case USBDEVFS_GETDRIVER:
      return {-1, ENODATA};  // no kernel driver holds an interface
    case USBDEVFS_IOCTL:
      return {-1, ENODATA};  // so none can be detached or attached
    case USBDEVFS_SETINTERFACE: {
      const auto data = resolve(argument, 0, sizeof(usbdevfs_setinterface));
      if (!data) return {-1, EFAULT};
      return set_interface(*reinterpret_cast<const usbdevfs_setinterface*>(data->data));
    }
    case USBDEVFS_CLEAR_HALT: {
      const auto endpoint = static_cast<std::uint8_t>(number());
      if (settings_.find(endpoint) == nullptr) return {-1, ENOENT};
      return accepted(answer_request(*function_, clear_halt_request(endpoint), {}))
                 ? Answer{}
                 : Answer{-1, EPIPE};
    }
    case USBDEVFS_RESETEP:
      return {};  // the host's side alone
    case USBDEVFS_RESET:
      claims_to_lose_ = counters_.claims_lost_at_reset;
      [[fallthrough]];
    case USBDEVFS_SETCONFIGURATION:  // the only one again
      settings_.forget();
      function_->reset();
      return {};
    case USBDEVFS_SUBMITURB:
      return submit(client, argument);
    default:
      counters_.unhandled.fetch_add(1, std::memory_order_relaxed);
      return {-1, ENOTTY};
  }
}

UsbfsNode::Answer UsbfsNode::set_interface(const usbdevfs_setinterface& wish) {
  const auto interface = static_cast<int>(wish.interface);
  const auto alternate = static_cast<int>(wish.altsetting);
  if (!accepted(answer_request(*function_, set_interface_request(interface, alternate), {})))
    return {-1, EINVAL};
  settings_.choose(interface, alternate);
  return {};
}

UsbfsNode::Answer UsbfsNode::claim(UMockdevIoctlClient* client, unsigned interface,
                                   int when_missing) {
  const auto& interfaces = settings_.all().interfaces;
  if (std::none_of(interfaces.begin(), interfaces.end(),
                   [&](const ListedInterface& one) { return one.number == interface; }))
    return {-1, when_missing};
  if (claims_to_lose_ > 0) {
    --claims_to_lose_;
    return {-1, EBUSY};
  }
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

}  // namespace cusp
