// StoreGate: the store's end of SXP/1: lets stations in (CURVE, ZAP fail-closed), takes parcels
// file by file, and hands a complete one to the IngestStore; only after that commit it sends the
// receipt.
//
// Files land in <folder>/part/<station>/<sha256>, are flushed, checked against their name and moved
// to <folder>/cas/ab/cd/<sha256> before commit() is called. Station identity is the ZAP User-Id,
// never a claim in a body. One gate a process (libzmq has one ZAP handler). Threads: run() blocks
// the thread that is lent and calls the IngestStore on it; the other verbs from any thread. Errors
// of bind(): kConflict, kUnavailable (the port is taken), kInvalidArgument, kPermission, kIo.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/file_system.h"
#include "delivery/keys.h"
#include "delivery/parcel.h"
#include "delivery/worklist.h"

namespace cusp::delivery {

// The verbs that delivery needs of a records store; each is one transaction.
class IngestStore {
 public:
  virtual ~IngestStore() = default;
  // Made when the store's database was made; changes after a restore from backup (stations then
  // offer again what they hold, and read the worklist from its start). Any text of 1 to 64 bytes.
  virtual std::string store_epoch() = 0;
  // The receipt given before for this key, if any: (station, epoch, seq). Its envelope_sha256 tells
  // the gate a repeat (answered with the receipt) from a conflict (refused).
  virtual Result<std::optional<Receipt>> find_receipt(const std::string& station_id,
                                                      const std::string& outbox_epoch,
                                                      std::uint64_t outbox_seq) = 0;
  // The receipt of what was delivered for this revision of the ticket, from whichever outbox.
  virtual Result<std::optional<Receipt>> find_delivery(const std::string& ticket_id,
                                                       unsigned revision) = 0;
  // Files are in the CAS. Idempotent by both keys; kConflict: same key, other bytes (nothing is
  // overwritten).
  virtual Result<Receipt> commit(const Parcel& parcel, const std::vector<std::uint8_t>& envelope,
                                 const std::string& envelope_sha256) = 0;
  // Changes of the worklist after seq, oldest first, at most `limit`. seq starts at 1, only grows,
  // and an older change of a ticket may be left out once there is a newer one. Call
  // StoreGate::notify() after every change.
  virtual Result<std::vector<WorklistChange>> worklist_since(std::uint64_t seq,
                                                             std::size_t limit) = 0;
  // The station reports a ticket's local state (claimed, scanning, ...; for people to see). Every
  // station reports every ticket that it lists, also those that another one works on, and the same
  // state comes again after every reconnect. kNotFound: the store has no such ticket; that is
  // fine.
  virtual Result<void> report_state(const std::string& station_id, const std::string& ticket_id,
                                    TicketState state) = 0;
};

struct StoreGateOptions {
  std::string endpoint;          // tcp://127.0.0.1:5671; port * takes a free one
  std::filesystem::path folder;  // holds part/ and cas/
  KeyPair keys;
  std::filesystem::path stations_file;  // load_station_keys(); read again when it changes
  std::uint64_t max_blob_bytes = std::uint64_t{2} << 30;
  std::uint64_t max_parcel_bytes = std::uint64_t{16} << 30;  // of all its files
  std::uint32_t chunk_bytes = 512 * 1024;
  std::uint64_t window_bytes = 4 << 20;
  std::chrono::milliseconds retry_after{5000};  // what a station is told when the store can't now
  std::uint64_t min_free_bytes = std::uint64_t{1}
                                 << 30;  // a parcel that would leave less must wait
};

struct GateCounts {
  std::uint64_t handshakes_refused = 0;  // unknown keys
  std::uint64_t messages_dropped = 0;    // broke the rules of SXP, or came from nobody
  std::uint64_t sessions = 0;            // stations that are here now
  std::uint64_t bytes_received = 0;      // of files
  std::uint64_t commits = 0;             // receipts made, not repeated
  std::uint64_t repeats = 0;             // offers that had their receipt already
  std::uint64_t conflicts = 0;           // same key, other bytes
  std::string problem;                   // stations_file can't be read: the last good list counts
};

class StoreGate {
 public:
  static Result<std::unique_ptr<StoreGate>> bind(StoreGateOptions options, IngestStore& store,
                                                 FileSystem& files, const Clock& clock);
  virtual ~StoreGate() = default;
  virtual void run(std::stop_token stop) = 0;
  // The worklist changed: tell connected stations now.
  virtual void notify() = 0;
  // With the port that was taken.
  [[nodiscard]] virtual std::string endpoint() const = 0;
  // From any thread.
  [[nodiscard]] virtual GateCounts counts() const = 0;
};

// Where a file of this hash lies in a store's folder.
std::filesystem::path cas_path(const std::filesystem::path& folder, const std::string& sha256);

}  // namespace cusp::delivery
