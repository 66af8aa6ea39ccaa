#include "delivery/subscriber.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <random>
#include <sstream>
#include <utility>

#include "delivery/connection_monitor_internal.h"
#include "delivery/digest.h"
#include "delivery/messages.pb.h"
#include "delivery/part_file.h"
#include "delivery/wake_fd.h"
#include "delivery/zmq_internal.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::size_t kMaxMessageBytes = kMaxChunkBytes + kMaxBodyBytes + 64 * 1024;
constexpr std::size_t kPiecesAtOnce = 8;  // asked for before the first of them is here
constexpr std::uint32_t kPieceBytes = 512 * 1024;
constexpr int kDamagedArrivalsAllowed = 2;
constexpr auto kLongestHold = std::chrono::minutes(5);

Error cancelled() { return error(ErrorCode::kCancelled, "stopped on request"); }

}  // namespace

Result<FeedPosition> load_position(FileSystem& files, const fs::path& file) {
  const auto bytes = files.read(file);
  if (!bytes.ok() && bytes.error().code == ErrorCode::kNotFound) return FeedPosition{};
  if (!bytes.ok()) return bytes.error();
  std::istringstream words(std::string(bytes->begin(), bytes->end()));
  FeedPosition position;
  std::string more;
  if (!(words >> position.seq >> position.store_epoch) || (words >> more))
    return error(ErrorCode::kCorrupt,
                 "{} does not hold a place in a feed: remove it to begin with the first event",
                 file.string());
  return position;
}

Result<void> save_position(FileSystem& files, const fs::path& file, const FeedPosition& position) {
  const std::string line = fmt::format("{} {}\n", position.seq, position.store_epoch);
  return files.write_synced(
      file, std::span(reinterpret_cast<const std::uint8_t*>(line.data()), line.size()));
}

class Subscriber::Impl {
 public:
  Impl(SubscriberOptions options, FeedPosition after, FileSystem& files, const Clock& clock)
      : options_(std::move(options)),
        files_(files),
        clock_(clock),
        position_(std::move(after)),
        delay_(options_.retry_min) {}

  Result<FeedEvent> next(const std::stop_token& stop) {
    const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
    while (!stop.stop_requested()) {
      if (!events_.empty()) {
        FeedEvent event = std::move(events_.front());
        events_.pop_front();
        position_ = event.position;
        return event;
      }
      if (link_ && link_->welcomed && link_->subscribe_request == 0 && clock_.mono() >= hold_until_)
        subscribe();
      step(stop);
    }
    return cancelled();
  }

  Result<void> fetch(const BlobRef& blob, const fs::path& target, const std::stop_token& stop) {
    const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
    fs::path part_path = target;
    part_path += ".part";
    for (int attempt = 0; attempt < kDamagedArrivalsAllowed; ++attempt) {
      CUSP_ASSIGN(const std::string arrived, receive(blob, part_path, stop));
      if (arrived == blob.sha256) return files_.rename_synced(part_path, target);
      CUSP_TRY(files_.remove(part_path));
    }
    return error(ErrorCode::kCorrupt, "file {} arrives damaged from the store at {}", blob.sha256,
                 options_.endpoint);
  }

 private:
  struct Link {
    explicit Link(const SubscriberOptions& options)
        : socket(process_context(), zmq::socket_type::dealer) {
      prepare_client(socket, {options.keys, options.store_public_z85}, kMaxMessageBytes);
      monitor.emplace(socket);
      socket.connect(options.endpoint);
    }
    zmq::socket_t socket;
    std::optional<ConnectionMonitor> monitor;
    std::uint64_t number = new_session_number();
    std::uint64_t last_request = 0;
    bool welcomed = false;
    std::uint32_t piece_bytes = kPieceBytes;
    std::uint64_t subscribe_request = 0;  // 0: none is under way
    MonoTime last_heard, last_ping;
  };
  // The file that is being fetched.
  struct Incoming {
    const BlobRef& blob;
    PartFile part;
    std::uint64_t asked = 0;  // up to here, in this session
    std::deque<std::uint64_t> requests;
    std::optional<Error> failed;
  };

  Result<std::string> receive(const BlobRef& blob, const fs::path& part_path,
                              const std::stop_token& stop) {
    CUSP_ASSIGN(auto part, PartFile::open(part_path));
    if (part.offset() > blob.size_bytes) {
      CUSP_TRY(files_.remove(part_path));
      CUSP_ASSIGN(part, PartFile::open(part_path));
    }
    incoming_.emplace(Incoming{blob, std::move(part), 0, {}, std::nullopt});
    incoming_->asked = incoming_->part.offset();
    while (incoming_->part.offset() < blob.size_bytes && !incoming_->failed &&
           !stop.stop_requested()) {
      ask_pieces();
      step(stop);
    }
    Incoming incoming = std::move(*incoming_);
    incoming_.reset();
    if (incoming.failed) return *incoming.failed;
    if (incoming.part.offset() < blob.size_bytes) return cancelled();
    return incoming.part.finish();
  }

