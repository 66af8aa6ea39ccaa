#include "drivers/emulation/umock_bus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <umockdev.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "drivers/bytes.h"
#include "drivers/emulation/usbfs_node_internal.h"

namespace {

// The GObject that umockdev calls; it only knows its node.
struct CuspNodeHandler {
  UMockdevIoctlBase parent;
  cusp::UsbfsNode* node;
};
struct CuspNodeHandlerClass {
  UMockdevIoctlBaseClass parent;
};

gboolean handle_ioctl(UMockdevIoctlBase* self, UMockdevIoctlClient* client) {
  reinterpret_cast<CuspNodeHandler*>(self)->node->handle(client);
  return TRUE;
}

void client_gone(gpointer node, GObject* client) {
  static_cast<cusp::UsbfsNode*>(node)->vanish(reinterpret_cast<UMockdevIoctlClient*>(client));
}

// The client_vanished verb is not enough: umockdev 0.17.16 leaves it out when a client is killed in
// the middle of an answer, and only destroys the object.
void client_connected(UMockdevIoctlBase* self, UMockdevIoctlClient* client) {
  g_object_weak_ref(reinterpret_cast<GObject*>(client), client_gone,
                    reinterpret_cast<CuspNodeHandler*>(self)->node);
}

void client_vanished(UMockdevIoctlBase* self, UMockdevIoctlClient* client) {
  reinterpret_cast<CuspNodeHandler*>(self)->node->vanish(client);
}

void init_class(gpointer type_class, gpointer) {
  auto* const handler = static_cast<UMockdevIoctlBaseClass*>(type_class);
  handler->handle_ioctl = handle_ioctl;
  handler->client_connected = client_connected;
  handler->client_vanished = client_vanished;
}

// umockdev calls a killed client a critical fault of the program; here it is an ordinary event.
void drop_client_complaint(const gchar* domain, GLogLevelFlags level, const gchar* message,
                           gpointer data) {
  if (std::string_view(message).find("Destroying IoctlClient") == std::string_view::npos)
    g_log_default_handler(domain, level, message, data);
}

GType handler_type() {
  static const GType type = g_type_register_static_simple(
      UMOCKDEV_TYPE_IOCTL_BASE, "CuspNodeHandler", sizeof(CuspNodeHandlerClass), init_class,
      sizeof(CuspNodeHandler), nullptr, static_cast<GTypeFlags>(0));
  return type;
}

}  // namespace

namespace cusp {
namespace {

constexpr int kBus = 2;
constexpr int kFirstAddress = 2, kLastAddress = 127;  // 1 is the root hub
constexpr std::size_t kDeviceDescriptorBytes = 18;
constexpr std::size_t kConfigValueAt = 5;

// The sysfs attribute, Mbit/s.
const char* sysfs_speed(UsbSpeed speed) {
  switch (speed) {
    case UsbSpeed::kLow:
      return "1.5";
    case UsbSpeed::kFull:
      return "12";
    case UsbSpeed::kHigh:
      return "480";
    case UsbSpeed::kSuper:
      return "5000";
    case UsbSpeed::kSuperPlus:
      return "10000";
  }
  CUSP_CHECK(false, "a USB speed without a number");
}

struct ObjectUnref {
  void operator()(gpointer object) const { g_object_unref(object); }
};
using Testbed = std::unique_ptr<UMockdevTestbed, ObjectUnref>;

// A device that is or was plugged in. It stays until the bus goes, as clients may still hold its
// node open.
struct Plugged {
  int port = 0;
  int address = 0;        // 0: another device has it by now
  std::string node_path;  // as the client sees it
  std::string sys_path;
  std::unique_ptr<UsbfsNode> node;
  std::unique_ptr<UMockdevIoctlBase, ObjectUnref> handler;
  bool in = true;
};

class UmockBusImpl final : public UmockBus {
 public:
  UmockBusImpl(Testbed testbed, const UmockOptions& options) : testbed_(std::move(testbed)) {
    counters_.urb_bytes_allowed = options.usbfs_memory_bytes;
    counters_.claims_lost_at_reset = options.claims_lost_at_reset;
    gchar* const root = umockdev_testbed_get_root_dir(testbed_.get());
    root_ = root;
    g_free(root);
  }

  ~UmockBusImpl() override {
    for (Plugged& device : devices_) {
      device.node->pull();
      detach(device);
    }
  }

  std::filesystem::path folder() const override { return root_; }

  Result<void> plug(UsbFunction& function) override {
    const std::lock_guard lock(mutex_);
    if (find(function) != nullptr)
      return error(ErrorCode::kConflict, "umock bus: the device is plugged in already");
    if (function.device_descriptor().size() != kDeviceDescriptorBytes)
      return error(ErrorCode::kProtocol, "umock bus: a device descriptor of {} bytes",
                   function.device_descriptor().size());
    CUSP_ASSIGN(const int address, take_address());
    Plugged device;
    device.port = free_port();
    device.address = address;
    device.node_path = fmt::format("/dev/bus/usb/{:03}/{:03}", kBus, address);
    const std::filesystem::path fifo = root_ / device.node_path.substr(1);
    std::error_code failure;
    std::filesystem::create_directories(fifo.parent_path(), failure);
    if (failure)
      return error(ErrorCode::kIo, "{}: cannot make the folder: {}", fifo.parent_path().string(),
                   failure.message());
    CUSP_ASSIGN(device.node, UsbfsNode::create(function, fifo, counters_));
    device.handler.reset(static_cast<UMockdevIoctlBase*>(g_object_new(handler_type(), nullptr)));
    reinterpret_cast<CuspNodeHandler*>(device.handler.get())->node = device.node.get();
    GError* problem = nullptr;
    // The node answers before the uevent tells clients of it.
    const bool attached =
        umockdev_testbed_attach_ioctl(testbed_.get(), device.node_path.c_str(),
                                      device.handler.get(), &problem) != FALSE &&
        umockdev_testbed_add_from_string(
            testbed_.get(), describe(function, device, address).c_str(), &problem) != FALSE;
    if (!attached) {
      Error e = error(ErrorCode::kIo, "umock bus: cannot plug in: {}",
                      problem != nullptr ? problem->message : "umockdev does not say why");
      g_clear_error(&problem);
      return e;
    }
    device.sys_path = fmt::format("/sys/devices/usb{}/{}-{}", kBus, kBus, device.port);
    devices_.push_back(std::move(device));
    return {};
  }

