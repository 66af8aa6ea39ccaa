// fault_store FOLDER ENDPOINT: takes parcels into a small SQLite database until it is killed.
#include <cstdio>
#include <thread>

#include "delivery/sqlite.h"
#include "delivery/store_gate.h"
#include "tests/faults/fault_place.h"

namespace cusp::faults {
namespace {

using delivery::Receipt;

class SmallStore final : public delivery::DeliveryStore {
 public:
  explicit SmallStore(delivery::Database database) : database_(std::move(database)) {}

  std::string store_epoch() override { return "only-epoch"; }

  Result<std::optional<Receipt>> find_receipt(const std::string& station_id,
                                              const std::string& outbox_epoch,
                                              std::uint64_t outbox_seq) override {
    CUSP_ASSIGN(auto row,
                database_.query("SELECT ticket, revision, store_seq, envelope_sha256 FROM inbox "
                                "WHERE station = ? AND epoch = ? AND seq = ?",
                                station_id, outbox_epoch, outbox_seq));
    CUSP_ASSIGN(const bool found, row.step());
    if (!found) return std::optional<Receipt>{};
    return std::optional(Receipt{row.text(0), static_cast<unsigned>(row.integer(1)),
                                 static_cast<std::uint64_t>(row.integer(2)), row.text(3), "", ""});
  }

  // Its stations make no second outbox.
  Result<std::optional<Receipt>> find_delivery(const std::string&, unsigned) override {
    return std::optional<Receipt>{};
  }

  Result<Receipt> commit(const delivery::Parcel& parcel, const std::vector<std::uint8_t>& envelope,
                         const std::string& envelope_sha256) override {
    CUSP_TRY(
        database_.run("INSERT INTO inbox(station, epoch, seq, ticket, revision, envelope, "
                      "envelope_sha256) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      parcel.station_id, parcel.outbox_epoch, parcel.outbox_seq, parcel.ticket_id,
                      parcel.revision, envelope, envelope_sha256));
    return Receipt{parcel.ticket_id,
                   parcel.revision,
                   static_cast<std::uint64_t>(database_.last_insert_id()),
                   envelope_sha256,
                   "",
                   ""};
  }

  Result<std::vector<delivery::WorklistChange>> worklist_since(std::uint64_t,
                                                               std::size_t) override {
    return std::vector<delivery::WorklistChange>{};
  }

  Result<void> report_state(const std::string&, const std::string&, TicketState) override {
    return {};
  }

  Result<std::vector<delivery::FeedEntry>> feed_since(std::uint64_t, std::size_t) override {
    return std::vector<delivery::FeedEntry>{};
  }
  Result<std::optional<std::uint64_t>> file_size(const std::string&) override {
    return std::optional<std::uint64_t>{};
  }

 private:
  delivery::Database database_;
};

int run(const Place& place, const std::string& endpoint) {
  PosixFileSystem files;
  SystemClock clock;
  auto database = delivery::Database::open(place.store_database(), kStoreSchema);
  auto keys = delivery::load_key_pair(place.store_keys());
  if (!database.ok() || !keys.ok()) {
    std::fprintf(stderr, "fault_store: %s\n",
                 (!database.ok() ? database.error() : keys.error()).message.c_str());
    return 1;
  }
  SmallStore store(std::move(*database));
  delivery::StoreGateOptions options;
  options.endpoint = endpoint;
  options.folder = place.store_folder();
  options.keys = *keys;
  options.stations_file = place.stations_file();
  options.min_free_bytes = 0;
  // Small pieces: a kill meets every phase of a transfer.
  options.chunk_bytes = 16 * 1024;
  options.window_bytes = 64 * 1024;
  auto gate = delivery::StoreGate::bind(options, store, files, clock);
  if (!gate.ok()) {
    std::fprintf(stderr, "fault_store: %s\n", gate.error().message.c_str());
    return 1;
  }
  (*gate)->run(std::stop_token());
  return 0;
}

}  // namespace
}  // namespace cusp::faults

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return cusp::faults::run({argv[1]}, argv[2]);
}