  void ask_pieces() {
    if (!link_ || !link_->welcomed || clock_.mono() < hold_until_) return;
    Incoming& incoming = *incoming_;
    while (incoming.asked < incoming.blob.size_bytes && incoming.requests.size() < kPiecesAtOnce) {
      sxp::Fetch fetch;
      fetch.set_sha256(incoming.blob.sha256);
      Message message = make_message(MessageType::kFetch, fetch);
      message.header.offset = incoming.asked;
      message.header.credit =
          std::min<std::uint64_t>(link_->piece_bytes, incoming.blob.size_bytes - incoming.asked);
      incoming.asked += message.header.credit;
      const auto request = send(std::move(message));
      if (!request) return;
      incoming.requests.push_back(*request);
    }
  }

  void subscribe() {
    sxp::Subscribe body;
    body.set_store_epoch(position_.store_epoch);
    body.set_since(position_.seq);
    if (const auto request = send(make_message(MessageType::kSubscribe, body)))
      link_->subscribe_request = *request;
  }

  // Connects, or waits for something to happen on the connection and handles it.
  void step(const std::stop_token& stop) {
    if (!link_) {
      if (const auto wait = reconnect_at_ - clock_.mono(); wait.count() > 0)
        return pause(std::chrono::ceil<std::chrono::milliseconds>(wait));
      return connect();
    }
    const MonoTime now = clock_.mono();
    if (now - link_->last_heard > options_.progress_deadline)
      return drop(link_->welcomed ? "the store stopped answering" : "no store answers");
    if (link_->welcomed && now - link_->last_ping >= options_.heartbeat) {
      link_->last_ping = now;
      if (!send(empty_message(MessageType::kPing))) return;
    }
    MonoTime until = link_->last_heard + options_.progress_deadline;
    if (link_->welcomed) until = std::min(until, link_->last_ping + options_.heartbeat);
    if (now < hold_until_) until = std::min(until, hold_until_);
    std::array<zmq::pollitem_t, 3> items{
        zmq::pollitem_t{link_->socket.handle(), 0, ZMQ_POLLIN, 0},
        zmq::pollitem_t{link_->monitor->handle(), 0, ZMQ_POLLIN, 0},
        zmq::pollitem_t{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0}};
    poll_items(items.data(), items.size(),
               std::chrono::ceil<std::chrono::milliseconds>(
                   std::max(until - now, std::chrono::nanoseconds{0})));
    wake_.take();
    if (stop.stop_requested()) return;
    while (link_) {
      const auto received = receive_message(link_->socket, false);
      if (!received) break;
      if (!received->message.ok())
        return drop("the store sent " + received->message.error().message);
      handle(*received->message);
    }
    if (!link_) return;
    if (const auto fault = link_->monitor->fault(options_.endpoint)) drop(*fault);
  }

  void pause(std::chrono::milliseconds span) {
    zmq::pollitem_t item{nullptr, wake_.descriptor(), ZMQ_POLLIN, 0};
    poll_items(&item, 1, span);
    wake_.take();
  }

  void connect() {
    try {
      link_.emplace(options_);
    } catch (const zmq::error_t& failed) {
      return drop(fmt::format("can't connect to {}: {}", options_.endpoint, failed.what()));
    }
    link_->last_heard = link_->last_ping = clock_.mono();
    sxp::Hello hello;
    hello.set_software_version(options_.software_version);
    send(make_message(MessageType::kHello, hello));
  }

  void drop(const std::string& why, bool refused = false) {
    link_.reset();
    // What was not given out yet comes again.
    events_.clear();
    if (incoming_) {
      incoming_->requests.clear();
      incoming_->asked = incoming_->part.offset();
    }
    if (refused) delay_ = options_.retry_max;
    std::uniform_int_distribution<std::int64_t> jitter(delay_.count() / 2, delay_.count());
    reconnect_at_ = clock_.mono() + std::chrono::milliseconds(jitter(random_));
    delay_ = std::min(delay_ * 2, options_.retry_max);
    tell(why);
  }

  void tell(const std::string& problem) {
    if (std::exchange(problem_, problem) != problem && options_.on_problem)
      options_.on_problem(problem);
  }

  std::optional<std::uint64_t> send(Message message) {
    message.header.session = link_->number;
    message.header.request = ++link_->last_request;
    const std::uint64_t request = message.header.request;
    if (send_message(link_->socket, {}, std::move(message)) == Sent::kYes) return request;
    drop("the connection to the store was lost");
    return std::nullopt;
  }

