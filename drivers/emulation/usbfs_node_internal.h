// UsbfsNode: one plugged-in device as a client of usbfs sees it: its node, its ioctls, its queue of
// URBs.
//
// Follows the kernel's drivers/usb/core/devio.c as far as libusb uses it. The node is a FIFO of one
// page: full means "nothing to reap", empty means "reap now"; a plain file would be ready for ever
// and keep the client spinning. An isochronous URB ends when its time has passed, with empty
// packets if the function had nothing; the others wait. Threads: handle() and vanish() on
// umockdev's worker, the other verbs from any thread; a thread of its own keeps the bus's time
// while isochronous URBs wait.
#pragma once

#include <linux/usbdevice_fs.h>
#include <umockdev.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "drivers/emulation/chosen_settings.h"
#include "drivers/emulation/umock_bus.h"

namespace cusp {

// What the nodes of a bus share.
struct UsbfsCounters {
  std::atomic<std::uint64_t> ioctls{0};
  std::atomic<std::uint64_t> unhandled{0};
  std::atomic<std::size_t> urb_bytes{0};  // held by URBs now
  std::atomic<std::size_t> most_urb_bytes{0};
  std::size_t urb_bytes_allowed = 0;
  int claims_lost_at_reset = 0;
  std::atomic<bool> garbled{false};  // nothing gets through to the devices
};

class UsbfsNode {
 public:
  // Makes the FIFO at `fifo`.
  static Result<std::unique_ptr<UsbfsNode>> create(UsbFunction& function,
                                                   std::filesystem::path fifo,
                                                   UsbfsCounters& counters);
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
    IoctlData data;  // the client's struct usbdevfs_urb, with its packets
    bool done = false;
    bool time_passed = false;  // isochronous: the bus does not wait for the function
    [[nodiscard]] usbdevfs_urb& fields() const {
      return *reinterpret_cast<usbdevfs_urb*>(data->data);
    }
    [[nodiscard]] bool isochronous() const { return fields().type == USBDEVFS_URB_TYPE_ISO; }
    [[nodiscard]] std::span<usbdevfs_iso_packet_desc> packets() const;
    [[nodiscard]] std::size_t bytes() const;
  };
  using Urbs = std::list<Urb>;  // in the order of their submission
  struct Answer {
    long result = 0;
    int error_number = 0;
  };

  UsbfsNode(UsbFunction& function, std::filesystem::path fifo, int fifo_fd,
            UsbfsCounters& counters);

  // usbfs_node.cc
  Answer answer(UMockdevIoctlClient* client, unsigned request, UMockdevIoctlData* argument);
  Answer claim(UMockdevIoctlClient* client, unsigned interface, int when_missing);
  Answer release(UMockdevIoctlClient* client, unsigned interface);
  Answer set_interface(const usbdevfs_setinterface& wish);
  void set_ready(bool ready);
  // Null: the client died in the middle of its call.
  static IoctlData resolve(UMockdevIoctlData* data, std::size_t offset, std::size_t size);

  // usbfs_urbs.cc
  Answer submit(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  static IoctlData resolve_urb(UMockdevIoctlData* argument);
  // 0, or why the kernel refuses it.
  [[nodiscard]] int refusal(const Urb& urb) const;
  [[nodiscard]] std::chrono::microseconds duration(const Urb& urb) const;
  Answer reap(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  Answer discard(UMockdevIoctlClient* client, UMockdevIoctlData* argument);
  Urbs::iterator drop(Urbs::iterator urb);
  // Ends the URB if the function has something for it.
  void run(Urb& urb);
  void run_control(Urb& urb);
  void run_in(Urb& urb);
  void run_packets(Urb& urb);
  static void end(Urb& urb, int status, std::size_t size = 0);
  void keep_time(const std::stop_token& stop);

  UsbFunction* function_;  // null once pulled
  const std::filesystem::path fifo_;
  const int fifo_fd_;
  UsbfsCounters& counters_;

  std::mutex mutex_;
  bool plugged_ = true;
  bool ready_ = true;  // the FIFO is empty
  Urbs urbs_;
  std::map<unsigned, UMockdevIoctlClient*> claims_;
  int claims_to_lose_ = 0;
  ChosenSettings settings_;
  std::vector<std::uint8_t> scratch_;
  std::condition_variable_any isochronous_work_;
  std::jthread bus_time_;  // once an isochronous URB has come
};

}  // namespace cusp
