#include "delivery/store_session.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/text.h"
#include "core/uuid.h"
#include "delivery/codec.h"
#include "delivery/digest.h"

namespace cusp::delivery {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAllWindowsBytes = 64 << 20;  // over all transfers
constexpr std::size_t kTicketsAtOnce = 64;
constexpr std::size_t kTicketsBodyBytes = 60 * 1024;
constexpr int kMaxReports = 500;               // so that an answer that names them all fits
constexpr std::size_t kRecalledAtMost = 5000;  // in a session
// One station that is wrong must not keep the whole clinic sending its outboxes again.
constexpr auto kBetweenEpochs = std::chrono::minutes(10);

Error broken(std::string_view what) {
  return error(ErrorCode::kProtocol, "broke the rules: {}", what);
}

std::uint64_t size_of(const fs::path& path) {
  std::error_code missing;
  const auto size = fs::file_size(path, missing);
  return missing ? 0 : size;
}

}  // namespace

struct StoreSession::Transfer {
  std::uint64_t request = 0;
  std::uint64_t seq = 0;
  Parcel parcel;
  std::vector<std::uint8_t> envelope;
  std::string envelope_sha256;
  std::vector<BlobRef> files;    // each once
  std::vector<BlobRef> missing;  // in the order in which they come
  std::size_t next = 0;
  std::optional<PartFile> part;  // of missing[next]
  std::uint64_t credit = 0;      // what the station may still send
  std::uint64_t window = 0;
  std::uint64_t owed = 0;          // taken in, not yet granted again
  std::uint64_t outstanding = 0;   // still to come
  std::optional<Receipt> repairs;  // it was committed before; these are files that got lost since
};

Message welcome_of(const GateContext& context) {
  sxp::Welcome welcome;
  welcome.set_max_chunk_bytes(context.options.chunk_bytes);
  welcome.set_store_epoch(context.store.store_epoch());
  welcome.set_store_time(to_rfc3339(context.clock.wall()));
  return make_message(MessageType::kWelcome, welcome);
}

StoreSession::StoreSession(const GateContext& context, std::string station_id,
                           CheckedFiles& checked, Door::Send send)
    : context_(context),
      station_id_(std::move(station_id)),
      checked_(checked),
      send_(std::move(send)) {}

StoreSession::~StoreSession() { end_transfer(); }

Result<void> StoreSession::handle(const Message& message) {
  switch (message.header.type) {
    case MessageType::kHello:
      return on_hello(message);
    case MessageType::kPing:
      reply(message, empty_message(MessageType::kPong));
      return {};
    case MessageType::kOffer:
      return on_offer(message);
    case MessageType::kChunk:
      return on_chunk(message);
    case MessageType::kWorklist:
      return on_worklist(message);
    case MessageType::kStates:
      return on_states(message);
    case MessageType::kVerify:
      return on_verify(message);
    default:
      return broken("a message that no station sends");
  }
}

Result<void> StoreSession::on_hello(const Message& message) {
  CUSP_ASSIGN(const auto hello, parse_body<sxp::Hello>(message));
  if (!is_uuid(hello.outbox_epoch())) return broken("outbox_epoch is not a UUID");
  outbox_epoch_ = hello.outbox_epoch();
  if (hello.has_last_receipt()) CUSP_TRY(check_memory(hello.last_receipt()));
  reply(message, welcome_of(context_));
  may_recall_ = message.header.minor >= kMinorOfVerify;
  send_recall();
  return {};
}

// A receipt that this store gave and does not know: somebody put an older copy of its data in
// place.
Result<void> StoreSession::check_memory(const sxp::LastReceipt& last) {
  if (last.store_epoch() != context_.store.store_epoch()) return {};  // it will offer all anyway
  const auto known = context_.store.find_receipt(station_id_, outbox_epoch_, last.outbox_seq());
  if (!known.ok()) return error(ErrorCode::kUnavailable, "can't now: {}", known.error().message);
  if (known->has_value() && (*known)->envelope_sha256 == last.envelope_sha256()) return {};
  if (context_.clock.mono() < context_.load.epoch_may_change_after)
    return error(ErrorCode::kUnavailable,
                 "can't now: it found out just now that it lost deliveries");
  CUSP_TRY(context_.store.renew_epoch(
      fmt::format("station {} holds a receipt for entry {} of outbox {}, the store has none",
                  station_id_, last.outbox_seq(), outbox_epoch_)));
  context_.load.epoch_may_change_after = context_.clock.mono() + kBetweenEpochs;
  ++context_.counts.epochs_renewed;
  return error(ErrorCode::kUnavailable, "came back from an older state: offer again what you hold");
}

