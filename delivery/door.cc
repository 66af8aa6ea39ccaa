#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "delivery/door_internal.h"
#include "delivery/messages.pb.h"
#include "delivery/zap_internal.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;

constexpr int kZapEnforceDomain = 93;  // hidden as a draft in zmq.h 4.3.4, but it works
constexpr int kHandshakeMs = 2000;     // more lets silent connections starve the others
constexpr auto kSessionIdle = 60s;
constexpr auto kBindPatience = 2s;  // libzmq closes the listener of an earlier gate in its own time
constexpr int kMessagesAtOnce = 64;
// Before its HELLO a peer has no seat; after it, so many connections of one peer are enough.
constexpr std::size_t kSeatsOfAPeer = 16;

}  // namespace

Door::Door(DoorOptions options, PeerRegistry& registry, const Clock& clock, GateCounts& counts,
           Seating seating)
    : options_(std::move(options)),
      registry_(registry),
      clock_(clock),
      counts_(counts),
      seating_(std::move(seating)) {}

Door::~Door() { seats_.clear(); }

Result<void> Door::bind() {
  try {
    socket_ = zmq::socket_t(process_context(), zmq::socket_type::router);
    set_common_options(socket_, options_.max_message_bytes);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    socket_.set(zmq::sockopt::backlog, 512);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::curve_secretkey, options_.keys.secret_z85);
    socket_.set(zmq::sockopt::zap_domain, zap_domain(options_.role));
    const int enforce = 1;
    CUSP_CHECK(zmq_setsockopt(socket_.handle(), kZapEnforceDomain, &enforce, sizeof enforce) == 0,
               "this libzmq can't be made to refuse keys that nobody vouches for");
  } catch (const zmq::error_t& failed) {
    return error(ErrorCode::kInvalidArgument, "the gate's socket: {}", failed.what());
  }
  return bind_patiently();
}

Result<void> Door::bind_patiently() {
  const auto give_up = std::chrono::steady_clock::now() + kBindPatience;
  while (true) {
    try {
      socket_.bind(options_.endpoint);
      endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
      return {};
    } catch (const zmq::error_t& failed) {
      if (failed.num() != EADDRINUSE || std::chrono::steady_clock::now() >= give_up)
        return error(
            failed.num() == EADDRINUSE ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument,
            "can't listen on {}: {}", options_.endpoint, failed.what());
    }
    std::this_thread::sleep_for(20ms);
  }
}

void Door::serve() {
  for (int i = 0; i < kMessagesAtOnce; ++i) {
    auto received = receive_message(socket_, true);
    if (!received) break;
    take(std::move(*received));
  }
  std::erase_if(seats_, [](const auto& entry) { return entry.second.unreachable; });
}

void Door::changed() {
  for (auto& [route, seat] : seats_) seat.session->changed();
}

std::uint64_t Door::lag(std::uint64_t last_seq) const {
  std::uint64_t most = 0;
  for (const auto& [route, seat] : seats_) most = std::max(most, seat.session->lag(last_seq));
  return most;
}

bool Door::work() {
  bool more = false;
  for (auto& [route, seat] : seats_) more |= seat.session->work();
  return more;
}

void Door::end_all(const std::string& reason) {
  while (!seats_.empty()) end(seats_.begin(), reason);
}

void Door::tick() {
  for (auto it = seats_.begin(); it != seats_.end();) {
    const auto here = it++;
    const auto peer = admitted(here->second.public_z85);
    if (!peer || peer->id != here->second.peer_id)
      end(here, "the store does not know this key any more, or by another name");
    else if (clock_.mono() - here->second.last_heard > kSessionIdle)
      end(here, "nothing was heard for 60 s");
  }
}

// Empty: never true while ZAP stands; libzmq without it would let anybody in.
std::optional<Peer> Door::admitted(const std::string& public_z85) const {
  if (public_z85.empty()) return std::nullopt;
  auto peer = registry_.peer_of(public_z85);
  if (peer && peer->role != options_.role) return std::nullopt;
  return peer;
}

void Door::take(Received received) {
  const auto peer = admitted(received.user_id);
  const auto seat = seats_.find(received.route);
  if (!received.message.ok()) {
    ++counts_.messages_dropped;
    if (seat != seats_.end()) end(seat, received.message.error().message);
    return;
  }
  const Message& message = *received.message;
  if (!peer) {
    ++counts_.messages_dropped;
    refuse(received.route, message, RejectCode::kRevoked, "the store does not know this key");
    if (seat != seats_.end()) seats_.erase(seat);
    return;
  }
  if (message.header.major != kMajor) {
    ++counts_.messages_dropped;
    refuse(received.route, message, RejectCode::kVersion,
           fmt::format("the store speaks SXP {}.{}", kMajor, kMinor));
    return;
  }
  if (message.header.type == MessageType::kHello) return welcome(received.route, *peer, message);
  if (message.header.type == MessageType::kBye) {
    if (seat != seats_.end()) seats_.erase(seat);
    return;
  }
  if (seat == seats_.end() || seat->second.number != message.header.session ||
      seat->second.public_z85 != received.user_id || seat->second.peer_id != peer->id) {
    ++counts_.messages_dropped;
    say_bye(received.route, message.header.session, "no session of this number: say HELLO");
    return;
  }
  seat->second.last_heard = clock_.mono();
  hand_over(seat, message);
}

void Door::hand_over(Seats::iterator seat, const Message& message) {
  const auto done = seat->second.session->handle(message);
  if (done.ok()) return;
  if (done.error().code == ErrorCode::kProtocol) ++counts_.messages_dropped;
  end(seat, done.error().message);
}

void Door::welcome(const std::string& route, const Peer& peer, const Message& hello) {
  std::size_t others = 0;
  for (auto it = seats_.begin(); it != seats_.end();) {
    const auto here = it++;
    if (here->first == route)
      seats_.erase(here);
    else if (here->second.peer_id == peer.id && options_.one_session_a_peer)
      end(here, "a newer connection of this " + std::string(to_string(peer.role)) + " took over");
    else if (here->second.peer_id == peer.id)
      ++others;
  }
  const std::uint64_t number = hello.header.session;
  if (others >= kSeatsOfAPeer) return say_bye(route, number, "too many connections of one key");
  auto session = seating_(
      peer.id, [this, route, number](Message message) { send(route, number, std::move(message)); });
  const auto seat =
      seats_
          .emplace(route, Seat{std::move(session), number, peer.id, peer.public_z85, clock_.mono()})
          .first;
  hand_over(seat, hello);
}

void Door::send(const std::string& route, std::uint64_t session, Message message) {
  message.header.session = session;
  if (send_message(socket_, route, std::move(message)) == Sent::kYes) return;
  // Gone, or it does not read: what is not said to it would be missed for ever in this session.
  if (const auto seat = seats_.find(route); seat != seats_.end()) seat->second.unreachable = true;
}

void Door::refuse(const std::string& route, const Message& message, RejectCode code,
                  std::string text) {
  sxp::Reject body;
  body.set_code(static_cast<std::uint32_t>(code));
  body.set_text(std::move(text));
  Message answer = make_message(MessageType::kReject, body);
  answer.header.request = message.header.request;
  send(route, message.header.session, std::move(answer));
}

void Door::say_bye(const std::string& route, std::uint64_t session, const std::string& reason) {
  sxp::Bye body;
  body.set_reason(reason);
  send(route, session, make_message(MessageType::kBye, body));
}

void Door::end(Seats::iterator seat, const std::string& reason) {
  say_bye(seat->first, seat->second.number, reason);
  seats_.erase(seat);
}

}  // namespace cusp::delivery
