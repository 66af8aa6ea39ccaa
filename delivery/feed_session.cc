#include "delivery/feed_session.h"

#include <algorithm>
#include <utility>

#include "delivery/digest.h"
#include "delivery/messages.pb.h"

namespace cusp::delivery {
namespace {

constexpr std::size_t kEventsAtOnce = 64;
constexpr std::size_t kEventsBodyBytes = 60 * 1024;

Error broken(std::string_view what) {
  return error(ErrorCode::kProtocol, "broke the rules: {}", what);
}

Message answer_to(const Message& question, Message answer) {
  answer.header.request = question.header.request;
  return answer;
}

}  // namespace

FeedSession::FeedSession(const GateContext& context, Door::Send send)
    : context_(context), send_(std::move(send)) {}

Result<void> FeedSession::handle(const Message& message) {
  switch (message.header.type) {
    case MessageType::kHello:
      CUSP_TRY(parse_body<sxp::Hello>(message));
      send_(answer_to(message, welcome_of(context_)));
      return {};
    case MessageType::kPing:
      send_(answer_to(message, empty_message(MessageType::kPong)));
      return {};
    case MessageType::kSubscribe:
      return on_subscribe(message);
    case MessageType::kFetch:
      return on_fetch(message);
    default:
      return broken("a message that no subscriber sends");
  }
}

void FeedSession::changed() { send_events(); }

std::uint64_t FeedSession::lag(std::uint64_t last_seq) const {
  return last_seq > place_ ? last_seq - place_ : 0;
}

Result<void> FeedSession::on_subscribe(const Message& message) {
  CUSP_ASSIGN(const auto subscribe, parse_body<sxp::Subscribe>(message));
  if (subscribe.store_epoch() != context_.store.store_epoch())
    return broken("a feed of another store");
  waiting_ = Waiting{message.header.request, subscribe.since()};
  place_ = subscribe.since();
  send_events();
  return {};
}

void FeedSession::send_events() {
  if (!waiting_) return;
  const auto entries = context_.store.feed_since(waiting_->since, kEventsAtOnce);
  if (!entries.ok()) {
    const auto request = std::exchange(waiting_, std::nullopt)->request;
    return reject(request, RejectCode::kStoreDown, entries.error().message);
  }
  if (entries->empty()) return;
  sxp::Events events;
  events.set_store_epoch(context_.store.store_epoch());
  std::size_t bytes = 0;
  for (const FeedEntry& entry : *entries) {
    bytes += entry.envelope.size() + 256;
    if (bytes > kEventsBodyBytes && events.events_size() > 0) break;
    sxp::Event& event = *events.add_events();
    event.set_seq(entry.seq);
    event.set_record_id(entry.record_id);
    event.set_committed_at(entry.committed_at);
    event.set_envelope(entry.envelope.data(), entry.envelope.size());
    event.set_envelope_sha256(entry.envelope_sha256);
  }
  Message message = make_message(MessageType::kEvents, events);
  message.header.request = std::exchange(waiting_, std::nullopt)->request;
  send_(std::move(message));
}

Result<void> FeedSession::on_fetch(const Message& message) {
  CUSP_ASSIGN(const auto fetch, parse_body<sxp::Fetch>(message));
  if (!is_sha256_hex(fetch.sha256())) return broken("a file's name is not a SHA-256");
  if (message.header.credit == 0 || message.header.credit > context_.options.chunk_bytes)
    return broken("a piece of a wrong size");
  const std::uint64_t request = message.header.request;
  if (const auto opened = open(fetch.sha256()); !opened.ok()) {
    const bool unknown = opened.error().code == ErrorCode::kNotFound;
    reject(request, unknown ? RejectCode::kNoFile : RejectCode::kStoreDown, opened.error().message);
    return {};
  }
  if (message.header.offset >= file_->size_bytes) return broken("a piece behind the end of a file");
  sxp::Chunk name;
  name.set_sha256(file_->sha256);
  Message piece = answer_to(message, make_message(MessageType::kBlob, name));
  piece.header.offset = message.header.offset;
  piece.chunk.resize(std::min(message.header.credit, file_->size_bytes - message.header.offset));
  if (const auto read = file_->reader->read(message.header.offset, piece.chunk); !read.ok()) {
    const std::string what = read.error().message;
    const bool lost = read.error().code == ErrorCode::kCorrupt;
    file_.reset();
    reject(request, lost ? RejectCode::kNoFile : RejectCode::kStoreDown, what);
    return {};
  }
  context_.counts.bytes_fetched += piece.chunk.size();
  send_(std::move(piece));
  return {};
}

Result<void> FeedSession::open(const std::string& sha256) {
  if (file_ && file_->sha256 == sha256) return {};
  file_.reset();
  CUSP_ASSIGN(const auto size_bytes, context_.store.file_size(sha256));
  if (!size_bytes)
    return error(ErrorCode::kNotFound, "no parcel in the feed names a file {}", sha256);
  file_.emplace(OpenFile{sha256, *size_bytes,
                         std::make_unique<BlobReader>(cas_path(context_.options.folder, sha256))});
  return {};
}

void FeedSession::reject(std::uint64_t request, RejectCode code, const std::string& text) {
  sxp::Reject body;
  body.set_code(static_cast<std::uint32_t>(code));
  body.set_retry_after_ms(static_cast<std::uint32_t>(context_.options.retry_after.count()));
  body.set_text(text);
  Message message = make_message(MessageType::kReject, body);
  message.header.request = request;
  send_(std::move(message));
}

}  // namespace cusp::delivery
