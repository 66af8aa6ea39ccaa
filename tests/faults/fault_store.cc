// fault_store FOLDER ENDPOINT FEED_ENDPOINT: the clinic's store without its pages, until it is
// killed.
#include <cstdio>

#include "records/records_store.h"
#include "tests/faults/fault_place.h"

namespace cusp::faults {
namespace {

int run(const Place& place, const std::string& endpoint, const std::string& feed_endpoint) {
  PosixFileSystem files;
  SystemClock clock;
  auto store = records::RecordsStore::open(place.store_database(), clock);
  auto keys = delivery::load_key_pair(place.store_keys());
  if (!store.ok() || !keys.ok()) {
    std::fprintf(stderr, "fault_store: %s\n",
                 (!store.ok() ? store.error() : keys.error()).message.c_str());
    return 1;
  }
  delivery::StoreGateOptions options;
  options.endpoint = endpoint;
  options.feed_endpoint = feed_endpoint;
  options.folder = place.store_folder();
  options.keys = *keys;
  options.stations_file = place.stations_file();
  options.min_free_bytes = 0;
  // Small pieces: a kill meets every phase of a transfer.
  options.chunk_bytes = 16 * 1024;
  options.window_bytes = 64 * 1024;
  auto gate = delivery::StoreGate::bind(options, **store, files, clock);
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
  if (argc != 4) return 2;
  return cusp::faults::run({argv[1]}, argv[2], argv[3]);
}
