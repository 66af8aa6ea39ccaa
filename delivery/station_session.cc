#include "delivery/station_session.h"

#include <algorithm>
#include <set>
#include <utility>

#include "delivery/blob_reader.h"
#include "delivery/codec.h"
#include "delivery/digest.h"

namespace cusp::delivery {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMaxCreditBytes = 16 << 20;
constexpr std::size_t kReportsAtOnce = 400;
constexpr int kDamagedArrivalsAllowed = 3;
constexpr auto kLongestHold = std::chrono::minutes(5);

// Credit is what may lie in this process's queue, so no store may grant more.
std::uint64_t bounded_credit(std::uint64_t held, std::uint64_t granted) {
  return std::min(held + std::min(granted, kMaxCreditBytes), kMaxCreditBytes);
}

}  // namespace

void settle_receipts(Outbox& outbox, Worklist& worklist) {
  for (const WorklistItem& item : worklist.list()) {
    if (item.state != TicketState::kReady && item.state != TicketState::kSending) continue;
    const auto entry = outbox.find(item.ticket.id, item.ticket.revision);
    if (!entry.ok() || entry->state == OutboxState::kSending) continue;
    // Refused when the ticket moved on meanwhile, and for "ready" that is just that.
    static_cast<void>(worklist.advance(item.ticket.id, item.ticket.revision,
                                       entry->state == OutboxState::kDelivered
                                           ? TicketEvent::kReceipt
                                           : TicketEvent::kSendFailed));
  }
}

struct StationSession::Outgoing {
  struct Piece {
    std::string sha256;
    std::uint64_t size_bytes = 0;
    std::uint64_t offset = 0;  // sent up to here
    std::uint64_t durable = 0;
  };
  OutboxEntry entry;
  std::uint64_t request = 0;
  std::map<std::string, std::uint64_t> sizes;  // of all files of the parcel
  std::uint64_t present_bytes = 0;             // what the store did not ask for
  std::vector<Piece> pieces;                   // what it asked for
  std::size_t next = 0;
  std::uint64_t credit = 0;
  bool wanted = false;
  std::unique_ptr<BlobReader> reader;  // of pieces[next]
  MonoTime last_progress;
};

StationSession::StationSession(const StationLinkOptions& options, Outbox& outbox,
                               Worklist& worklist, const Clock& clock, LinkMemory& memory,
                               Send send, std::function<void()> changed)
    : options_(options),
      outbox_(outbox),
      worklist_(worklist),
      clock_(clock),
      memory_(memory),
      send_(std::move(send)),
      changed_(std::move(changed)),
      number_(new_session_number()),
      last_heard_(clock.mono()),
      last_ping_(clock.mono()) {}

StationSession::~StationSession() = default;

void StationSession::start() {
  sxp::Hello hello;
  hello.set_software_version(options_.software_version);
  hello.set_outbox_epoch(outbox_.epoch());
  if (const auto last = outbox_.latest_receipt()) {
    sxp::LastReceipt& receipt = *hello.mutable_last_receipt();
    receipt.set_store_epoch(worklist_.store_epoch());
    receipt.set_outbox_seq(last->seq);
    receipt.set_envelope_sha256(last->receipt->envelope_sha256);
  }
  send(make_message(MessageType::kHello, hello));
}

void StationSession::handle(const Message& message) {
  if (over_ || message.header.session != number_) return;
  last_heard_ = now();
  const MessageType type = message.header.type;
  if (!welcomed_ && type != MessageType::kWelcome && type != MessageType::kReject &&
      type != MessageType::kBye)
    return end("the store spoke before its WELCOME");
  switch (type) {
    case MessageType::kWelcome:
      return on_welcome(message);
    case MessageType::kPong:
      return;
    case MessageType::kWant:
      return on_want(message);
    case MessageType::kCredit:
      return on_credit(message);
    case MessageType::kCommitted:
      return on_committed(message);
    case MessageType::kReject:
      return on_reject(message);
    case MessageType::kTickets:
      return on_tickets(message);
    case MessageType::kNoted:
      return on_noted(message);
    case MessageType::kAttest:
      return on_attest(message);
    case MessageType::kRecall:
      return on_recall(message);
    case MessageType::kBye: {
      const auto bye = parse_body<sxp::Bye>(message);
      return end("the store ended the session: " +
                 (bye.ok() ? printable(bye->reason()) : std::string("no reason given")));
    }
    default:
      return end("the store sent a message that no store sends");
  }
}

