// WaitingTransfers: the IN transfers that a host has queued at one UsbFunction, and the bus time
// that isochronous ones take. USB/IP and usb-redir share it.
//
// Transfers of an endpoint end in the order in which they were queued; a bulk or interrupt endpoint
// without data keeps them waiting. An isochronous transfer ends when its last service interval has
// passed, data or none: each packet is asked for at that time. Endpoints take turns, so that none
// starves another. Threads: one. Errors: none; a fault ends the one transfer or packet that met it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "core/clock.h"
#include "drivers/emulation/usb_function.h"

namespace cusp {

struct WaitingTransfer {
  std::uint64_t id = 0;
  std::uint8_t endpoint = 0;  // with its IN bit
  std::size_t size_bytes = 0;
  // Isochronous: the room of each packet, and the time that each takes. Empty: no such transfer.
  std::vector<std::uint32_t> packet_bytes{};
  std::chrono::microseconds interval{0};
};

enum class TransferEnd : std::uint8_t {
  kGood,
  kStalled,
  kDamaged,   // garbled on the bus
  kOverflow,  // the function sent more than there was room for
};

struct EndedPacket {
  TransferEnd end = TransferEnd::kGood;
  std::uint32_t size_bytes = 0;
};

struct EndedTransfer {
  std::uint64_t id = 0;
  std::uint8_t endpoint = 0;
  TransferEnd end = TransferEnd::kGood;
  std::span<const std::uint8_t> bytes{};   // packets without gaps; valid during the call alone
  std::span<const EndedPacket> packets{};  // of an isochronous transfer
};

class WaitingTransfers {
 public:
  explicit WaitingTransfers(UsbFunction& function) : function_(function) {}

  void add(WaitingTransfer transfer, MonoTime now);
  // Answers the endpoint at which it waited; none: no such transfer waits.
  std::optional<std::uint8_t> cancel(std::uint64_t id);
  // Takes back all of an endpoint; answers their ids in order.
  std::vector<std::uint64_t> cancel_all(std::uint8_t endpoint);
  void clear() { endpoints_.clear(); }
  [[nodiscard]] std::size_t size() const;

  // Ends what can end by `now`, as long as `has_room` says so. `on_end` may add transfers. Answers
  // when the next isochronous transfer is due.
  std::optional<MonoTime> run(MonoTime now, const std::function<bool()>& has_room,
                              const std::function<void(const EndedTransfer&)>& on_end);

 private:
  struct Endpoint {
    std::deque<WaitingTransfer> transfers;
    MonoTime busy_until{};  // isochronous: the end of the last transfer that ended
  };
  bool run_one(std::uint8_t address, Endpoint& endpoint, MonoTime now,
               const std::function<void(const EndedTransfer&)>& on_end);
  void collect_packets(const WaitingTransfer& transfer);

  UsbFunction& function_;
  std::map<std::uint8_t, Endpoint> endpoints_;
  std::vector<std::uint8_t> bytes_;
  std::vector<EndedPacket> packets_;
};

}  // namespace cusp
