// A peer that sends whatever it likes. Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <zmq.hpp>

#include "core/uuid.h"
#include "delivery/digest.h"
#include "delivery/keys.h"
#include "delivery/messages.pb.h"
#include "delivery/wire.h"
#include "delivery/zmq_internal.h"
#include "tests/delivery/samples.h"

namespace cusp::delivery {

class RawPeer {
 public:
  RawPeer(const std::string& endpoint, const KeyPair& keys, const std::string& store_key)
      : socket_(process_context(), zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::curve_serverkey, store_key);
    socket_.set(zmq::sockopt::curve_publickey, keys.public_z85);
    socket_.set(zmq::sockopt::curve_secretkey, keys.secret_z85);
    socket_.connect(endpoint);
  }
  void send_frames(const std::vector<std::vector<std::uint8_t>>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i)
      socket_.send(zmq::buffer(frames[i]),
                   i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
  void send(Message message) {
    message.header.session = session_;
    if (message.header.request == 0) message.header.request = ++request_;
    send_message(socket_, {}, std::move(message));
  }
  void hello() {
    sxp::Hello hello;
    hello.set_outbox_epoch(epoch_);
    send(make_message(MessageType::kHello, hello));
  }
  void offer(const std::vector<std::uint8_t>& envelope, std::uint64_t seq) {
    sxp::Offer offer;
    offer.set_envelope(envelope.data(), envelope.size());
    offer.set_envelope_sha256(sha256_hex(envelope));
    Message message = make_message(MessageType::kOffer, offer);
    message.header.seq = seq;
    send(std::move(message));
  }
  void chunk(const std::string& sha256, std::uint64_t request, std::uint64_t offset,
             std::size_t size) {
    sxp::Chunk chunk;
    chunk.set_sha256(sha256);
    Message message = make_message(MessageType::kChunk, chunk);
    message.header.request = request;
    message.header.offset = offset;
    message.chunk = random_bytes(size, 1);
    send(std::move(message));
  }
  // The next message of the store within 5 s.
  std::optional<Message> receive() {
    zmq::pollitem_t item{socket_.handle(), 0, ZMQ_POLLIN, 0};
    if (!poll_items(&item, 1, std::chrono::seconds(5)) || item.revents == 0) return std::nullopt;
    auto received = receive_message(socket_, false);
    if (!received || !received->message.ok()) return std::nullopt;
    return std::move(*received->message);
  }
  MessageType answer() {
    const auto message = receive();
    EXPECT_TRUE(message.has_value()) << "no answer";
    return message ? message->header.type : MessageType{0};
  }
  RejectCode rejection() {
    const auto message = receive();
    EXPECT_TRUE(message && message->header.type == MessageType::kReject);
    return static_cast<RejectCode>(parse_body<sxp::Reject>(*message)->code());
  }
  std::uint64_t last_request() const { return request_; }
  const std::string& epoch() const { return epoch_; }
  void set_session(std::uint64_t session) { session_ = session; }

 private:
  zmq::socket_t socket_;
  std::uint64_t session_ = 77;
  std::uint64_t request_ = 0;
  const std::string epoch_ = new_uuid();
};

}  // namespace cusp::delivery
