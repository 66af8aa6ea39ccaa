#include "delivery/outbox.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "core/uuid.h"
#include "delivery/digest.h"
#include "delivery/sqlite.h"

namespace cusp::delivery {
namespace {

namespace fs = std::filesystem;

// The database's own growth during one commit.
constexpr std::uint64_t kDatabaseMarginBytes = 4 << 20;

constexpr std::array<std::string_view, 2> kSchema{R"sql(
CREATE TABLE outbox(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  station_id TEXT NOT NULL,
  epoch TEXT NOT NULL) STRICT;
CREATE TABLE parcel(
  seq INTEGER PRIMARY KEY,            -- rows are never deleted, so max + 1 is never used twice
  ticket_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  content_sha256 TEXT NOT NULL,       -- of the statement without seq: tells a repeat from a conflict
  envelope BLOB NOT NULL,
  envelope_sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  saved_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('ready', 'parked', 'delivered')),
  held_because TEXT NOT NULL,
  store_seq INTEGER,
  committed_at TEXT,
  record_url TEXT,
  UNIQUE (ticket_id, revision)) STRICT;
CREATE INDEX parcel_open ON parcel(seq) WHERE state <> 'delivered';
CREATE TABLE parcel_blob(
  seq INTEGER NOT NULL REFERENCES parcel(seq),
  sha256 TEXT NOT NULL,
  UNIQUE (sha256, seq)) STRICT;
)sql",
                                                  R"sql(
CREATE INDEX parcel_by_receipt ON parcel(store_seq) WHERE state = 'delivered';
ALTER TABLE parcel ADD COLUMN delivered_at TEXT;  -- this station's clock
ALTER TABLE parcel ADD COLUMN removed_at TEXT;    -- its files; null: they are here
UPDATE parcel SET delivered_at = committed_at WHERE state = 'delivered';
)sql"};

constexpr std::string_view kSelect =
    "SELECT seq, ticket_id, revision, state, size_bytes, saved_at, held_because, envelope_sha256, "
    "store_seq, committed_at, record_url, "
    "(SELECT min(q.revision) FROM parcel q WHERE q.ticket_id = p.ticket_id AND "
    "q.revision < p.revision AND q.state = 'parked'), removed_at IS NOT NULL FROM parcel p ";

Result<void> check_files(const Parcel& parcel, const std::vector<OutboxFile>& files) {
  std::map<std::string, std::uint64_t> named;
  for (const BlobRef& blob : parcel.all_blobs()) named.emplace(blob.sha256, blob.size_bytes);
  std::set<std::string> given;
  for (const OutboxFile& file : files) {
    const std::string& hash = file.blob.sha256;
    const auto found = named.find(hash);
    if (found == named.end() || !given.insert(hash).second)
      return error(ErrorCode::kInvalidArgument,
                   "ticket {}: file {} is not named by the parcel once", parcel.ticket_id,
                   file.blob.file_name);
    if (found->second != file.bytes.size() || sha256_hex(file.bytes) != hash)
      return error(ErrorCode::kInvalidArgument, "ticket {}: file {} is not what its hash says",
                   parcel.ticket_id, file.blob.file_name);
  }
  if (given.size() != named.size())
    return error(ErrorCode::kInvalidArgument, "ticket {}: {} of {} files are missing",
                 parcel.ticket_id, named.size() - given.size(), named.size());
  return {};
}

class SqliteOutbox final : public Outbox {
 public:
  SqliteOutbox(fs::path folder, std::string station_id, FileSystem& files, const Clock& clock,
               Database database)
      : blobs_(std::move(folder) / "blobs"),
        station_id_(std::move(station_id)),
        files_(files),
        clock_(clock),
        database_(std::move(database)) {}

  Result<void> recover() {
    CUSP_TRY(take_identity());
    return match_files();
  }

