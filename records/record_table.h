// The rows of records: a parcel's statement, its stages and its files. Inside records/ only.
// Threads: the store's lock is held.
#pragma once

#include "delivery/delivery_store.h"
#include "delivery/sqlite.h"
#include "records/values.h"

namespace cusp::records {

// Answers its place in the order of commits.
Result<std::uint64_t> insert_record(delivery::Database& database, const Record& record,
                                    unsigned delivered_revision,
                                    const std::vector<std::uint8_t>& envelope);
// Of all files, each counted once; of those in the parcel that no record has yet.
Result<std::uint64_t> stored_file_bytes(delivery::Database& database);
Result<std::uint64_t> bytes_of_new_files(delivery::Database& database,
                                         const delivery::Parcel& parcel);
Result<std::optional<std::uint64_t>> stored_file_size(delivery::Database& database,
                                                      const std::string& sha256);
// In the order of hashes.
Result<std::optional<delivery::BlobRef>> file_after(delivery::Database& database,
                                                    const std::string& sha256);
// For subscribers, in the order of commits.
Result<std::vector<delivery::FeedEntry>> feed_entries(delivery::Database& database,
                                                      std::uint64_t since, std::size_t limit);
Result<std::optional<Record>> record_by_id(delivery::Database& database, const std::string& id);
Result<Page<Record>> record_page(delivery::Database& database, const PageRequest& request);

// What stands under a parcel's keys: enough for a receipt.
struct CommittedParcel {
  std::string record_id;
  delivery::Receipt receipt;  // without record_url
};
Result<std::optional<CommittedParcel>> committed_by_outbox(delivery::Database& database,
                                                           const std::string& station_id,
                                                           const std::string& outbox_epoch,
                                                           std::uint64_t outbox_seq);
// By the revision that the station gave it.
Result<std::optional<CommittedParcel>> committed_by_ticket(delivery::Database& database,
                                                           const std::string& station_id,
                                                           const std::string& outbox_epoch,
                                                           const std::string& ticket_id,
                                                           unsigned revision);
// The revision under which a record of the ticket can be filed: the station's, or the next free one
// when another outbox brought that one before.
Result<unsigned> free_revision(delivery::Database& database, const std::string& ticket_id,
                               unsigned revision);
// Each once.
Result<std::vector<delivery::BlobRef>> files_of_record(delivery::Database& database,
                                                       std::uint64_t store_seq);
// Sequences of an outbox whose parcels name a file of damaged_file.
Result<std::vector<std::uint64_t>> deliveries_with_damage(delivery::Database& database,
                                                          const std::string& station_id,
                                                          const std::string& outbox_epoch);
// Keeps the envelope of what was refused, at most some hundred of a station.
Result<void> insert_refused(delivery::Database& database, const delivery::Parcel& parcel,
                            const std::vector<std::uint8_t>& envelope,
                            const std::string& envelope_sha256, const std::string& record_id,
                            const std::string& at);

}  // namespace cusp::records