  void handle(const Message& message) {
    if (message.header.session != link_->number) return;
    link_->last_heard = clock_.mono();
    const MessageType type = message.header.type;
    if (!link_->welcomed && type != MessageType::kWelcome && type != MessageType::kReject &&
        type != MessageType::kBye)
      return drop("the store spoke before its WELCOME");
    switch (type) {
      case MessageType::kWelcome:
        return on_welcome(message);
      case MessageType::kPong:
        return;
      case MessageType::kEvents:
        return on_events(message);
      case MessageType::kBlob:
        return on_blob(message);
      case MessageType::kReject:
        return on_reject(message);
      case MessageType::kBye: {
        const auto bye = parse_body<sxp::Bye>(message);
        return drop("the store ended the session: " +
                    (bye.ok() ? printable(bye->reason()) : std::string("no reason given")));
      }
      default:
        return drop("the store sent a message that no store sends");
    }
  }

  void on_welcome(const Message& message) {
    const auto welcome = parse_body<sxp::Welcome>(message);
    if (!welcome.ok() || link_->welcomed || welcome->max_chunk_bytes() == 0 ||
        welcome->store_epoch().empty() || welcome->store_epoch().size() > 64)
      return drop("the store's WELCOME breaks the rules");
    link_->welcomed = true;
    link_->piece_bytes = std::min(kPieceBytes, welcome->max_chunk_bytes());
    if (position_.store_epoch != welcome->store_epoch()) position_ = {welcome->store_epoch(), 0};
    delay_ = options_.retry_min;
    tell("");
  }

  void on_events(const Message& message) {
    const auto events = parse_body<sxp::Events>(message);
    if (!events.ok() || message.header.request != link_->subscribe_request ||
        events->store_epoch() != position_.store_epoch || events->events_size() == 0)
      return drop("the store's EVENTS break the rules");
    link_->subscribe_request = 0;
    std::uint64_t last = position_.seq;
    for (const sxp::Event& entry : events->events()) {
      if (entry.seq() <= last) return drop("the store's feed is out of order");
      last = entry.seq();
      std::vector<std::uint8_t> envelope(entry.envelope().begin(), entry.envelope().end());
      if (sha256_hex(envelope) != entry.envelope_sha256())
        return drop("the store sent an envelope that is not what its hash says");
      auto parcel = decode_parcel(envelope);
      events_.push_back({{events->store_epoch(), entry.seq()},
                         printable(entry.record_id()),
                         printable(entry.committed_at()),
                         std::move(envelope),
                         entry.envelope_sha256(),
                         std::move(parcel)});
    }
  }

  void on_blob(const Message& message) {
    // Of a fetch that failed or was stopped.
    if (!incoming_ || incoming_->requests.empty() ||
        message.header.request < incoming_->requests.front())
      return;
    Incoming& incoming = *incoming_;
    const auto name = parse_body<sxp::Chunk>(message);
    if (!name.ok() || message.header.request != incoming.requests.front() ||
        name->sha256() != incoming.blob.sha256 || message.header.offset != incoming.part.offset() ||
        message.chunk.empty() ||
        message.chunk.size() > incoming.blob.size_bytes - incoming.part.offset())
      return drop("the store's BLOB breaks the rules");
    incoming.requests.pop_front();
    if (const auto taken = incoming.part.append(message.chunk); !taken.ok())
      incoming.failed = taken.error();
  }

  void on_reject(const Message& message) {
    const auto reject = parse_body<sxp::Reject>(message);
    if (!reject.ok()) return drop(reject.error().message);
    const std::string text = printable(reject->text());
    const auto code = static_cast<RejectCode>(reject->code());
    if (reject->code() >= 300 || !link_->welcomed)
      return drop("the store refuses us: " + text, true);
    const std::uint64_t request = message.header.request;
    if (request == link_->subscribe_request) link_->subscribe_request = 0;
    if (incoming_ && !incoming_->requests.empty() && request >= incoming_->requests.front()) {
      if (code == RejectCode::kNoFile) {
        incoming_->failed = error(ErrorCode::kNotFound, "{}", text);
        return;
      }
      incoming_->requests.clear();
      incoming_->asked = incoming_->part.offset();
    }
    hold_until_ = clock_.mono() + std::clamp<std::chrono::milliseconds>(
                                      std::chrono::milliseconds(reject->retry_after_ms()),
                                      options_.retry_min, kLongestHold);
    tell(text);
  }

  const SubscriberOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  WakeFd wake_;
  FeedPosition position_;  // behind the last event that was given out
  std::deque<FeedEvent> events_;
  std::optional<Link> link_;
  std::optional<Incoming> incoming_;
  std::string problem_;
  std::chrono::milliseconds delay_;
  MonoTime reconnect_at_{};
  MonoTime hold_until_{};
  std::mt19937 random_{std::random_device{}()};
};

Subscriber::Subscriber(SubscriberOptions options, FeedPosition after, FileSystem& files,
                       const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(after), files, clock)) {}
Subscriber::~Subscriber() = default;

Result<FeedEvent> Subscriber::next(std::stop_token stop) { return impl_->next(stop); }
Result<void> Subscriber::fetch(const BlobRef& blob, const fs::path& target, std::stop_token stop) {
  return impl_->fetch(blob, target, stop);
}

}  // namespace cusp::delivery
