#include "delivery/station_link.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "delivery/station_session.h"
#include "delivery/wake_fd.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxMessageBytes = 256 * 1024;  // what a store sends is small
constexpr int kByeLingerMs = 100;
constexpr int kMessagesAtOnce = 64;
constexpr auto kGoodSession = 10s;  // one that lasted so long starts the backoff over

// What libzmq says of the connection: the only way to learn why none comes about.
class ConnectionMonitor {
 public:
  explicit ConnectionMonitor(zmq::socket_t& watched)
      : watched_(watched), socket_(process_context(), zmq::socket_type::pair) {
    static std::atomic<unsigned> counter{0};
    const std::string endpoint = fmt::format("inproc://cusp-link-{}", counter++);
    // Out of descriptors, say: that ends this attempt, not the daemon.
    if (zmq_socket_monitor(watched_.handle(), endpoint.c_str(), kEvents) != 0) throw zmq::error_t();
    socket_.set(zmq::sockopt::linger, 0);
    socket_.connect(endpoint);
  }
  ~ConnectionMonitor() { zmq_socket_monitor(watched_.handle(), nullptr, 0); }
  ConnectionMonitor(const ConnectionMonitor&) = delete;
  ConnectionMonitor& operator=(const ConnectionMonitor&) = delete;

  [[nodiscard]] void* handle() { return socket_.handle(); }

  // Why the connection is no more; nothing while it stands or may come about.
  std::optional<std::string> fault(const std::string& endpoint) {
    std::optional<std::string> found;
    zmq::message_t event, address;
    while (socket_.recv(event, zmq::recv_flags::dontwait)) {
      static_cast<void>(socket_.recv(address, zmq::recv_flags::dontwait));
      if (event.size() < sizeof(std::uint16_t) || found) continue;
      std::uint16_t number = 0;
      std::memcpy(&number, event.data(), sizeof number);
      if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) accepted_ = true;
      if (number == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        found = fmt::format("the store at {} does not know this station's key", endpoint);
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

 private:
  static constexpr int kEvents =
      ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
      ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
      ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
  zmq::socket_t& watched_;
  zmq::socket_t socket_;
  bool accepted_ = false;
};

}  // namespace

class StationLink::Impl {
 public:
  Impl(StationLinkOptions options, Outbox& outbox, Worklist& worklist, const Clock& clock)
      : options_(std::move(options)), outbox_(outbox), worklist_(worklist), clock_(clock) {}

  void run(std::stop_token stop) {
    const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
    settle_receipts(outbox_, worklist_);
    std::chrono::milliseconds delay = options_.retry_min;
    std::mt19937 random(std::random_device{}());
    while (!stop.stop_requested()) {
      const MonoTime started = clock_.mono();
      const std::uint64_t receipts = memory_.receipts;
      bool refused = false;
      const std::string reason = converse(stop, refused);
      publish(false, reason);
      changed();
      if (refused)
        delay = options_.retry_max;
      else if (memory_.receipts > receipts || clock_.mono() - started > kGoodSession)
        delay = options_.retry_min;
      // Stations that lost the same store must not all come back in the same moment.
      std::uniform_int_distribution<std::int64_t> jitter(delay.count() / 2, delay.count());
      pause(stop, std::chrono::milliseconds(jitter(random)));
      delay = std::min(delay * 2, options_.retry_max);
    }
  }

  void wake() { wake_.signal(); }

  LinkStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void on_change(std::function<void()> callback) {
    const std::lock_guard lock(mutex_);
    callback_ = std::move(callback);
  }

 private:
  // One socket, one session; answers why it ended.
  std::string converse(const std::stop_token& stop, bool& refused) {
    try {
      zmq::socket_t socket(process_context(), zmq::socket_type::dealer);
      prepare(socket);
      ConnectionMonitor monitor(socket);
      socket.connect(options_.endpoint);
      StationSession session(
          options_, outbox_, worklist_, clock_, memory_,
          [&socket](Message message) {
            return send_message(socket, {}, std::move(message)) == Sent::kYes;
          },
          [this] { changed(); });
      session.start();
      const std::string reason = serve(stop, socket, monitor, session);
      session.release(stop.stop_requested() ? "" : reason);
      refused = session.refused();
      return reason;
    } catch (const zmq::error_t& failed) {
      return fmt::format("can't connect to {}: {}", options_.endpoint, failed.what());
    }
  }

