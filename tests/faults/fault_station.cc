// fault_station FOLDER ENDPOINT TICKETS: saves tickets of 256 KiB to 2 MiB, writes down which ones
// it was told are saved, and delivers them. Ends by itself when all are delivered; is made to be
// killed before.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "delivery/station_link.h"
#include "tests/delivery/samples.h"
#include "tests/faults/fault_place.h"

namespace cusp::faults {
namespace {

using namespace std::chrono_literals;

// Written without a buffer, so that what this process was told outlives it.
void write_down(const Place& place, const std::string& line) {
  const int file = ::open(place.saved().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  CUSP_CHECK(
      file >= 0 && ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()),
      "the oracle can't be written");
  ::close(file);
}

std::atomic<std::uint64_t>* map_counter(const Place& place) {
  const int file = ::open(place.sent_bytes().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CUSP_CHECK(file >= 0 && ::ftruncate(file, sizeof(std::uint64_t)) == 0, "no counter");
  void* at = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CUSP_CHECK(at != MAP_FAILED, "no counter");
  ::close(file);
  return static_cast<std::atomic<std::uint64_t>*>(at);
}

int run(const Place& place, const std::string& endpoint, unsigned tickets) {
  PosixFileSystem files;
  SystemClock clock;
  auto outbox = delivery::Outbox::open(place.outbox(), "room-1", files, clock);
  auto worklist = delivery::Worklist::open(place.worklist());
  auto keys = delivery::load_key_pair(place.station_keys());
  auto store_key = delivery::load_public_key(place.store_keys().string() + ".public");
  if (!outbox.ok() || !worklist.ok() || !keys.ok() || !store_key.ok()) {
    std::fprintf(stderr, "fault_station: %s\n",
                 (!outbox.ok() ? outbox.error() : worklist.error()).message.c_str());
    return 1;
  }
  delivery::StationLinkOptions options;
  options.endpoint = endpoint;
  options.station_id = "room-1";
  options.keys = *keys;
  options.store_public_z85 = *store_key;
  options.heartbeat = 200ms;
  options.progress_deadline = 3000ms;
  options.retry_min = 10ms;
  options.retry_max = 100ms;
  delivery::StationLink link(options, **outbox, **worklist, clock);
  std::atomic<std::uint64_t>& counter = *map_counter(place);
  const std::uint64_t base = counter;
  std::jthread counting([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      counter = base + link.status().bytes_sent;
      std::this_thread::sleep_for(1ms);
    }
  });
  std::jthread sending([&](std::stop_token stop) { link.run(stop); });

  for (unsigned number = 0; number < tickets; ++number) {
    if ((*outbox)->find(ticket_id(number), 1).ok()) continue;
    std::mt19937 random(number);
    const std::size_t size = 256 * 1024 + random() % (1792 * 1024);
    const auto finished = delivery::make_finished({size / 2, size / 2}, number, ticket_id(number));
    const auto entry = (*outbox)->commit(finished.parcel, finished.files);
    if (!entry.ok()) {
      std::fprintf(stderr, "fault_station: %s\n", entry.error().message.c_str());
      return 1;
    }
    write_down(place, ticket_id(number) + "\n");
    link.wake();
    std::this_thread::sleep_for(150ms);
  }
  while ((*outbox)->next_to_send(delivery::Outbox::Which::kOldest))
    std::this_thread::sleep_for(5ms);
  return 0;
}

}  // namespace
}  // namespace cusp::faults

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return cusp::faults::run({argv[1]}, argv[2], static_cast<unsigned>(std::atoi(argv[3])));
}
