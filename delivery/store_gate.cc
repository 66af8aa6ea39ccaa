#include "delivery/store_gate.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "delivery/messages.pb.h"
#include "delivery/station_registry.h"
#include "delivery/store_session.h"
#include "delivery/wake_fd.h"
#include "delivery/zap_internal.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;

constexpr const char* kZapDomain = "ingest";
constexpr int kZapEnforceDomain = 93;  // hidden as a draft in zmq.h 4.3.4, but it works
constexpr int kHandshakeMs = 2000;     // more lets silent connections starve the others
constexpr auto kTick = 1000ms;
constexpr auto kSessionIdle = 60s;
constexpr auto kBindPatience = 2s;  // libzmq closes the listener of an earlier gate in its own time
constexpr int kMessagesAtOnce = 64;
// The worklist request, an answer to PING and the like are small; a chunk is the largest.
constexpr std::size_t kFrameSlack = 64 * 1024;

class ZmqStoreGate final : public StoreGate {
 public:
  ZmqStoreGate(StoreGateOptions options, IngestStore& store, FileSystem& files, const Clock& clock,
               std::unique_ptr<StationRegistry> registry, std::unique_ptr<ZapHandler> zap)
      : options_(std::move(options)),
        clock_(clock),
        registry_(std::move(registry)),
        zap_(std::move(zap)),
        context_{options_, store, files, clock, counts_, load_} {}

  ~ZmqStoreGate() override {
    sessions_.clear();
    socket_.close();
  }

  Result<void> bind() {
    try {
      socket_ = zmq::socket_t(process_context(), zmq::socket_type::router);
      set_common_options(socket_,
                         std::max<std::size_t>(options_.chunk_bytes, kMaxBodyBytes) + kFrameSlack);
      socket_.set(zmq::sockopt::router_mandatory, true);
      socket_.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
      socket_.set(zmq::sockopt::backlog, 512);
      socket_.set(zmq::sockopt::curve_server, true);
      socket_.set(zmq::sockopt::curve_secretkey, options_.keys.secret_z85);
      socket_.set(zmq::sockopt::zap_domain, kZapDomain);
      const int enforce = 1;
      CUSP_CHECK(zmq_setsockopt(socket_.handle(), kZapEnforceDomain, &enforce, sizeof enforce) == 0,
                 "this libzmq can't be made to refuse keys that nobody vouches for");
    } catch (const zmq::error_t& failed) {
      return error(ErrorCode::kInvalidArgument, "the gate's socket: {}", failed.what());
    }
    return bind_patiently();
  }