  void prepare(zmq::socket_t& socket) {
    set_common_options(socket, kMaxMessageBytes);
    socket.set(zmq::sockopt::sndhwm, 0);  // credit bounds what is queued
    socket.set(zmq::sockopt::handshake_ivl, 5000);
    socket.set(zmq::sockopt::reconnect_ivl, -1);  // a lost connection is a lost session
    socket.set(zmq::sockopt::curve_serverkey, options_.store_public_z85);
    socket.set(zmq::sockopt::curve_publickey, options_.keys.public_z85);
    socket.set(zmq::sockopt::curve_secretkey, options_.keys.secret_z85);
  }

  std::string serve(const std::stop_token& stop, zmq::socket_t& socket, ConnectionMonitor& monitor,
                    StationSession& session) {
    while (true) {
      session.tick();
      publish(session.welcomed(), session.over().value_or(memory_.complaint));
      if (session.over()) return *session.over();
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
          std::max(session.next_tick() - clock_.mono(), std::chrono::nanoseconds{0}));
      std::array<zmq::pollitem_t, 3> items{
          zmq::pollitem_t{socket.handle(), 0, ZMQ_POLLIN, 0},
          zmq::pollitem_t{monitor.handle(), 0, ZMQ_POLLIN, 0},
          zmq::pollitem_t{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
      poll_items(items.data(), items.size(), wait);
      if (stop.stop_requested()) {
        socket.set(zmq::sockopt::linger, kByeLingerMs);
        send_message(socket, {}, empty_message(MessageType::kBye));
        return "this station is shutting down";
      }
      if (wake_.take()) session.look();
      for (int i = 0; i < kMessagesAtOnce && !session.over(); ++i) {
        const auto received = receive_message(socket, false);
        if (!received) break;
        if (!received->message.ok()) return "the store sent " + received->message.error().message;
        session.handle(*received->message);
      }
      if (session.over()) continue;
      if (const auto fault = monitor.fault(options_.endpoint)) return *fault;
    }
  }

  void pause(const std::stop_token& stop, std::chrono::milliseconds span) {
    const MonoTime until = clock_.mono() + span;
    while (!stop.stop_requested() && clock_.mono() < until) {
      zmq::pollitem_t item{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0};
      poll_items(&item, 1, std::chrono::ceil<std::chrono::milliseconds>(until - clock_.mono()));
      wake_.take();
    }
  }

  void publish(bool connected, std::string problem) {
    const std::lock_guard lock(mutex_);
    status_.connected = connected;
    status_.problem = std::move(problem);
    status_.bytes_sent = memory_.bytes_sent;
    status_.bytes_resent = memory_.bytes_resent;
    status_.receipts = memory_.receipts;
  }

  void changed() {
    std::function<void()> callback;
    {
      const std::lock_guard lock(mutex_);
      callback = callback_;
    }
    if (callback) callback();
  }

  const StationLinkOptions options_;
  Outbox& outbox_;
  Worklist& worklist_;
  const Clock& clock_;
  WakeFd wake_;
  LinkMemory memory_;
  mutable std::mutex mutex_;
  LinkStatus status_;
  std::function<void()> callback_;
};

StationLink::StationLink(StationLinkOptions options, Outbox& outbox, Worklist& worklist,
                         const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), outbox, worklist, clock)) {}
StationLink::~StationLink() = default;

void StationLink::run(std::stop_token stop) { impl_->run(std::move(stop)); }
void StationLink::wake() { impl_->wake(); }
LinkStatus StationLink::status() const { return impl_->status(); }
void StationLink::on_change(std::function<void()> callback) {
  impl_->on_change(std::move(callback));
}

}  // namespace cusp::delivery