  Result<void> unplug(UsbFunction& function) override {
    const std::lock_guard lock(mutex_);
    Plugged* const device = find(function);
    if (device == nullptr)
      return error(ErrorCode::kNotFound, "umock bus: the device is not plugged in");
    device->in = false;
    device->node->pull();
    umockdev_testbed_uevent(testbed_.get(), device->sys_path.c_str(), "remove");
    umockdev_testbed_remove_device(testbed_.get(), device->sys_path.c_str());
    return {};
  }

  void garble() override { counters_.garbled = true; }

  UmockCounts counts() const override {
    return {.ioctls = counters_.ioctls.load(),
            .unhandled = counters_.unhandled.load(),
            .urb_bytes = counters_.urb_bytes.load(),
            .most_urb_bytes = counters_.most_urb_bytes.load()};
  }

 private:
  Plugged* find(const UsbFunction& function) {
    for (Plugged& device : devices_)
      if (device.in && device.node->function() == &function) return &device;
    return nullptr;
  }

  void detach(Plugged& device) {
    if (device.address == 0) return;
    umockdev_testbed_detach_ioctl(testbed_.get(), device.node_path.c_str(), nullptr);
    device.address = 0;
  }

  // As the kernel gives them: the next one, and after the last from the first on again.
  Result<int> take_address() {
    for (int tried = kFirstAddress; tried <= kLastAddress; ++tried) {
      const int address = next_address_;
      next_address_ = address == kLastAddress ? kFirstAddress : address + 1;
      const auto same = std::find_if(devices_.begin(), devices_.end(), [&](const Plugged& device) {
        return device.address == address;
      });
      if (same != devices_.end() && same->in) continue;
      if (same != devices_.end()) detach(*same);
      return address;
    }
    return error(ErrorCode::kNoSpace,
                 "umock bus: {} devices are plugged in, and no address is left",
                 kLastAddress - kFirstAddress + 1);
  }

  int free_port() const {
    for (int port = 1;; ++port)
      if (std::none_of(devices_.begin(), devices_.end(),
                       [&](const Plugged& device) { return device.in && device.port == port; }))
        return port;
  }

  // The device in umockdev's own notation: P path, E uevent properties, A and H sysfs attributes.
  static std::string describe(const UsbFunction& function, const Plugged& device, int address) {
    const auto descriptor = function.device_descriptor();
    auto descriptors = descriptor;
    const auto config = function.config_descriptor();
    descriptors.insert(descriptors.end(), config.begin(), config.end());
    const auto vendor = read_le<std::uint16_t>(descriptor, 8);
    const auto product = read_le<std::uint16_t>(descriptor, 10);
    return fmt::format(
        "P: /devices/usb{0}/{0}-{1}\n"
        "E: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: DRIVER=usb\n"
        "E: BUSNUM={0:03}\nE: DEVNUM={2:03}\nE: DEVNAME={3}\n"
        "E: PRODUCT={4:x}/{5:x}/{6:x}\nE: TYPE={8}/{9}/{10}\n"
        "A: busnum={0}\\n\nA: devnum={2}\\n\nA: bConfigurationValue={11}\\n\nA: speed={12}\\n\n"
        "A: idVendor={4:04x}\\n\nA: idProduct={5:04x}\\n\n"
        "H: descriptors={7:02X}\n",
        kBus, device.port, address, device.node_path, vendor, product,
        read_le<std::uint16_t>(descriptor, 12), fmt::join(descriptors, ""), descriptor[4],
        descriptor[5], descriptor[6], config.size() > kConfigValueAt ? config[kConfigValueAt] : 0,
        sysfs_speed(function.speed()));
  }

  std::filesystem::path root_;
  std::mutex mutex_;
  UsbfsCounters counters_;
  std::list<Plugged> devices_;
  int next_address_ = kFirstAddress;
  Testbed testbed_;  // last: its worker, which calls the nodes, ends before they do
};

}  // namespace

Result<std::unique_ptr<UmockBus>> UmockBus::create(const UmockOptions& options) {
  g_log_set_handler(nullptr, G_LOG_LEVEL_CRITICAL, drop_client_complaint, nullptr);
  Testbed testbed(umockdev_testbed_new());
  // Asked after the testbed exists, as the answer is remembered.
  if (umockdev_in_mock_environment() == FALSE)
    return error(ErrorCode::kUnavailable,
                 "umock bus: this program runs without umockdev's preload; start it as "
                 "\"umockdev-wrapper PROGRAM\"");
  auto bus = std::make_unique<UmockBusImpl>(std::move(testbed), options);
  if (options.shows_usbfs_memory) {
    const auto parameters = bus->folder() / "sys/module/usbcore/parameters";
    std::error_code failure;
    std::filesystem::create_directories(parameters, failure);
    std::ofstream file(parameters / "usbfs_memory_mb");
    if (!(file << (options.usbfs_memory_bytes >> 20) << std::endl))
      return error(ErrorCode::kIo, "{}: cannot write it", parameters.string());
  }
  return std::unique_ptr<UmockBus>(std::move(bus));
}

}  // namespace cusp