void StationSession::on_welcome(const Message& message) {
  const auto welcome = parse_body<sxp::Welcome>(message);
  if (!welcome.ok() || welcomed_ || welcome->max_chunk_bytes() == 0 ||
      welcome->store_epoch().empty() || welcome->store_epoch().size() > 64)
    return end("the store's WELCOME breaks the rules");
  max_chunk_bytes_ = std::min<std::uint32_t>(welcome->max_chunk_bytes(),
                                             static_cast<std::uint32_t>(kMaxChunkBytes));
  if (worklist_.store_epoch() != welcome->store_epoch()) {
    // In this order: when the process ends in between, both happen again.
    if (const auto done = outbox_.offer_again(); !done.ok()) return end(done.error().message);
    if (const auto done = worklist_.restart(welcome->store_epoch()); !done.ok())
      return end(done.error().message);
  }
  welcomed_ = true;
  store_verifies_ = message.header.minor >= kMinorOfVerify;
  since_ = worklist_.cursor();
  ask_worklist();
}

void StationSession::ask_worklist() {
  sxp::Worklist worklist;
  worklist.set_store_epoch(worklist_.store_epoch());
  worklist.set_since(since_);
  worklist_request_ = send(make_message(MessageType::kWorklist, worklist));
}

void StationSession::on_tickets(const Message& message) {
  const auto tickets = parse_body<sxp::Tickets>(message);
  if (!tickets.ok() || message.header.request != worklist_request_ ||
      tickets->store_epoch() != worklist_.store_epoch() || tickets->changes_size() == 0)
    return end("the store's TICKETS break the rules");
  memory_.complaint.clear();
  for (const sxp::TicketChange& entry : tickets->changes()) {
    if (entry.seq() <= since_) return end("the store's worklist is out of order");
    since_ = entry.seq();
    auto ticket = from_message(entry.ticket());
    if (!ticket.ok()) {
      // One bad ticket must not keep the others away; it stays behind the durable cursor until a
      // good one moves it.
      memory_.complaint = "the store sent a ticket that can't be used: " + ticket.error().message;
      continue;
    }
    WorklistChange change{entry.seq(), std::move(*ticket), entry.open(), {}};
    if (entry.has_hold()) {
      auto hold = from_message(entry.hold());
      if (!hold.ok()) return end(hold.error().message);
      change.hold = std::move(*hold);
    }
    const auto applied = worklist_.apply(change);
    if (!applied.ok()) return end(applied.error().message);
  }
  look_ = true;
  ask_worklist();
  changed_();
}

void StationSession::on_noted(const Message& message) {
  if (!reported_ || message.header.request != reported_->request) return;
  const auto body = parse_body<sxp::Noted>(message);
  if (!body.ok()) return end(body.error().message);
  const Reported reported = *std::exchange(reported_, std::nullopt);
  for (const auto& [id, state] : reported.states) {
    noted_[id] = {state, now()};
    if (const auto told = worklist_.set_take_over(id, false); !told.ok())
      return end(told.error().message);
  }
  for (const sxp::Hold& entry : body->held()) {
    const auto hold = from_message(entry);
    if (!hold.ok()) return end(hold.error().message);
    if (const auto kept = worklist_.set_hold(entry.ticket_id(), *hold); !kept.ok())
      return end(kept.error().message);
  }
  look_ = true;
  if (body->held_size() > 0) changed_();
}

void StationSession::report_states() {
  if (reported_) return;
  Reported fresh{0, {}};
  sxp::States states;
  std::set<std::string> listed;
  for (const WorklistItem& item : worklist_.list()) {
    listed.insert(item.ticket.id);
    if (item.made_here || fresh.states.size() == kReportsAtOnce) continue;
    const auto known = noted_.find(item.ticket.id);
    const bool stale =
        known != noted_.end() && is_work(item.state) && now() - known->second.at > kHoldLasts / 3;
    if (known != noted_.end() && known->second.state == item.state && !stale && !item.take_over)
      continue;
    fresh.states[item.ticket.id] = item.state;
    sxp::TicketStateReport& report = *states.add_reports();
    report.set_ticket_id(item.ticket.id);
    report.set_state(std::string(to_string(item.state)));
    report.set_take_over(item.take_over);
  }
  std::erase_if(noted_, [&](const auto& entry) { return !listed.contains(entry.first); });
  if (fresh.states.empty()) return;
  fresh.request = send(make_message(MessageType::kStates, states));
  reported_ = std::move(fresh);
}

