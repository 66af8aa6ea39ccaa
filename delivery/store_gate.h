// StoreGate: the store's end of SXP/1, with a door for stations and one for subscribers (CURVE, ZAP
// fail-closed). It takes parcels file by file and hands a complete one to the DeliveryStore; only
// after that commit it sends the receipt. Subscribers read what was committed, in its order.
//
// Files land in <folder>/part/<station>/<sha256>, are flushed, checked against their name and moved
// to <folder>/cas/ab/cd/<sha256> before commit() is called. Station identity is the ZAP User-Id,
// never a claim in a body. One gate a process (libzmq has one ZAP handler). Threads: run() blocks
// the thread that is lent and calls the DeliveryStore on it; the other verbs from any thread.
// Errors of bind(): kConflict, kUnavailable (the port is taken), kInvalidArgument, kPermission,
// kIo.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "core/clock.h"
#include "core/file_system.h"
#include "delivery/cas.h"
#include "delivery/delivery_store.h"
#include "delivery/keys.h"

namespace cusp::delivery {

struct StoreGateOptions {
  std::string endpoint;          // tcp://127.0.0.1:5671; port * takes a free one
  std::string feed_endpoint;     // of subscribers; empty: there is no feed
  std::filesystem::path folder;  // holds part/ and cas/
  KeyPair keys;
  std::filesystem::path stations_file;  // load_peers(); read again when it changes
  std::uint64_t max_blob_bytes = std::uint64_t{2} << 30;
  std::uint64_t max_parcel_bytes = std::uint64_t{16} << 30;  // of all its files
  std::uint32_t chunk_bytes = 512 * 1024;
  std::uint64_t window_bytes = 4 << 20;
  std::chrono::milliseconds retry_after{5000};  // what a station is told when the store can't now
  std::uint64_t min_free_bytes = std::uint64_t{1}
                                 << 30;  // a parcel that would leave less must wait
};

struct GateCounts {
  std::uint64_t turns = 0;               // of run(): it is alive, once a second at least
  std::uint64_t handshakes_refused = 0;  // unknown keys
  std::uint64_t messages_dropped = 0;    // broke the rules of SXP, or came from nobody
  std::uint64_t sessions = 0;            // stations that are here now
  std::uint64_t subscribers = 0;         // that are here now
  std::uint64_t bytes_fetched = 0;       // of files, by subscribers
  std::uint64_t feed_lag = 0;            // events that the slowest of them lacks
  std::uint64_t bytes_received = 0;      // of files
  std::uint64_t commits = 0;             // receipts made, not repeated
  std::uint64_t repeats = 0;             // offers that had their receipt already
  std::uint64_t conflicts = 0;           // same key, other bytes
  std::uint64_t attested = 0;            // parcels that were read again and are whole
  std::uint64_t damaged = 0;             // files that were found damaged or missing
  std::uint64_t mended = 0;              // files that a station brought again
  std::uint64_t epochs_renewed = 0;      // the store found that it had lost deliveries
  std::string problem;                   // stations_file can't be read: the last good list counts
};

class StoreGate {
 public:
  static Result<std::unique_ptr<StoreGate>> bind(StoreGateOptions options, DeliveryStore& store,
                                                 FileSystem& files, const Clock& clock);
  virtual ~StoreGate() = default;
  virtual void run(std::stop_token stop) = 0;
  // The worklist or the feed changed: tell whoever waits for it.
  virtual void notify() = 0;
  // With the ports that were taken.
  [[nodiscard]] virtual std::string endpoint() const = 0;
  [[nodiscard]] virtual std::string feed_endpoint() const = 0;
  // From any thread.
  [[nodiscard]] virtual GateCounts counts() const = 0;
};

}  // namespace cusp::delivery
