// Subscribers that come late and are killed again and again while the feed grows and the store is
// killed too. At the end each mirror holds exactly the store's scans, and every file is whole.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "tests/fakes/temp_folder.h"
#include "tests/faults/rig.h"

namespace cusp::faults {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr unsigned kTickets = 20;
constexpr int kKills = 24;

// Relative path -> SHA-256 of what the store committed, as the mirrors lay it out.
std::map<std::string, std::string> expected_files(const Place& place) {
  std::map<std::string, std::string> files;
  auto database = delivery::Database::open(place.store_database(), records::schema_steps());
  EXPECT_TRUE(database.ok());
  auto records = database->query("SELECT envelope FROM record");
  while (*records->step()) {
    const auto parcel = delivery::decode_parcel(records->blob(0));
    EXPECT_TRUE(parcel.ok());
    for (const auto& stage : parcel->stages)
      for (const auto& blob : stage.blobs)
        files[fmt::format("{}/revision-{}/{}-{}-{}", parcel->ticket_id, parcel->revision,
                          to_string(stage.stage), blob.role, blob.file_name)] = blob.sha256;
  }
  return files;
}

std::map<std::string, std::string> mirrored_files(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "position") continue;
    files[fs::relative(entry.path(), folder)] = *delivery::sha256_hex_of_file(entry.path());
  }
  return files;
}

std::uint64_t position_of(const fs::path& folder) {
  std::uint64_t seq = 0;
  std::ifstream(folder / "position") >> seq;
  return seq;
}

class FeedUnderKill : public testing::TestWithParam<const char*> {};

TEST_P(FeedUnderKill, a_mirror_ends_with_exactly_the_scans_of_the_store) {
  const fakes::TempFolder folder;
  const Place place{folder.path()};
  make_place(place);
  const std::string endpoint = free_endpoint();
  const std::string feed_endpoint = free_endpoint();
  const fs::path copy = folder / "copy";
  std::vector<std::string> command{feed_endpoint, place.store_keys().string() + ".public",
                                   place.subscriber_keys(), copy};
  if (GetParam() == std::string("python"))
    command.insert(command.begin(), {"/usr/bin/env", "PYTHONPATH=" MIRROR_FOLDER,
                                     "/usr/bin/python3", MIRROR_SCRIPT});
  else
    command.insert(command.begin(), MIRROR_PROGRAM);

  Process store({FAULT_STORE, place.folder, endpoint, feed_endpoint});
  Process station({FAULT_STATION, place.folder, endpoint, std::to_string(kTickets)});
  std::this_thread::sleep_for(1s);  // late: some of it is there already
  Process mirror(command);
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int i = 0; i < kKills; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 500));
    Process& victim = i % 3 == 2 ? store : mirror;
    EXPECT_FALSE(victim.ended().has_value()) << "ended by itself, seed " << seed;
    victim.kill_and_wait();
    victim.start();
  }
  std::optional<int> code;
  for (int i = 0; i < 12'000 && !(code = station.ended()); ++i) std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(code.has_value()) << "the backlog did not drain, seed " << seed;
  for (int i = 0; i < 12'000 && position_of(copy) < kTickets; ++i) std::this_thread::sleep_for(5ms);
  mirror.kill_and_wait();
  store.kill_and_wait();
  EXPECT_EQ(position_of(copy), kTickets) << "seed " << seed;
  const auto expected = expected_files(place);
  EXPECT_EQ(expected.size(), 2 * kTickets);
  EXPECT_EQ(mirrored_files(copy), expected) << "seed " << seed;
}

INSTANTIATE_TEST_SUITE_P(Mirrors, FeedUnderKill, testing::Values("cpp", "python"));

}  // namespace
}  // namespace cusp::faults
