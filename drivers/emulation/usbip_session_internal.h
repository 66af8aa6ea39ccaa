// UsbipSession: one host that has imported one function: its transfers, until either goes.
//
// Memory is bounded: a transfer that waits is a header, its data is made when it can be sent, and
// no command is read while too much is unsent. Threads: the io_context's.
#pragma once

#include <utility>  // Boost 1.74's awaitable.hpp forgets it
// Keep apart: the order matters.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "drivers/emulation/endpoint_list.h"
#include "drivers/emulation/usbip_protocol.h"
#include "drivers/emulation/waiting_transfers.h"

namespace cusp {

class UsbipSession : public std::enable_shared_from_this<UsbipSession> {
 public:
  UsbipSession(boost::asio::ip::tcp::socket socket, UsbFunction& function, std::uint32_t device_id);

  // Sends `greeting`, then serves until the host goes, breaks the protocol, or close().
  boost::asio::awaitable<void> run(std::vector<std::uint8_t> greeting);
  // An endpoint may have data.
  void serve();
  // The function is not called any more.
  void close();

 private:
  using Awaitable = boost::asio::awaitable<bool>;  // false: the conversation is over

  Awaitable read(std::span<std::uint8_t> bytes);
  Awaitable skip(std::size_t size);
  Awaitable take(const usbip::Submit& submit);
  Awaitable take_control(const usbip::Submit& submit);
  Awaitable take_in(const usbip::Submit& submit, const ListedEndpoint& endpoint);
  Awaitable take_out(const usbip::Submit& submit);
  bool take(const usbip::Unlink& unlink);
  Awaitable room_to_answer();

  void answer(const EndedTransfer& ended);
  void send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> data,
            std::span<const std::uint8_t> tail = {});
  void write_next();
  [[nodiscard]] std::size_t waits() const;
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] const ListedEndpoint* find(std::uint8_t address) const;

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer due_;      // of the next isochronous transfer
  boost::asio::steady_timer drained_;  // cancelled whenever something was sent
  UsbFunction& function_;
  const std::uint32_t device_id_;
  const std::vector<ListedEndpoint> endpoints_;
  const UsbSpeed speed_;
  WaitingTransfers waiting_;
  std::map<std::uint64_t, std::vector<usbip::IsoPacket>> packets_;  // of waiting transfers
  std::set<std::uint32_t> unanswered_;  // control transfers to which the function says nothing
  std::deque<std::vector<std::uint8_t>> unsent_;
  std::size_t unsent_bytes_ = 0;
  bool writing_ = false;
  bool open_ = true;
};

}  // namespace cusp