  Result<OutboxEntry> commit(Parcel parcel, const std::vector<OutboxFile>& files) override {
    parcel.station_id = station_id_;
    parcel.outbox_epoch = epoch_;
    parcel.outbox_seq = 0;
    const auto content = encode(parcel);
    if (const auto legal = decode_parcel(content); !legal.ok())
      return Error{ErrorCode::kInvalidArgument, legal.error().message};
    CUSP_TRY(check_files(parcel, files));
    const std::string content_sha256 = sha256_hex(content);

    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(Statement same, database_.query("SELECT content_sha256 FROM parcel "
                                                "WHERE ticket_id = ? AND revision = ?",
                                                parcel.ticket_id, parcel.revision));
    CUSP_ASSIGN(const bool known, same.step());
    const bool repeat = known && same.text(0) == content_sha256;
    if (known && !repeat)
      return error(ErrorCode::kConflict,
                   "outbox: ticket {} revision {} is there already with other content",
                   parcel.ticket_id, parcel.revision);

    const std::string ticket_id = parcel.ticket_id;
    const unsigned revision = parcel.revision;
    std::vector<std::string> written;
    auto done = write_blobs(files, written);
    if (done.ok() && !repeat) done = insert(std::move(parcel), files, content_sha256);
    if (!done.ok()) {
      // After an I/O error in the database the row may yet turn out to be there: its files must be
      // there too. What is left over goes at the next open.
      if (!database_doubtful_)
        for (const std::string& name : written) static_cast<void>(files_.remove(blobs_ / name));
      return done.error();
    }
    return find_locked(ticket_id, revision);
  }

  std::vector<OutboxEntry> list() override {
    const std::lock_guard lock(mutex_);
    auto entries = read("ORDER BY seq");
    CUSP_CHECK(entries.ok(), entries.error().message);
    return std::move(*entries);
  }

  Result<OutboxEntry> find(const std::string& ticket_id, unsigned revision) override {
    const std::lock_guard lock(mutex_);
    return find_locked(ticket_id, revision);
  }

  fs::path blob_path(const std::string& sha256) const override { return blobs_ / sha256; }
  std::string epoch() const override { return epoch_; }

  std::optional<OutboxEntry> next_to_send(Which which) override {
    return first(fmt::format(
        "WHERE state = 'ready' AND NOT EXISTS (SELECT 1 FROM parcel q WHERE q.ticket_id = "
        "p.ticket_id AND q.revision < p.revision AND q.state <> 'delivered') ORDER BY seq {} "
        "LIMIT 1",
        which == Which::kNewest ? "DESC" : ""));
  }

  std::optional<OutboxEntry> latest_receipt() override {
    return first("WHERE state = 'delivered' ORDER BY store_seq DESC LIMIT 1");
  }

  Result<std::vector<std::uint8_t>> envelope(std::uint64_t seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(Statement row, database_.query("SELECT envelope FROM parcel WHERE seq = ?", seq));
    CUSP_ASSIGN(const bool found, row.step());
    if (!found) return no_entry(seq);
    return row.blob(0);
  }

