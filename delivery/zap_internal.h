// Private to delivery: answers libzmq's question "may this key in?" (ZAP, ZeroMQ RFC 27) for every
// handshake of this process. It must stand before a socket is bound: libzmq lets everyone in when
// nobody answers (option 93 in store_gate.cc closes that hole too). When its thread ends while it
// is needed, the process ends. The User-Id that it gives to a connection is the peer's public key
// (Z85), so that the gate can ask the registry with every message and a key that was taken away
// counts at once. Threads: one of its own. Errors: kConflict: this process has a ZAP handler
// already.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "delivery/peer_registry.h"
#include "delivery/wake_fd.h"

namespace cusp::delivery {

// The ZAP domain of the door for this role.
const char* zap_domain(Role role);

class ZapHandler {
 public:
  static Result<std::unique_ptr<ZapHandler>> start(PeerRegistry& registry);
  ~ZapHandler();

 private:
  ZapHandler(PeerRegistry& registry, zmq::socket_t socket);
  void serve();
  void answer();

  PeerRegistry& registry_;
  zmq::socket_t socket_;
  WakeFd stop_;
  std::jthread thread_;
};

}  // namespace cusp::delivery