Result<void> StoreSession::on_offer(const Message& message) {
  end_transfer();
  if (message.header.request <= ended_request_) return broken("an old request number");
  CUSP_ASSIGN(const auto offer, parse_body<sxp::Offer>(message));
  ended_request_ = message.header.request;

  auto transfer = std::make_unique<Transfer>();
  transfer->request = message.header.request;
  transfer->seq = message.header.seq;
  transfer->envelope.assign(offer.envelope().begin(), offer.envelope().end());
  transfer->envelope_sha256 = sha256_hex(transfer->envelope);
  if (offer.envelope_sha256() != transfer->envelope_sha256)
    return broken("an envelope that is not what its hash says");
  auto parcel = decode_parcel(transfer->envelope);
  if (!parcel.ok()) {
    reject(transfer->request, transfer->seq, {RejectCode::kMalformed, 0, parcel.error().message});
    return {};
  }
  transfer->parcel = std::move(*parcel);
  if (const auto failure = check_parcel(message, transfer->parcel)) {
    reject(transfer->request, transfer->seq, *failure);
    return {};
  }
  if (answer_repeat(message, *transfer)) return {};

  auto failure = start_transfer(*transfer);
  if (!failure && transfer->missing.empty()) failure = finish_transfer(*transfer);
  if (failure) {
    reject(transfer->request, transfer->seq, *failure);
    return {};
  }
  if (transfer->missing.empty()) return {};

  sxp::Want want;
  for (const BlobRef& file : transfer->missing) {
    sxp::Missing& missing = *want.add_missing();
    missing.set_sha256(file.sha256);
    missing.set_durable_offset(size_of(part_path(file.sha256)));
  }
  Message answer = make_message(MessageType::kWant, want);
  answer.header.credit = transfer->credit;
  reply(message, std::move(answer));
  transfer_ = std::move(transfer);
  ++context_.load.transfers;
  context_.load.outstanding_bytes += transfer_->outstanding;
  return {};
}

std::optional<StoreSession::Failure> StoreSession::check_parcel(const Message& offer,
                                                                const Parcel& parcel) const {
  if (parcel.station_id != station_id_)
    return Failure{RejectCode::kIdentity, 0,
                   fmt::format("the parcel names station {}, the key belongs to {}",
                               parcel.station_id, station_id_)};
  if (parcel.outbox_epoch != outbox_epoch_ || parcel.outbox_seq != offer.header.seq)
    return Failure{RejectCode::kMalformed, 0,
                   "the parcel is not from this outbox or not this entry"};
  std::uint64_t parcel_bytes = 0;
  for (const BlobRef& file : parcel.all_blobs()) {
    if (file.size_bytes > context_.options.max_blob_bytes)
      return Failure{RejectCode::kTooLarge, 0,
                     fmt::format("file {} has {} bytes, the store takes at most {}", file.file_name,
                                 file.size_bytes, context_.options.max_blob_bytes)};
    if (file.size_bytes > context_.options.max_parcel_bytes - parcel_bytes)
      return Failure{RejectCode::kTooLarge, 0,
                     fmt::format("the parcel's files have more than the {} bytes that the store "
                                 "takes at most",
                                 context_.options.max_parcel_bytes)};
    parcel_bytes += file.size_bytes;
  }
  return std::nullopt;
}