  Result<void> mark_sending(std::uint64_t seq, std::uint64_t sent_bytes) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const OutboxEntry entry, find_locked_seq(seq));
    if (entry.state != OutboxState::kReady && entry.state != OutboxState::kSending)
      return wrong_state(entry);
    sending_ = Sending{seq, sent_bytes};
    return {};
  }

  Result<void> mark_held(std::uint64_t seq, std::string because, bool parked) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const OutboxEntry entry, find_locked_seq(seq));
    if (entry.state == OutboxState::kDelivered) return wrong_state(entry);
    if (sending_ && sending_->seq == seq) sending_.reset();
    const std::string_view state = parked ? "parked" : "ready";
    return database_.run(
        "UPDATE parcel SET held_because = ?1, state = ?2 "
        "WHERE seq = ?3 AND (held_because <> ?1 OR state <> ?2)",
        because, state, seq);
  }

  Result<void> mark_delivered(std::uint64_t seq, const Receipt& receipt) override {
    const std::lock_guard lock(mutex_);
    CUSP_TRY(database_.run(
        "UPDATE parcel SET state = 'delivered', held_because = '', "
        "store_seq = ?, committed_at = ?, record_url = ?, delivered_at = ? "
        "WHERE seq = ? AND ticket_id = ? AND revision = ? AND "
        "envelope_sha256 = ?",
        receipt.store_seq, receipt.committed_at, receipt.record_url, to_rfc3339(clock_.wall()), seq,
        receipt.ticket_id, receipt.revision, receipt.envelope_sha256));
    if (database_.changes() == 0)
      return error(ErrorCode::kProtocol, "outbox: the receipt is not for entry {}", seq);
    if (sending_ && sending_->seq == seq) sending_.reset();
    return {};
  }

  Result<void> release(std::uint64_t seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const OutboxEntry entry, find_locked_seq(seq));
    if (entry.state != OutboxState::kParked) return wrong_state(entry);
    return database_.run("UPDATE parcel SET state = 'ready', held_because = '' WHERE seq = ?", seq);
  }

  Result<void> offer_again() override {
    const std::lock_guard lock(mutex_);
    return database_.run(
        "UPDATE parcel SET state = 'ready' WHERE state = 'delivered' AND removed_at IS NULL");
  }

  Result<void> offer_again(std::uint64_t seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const OutboxEntry entry, find_locked_seq(seq));
    if (entry.files_removed)
      return error(ErrorCode::kNotFound, "outbox: the files of entry {} are not here any more",
                   seq);
    return database_.run("UPDATE parcel SET state = 'ready' WHERE seq = ? AND state = 'delivered'",
                         seq);
  }

  std::optional<OutboxEntry> next_to_verify(const Retention& retention) override {
    const std::string before = to_rfc3339(clock_.wall() - retention.keep_for);
    return first(
        "WHERE state = 'delivered' AND removed_at IS NULL AND delivered_at < ?1 AND "
        "(SELECT count(*) FROM parcel q WHERE q.state = 'delivered' AND q.seq > p.seq) >= ?2 "
        "ORDER BY seq LIMIT 1",
        before, retention.keep_newest);
  }

  // In this order: a file without a row goes at the next open, a row without its file would be
  // offered in vain.
  Result<void> remove_files(std::uint64_t seq) override {
    const std::lock_guard lock(mutex_);
    CUSP_ASSIGN(const OutboxEntry entry, find_locked_seq(seq));
    if (entry.state != OutboxState::kDelivered) return wrong_state(entry);
    CUSP_TRY(database_.run("UPDATE parcel SET removed_at = ? WHERE seq = ?",
                           to_rfc3339(clock_.wall()), seq));
    CUSP_ASSIGN(Statement rows,
                database_.query("SELECT sha256 FROM parcel_blob WHERE seq = ?", seq));
    while (true) {
      CUSP_ASSIGN(const bool row, rows.step());
      if (!row) return {};
      const std::string name = rows.text(0);
      CUSP_ASSIGN(const bool needed, is_named(name));
      if (!needed) CUSP_TRY(files_.remove(blobs_ / name));
    }
  }

 private:
  struct Sending {
    std::uint64_t seq;
    std::uint64_t bytes;
  };

  static Error no_entry(std::uint64_t seq) {
    return error(ErrorCode::kNotFound, "the outbox has no entry {}", seq);
  }
  static Error wrong_state(const OutboxEntry& entry) {
    return error(ErrorCode::kConflict, "outbox: entry {} is {}", entry.seq, to_string(entry.state));
  }

  Result<void> take_identity() {
    CUSP_ASSIGN(Statement row, database_.query("SELECT station_id, epoch FROM outbox"));
    CUSP_ASSIGN(const bool found, row.step());
    if (!found) {
      epoch_ = new_uuid();
      return database_.run("INSERT INTO outbox VALUES (1, ?, ?)", station_id_, epoch_);
    }
    if (row.text(0) != station_id_)
      return error(ErrorCode::kConflict, "outbox {} belongs to station {}, not to {}",
                   blobs_.parent_path().string(), row.text(0), station_id_);
    epoch_ = row.text(1);
    return {};
  }

  // Files without a row are halves of a commit that never was; a row without its file is a loss
  // that a person must hear of.
  Result<void> match_files() {
    CUSP_ASSIGN(const auto names, files_.list(blobs_));
    const std::set<std::string> on_disk(names.begin(), names.end());
    std::set<std::string> named;
    std::map<std::uint64_t, std::string> lost;
    CUSP_ASSIGN(Statement rows,
                database_.query("SELECT b.sha256, p.seq, p.state FROM parcel_blob b "
                                "JOIN parcel p ON p.seq = b.seq WHERE p.removed_at IS NULL"));
    while (true) {
      CUSP_ASSIGN(const bool row, rows.step());
      if (!row) break;
      named.insert(rows.text(0));
      if (rows.text(2) != "delivered" && !on_disk.contains(rows.text(0)))
        lost.emplace(static_cast<std::uint64_t>(rows.integer(1)), rows.text(0));
    }
    for (const std::string& name : on_disk)
      if (!named.contains(name)) CUSP_TRY(files_.remove(blobs_ / name));
    for (const auto& [seq, name] : lost)
      CUSP_TRY(mark_held(seq, fmt::format("file {} is gone from this station's disk", name), true));
    return {};
  }

  Result<bool> is_named(const std::string& sha256) {
    CUSP_ASSIGN(Statement row,
                database_.query("SELECT 1 FROM parcel_blob b JOIN parcel p ON p.seq = b.seq "
                                "WHERE b.sha256 = ? AND p.removed_at IS NULL LIMIT 1",
                                sha256));
    return row.step();
  }

  [[nodiscard]] bool is_whole(const BlobRef& blob) const {
    std::error_code missing;
    return fs::file_size(blobs_ / blob.sha256, missing) == blob.size_bytes && !missing;
  }

  // What an earlier parcel brought is not written again, unless the disk lost it meanwhile.
  // `written` are those that no row names yet.
  Result<void> write_blobs(const std::vector<OutboxFile>& files,
                           std::vector<std::string>& written) {
    std::vector<const OutboxFile*> fresh;
    std::uint64_t needed = kDatabaseMarginBytes;
    for (const OutboxFile& file : files) {
      CUSP_ASSIGN(const bool named, is_named(file.blob.sha256));
      if (named && is_whole(file.blob)) continue;
      if (!named) written.push_back(file.blob.sha256);
      fresh.push_back(&file);
      needed += file.bytes.size();
    }
    CUSP_ASSIGN(const std::uint64_t free, files_.free_bytes(blobs_));
    if (free < needed)
      return error(ErrorCode::kNoSpace, "outbox: the disk has {} bytes free, {} are needed", free,
                   needed);
    for (const OutboxFile* file : fresh)
      CUSP_TRY(files_.write_synced(blobs_ / file->blob.sha256, file->bytes));
    return {};
  }

  Result<void> insert(Parcel parcel, const std::vector<OutboxFile>& files,
                      const std::string& content_sha256) {
    const auto result = insert_in_transaction(std::move(parcel), files, content_sha256);
    database_doubtful_ = !result.ok() && result.error().code == ErrorCode::kIo;
    return result;
  }

  Result<void> insert_in_transaction(Parcel parcel, const std::vector<OutboxFile>& files,
                                     const std::string& content_sha256) {
    CUSP_ASSIGN(Transaction transaction, Transaction::begin(database_));
    CUSP_ASSIGN(Statement last, database_.query("SELECT coalesce(max(seq), 0) FROM parcel"));
    CUSP_TRY(last.step());
    parcel.outbox_seq = static_cast<std::uint64_t>(last.integer(0)) + 1;
    const auto envelope = encode(parcel);
    if (envelope.size() > kMaxEnvelopeBytes)
      return error(ErrorCode::kInvalidArgument, "ticket {}: its statement is {} bytes, at most {}",
                   parcel.ticket_id, envelope.size(), kMaxEnvelopeBytes);
    std::uint64_t size_bytes = envelope.size();
    for (const OutboxFile& file : files) size_bytes += file.bytes.size();
    CUSP_TRY(database_.run(
        "INSERT INTO parcel VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'ready', '', NULL, NULL, NULL, NULL, "
        "NULL)",
        parcel.outbox_seq, parcel.ticket_id, parcel.revision, content_sha256, envelope,
        sha256_hex(envelope), size_bytes, to_rfc3339(clock_.wall())));
    for (const OutboxFile& file : files)
      CUSP_TRY(database_.run("INSERT INTO parcel_blob VALUES (?, ?)", parcel.outbox_seq,
                             file.blob.sha256));
    CUSP_TRY(transaction.commit());
    return {};
  }

  OutboxEntry read_entry(const Statement& row) const {
    OutboxEntry entry;
    entry.seq = static_cast<std::uint64_t>(row.integer(0));
    entry.ticket_id = row.text(1);
    entry.revision = static_cast<unsigned>(row.integer(2));
    const std::string state = row.text(3);
    entry.state = state == "delivered" ? OutboxState::kDelivered
                  : state == "parked"  ? OutboxState::kParked
                                       : OutboxState::kReady;
    entry.size_bytes = static_cast<std::uint64_t>(row.integer(4));
    entry.saved_at = row.text(5);
    entry.held_because = row.text(6);
    if (entry.state == OutboxState::kReady && !row.is_null(11))
      entry.held_because =
          fmt::format("waits for revision {} of this ticket, which is held", row.integer(11));
    entry.files_removed = row.integer(12) != 0;
    if (entry.state == OutboxState::kDelivered) {
      entry.sent_bytes = entry.size_bytes;
      entry.receipt =
          Receipt{entry.ticket_id, entry.revision, static_cast<std::uint64_t>(row.integer(8)),
                  row.text(7),     row.text(9),    row.text(10)};
    }
    if (sending_ && sending_->seq == entry.seq) {
      entry.state = OutboxState::kSending;
      entry.sent_bytes = sending_->bytes;
      entry.held_because.clear();
    }
    return entry;
  }

  template <typename... Args>
  Result<std::vector<OutboxEntry>> read(std::string_view where, const Args&... args) {
    CUSP_ASSIGN(Statement rows, database_.query(fmt::format("{}{}", kSelect, where), args...));
    std::vector<OutboxEntry> entries;
    while (true) {
      CUSP_ASSIGN(const bool row, rows.step());
      if (!row) return entries;
      entries.push_back(read_entry(rows));
    }
  }

  template <typename... Args>
  std::optional<OutboxEntry> first(std::string_view where, const Args&... args) {
    const std::lock_guard lock(mutex_);
    auto entries = read(where, args...);
    CUSP_CHECK(entries.ok(), entries.error().message);
    if (entries->empty()) return std::nullopt;
    return entries->front();
  }

  Result<OutboxEntry> find_locked(const std::string& ticket_id, unsigned revision) {
    CUSP_ASSIGN(Statement row, database_.query(fmt::format("{}{}", kSelect,
                                                           "WHERE ticket_id = ? AND revision = ?"),
                                               ticket_id, revision));
    CUSP_ASSIGN(const bool found, row.step());
    if (!found)
      return error(ErrorCode::kNotFound, "the outbox has no ticket {} revision {}",
                   ticket_id.substr(0, 64), revision);
    return read_entry(row);
  }

  Result<OutboxEntry> find_locked_seq(std::uint64_t seq) {
    CUSP_ASSIGN(Statement row, database_.query(fmt::format("{}{}", kSelect, "WHERE seq = ?"), seq));
    CUSP_ASSIGN(const bool found, row.step());
    if (!found) return no_entry(seq);
    return read_entry(row);
  }

  const fs::path blobs_;
  const std::string station_id_;
  FileSystem& files_;
  const Clock& clock_;
  std::mutex mutex_;
  Database database_;
  std::string epoch_;
  bool database_doubtful_ = false;
  std::optional<Sending> sending_;
};

}  // namespace

OutboxFile named_by_hash(std::vector<std::uint8_t> bytes, std::string media_type, std::string role,
                         std::string file_name) {
  BlobRef blob{sha256_hex(bytes), bytes.size(), std::move(media_type), std::move(role),
               std::move(file_name)};
  return {std::move(blob), std::move(bytes)};
}

std::string_view to_string(OutboxState state) {
  switch (state) {
    case OutboxState::kReady:
      return "ready";
    case OutboxState::kSending:
      return "sending";
    case OutboxState::kDelivered:
      return "delivered";
    case OutboxState::kParked:
      return "parked";
  }
  CUSP_CHECK(false, "an outbox state without a name");
}

Result<std::unique_ptr<Outbox>> Outbox::open(const fs::path& folder, std::string station_id,
                                             FileSystem& files, const Clock& clock) {
  CUSP_TRY(files.make_folder(folder / "blobs"));
  CUSP_ASSIGN(Database database, Database::open(folder / "outbox.db", kSchema));
  auto outbox = std::make_unique<SqliteOutbox>(folder, std::move(station_id), files, clock,
                                               std::move(database));
  CUSP_TRY(outbox->recover());
  return std::unique_ptr<Outbox>(std::move(outbox));
}

}  // namespace cusp::delivery
