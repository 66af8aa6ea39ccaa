#include <algorithm>
#include <cerrno>
#include <cstring>

#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

constexpr int kHighWaterMark = 64;  // messages; only a second fence, credit rules
constexpr int kHeartbeatMs = 5000;
constexpr int kHeartbeatTimeoutMs = 15000;
constexpr int kClientHandshakeMs = 5000;

template <typename Bytes>
zmq::message_t frame(const Bytes& bytes) {
  return zmq::message_t(bytes.data(), bytes.size());
}

}  // namespace

zmq::context_t& process_context() {
  static auto& context = *new zmq::context_t(1);
  return context;
}

void set_common_options(zmq::socket_t& socket, std::size_t max_message_bytes) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::sndhwm, kHighWaterMark);
  socket.set(zmq::sockopt::rcvhwm, kHighWaterMark);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(max_message_bytes));
  socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
  socket.set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
  socket.set(zmq::sockopt::heartbeat_ttl, kHeartbeatTimeoutMs);
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_maxrt, 30000);
  socket.set(zmq::sockopt::ipv6, false);
}

void prepare_client(zmq::socket_t& socket, const ClientKeys& keys, std::size_t max_message_bytes) {
  set_common_options(socket, max_message_bytes);
  socket.set(zmq::sockopt::sndhwm, 0);  // what may be on its way is bounded by the protocol
  socket.set(zmq::sockopt::handshake_ivl, kClientHandshakeMs);
  socket.set(zmq::sockopt::reconnect_ivl, -1);
  socket.set(zmq::sockopt::curve_serverkey, keys.store_public_z85);
  socket.set(zmq::sockopt::curve_publickey, keys.own.public_z85);
  socket.set(zmq::sockopt::curve_secretkey, keys.own.secret_z85);
}

Sent send_message(zmq::socket_t& socket, const std::string& route, Message message) {
  message.header.body_bytes = static_cast<std::uint32_t>(message.body.size());
  message.header.chunk_bytes = static_cast<std::uint32_t>(message.chunk.size());
  const bool is_chunk = carries_bytes(message.header.type);
  const auto more = zmq::send_flags::dontwait | zmq::send_flags::sndmore;
  try {
    if (!route.empty() && !socket.send(frame(route), more)) return Sent::kFull;
    if (!socket.send(frame(encode_header(message.header)), more))
      return route.empty() ? Sent::kFull : Sent::kGone;
    // Once the first frame is taken the others have room; what can still happen is that the peer
    // goes.
    if (!socket.send(frame(message.body), is_chunk ? more : zmq::send_flags::dontwait))
      return Sent::kGone;
    if (is_chunk && !socket.send(frame(message.chunk), zmq::send_flags::dontwait))
      return Sent::kGone;
    return Sent::kYes;
  } catch (const zmq::error_t&) {
    return Sent::kGone;
  }
}

std::optional<Received> receive_message(zmq::socket_t& socket, bool is_router) {
  std::vector<zmq::message_t> frames;
  std::size_t extra = 0;
  const std::size_t kept = kMaxFrames + (is_router ? 1 : 0);
  try {
    bool more = true;
    while (more) {
      zmq::message_t part;
      if (!socket.recv(part, zmq::recv_flags::dontwait)) return std::nullopt;
      more = part.more();
      if (frames.size() < kept)
        frames.push_back(std::move(part));
      else
        ++extra;
    }
  } catch (const zmq::error_t&) {
    return std::nullopt;
  }
  std::string route, user_id;
  if (const char* name = zmq_msg_gets(frames.back().handle(), "User-Id")) user_id = name;
  std::size_t first = 0;
  if (is_router) route = frames[first++].to_string();
  std::vector<std::span<const std::uint8_t>> views;
  for (std::size_t i = first; i < frames.size(); ++i)
    views.emplace_back(frames[i].data<std::uint8_t>(), frames[i].size());
  auto message = extra == 0 ? parse_frames(views)
                            : Result<Message>(error(ErrorCode::kProtocol, "a message of {} frames",
                                                    views.size() + extra));
  return Received{std::move(route), std::move(user_id), std::move(message)};
}

bool poll_items(zmq::pollitem_t* items, std::size_t count, std::chrono::milliseconds timeout) {
  try {
    zmq::poll(items, count, timeout);
    return true;
  } catch (const zmq::error_t& failed) {
    CUSP_CHECK(failed.num() == EINTR, failed.what());
    for (std::size_t i = 0; i < count; ++i) items[i].revents = 0;
    return false;
  }
}

}  // namespace cusp::delivery