bool StoreSession::answer_repeat(const Message& offer, Transfer& transfer) {
  const Parcel& parcel = transfer.parcel;
  auto known = context_.store.find_receipt(station_id_, outbox_epoch_, offer.header.seq);
  if (known.ok() && !known->has_value())
    known =
        context_.store.find_delivery(station_id_, outbox_epoch_, parcel.ticket_id, parcel.revision);
  if (!known.ok()) {
    reject(offer.header.request, offer.header.seq,
           {RejectCode::kStoreDown, retry_after_ms(), known.error().message});
    return true;
  }
  if (!known->has_value()) return false;
  if ((*known)->envelope_sha256 != transfer.envelope_sha256) {
    ++context_.counts.conflicts;
    reject(offer.header.request, offer.header.seq,
           {RejectCode::kConflict, 0,
            fmt::format("the store has other content for ticket {} revision {} (entry {} of this "
                        "outbox)",
                        parcel.ticket_id, parcel.revision, offer.header.seq)});
    return true;
  }
  for (const BlobRef& file : parcel.all_blobs())
    if (!is_in_cas(context_.options.folder, file)) transfer.repairs = **known;
  if (transfer.repairs) return false;
  ++context_.counts.repeats;
  sxp::Committed committed;
  *committed.mutable_receipt() = to_message(**known);
  reply(offer, make_message(MessageType::kCommitted, committed));
  return true;
}

StoreSession::Failure StoreSession::down(const Error& failed) const {
  return {failed.code == ErrorCode::kNoSpace ? RejectCode::kNoSpace : RejectCode::kStoreDown,
          retry_after_ms(), failed.message};
}

// A file that lies in the CAS already is asked for all the same, unless this station brought it
// there: otherwise naming a hash would be enough to get hold of another patient's file.
std::optional<StoreSession::Failure> StoreSession::start_transfer(Transfer& transfer) {
  const fs::path folder = context_.options.folder / "part" / station_id_;
  if (const auto made = context_.files.make_folder(folder); !made.ok()) return down(made.error());

  std::set<std::string> named;
  for (const BlobRef& file : transfer.parcel.all_blobs())
    if (named.insert(file.sha256).second &&
        (!transfer.repairs || !is_in_cas(context_.options.folder, file)))
      transfer.files.push_back(file);
  std::erase_if(checked_, [&](const std::string& hash) { return !named.contains(hash); });
  if (const auto dropped = drop_other_parts(transfer); !dropped.ok()) return down(dropped.error());

  for (const BlobRef& file : transfer.files) {
    const fs::path path = part_path(file.sha256);
    if (is_here(file)) continue;
    checked_.erase(file.sha256);
    std::uint64_t there = size_of(path);
    if (there >= file.size_bytes) {
      // Complete, but perhaps not flushed: the process may have ended right there.
      auto part = PartFile::open(path);
      if (!part.ok()) return down(part.error());
      const auto hash = part->finish();
      if (hash.ok() && *hash == file.sha256) {
        checked_.insert(file.sha256);
        continue;
      }
      if (const auto gone = context_.files.remove(path); !gone.ok()) return down(gone.error());
      there = 0;
    }
    transfer.missing.push_back(file);
    transfer.outstanding += file.size_bytes - there;
  }
  const auto free = context_.files.free_bytes(context_.options.folder);
  if (!free.ok()) return down(free.error());
  const std::uint64_t promised = context_.load.outstanding_bytes;
  if (*free < transfer.outstanding + promised + context_.options.min_free_bytes)
    return Failure{RejectCode::kNoSpace, retry_after_ms(),
                   fmt::format("the store's disk has {} MB free, it needs {} MB for this, {} MB "
                               "for what is arriving already and {} MB as reserve",
                               *free >> 20, transfer.outstanding >> 20, promised >> 20,
                               context_.options.min_free_bytes >> 20)};

  transfer.window = std::clamp(
      kAllWindowsBytes / (context_.load.transfers + 1), std::uint64_t{context_.options.chunk_bytes},
      std::max(context_.options.window_bytes, std::uint64_t{context_.options.chunk_bytes}));
  transfer.credit = transfer.window;
  return std::nullopt;
}

bool StoreSession::is_here(const BlobRef& file) const {
  return checked_.contains(file.sha256) && (size_of(part_path(file.sha256)) == file.size_bytes ||
                                            is_in_cas(context_.options.folder, file));
}

