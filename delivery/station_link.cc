#include "delivery/station_link.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <random>
#include <utility>

#include "delivery/connection_monitor_internal.h"
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
      prepare_client(socket, {options_.keys, options_.store_public_z85}, kMaxMessageBytes);
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