void StationSession::offer_next() {
  if (outgoing_ || hold_until_) return;
  const auto entry =
      outbox_.next_to_send(memory_.oldest_next ? Outbox::Which::kOldest : Outbox::Which::kNewest);
  if (!entry) return;
  memory_.oldest_next = !memory_.oldest_next;
  const auto envelope = outbox_.envelope(entry->seq);
  if (!envelope.ok()) return end(envelope.error().message);
  const auto parcel = decode_parcel(*envelope);
  auto outgoing = std::make_unique<Outgoing>();
  outgoing->entry = *entry;
  outgoing_ = std::move(outgoing);
  if (!parcel.ok())
    return put_back("its bytes in this outbox are damaged: " + parcel.error().message, true);
  for (const BlobRef& blob : parcel->all_blobs())
    outgoing_->sizes.emplace(blob.sha256, blob.size_bytes);
  outgoing_->last_progress = now();
  if (const auto marked = outbox_.mark_sending(entry->seq, 0); !marked.ok())
    return end(marked.error().message);
  advance(*entry, TicketEvent::kSend);
  sxp::Offer offer;
  offer.set_envelope(envelope->data(), envelope->size());
  offer.set_envelope_sha256(sha256_hex(*envelope));
  Message message = make_message(MessageType::kOffer, offer);
  message.header.seq = entry->seq;
  outgoing_->request = send(std::move(message));
  changed_();
}

void StationSession::verify_next() {
  if (!store_verifies_ || verifying_ || verify_again_ || outgoing_ || hold_until_) return;
  const auto entry = outbox_.next_to_verify(options_.retention);
  if (!entry) return;
  sxp::Verify verify;
  verify.set_envelope_sha256(entry->receipt->envelope_sha256);
  Message message = make_message(MessageType::kVerify, verify);
  message.header.seq = entry->seq;
  verifying_ = Verifying{send(std::move(message)), entry->seq};
}

void StationSession::on_attest(const Message& message) {
  const auto attest = parse_body<sxp::Attest>(message);
  if (!attest.ok() || !verifying_ || message.header.request != verifying_->request ||
      message.header.seq != verifying_->seq)
    return end("the store's ATTEST is for nothing that was asked");
  const std::uint64_t seq = std::exchange(verifying_, std::nullopt)->seq;
  const auto done = attest->whole() ? outbox_.remove_files(seq) : outbox_.offer_again(seq);
  if (!done.ok() && done.error().code != ErrorCode::kConflict) return end(done.error().message);
  look_ = true;
  changed_();
}

// What is not here any more can't be brought again; the store keeps telling its people.
void StationSession::on_recall(const Message& message) {
  const auto recall = parse_body<sxp::Recall>(message);
  if (!recall.ok()) return end(recall.error().message);
  for (const std::uint64_t seq : recall->outbox_seqs()) static_cast<void>(outbox_.offer_again(seq));
  look_ = true;
  changed_();
}

bool StationSession::answers_offer(const Message& message) const {
  return outgoing_ && message.header.request == outgoing_->request &&
         message.header.seq == outgoing_->entry.seq;
}

void StationSession::on_want(const Message& message) {
  const auto want = parse_body<sxp::Want>(message);
  if (!want.ok() || !answers_offer(message) || outgoing_->wanted)
    return end("the store's WANT breaks the rules");
  std::set<std::string> asked;
  for (const auto& [hash, size] : outgoing_->sizes) outgoing_->present_bytes += size;
  for (const sxp::Missing& missing : want->missing()) {
    const auto size = outgoing_->sizes.find(missing.sha256());
    if (size == outgoing_->sizes.end() || missing.durable_offset() >= size->second ||
        !asked.insert(missing.sha256()).second)
      return end("the store wants what was not offered");
    outgoing_->present_bytes -= size->second;
    outgoing_->pieces.push_back(
        {missing.sha256(), size->second, missing.durable_offset(), missing.durable_offset()});
  }
  outgoing_->wanted = true;
  outgoing_->credit = bounded_credit(0, message.header.credit);
  outgoing_->last_progress = now();
}