// The store keeps uncommitted files of a station's latest offer only: that bounds what a station
// can fill.
Result<void> StoreSession::drop_other_parts(const Transfer& transfer) {
  CUSP_ASSIGN(const auto names,
              context_.files.list(context_.options.folder / "part" / station_id_));
  for (const std::string& name : names)
    if (std::none_of(transfer.files.begin(), transfer.files.end(),
                     [&](const BlobRef& file) { return file.sha256 == name; }))
      CUSP_TRY(context_.files.remove(part_path(name)));
  return {};
}

Result<void> StoreSession::on_chunk(const Message& message) {
  if (message.header.request <= ended_request_ &&
      (!transfer_ || message.header.request != transfer_->request))
    return {};  // was on its way when the offer ended
  if (!transfer_ || message.header.request != transfer_->request)
    return broken("a chunk without an offer");
  CUSP_ASSIGN(const auto chunk, parse_body<sxp::Chunk>(message));
  Transfer& transfer = *transfer_;
  const BlobRef& file = transfer.missing[transfer.next];
  if (chunk.sha256() != file.sha256) return broken("a chunk of another file");
  if (message.chunk.empty() || message.chunk.size() > context_.options.chunk_bytes)
    return broken("a chunk of a wrong size");
  if (message.chunk.size() > transfer.credit) return broken("more bytes than were granted");
  if (message.header.offset > file.size_bytes ||
      message.chunk.size() > file.size_bytes - message.header.offset)
    return broken("bytes behind the end of the file");

  auto failure = open_part(transfer);
  if (!failure && message.header.offset != transfer.part->offset())
    return broken("a chunk at an offset that is not the next one");
  if (!failure) failure = take_chunk(transfer, message);
  if (!failure && transfer.next == transfer.missing.size()) failure = finish_transfer(transfer);
  if (failure) reject(transfer.request, transfer.seq, *failure);
  if (failure || transfer.next == transfer.missing.size()) end_transfer();
  return {};
}

std::optional<StoreSession::Failure> StoreSession::open_part(Transfer& transfer) {
  if (transfer.part) return std::nullopt;
  auto part = PartFile::open(part_path(transfer.missing[transfer.next].sha256));
  if (!part.ok()) return down(part.error());
  transfer.part = std::move(*part);
  return std::nullopt;
}

std::optional<StoreSession::Failure> StoreSession::take_chunk(Transfer& transfer,
                                                              const Message& chunk) {
  const BlobRef& file = transfer.missing[transfer.next];
  if (const auto taken = transfer.part->append(chunk.chunk); !taken.ok()) {
    // What the file holds is no longer known: it starts over.
    transfer.part.reset();
    static_cast<void>(context_.files.remove(part_path(file.sha256)));
    return down(taken.error());
  }
  context_.counts.bytes_received += chunk.chunk.size();
  transfer.credit -= chunk.chunk.size();
  transfer.owed += chunk.chunk.size();
  transfer.outstanding -= chunk.chunk.size();
  context_.load.outstanding_bytes -= chunk.chunk.size();
  const std::uint64_t durable = transfer.part->durable_offset();
  const bool complete = transfer.part->offset() == file.size_bytes;
  if (complete)
    if (auto failure = finish_part(transfer)) return failure;
  if (complete || transfer.owed >= transfer.window / 4) {
    sxp::Credit credit;
    credit.set_sha256(file.sha256);
    credit.set_durable_offset(complete ? file.size_bytes : durable);
    Message message = make_message(MessageType::kCredit, credit);
    message.header.credit = transfer.owed;
    transfer.credit += std::exchange(transfer.owed, 0);
    reply(chunk, std::move(message));
  }
  return std::nullopt;
}

std::optional<StoreSession::Failure> StoreSession::finish_part(Transfer& transfer) {
  const BlobRef& file = transfer.missing[transfer.next];
  const auto hash = transfer.part->finish();
  transfer.part.reset();
  if (!hash.ok() || *hash != file.sha256) {
    static_cast<void>(context_.files.remove(part_path(file.sha256)));
    if (!hash.ok()) return down(hash.error());
    return Failure{RejectCode::kBlobHash, 0,
                   fmt::format("file {} arrived as {}", file.sha256, *hash)};
  }
  checked_.insert(file.sha256);
  ++transfer.next;
  return std::nullopt;
}

