// Subscriber: reads what a store committed, in its order, each parcel once, from any place on
// (PROTOCOL.md section 8). The cursor is the subscriber's: it keeps the position of the last event
// that it is done with, best in the same transaction as what it made of it, and starts there again.
//
//   Subscriber feed(options, position, files, clock);
//   while (auto event = feed.next(stop)) {       // waits for the next one
//     feed.fetch(blob, target, stop);            // any of its files, checked against their hash
//     ... make of it what you want, and keep event->position ...
//   }
//
// Both verbs connect, and connect again, for as long as it takes; on_problem says why they wait. A
// store that is new or came back from a backup has another epoch: its feed is then read from its
// first event, so parcels that were seen before come again: know them by ticket and revision, or by
// the envelope's hash. Threads: one at a time; stop from any.
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

namespace cusp::delivery {

// A place in a store's feed; seq 0: before its first event.
struct FeedPosition {
  std::string store_epoch;
  std::uint64_t seq = 0;
};
// As a file of one line. None yet: before the first event. kCorrupt: it says something else.
Result<FeedPosition> load_position(FileSystem& files, const std::filesystem::path& file);
Result<void> save_position(FileSystem& files, const std::filesystem::path& file,
                           const FeedPosition& position);

struct FeedEvent {
  FeedPosition position;     // behind it
  std::string record_id;     // of the store
  std::string committed_at;  // RFC 3339, the store's clock
  std::vector<std::uint8_t> envelope;
  std::string envelope_sha256;
  // Of the envelope. kProtocol: a newer Cusp wrote it.
  Result<Parcel> parcel;
};

struct SubscriberOptions {
  std::string endpoint;  // tcp://host:5672
  std::string software_version;
  KeyPair keys;
  std::string store_public_z85;
  std::chrono::milliseconds heartbeat{5000};
  std::chrono::milliseconds progress_deadline{15000};  // no answer for this long: new socket
  std::chrono::milliseconds retry_min{200};
  std::chrono::milliseconds retry_max{30000};
  // Told on the caller's thread, a sentence, once for each problem; "" when it is over.
  std::function<void(const std::string&)> on_problem = nullptr;
};

class Subscriber {
 public:
  Subscriber(SubscriberOptions options, FeedPosition after, FileSystem& files, const Clock& clock);
  ~Subscriber();

  // kCancelled is the only error: everything else is waited for.
  Result<FeedEvent> next(std::stop_token stop);
  // The whole file, flushed, under its name only when its hash is right; a transfer that was cut
  // goes on behind what <target>.part holds. Errors: kNotFound (the store has no such file),
  // kCorrupt (it arrived damaged, twice), kNoSpace, kIo, kCancelled.
  Result<void> fetch(const BlobRef& blob, const std::filesystem::path& target,
                     std::stop_token stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cusp::delivery
