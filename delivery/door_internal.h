// Private to delivery: one listening socket of the store (ROUTER, CURVE, ZAP) and whoever stands
// before it: a session for each connection that said HELLO.
//
// Identity is the ZAP User-Id, a CURVE key that the registry knows; a message of anybody else, of
// an unknown session, or one that breaks the rules is dropped, counted and answered with REJECT or
// BYE. Threads: the gate's.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <zmq.hpp>

#include "core/clock.h"
#include "delivery/peer_registry.h"
#include "delivery/store_gate.h"
#include "delivery/wire.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {

// One peer's conversation with the store, from its HELLO on. A pure receiver of messages: sockets,
// identity and the session's number are the door's business.
class PeerSession {
 public:
  virtual ~PeerSession() = default;
  // An error ends the session, its message tells the peer why: kProtocol, it broke the rules.
  virtual Result<void> handle(const Message& message) = 0;
  // The worklist or the feed changed: answer whoever waits for that.
  virtual void changed() = 0;
  // How many events the peer lacks, when the newest is `last_seq`.
  [[nodiscard]] virtual std::uint64_t lag(std::uint64_t) const { return 0; }
  // A slice of something long; true: there is more of it.
  virtual bool work() { return false; }
};

struct DoorOptions {
  std::string endpoint;
  Role role = Role::kStation;  // whom it lets in
  KeyPair keys;
  std::size_t max_message_bytes = 0;
  // The newest HELLO of a peer counts, older sessions get BYE.
  bool one_session_a_peer = false;
};

class Door {
 public:
  using Send = std::function<void(Message)>;
  using Seating = std::function<std::unique_ptr<PeerSession>(const std::string& peer_id, Send)>;

  Door(DoorOptions options, PeerRegistry& registry, const Clock& clock, GateCounts& counts,
       Seating seating);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  Result<void> bind();
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] zmq::socket_t& socket() { return socket_; }
  [[nodiscard]] std::size_t sessions() const { return seats_.size(); }
  // Of the session that lacks most.
  [[nodiscard]] std::uint64_t lag(std::uint64_t last_seq) const;

  // Handles what waits, up to a limit, so that each door has its turn.
  void serve();
  void changed();
  // A slice for each session that has long work; true: there is more.
  bool work();
  void end_all(const std::string& reason);
  // Once a second: who was revoked, who is silent.
  void tick();

 private:
  struct Seat {
    std::unique_ptr<PeerSession> session;
    std::uint64_t number = 0;  // chosen by the peer, echoed in every message
    std::string peer_id;
    std::string public_z85;
    MonoTime last_heard;
    bool unreachable = false;
  };
  using Seats = std::map<std::string, Seat>;  // by ROUTER's name of the connection

  [[nodiscard]] std::optional<Peer> admitted(const std::string& public_z85) const;
  Result<void> bind_patiently();
  void take(Received received);
  void hand_over(Seats::iterator seat, const Message& message);
  void welcome(const std::string& route, const Peer& peer, const Message& hello);
  void send(const std::string& route, std::uint64_t session, Message message);
  void refuse(const std::string& route, const Message& message, RejectCode code, std::string text);
  void say_bye(const std::string& route, std::uint64_t session, const std::string& reason);
  void end(Seats::iterator seat, const std::string& reason);

  const DoorOptions options_;
  PeerRegistry& registry_;
  const Clock& clock_;
  GateCounts& counts_;
  const Seating seating_;
  zmq::socket_t socket_;
  std::string endpoint_;
  Seats seats_;
};

}  // namespace cusp::delivery
