#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "delivery/connection_monitor_internal.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

constexpr int kEvents = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

}  // namespace

ConnectionMonitor::ConnectionMonitor(zmq::socket_t& watched)
    : watched_(watched), socket_(process_context(), zmq::socket_type::pair) {
  static std::atomic<unsigned> counter{0};
  const std::string endpoint = fmt::format("inproc://cusp-link-{}", counter++);
  if (zmq_socket_monitor(watched_.handle(), endpoint.c_str(), kEvents) != 0) throw zmq::error_t();
  socket_.set(zmq::sockopt::linger, 0);
  socket_.connect(endpoint);
}

ConnectionMonitor::~ConnectionMonitor() { zmq_socket_monitor(watched_.handle(), nullptr, 0); }

std::optional<std::string> ConnectionMonitor::fault(const std::string& endpoint) {
  std::optional<std::string> found;
  zmq::message_t event, address;
  while (socket_.recv(event, zmq::recv_flags::dontwait)) {
    static_cast<void>(socket_.recv(address, zmq::recv_flags::dontwait));
    if (event.size() < sizeof(std::uint16_t) || found) continue;
    std::uint16_t number = 0;
    std::memcpy(&number, event.data(), sizeof number);
    if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) accepted_ = true;
    if (number == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
      found = fmt::format("the store at {} does not know our key", endpoint);
    else if (number == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ||
             number == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
             (number == ZMQ_EVENT_DISCONNECTED && !accepted_))
      found = fmt::format(
          "the store at {} broke off the handshake: is its public key the right one here?",
          endpoint);
    else if (number == ZMQ_EVENT_CLOSED)
      found = fmt::format("no store listens at {}", endpoint);
    else if (number == ZMQ_EVENT_DISCONNECTED)
      found = "the connection to the store was lost";
  }
  return found;
}

}  // namespace cusp::delivery