std::optional<StoreSession::Failure> StoreSession::finish_transfer(Transfer& transfer) {
  for (const BlobRef& file : transfer.files) {
    // Moved when this parcel was offered before.
    if (size_of(part_path(file.sha256)) != file.size_bytes) continue;
    const fs::path target = cas_path(context_.options.folder, file.sha256);
    if (const auto made = context_.files.make_folder(target.parent_path()); !made.ok())
      return down(made.error());
    if (const auto moved = context_.files.rename_synced(part_path(file.sha256), target);
        !moved.ok()) {
      checked_.erase(file.sha256);  // perhaps moved, and not flushed: it starts over
      return down(moved.error());
    }
  }
  const auto receipt = transfer.repairs ? mend(transfer) : commit(transfer);
  if (!receipt.ok() && receipt.error().code == ErrorCode::kConflict) {
    ++context_.counts.conflicts;
    return Failure{RejectCode::kConflict, 0, receipt.error().message};
  }
  if (!receipt.ok()) return down(receipt.error());
  checked_.clear();
  sxp::Committed committed;
  *committed.mutable_receipt() = to_message(*receipt);
  Message message = make_message(MessageType::kCommitted, committed);
  message.header.request = transfer.request;
  message.header.seq = transfer.seq;
  send_(std::move(message));
  return std::nullopt;
}

Result<Receipt> StoreSession::commit(const Transfer& transfer) {
  auto receipt =
      context_.store.commit(transfer.parcel, transfer.envelope, transfer.envelope_sha256);
  if (receipt.ok()) ++context_.counts.commits;
  return receipt;
}

Result<Receipt> StoreSession::mend(const Transfer& transfer) {
  for (const BlobRef& file : transfer.files)
    CUSP_TRY(context_.store.mark_damaged(file.sha256, false));
  context_.counts.mended += transfer.files.size();
  recalled_.erase(transfer.seq);
  return *transfer.repairs;
}

std::uint32_t StoreSession::retry_after_ms() const {
  return static_cast<std::uint32_t>(context_.options.retry_after.count());
}

void StoreSession::end_transfer() {
  if (!transfer_) return;
  --context_.load.transfers;
  context_.load.outstanding_bytes -= transfer_->outstanding;
  transfer_.reset();
}

Result<void> StoreSession::on_worklist(const Message& message) {
  CUSP_ASSIGN(const auto worklist, parse_body<sxp::Worklist>(message));
  if (worklist.store_epoch() != context_.store.store_epoch())
    return broken("a worklist of another store");
  waiting_ = WaitingWorklist{message.header.request, worklist.since()};
  send_tickets();
  return {};
}

void StoreSession::changed() {
  send_tickets();
  send_recall();
}

// Reads every file of a delivered parcel again: only then may the station remove its own.
Result<void> StoreSession::on_verify(const Message& message) {
  CUSP_ASSIGN(const auto verify, parse_body<sxp::Verify>(message));
  const std::uint64_t request = message.header.request, seq = message.header.seq;
  const auto known = context_.store.find_receipt(station_id_, outbox_epoch_, seq);
  auto files = context_.store.files_of(station_id_, outbox_epoch_, seq);
  if (!known.ok() || !files.ok()) {
    reject(request, seq, down(known.ok() ? files.error() : known.error()));
    return {};
  }
  verifying_.emplace();
  verifying_->request = request;
  verifying_->seq = seq;
  if (!known->has_value() || (*known)->envelope_sha256 != verify.envelope_sha256() ||
      !files->has_value())
    end_verifying(false);
  else
    verifying_->files = std::move(**files);
  return {};
}

bool StoreSession::work() {
  if (!verifying_) return false;
  Verifying& now = *verifying_;
  if (now.next == now.files.size()) {
    end_verifying(now.whole);
    return false;
  }
  const BlobRef& file = now.files[now.next];
  if (!now.check) now.check.emplace(context_.options.folder, file);
  const auto verdict = now.check->step();
  Result<void> marked;
  if (verdict.ok() && *verdict == FileCheck::Verdict::kGoesOn) return true;
  if (verdict.ok() && *verdict == FileCheck::Verdict::kDamaged) {
    now.whole = false;
    ++context_.counts.damaged;
    marked = set_aside(context_.files, context_.options.folder, file.sha256);
    if (marked.ok()) marked = context_.store.mark_damaged(file.sha256, true);
  }
  if (!verdict.ok() || !marked.ok()) {
    reject(now.request, now.seq, down(verdict.ok() ? marked.error() : verdict.error()));
    verifying_.reset();
    return false;
  }
  now.check.reset();
  ++now.next;
  return true;
}