void StationSession::send_chunks() {
  while (!over_ && outgoing_ && outgoing_->wanted && outgoing_->credit > 0 &&
         outgoing_->next < outgoing_->pieces.size()) {
    Outgoing::Piece& piece = outgoing_->pieces[outgoing_->next];
    if (!outgoing_->reader)
      outgoing_->reader = std::make_unique<BlobReader>(outbox_.blob_path(piece.sha256));
    const std::uint64_t size = std::min(
        {std::uint64_t{max_chunk_bytes_}, piece.size_bytes - piece.offset, outgoing_->credit});
    sxp::Chunk chunk;
    chunk.set_sha256(piece.sha256);
    Message message = make_message(MessageType::kChunk, chunk);
    message.header.session = number_;
    message.header.request = outgoing_->request;
    message.header.seq = outgoing_->entry.seq;
    message.header.offset = piece.offset;
    message.chunk.resize(size);
    if (const auto read = outgoing_->reader->read(piece.offset, message.chunk); !read.ok()) {
      // Only what is lost waits for a person; the next session tries the rest again.
      if (read.error().code != ErrorCode::kCorrupt) return end(read.error().message);
      return put_back(fmt::format("file {} is lost: {}", piece.sha256, read.error().message), true);
    }
    if (!send_(std::move(message))) return end("the connection to the store was lost");
    std::uint64_t& before = memory_.sent_up_to[piece.sha256];
    memory_.bytes_sent += size;
    memory_.bytes_resent += std::min(size, before > piece.offset ? before - piece.offset : 0);
    piece.offset += size;
    before = std::max(before, piece.offset);
    outgoing_->credit -= size;
    if (piece.offset == piece.size_bytes) {
      ++outgoing_->next;
      outgoing_->reader.reset();
    }
  }
}

void StationSession::on_credit(const Message& message) {
  if (!answers_offer(message)) return;  // of an offer that ended
  const auto credit = parse_body<sxp::Credit>(message);
  if (!credit.ok() || !outgoing_->wanted) return end("the store's CREDIT breaks the rules");
  outgoing_->credit = bounded_credit(outgoing_->credit, message.header.credit);
  outgoing_->last_progress = now();
  note_progress(credit->sha256(), credit->durable_offset());
}

void StationSession::note_progress(const std::string& sha256, std::uint64_t durable_offset) {
  std::uint64_t durable = outgoing_->present_bytes;
  for (Outgoing::Piece& piece : outgoing_->pieces) {
    if (piece.sha256 == sha256)
      piece.durable = std::clamp(durable_offset, piece.durable, piece.size_bytes);
    durable += piece.durable;
  }
  static_cast<void>(outbox_.mark_sending(outgoing_->entry.seq, durable));
  changed_();
}

void StationSession::on_committed(const Message& message) {
  if (!answers_offer(message)) return end("the store's COMMITTED is for nothing that was offered");
  const auto committed = parse_body<sxp::Committed>(message);
  if (!committed.ok()) return end(committed.error().message);
  const auto receipt = from_message(committed->receipt());
  if (!receipt.ok()) return end(receipt.error().message);
  const OutboxEntry entry = outgoing_->entry;
  if (const auto done = outbox_.mark_delivered(entry.seq, *receipt); !done.ok())
    return end(done.error().message);
  advance(entry, TicketEvent::kReceipt);
  for (const auto& [hash, size] : outgoing_->sizes) memory_.sent_up_to.erase(hash);
  memory_.damaged_arrivals.erase(entry.seq);
  ++memory_.receipts;
  outgoing_.reset();
  look_ = true;
  changed_();
}

