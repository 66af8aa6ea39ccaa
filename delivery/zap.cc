#include <array>
#include <utility>
#include <vector>

#include "delivery/zap_internal.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
// RFC 27: version, request id, domain, address, identity, mechanism, credentials.
constexpr std::size_t kRequestFrames = 7;
constexpr std::size_t kCurveKeyBytes = 32;

std::string to_z85(const zmq::message_t& key) {
  std::array<char, 41> text{};
  zmq_z85_encode(text.data(), key.data<std::uint8_t>(), key.size());
  return text.data();
}

}  // namespace

const char* zap_domain(Role role) { return role == Role::kStation ? "ingest" : "feed"; }

Result<std::unique_ptr<ZapHandler>> ZapHandler::start(PeerRegistry& registry) {
  try {
    zmq::socket_t socket(process_context(), zmq::socket_type::rep);
    socket.set(zmq::sockopt::linger, 0);
    socket.bind(kZapEndpoint);
    return std::unique_ptr<ZapHandler>(new ZapHandler(registry, std::move(socket)));
  } catch (const zmq::error_t& failed) {
    return error(ErrorCode::kConflict, "this process can't have a second gate: {}", failed.what());
  }
}

ZapHandler::ZapHandler(PeerRegistry& registry, zmq::socket_t socket)
    : registry_(registry), socket_(std::move(socket)), thread_([this] { serve(); }) {}

ZapHandler::~ZapHandler() {
  stop_.signal();
  thread_.join();
  try {
    socket_.unbind(kZapEndpoint);  // close() alone would free the name only some time later
  } catch (const zmq::error_t&) {
    return;
  }
}

void ZapHandler::serve() {
  try {
    while (!stop_.take()) {
      std::array<zmq::pollitem_t, 2> items{
          zmq::pollitem_t{socket_.handle(), 0, ZMQ_POLLIN, 0},
          zmq::pollitem_t{nullptr, stop_.descriptor(), ZMQ_POLLIN, 0}};
      poll_items(items.data(), items.size(), std::chrono::milliseconds(-1));
      if ((items[0].revents & ZMQ_POLLIN) != 0) answer();
    }
  } catch (const zmq::error_t& failed) {
    CUSP_CHECK(false, failed.what());
  }
}

void ZapHandler::answer() {
  std::vector<zmq::message_t> request;
  bool more = true;
  while (more) {
    zmq::message_t part;
    if (!socket_.recv(part, zmq::recv_flags::dontwait)) return;
    more = part.more();
    request.push_back(std::move(part));
  }
  std::string key;
  if (request.size() == kRequestFrames && request[0].to_string() == "1.0" &&
      request[5].to_string() == "CURVE" && request[6].size() == kCurveKeyBytes)
    key = to_z85(request[6]);
  registry_.refresh();
  const auto peer = key.empty() ? std::nullopt : registry_.peer_of(key);
  const bool known = peer && request[2].to_string() == zap_domain(peer->role);
  if (!known) registry_.count_refusal();
  const std::string reply[] = {"1.0",
                               request.size() > 1 ? request[1].to_string() : "",
                               known ? "200" : "400",
                               known ? "OK" : "unknown key",
                               known ? key : "",
                               ""};
  constexpr std::size_t kFrames = std::size(reply);
  for (std::size_t i = 0; i < kFrames; ++i)
    socket_.send(zmq::buffer(reply[i]),
                 i + 1 < kFrames ? zmq::send_flags::sndmore : zmq::send_flags::none);
}

}  // namespace cusp::delivery