void StoreSession::end_verifying(bool whole) {
  sxp::Attest attest;
  attest.set_whole(whole);
  Message message = make_message(MessageType::kAttest, attest);
  message.header.request = verifying_->request;
  message.header.seq = verifying_->seq;
  verifying_.reset();
  if (whole) ++context_.counts.attested;
  send_(std::move(message));
}

// Whoever held them when they were lost may hold them still. A failure of the database is told with
// the next thing that needs it.
void StoreSession::send_recall() {
  if (!may_recall_) return;
  const auto lost = context_.store.damaged_deliveries(station_id_, outbox_epoch_);
  if (!lost.ok()) return;
  sxp::Recall recall;
  for (const std::uint64_t seq : *lost)
    if (recalled_.size() < kRecalledAtMost && recalled_.insert(seq).second)
      recall.add_outbox_seqs(seq);
  if (recall.outbox_seqs_size() > 0) send_(make_message(MessageType::kRecall, recall));
}

void StoreSession::send_tickets() {
  if (!waiting_) return;
  const auto changes = context_.store.worklist_since(waiting_->since, kTicketsAtOnce);
  if (!changes.ok()) {
    reject(waiting_->request, 0,
           {RejectCode::kStoreDown, retry_after_ms(), changes.error().message});
    waiting_.reset();
    return;
  }
  if (changes->empty()) return;
  sxp::Tickets tickets;
  tickets.set_store_epoch(context_.store.store_epoch());
  std::size_t bytes = 0;
  for (const WorklistChange& change : *changes) {
    sxp::TicketChange entry;
    entry.set_seq(change.seq);
    entry.set_open(change.open);
    *entry.mutable_ticket() = to_message(change.ticket);
    if (change.hold) *entry.mutable_hold() = to_message(change.ticket.id, *change.hold);
    bytes += entry.ByteSizeLong();
    if (bytes > kTicketsBodyBytes && tickets.changes_size() > 0) break;
    *tickets.add_changes() = std::move(entry);
  }
  Message message = make_message(MessageType::kTickets, tickets);
  message.header.request = std::exchange(waiting_, std::nullopt)->request;
  send_(std::move(message));
}

Result<void> StoreSession::on_states(const Message& message) {
  CUSP_ASSIGN(const auto states, parse_body<sxp::States>(message));
  if (states.reports_size() > kMaxReports) return broken("too many states at once");
  sxp::Noted answer;
  for (const sxp::TicketStateReport& report : states.reports()) {
    const auto state = ticket_state_from(report.state());
    if (!is_uuid(report.ticket_id()) || !state) return broken("a state that does not exist");
    const auto noted =
        context_.store.report_state(station_id_, report.ticket_id(), *state, report.take_over());
    if (!noted.ok() && noted.error().code != ErrorCode::kNotFound) {
      reject(message.header.request, 0,
             {RejectCode::kStoreDown, retry_after_ms(), noted.error().message});
      return {};
    }
    if (noted.ok() && noted->has_value())
      *answer.add_held() = to_message(report.ticket_id(), **noted);
  }
  reply(message, make_message(MessageType::kNoted, answer));
  return {};
}

void StoreSession::reply(const Message& to, Message message) {
  message.header.request = to.header.request;
  message.header.seq = to.header.seq;
  send_(std::move(message));
}

void StoreSession::reject(std::uint64_t request, std::uint64_t seq, const Failure& failure) {
  sxp::Reject body;
  body.set_code(static_cast<std::uint32_t>(failure.code));
  body.set_retry_after_ms(failure.retry_after_ms);
  body.set_text(failure.text);
  Message message = make_message(MessageType::kReject, body);
  message.header.request = request;
  message.header.seq = seq;
  send_(std::move(message));
}

fs::path StoreSession::part_path(const std::string& sha256) const {
  return context_.options.folder / "part" / station_id_ / sha256;
}

}  // namespace cusp::delivery