void StationSession::on_reject(const Message& message) {
  const auto reject = parse_body<sxp::Reject>(message);
  if (!reject.ok()) return end(reject.error().message);
  const std::string text = printable(reject->text());
  const auto code = static_cast<RejectCode>(reject->code());
  if (reject->code() >= 400 || code == RejectCode::kVersion || !welcomed_) {
    refused_ = true;
    return end("the store refuses this station: " + text);
  }
  if (answers_offer(message)) return on_offer_rejected(code, reject->retry_after_ms(), text);
  const auto again =
      now() + std::clamp<std::chrono::milliseconds>(
                  std::chrono::milliseconds(reject->retry_after_ms()), 1s, kLongestHold);
  if (message.header.request == worklist_request_) ask_again_ = again;
  if (verifying_ && message.header.request == verifying_->request) {
    verifying_.reset();
    verify_again_ = again;
  }
  if (reported_ && message.header.request == reported_->request) {
    reported_.reset();
    report_again_ = again;
  }
}

void StationSession::on_offer_rejected(RejectCode code, std::uint32_t retry_after_ms,
                                       const std::string& text) {
  if (code == RejectCode::kBlobHash) return park_if_damaged(text);
  const bool permanent = static_cast<std::uint32_t>(code) >= 300;
  put_back(text, permanent);
  if (!permanent)
    hold_until_ =
        now() + std::clamp<std::chrono::milliseconds>(std::chrono::milliseconds(retry_after_ms),
                                                      options_.retry_min, kLongestHold);
}

// Something arrived that is not what its name says: find out whether it left here like that.
void StationSession::park_if_damaged(const std::string& text) {
  for (const auto& [hash, size] : outgoing_->sizes) {
    const auto here = sha256_hex_of_file(outbox_.blob_path(hash));
    if (!here.ok() && here.error().code != ErrorCode::kNotFound) return end(here.error().message);
    if (!here.ok() || *here != hash)
      return put_back(fmt::format("file {} is damaged on this station's disk", hash), true);
  }
  const bool again = ++memory_.damaged_arrivals[outgoing_->entry.seq] < kDamagedArrivalsAllowed;
  put_back(text, false);
  if (!again) hold_until_ = now() + options_.retry_max;
}

void StationSession::advance(const OutboxEntry& entry, TicketEvent event) {
  // Tickets that the worklist does not hold any more, or that are being redone, go their own way.
  static_cast<void>(worklist_.advance(entry.ticket_id, entry.revision, event));
}

void StationSession::put_back(const std::string& because, bool parked) {
  const OutboxEntry entry = outgoing_->entry;
  outgoing_.reset();
  look_ = true;
  if (const auto held = outbox_.mark_held(entry.seq, because, parked); !held.ok())
    return end(held.error().message);
  advance(entry, TicketEvent::kSendFailed);
  changed_();
}

void StationSession::release(const std::string& reason) {
  if (outgoing_) put_back(reason, false);
}

void StationSession::tick() {
  if (over_) return;
  if (now() - last_heard_ > options_.progress_deadline)
    return end(welcomed_ ? "the store stopped answering" : "no store answers");
  if (outgoing_ && now() - outgoing_->last_progress > options_.progress_deadline)
    return end("the store makes no progress");
  if (!welcomed_) return;
  if (now() - last_ping_ >= options_.heartbeat) {
    last_ping_ = now();
    look_ = true;
    send(empty_message(MessageType::kPing));
  }
  const auto due = [this](std::optional<MonoTime>& time) {
    if (!time || now() < *time) return false;
    time.reset();
    return true;
  };
  if (due(ask_again_)) ask_worklist();
  if (due(report_again_) || due(hold_until_) || due(verify_again_)) look_ = true;
  if (std::exchange(look_, false)) {
    settle_receipts(outbox_, worklist_);
    if (!report_again_) report_states();
    offer_next();
    verify_next();
  }
  send_chunks();
}

MonoTime StationSession::next_tick() const {
  MonoTime next = last_heard_ + options_.progress_deadline;
  if (welcomed_) next = std::min(next, last_ping_ + options_.heartbeat);
  if (outgoing_) next = std::min(next, outgoing_->last_progress + options_.progress_deadline);
  for (const auto& time : {ask_again_, report_again_, hold_until_, verify_again_})
    if (time) next = std::min(next, *time);
  return look_ ? now() : next;
}

std::uint64_t StationSession::send(Message message) {
  message.header.session = number_;
  message.header.request = ++memory_.last_request;
  const std::uint64_t request = message.header.request;
  if (!send_(std::move(message))) end("the connection to the store was lost");
  return request;
}

void StationSession::end(std::string reason) {
  if (!over_) over_ = std::move(reason);
}

}  // namespace cusp::delivery