  void run(std::stop_token stop) override {
    const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
    MonoTime next_tick = clock_.mono() + kTick;
    while (!stop.stop_requested()) {
      std::array<zmq::pollitem_t, 2> items{
          zmq::pollitem_t{socket_.handle(), 0, ZMQ_POLLIN, 0},
          zmq::pollitem_t{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      poll_items(items.data(), items.size(), kTick);
      if (wake_.take())
        for (auto& [route, seat] : sessions_) seat.session->worklist_changed();
      for (int i = 0; i < kMessagesAtOnce; ++i) {
        auto received = receive_message(socket_, true);
        if (!received) break;
        take(std::move(*received));
      }
      if (clock_.mono() >= next_tick) {
        tick();
        next_tick = clock_.mono() + kTick;
      }
      drop_unreachable();
      publish_counts();
    }
  }

  void notify() override { wake_.signal(); }

  std::string endpoint() const override { return endpoint_; }

  GateCounts counts() const override {
    const std::lock_guard lock(published_mutex_);
    GateCounts counts = published_;
    counts.handshakes_refused = registry_->refusals();
    counts.problem = registry_->problem();
    return counts;
  }

 private:
  struct Seat {
    std::unique_ptr<StoreSession> session;
    std::uint64_t number = 0;  // chosen by the station, echoed in every message
    std::string public_z85;
    MonoTime last_heard;
    bool unreachable = false;
  };
  using Seats = std::map<std::string, Seat>;  // by ROUTER's name of the connection

  Result<void> bind_patiently() {
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

  void take(Received received) {
    // Never true while ZAP stands; libzmq without it would let anybody in.
    const auto station =
        received.user_id.empty() ? std::nullopt : registry_->station_of(received.user_id);
    const auto seat = sessions_.find(received.route);
    if (!received.message.ok()) {
      ++counts_.messages_dropped;
      if (seat != sessions_.end()) end(seat, received.message.error().message);
      return;
    }
    const Message& message = *received.message;
    if (!station) {
      ++counts_.messages_dropped;
      refuse(received.route, message, RejectCode::kRevoked, "the store does not know this key");
      if (seat != sessions_.end()) sessions_.erase(seat);
      return;
    }
    if (message.header.major != kMajor) {
      ++counts_.messages_dropped;
      refuse(received.route, message, RejectCode::kVersion,
             fmt::format("the store speaks SXP {}.{}", kMajor, kMinor));
      return;
    }
    if (message.header.type == MessageType::kHello)
      return welcome(received.route, received.user_id, *station, message);
    if (message.header.type == MessageType::kBye) {
      if (seat != sessions_.end()) sessions_.erase(seat);
      return;
    }
    if (seat == sessions_.end() || seat->second.number != message.header.session ||
        seat->second.public_z85 != received.user_id ||
        seat->second.session->station_id() != *station) {
      ++counts_.messages_dropped;
      say_bye(received.route, message.header.session, "no session of this number: say HELLO");
      return;
    }
    seat->second.last_heard = clock_.mono();
    if (const auto done = seat->second.session->handle(message); !done.ok()) {
      ++counts_.messages_dropped;
      end(seat, done.error().message);
    }
  }

  // The newest HELLO of a station counts: two sessions would write to the same half files.
  void welcome(const std::string& route, const std::string& public_z85, const std::string& station,
               const Message& hello) {
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      const auto here = it++;
      if (here->first == route)
        sessions_.erase(here);
      else if (here->second.session->station_id() == station)
        end(here, "a newer connection of this station took over");
    }
    const std::uint64_t number = hello.header.session;
    auto session = std::make_unique<StoreSession>(
        context_, station, checked_[station],
        [this, route, number](Message message) { send(route, number, std::move(message)); });
    const auto seat =
        sessions_.emplace(route, Seat{std::move(session), number, public_z85, clock_.mono()}).first;
    if (const auto done = seat->second.session->handle(hello); !done.ok()) {
      ++counts_.messages_dropped;
      end(seat, done.error().message);
    }
  }

  void send(const std::string& route, std::uint64_t session, Message message) {
    message.header.session = session;
    if (send_message(socket_, route, std::move(message)) == Sent::kYes) return;
    // Gone, or it does not read: what is not said to it would be missed for ever in this session.
    if (const auto seat = sessions_.find(route); seat != sessions_.end())
      seat->second.unreachable = true;
  }

  void refuse(const std::string& route, const Message& message, RejectCode code, std::string text) {
    sxp::Reject body;
    body.set_code(static_cast<std::uint32_t>(code));
    body.set_text(std::move(text));
    Message answer = make_message(MessageType::kReject, body);
    answer.header.request = message.header.request;
    send(route, message.header.session, std::move(answer));
  }

  void say_bye(const std::string& route, std::uint64_t session, const std::string& reason) {
    sxp::Bye body;
    body.set_reason(reason);
    send(route, session, make_message(MessageType::kBye, body));
  }

  void end(Seats::iterator seat, const std::string& reason) {
    say_bye(seat->first, seat->second.number, reason);
    sessions_.erase(seat);
  }

  void tick() {
    registry_->refresh();
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      const auto here = it++;
      if (registry_->station_of(here->second.public_z85) != here->second.session->station_id())
        end(here, "the store does not know this key any more, or by another name");
      else if (clock_.mono() - here->second.last_heard > kSessionIdle)
        end(here, "nothing was heard for 60 s");
    }
  }

  void drop_unreachable() {
    std::erase_if(sessions_, [](const auto& entry) { return entry.second.unreachable; });
  }

  void publish_counts() {
    const std::lock_guard lock(published_mutex_);
    published_ = counts_;
    published_.sessions = sessions_.size();
  }

  const StoreGateOptions options_;
  const Clock& clock_;
  // In this order: nobody is let in before the handler stands, nor after it went.
  const std::unique_ptr<StationRegistry> registry_;
  const std::unique_ptr<ZapHandler> zap_;
  WakeFd wake_;
  GateCounts counts_;
  GateLoad load_;
  const GateContext context_;
  std::map<std::string, CheckedFiles> checked_;  // by station
  zmq::socket_t socket_;
  std::string endpoint_;
  Seats sessions_;
  mutable std::mutex published_mutex_;
  GateCounts published_;
};

}  // namespace

Result<std::unique_ptr<StoreGate>> StoreGate::bind(StoreGateOptions options, IngestStore& store,
                                                   FileSystem& files, const Clock& clock) {
  if (options.chunk_bytes == 0 || options.chunk_bytes > kMaxChunkBytes)
    return error(ErrorCode::kInvalidArgument, "chunk_bytes is 1 to {}", kMaxChunkBytes);
  CUSP_TRY(files.make_folder(options.folder / "part"));
  CUSP_TRY(files.make_folder(options.folder / "cas"));
  CUSP_ASSIGN(auto registry, StationRegistry::load(options.stations_file));
  CUSP_ASSIGN(auto zap, ZapHandler::start(*registry, kZapDomain));
  auto gate = std::make_unique<ZmqStoreGate>(std::move(options), store, files, clock,
                                             std::move(registry), std::move(zap));
  CUSP_TRY(gate->bind());
  return std::unique_ptr<StoreGate>(std::move(gate));
}

std::filesystem::path cas_path(const std::filesystem::path& folder, const std::string& sha256) {
  CUSP_CHECK(sha256.size() == 64, "the CAS holds files by their SHA-256");
  return folder / "cas" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
}

}  // namespace cusp::delivery
