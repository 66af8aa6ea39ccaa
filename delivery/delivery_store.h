// DeliveryStore: what the gate (store_gate.h) asks of a records store. Each verb is one
// transaction, durable when it answers. Threads: called on the gate's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/scan_ticket.h"
#include "delivery/parcel.h"
#include "delivery/worklist.h"

namespace cusp::delivery {

// A parcel in the store's feed.
struct FeedEntry {
  std::uint64_t seq = 0;  // Receipt::store_seq: grows, without repeats
  std::string record_id;
  std::string committed_at;            // RFC 3339, the store's clock
  std::vector<std::uint8_t> envelope;  // the station's bytes
  std::string envelope_sha256;
};

class DeliveryStore {
 public:
  virtual ~DeliveryStore() = default;
  // Made when the store's database was made; changes after a restore from backup (stations then
  // offer again what they hold, and read the worklist from its start). Any text of 1 to 64 bytes.
  virtual std::string store_epoch() = 0;
  // The store lost what it had acknowledged (`evidence` says which, for the audit trail): another
  // epoch, so that every station offers again what it holds.
  virtual Result<void> renew_epoch(const std::string& evidence) = 0;
  // The receipt given before for this key, if any: (station, epoch, seq). Its envelope_sha256 tells
  // the gate a repeat (answered with the receipt) from a conflict (refused).
  virtual Result<std::optional<Receipt>> find_receipt(const std::string& station_id,
                                                      const std::string& outbox_epoch,
                                                      std::uint64_t outbox_seq) = 0;
  // The receipt of what this outbox delivered for this revision of the ticket.
  virtual Result<std::optional<Receipt>> find_delivery(const std::string& station_id,
                                                       const std::string& outbox_epoch,
                                                       const std::string& ticket_id,
                                                       unsigned revision) = 0;
  // Files are in the CAS. Idempotent by both keys; kConflict: same key, other bytes (nothing is
  // overwritten). Two outboxes may bring the same revision, when two stations worked on a ticket
  // while they were offline: both are kept.
  virtual Result<Receipt> commit(const Parcel& parcel, const std::vector<std::uint8_t>& envelope,
                                 const std::string& envelope_sha256) = 0;
  // Remembers that a file was found damaged and set aside (cas.h), or that it is whole again.
  virtual Result<void> mark_damaged(const std::string& sha256, bool damaged) = 0;
  // Sequences of this outbox whose parcels name such files. Call StoreGate::notify() after a
  // mark_damaged() that did not come through this gate.
  virtual Result<std::vector<std::uint64_t>> damaged_deliveries(
      const std::string& station_id, const std::string& outbox_epoch) = 0;
  // Files of what was committed under this key; nothing: it was not.
  virtual Result<std::optional<std::vector<BlobRef>>> files_of(const std::string& station_id,
                                                               const std::string& outbox_epoch,
                                                               std::uint64_t outbox_seq) = 0;
  // Changes of the worklist after seq, oldest first, at most `limit`. seq starts at 1, only grows,
  // and an older change of a ticket may be left out once there is a newer one. Call
  // StoreGate::notify() after every change.
  virtual Result<std::vector<WorklistChange>> worklist_since(std::uint64_t seq,
                                                             std::size_t limit) = 0;
  // The station reports a ticket's local state (claimed, scanning, ...). Every station reports
  // every ticket that it lists, also those that another one works on; the same state comes again
  // after every reconnect, and of a ticket under work every few minutes. Work holds the ticket for
  // that station for kHoldLasts, unless another one holds it: then that one is answered, and keeps
  // it unless `take_over`. kNotFound: the store has no such ticket; that is fine.
  virtual Result<std::optional<Hold>> report_state(const std::string& station_id,
                                                   const std::string& ticket_id, TicketState state,
                                                   bool take_over) = 0;

  // For subscribers. What was committed after seq, oldest first, at most `limit`; never an entry
  // while an earlier one may yet become visible. Call StoreGate::notify() after every commit that
  // did not come through this gate.
  virtual Result<std::vector<FeedEntry>> feed_since(std::uint64_t seq, std::size_t limit) = 0;
  // The newest entry's; 0: there is none.
  virtual Result<std::uint64_t> last_seq() = 0;
  // Size of a file of something committed; nothing: no parcel in the feed names it.
  virtual Result<std::optional<std::uint64_t>> file_size(const std::string& sha256) = 0;
};

}  // namespace cusp::delivery
