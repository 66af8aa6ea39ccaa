// Private to delivery: what libzmq says of a connection to the store: the only way to learn why
// none comes about. Threads: the socket's.
#pragma once

#include <optional>
#include <string>
#include <zmq.hpp>

namespace cusp::delivery {

class ConnectionMonitor {
 public:
  // Throws zmq::error_t: out of descriptors, say.
  explicit ConnectionMonitor(zmq::socket_t& watched);
  ~ConnectionMonitor();
  ConnectionMonitor(const ConnectionMonitor&) = delete;
  ConnectionMonitor& operator=(const ConnectionMonitor&) = delete;

  [[nodiscard]] void* handle() { return socket_.handle(); }
  // Why the connection is no more, a sentence; nothing while it stands or may come about.
  std::optional<std::string> fault(const std::string& endpoint);

 private:
  zmq::socket_t& watched_;
  zmq::socket_t socket_;
  bool accepted_ = false;
};

}  // namespace cusp::delivery
