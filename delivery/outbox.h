// Outbox: parcels on the station's disk until the store's receipt is here, and some time after.
//
// commit() answers ok only when files and row are flushed: then the operator may be told "saved".
// Layout of the folder: outbox.db (SQLite, WAL, synchronous FULL, one exclusive connection) and
// blobs/<sha256>. After a crash, whatever commit() answered ok for is there; a parcel half-written
// is not. Files of delivered parcels are kept until the store attested that it read its own again,
// and for some time (Retention); their rows are kept for ever.
//
// For the finisher: a parcel holds times and hashes, so a ticket that was finished twice is not
// "the same content". After a restart ask find(ticket, revision) before finishing again. For a
// console: list() reads every row; call it when StationLink says on_change, not in a loop. Errors:
// kInvalidArgument (the parcel breaks a limit or its files do not match it), kNoSpace (nothing was
// committed; says how much is needed), kConflict (this ticket revision is already there with other
// content), kUnavailable (another process has the outbox open), kCorrupt, kIo (after a database I/O
// error nobody knows: open the outbox anew and look). A disk that can't be read any more ends the
// process where a verb has no error to answer. Threads: all verbs from any thread (one lock
// inside).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file_system.h"
#include "delivery/parcel.h"

namespace cusp::delivery {

enum class OutboxState { kReady, kSending, kDelivered, kParked };
std::string_view to_string(OutboxState state);

struct OutboxEntry {
  std::uint64_t seq = 0;
  std::string ticket_id;
  unsigned revision = 1;
  OutboxState state = OutboxState::kReady;
  std::uint64_t size_bytes = 0;    // envelope and files
  std::uint64_t sent_bytes = 0;    // durable at the store, as it last said
  std::string saved_at;            // RFC 3339
  std::string held_because;        // why it does not move, a sentence; empty when it does
  std::optional<Receipt> receipt;  // of a delivered one
  bool files_removed = false;      // the store attested that it has them, long ago
};

// For how long this station keeps the files of what was delivered, once the store has read its own
// again: a store that comes back from a backup gets them from here.
struct Retention {
  std::chrono::hours keep_for{7 * 24};
  std::size_t keep_newest = 50;  // of the deliveries, however old
};

// A file to be taken into the outbox; its BlobRef in the parcel has the same hash.
struct OutboxFile {
  BlobRef blob;
  std::vector<std::uint8_t> bytes;
};
OutboxFile named_by_hash(std::vector<std::uint8_t> bytes, std::string media_type, std::string role,
                         std::string file_name);

class Outbox {
 public:
  static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& folder,
                                              std::string station_id, FileSystem& files,
                                              const Clock& clock);
  virtual ~Outbox() = default;

  // Fills station_id, epoch and seq in. Committing the same ticket revision with the same content
  // again answers the first entry.
  virtual Result<OutboxEntry> commit(Parcel parcel, const std::vector<OutboxFile>& files) = 0;

  [[nodiscard]] virtual std::vector<OutboxEntry> list() = 0;
  virtual Result<OutboxEntry> find(const std::string& ticket_id, unsigned revision) = 0;
  [[nodiscard]] virtual std::filesystem::path blob_path(const std::string& sha256) const = 0;
  [[nodiscard]] virtual std::string epoch() const = 0;

  // For the sender.
  // Neither delivered nor parked; a revision waits for those before it.
  enum class Which { kOldest, kNewest };
  virtual std::optional<OutboxEntry> next_to_send(Which which) = 0;
  // Of the receipts that are here the store's latest: a store that does not know it went back in
  // time.
  virtual std::optional<OutboxEntry> latest_receipt() = 0;
  virtual Result<std::vector<std::uint8_t>> envelope(std::uint64_t seq) = 0;
  // Not durable: after a restart nothing is being sent.
  virtual Result<void> mark_sending(std::uint64_t seq, std::uint64_t sent_bytes) = 0;
  virtual Result<void> mark_held(std::uint64_t seq, std::string because, bool parked) = 0;
  // Durable. kProtocol: the receipt is for other bytes.
  virtual Result<void> mark_delivered(std::uint64_t seq, const Receipt& receipt) = 0;
  // A person mended the cause: a parked entry is sent again. kConflict: it is not parked.
  virtual Result<void> release(std::uint64_t seq) = 0;
  // The store was replaced or came back from a backup: offer all that was delivered, and whose
  // files are still here, once more; it answers the same receipt for what it still knows.
  virtual Result<void> offer_again() = 0;
  // The same for one entry. kNotFound: its files are not here any more.
  virtual Result<void> offer_again(std::uint64_t seq) = 0;
  // The oldest delivered entry whose files need not stay, if the store still has its own.
  virtual std::optional<OutboxEntry> next_to_verify(const Retention& retention) = 0;
  // The store attested. Files that other entries need stay.
  virtual Result<void> remove_files(std::uint64_t seq) = 0;
};

}  // namespace cusp::delivery
