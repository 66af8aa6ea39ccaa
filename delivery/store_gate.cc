#include "delivery/store_gate.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "delivery/door_internal.h"
#include "delivery/feed_session.h"
#include "delivery/peer_registry.h"
#include "delivery/store_session.h"
#include "delivery/wake_fd.h"
#include "delivery/zap_internal.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 1000ms;
// The worklist request, an answer to PING and the like are small; a chunk is the largest.
constexpr std::size_t kFrameSlack = 64 * 1024;
constexpr std::size_t kSubscriberMessageBytes = 16 * 1024;

class ZmqStoreGate final : public StoreGate {
 public:
  ZmqStoreGate(StoreGateOptions options, DeliveryStore& store, FileSystem& files,
               const Clock& clock, std::unique_ptr<PeerRegistry> registry,
               std::unique_ptr<ZapHandler> zap)
      : options_(std::move(options)),
        clock_(clock),
        registry_(std::move(registry)),
        zap_(std::move(zap)),
        context_{options_, store, files, clock, counts_, load_},
        stations_({.endpoint = options_.endpoint,
                   .role = Role::kStation,
                   .keys = options_.keys,
                   .max_message_bytes =
                       std::max<std::size_t>(options_.chunk_bytes, kMaxBodyBytes) + kFrameSlack,
                   // Two sessions would write to the same half files.
                   .one_session_a_peer = true},
                  *registry_, clock, counts_,
                  [this](const std::string& id, Door::Send send) {
                    return std::make_unique<StoreSession>(context_, id, checked_[id],
                                                          std::move(send));
                  }),
        subscribers_({.endpoint = options_.feed_endpoint,
                      .role = Role::kSubscriber,
                      .keys = options_.keys,
                      .max_message_bytes = kSubscriberMessageBytes},
                     *registry_, clock, counts_, [this](const std::string&, Door::Send send) {
                       return std::make_unique<FeedSession>(context_, std::move(send));
                     }) {}

  Result<void> bind() {
    CUSP_TRY(stations_.bind());
    if (!options_.feed_endpoint.empty()) CUSP_TRY(subscribers_.bind());
    return {};
  }

  void run(std::stop_token stop) override {
    const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
    MonoTime next_tick = clock_.mono() + kTick;
    std::vector<Door*> doors{&stations_};
    if (!options_.feed_endpoint.empty()) doors.push_back(&subscribers_);
    std::vector<zmq::pollitem_t> items{{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
    for (Door* door : doors) items.push_back({door->socket().handle(), 0, ZMQ_POLLIN, 0});
    bool work = false;
    while (!stop.stop_requested()) {
      poll_items(items.data(), items.size(), work ? 0ms : kTick);
      if (wake_.take())
        for (Door* door : doors) door->changed();
      for (Door* door : doors) door->serve();
      work = stations_.work();
      if (std::exchange(known_epochs_, counts_.epochs_renewed) != counts_.epochs_renewed)
        for (Door* door : doors) door->end_all("the store came back from an older state");
      // What a station delivered just now.
      if (std::exchange(fed_commits_, counts_.commits) != counts_.commits) subscribers_.changed();
      if (clock_.mono() >= next_tick) {
        registry_->refresh();
        for (Door* door : doors) door->tick();
        if (subscribers_.sessions() > 0) last_seq_ = context_.store.last_seq();
        counts_.feed_lag = last_seq_.ok() ? subscribers_.lag(*last_seq_) : 0;
        next_tick = clock_.mono() + kTick;
      }
      publish_counts();
    }
  }

  void notify() override { wake_.signal(); }

  std::string endpoint() const override { return stations_.endpoint(); }
  std::string feed_endpoint() const override { return subscribers_.endpoint(); }

  GateCounts counts() const override {
    const std::lock_guard lock(published_mutex_);
    GateCounts counts = published_;
    counts.handshakes_refused = registry_->refusals();
    counts.problem = registry_->problem();
    return counts;
  }

 private:
  void publish_counts() {
    ++counts_.turns;
    const std::lock_guard lock(published_mutex_);
    published_ = counts_;
    published_.sessions = stations_.sessions();
    published_.subscribers = subscribers_.sessions();
  }

  const StoreGateOptions options_;
  const Clock& clock_;
  // In this order: nobody is let in before the handler stands, nor after it went.
  const std::unique_ptr<PeerRegistry> registry_;
  const std::unique_ptr<ZapHandler> zap_;
  WakeFd wake_;
  GateCounts counts_;
  GateLoad load_;
  const GateContext context_;
  std::map<std::string, CheckedFiles> checked_;  // by station
  Door stations_;
  Door subscribers_;
  Result<std::uint64_t> last_seq_ = std::uint64_t{0};
  std::uint64_t fed_commits_ = 0, known_epochs_ = 0;
  mutable std::mutex published_mutex_;
  GateCounts published_;
};

}  // namespace

Result<std::unique_ptr<StoreGate>> StoreGate::bind(StoreGateOptions options, DeliveryStore& store,
                                                   FileSystem& files, const Clock& clock) {
  if (options.chunk_bytes == 0 || options.chunk_bytes > kMaxChunkBytes)
    return error(ErrorCode::kInvalidArgument, "chunk_bytes is 1 to {}", kMaxChunkBytes);
  CUSP_TRY(files.make_folder(options.folder / "part"));
  CUSP_TRY(files.make_folder(options.folder / "cas"));
  CUSP_ASSIGN(auto registry, PeerRegistry::load(options.stations_file));
  CUSP_ASSIGN(auto zap, ZapHandler::start(*registry));
  auto gate = std::make_unique<ZmqStoreGate>(std::move(options), store, files, clock,
                                             std::move(registry), std::move(zap));
  CUSP_TRY(gate->bind());
  return std::unique_ptr<StoreGate>(std::move(gate));
}

}  // namespace cusp::delivery
