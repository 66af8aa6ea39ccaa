// Private to delivery: the two or three things that Cusp does with ZeroMQ sockets.
//
// Messages that break the frame rules come back as errors; exceptions of cppzmq stay inside.
// Threads: a socket belongs to one thread at a time.
#pragma once

#include <optional>
#include <string>
#include <zmq.hpp>

#include "delivery/keys.h"
#include "delivery/wire.h"

namespace cusp::delivery {

// One context for the whole life of the process, never ended: libzmq may crash when there are
// several (libzmq issue 4242), and every socket is closed by its owner anyway.
zmq::context_t& process_context();

// LINGER 0, heartbeats, keepalive, limits: what both ends have in common.
void set_common_options(zmq::socket_t& socket, std::size_t max_message_bytes);

// A DEALER's half of CURVE, with the store's key pinned; a lost connection is a lost session.
struct ClientKeys {
  const KeyPair& own;
  const std::string& store_public_z85;
};
void prepare_client(zmq::socket_t& socket, const ClientKeys& keys, std::size_t max_message_bytes);

enum class Sent {
  kYes,
  kFull,  // the peer does not read; nothing was sent
  kGone,  // the peer is not there any more
};
// `route` names the peer of a ROUTER; empty for a DEALER.
Sent send_message(zmq::socket_t& socket, const std::string& route, Message message);

struct Received {
  std::string route;    // of a ROUTER's peer
  std::string user_id;  // what the ZAP handler said of the peer; empty: nobody vouched
  Result<Message> message;
};
// Nothing when no message waits.
std::optional<Received> receive_message(zmq::socket_t& socket, bool is_router);

// False when a signal interrupted the wait; the items' revents are then unset.
bool poll_items(zmq::pollitem_t* items, std::size_t count, std::chrono::milliseconds timeout);

}  // namespace cusp::delivery
