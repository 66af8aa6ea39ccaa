// UsbfsNode: one plugged-in device as a client of usbfs sees it: its node, its ioctls, its queue of
// URBs.
//
// Follows the kernel's drivers/usb/core/devio.c as far as libusb uses it. The node is a FIFO of one
// page: full means "nothing to reap", empty means "reap now"; a plain file would be ready for ever
// and keep the client spinning. Threads: handle() and vanish() on umockdev's worker, the other
// verbs from any thread.
#pragma once

#include <linux/usbdevice_fs.h>
#include <umockdev.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/emulation/umock_bus.h"

namespace cusp {

struct UmockCounters {
  std::atomic<std::uint64_t> ioctls{0};
  std::atomic<std::uint64_t> unhandled{0};
};

class UsbfsNode {
 public:
  // Makes the FIFO at `fifo`.
  static Result<std::unique_ptr<UsbfsNode>> create(UsbFunction& function,
                                                   std::filesystem::path fifo,
                                                   UmockCounters& counters);
  ~UsbfsNode();
  UsbfsNode(const UsbfsNode&) = delete;
  UsbfsNode& operator=(const UsbfsNode&) = delete;

  // Answers one ioctl of a client.
  void handle(UMockdevIoctlClient* client);
  // The client closed its file or died: its URBs and claims go with it.
  void vanish(UMockdevIoctlClient* client);
  // The cable is pulled: queued URBs end with ESHUTDOWN, later calls with ENODEV. The function is
  // let go.
  void pull();

  [[nodiscard]] const UsbFunction* function() const { return function_; }

 private:
  struct Unref {
    void operator()(UMockdevIoctlData* data) const { umockdev_ioctl_data_unref(data); }
  };
  using IoctlData = std::unique_ptr<UMockdevIoctlData, Unref>;
  struct Urb {
    UMockdevIoctlClient* client = nullptr;
    IoctlData data;  // the client's struct usbdevfs_urb
    bool done = false;
    [[nodiscard]] usbdevfs_urb& fields() const {
      return *reinterpret_cast<usbdevfs_urb*>(data->data);
    }
  };
  struct Answer {
    long result = 0;
    int error_number = 0;
  };

  UsbfsNode(UsbFunction& function, std::filesystem::path fifo, int fifo_fd,
            UmockCounters& counters);

  Answer answer(UMockdevIoctlClient* client, unsigned request, UMockdevIoctlData* argument);
  Answer claim(UMockdevIoctlClient* client, unsigned interface);
  Answer release(UMockdevIoctlClient* client, unsigned interface);
  Answer submit(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  Answer reap(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  Answer discard(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  void run_control(Urb& urb);
  // False: the endpoint has nothing yet.
  bool run_bulk_in(Urb& urb);
  static IoctlData resolve(UMockdevIoctlData* data, std::size_t offset, std::size_t size);
  void set_ready(bool ready);

  UsbFunction* function_;  // null once pulled
  const std::filesystem::path fifo_;
  const int fifo_fd_;
  UmockCounters& counters_;

  std::mutex mutex_;
  bool plugged_ = true;
  bool ready_ = true;    // the FIFO is empty
  std::list<Urb> urbs_;  // in the order of their submission
  std::map<unsigned, UMockdevIoctlClient*> claims_;
  std::vector<std::uint8_t> scratch_;
};

}  // namespace cusp
