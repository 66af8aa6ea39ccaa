// Two real processes, killed with SIGKILL again and again while tickets go from one to the other.
// Every ticket that the station was told is saved must be in the store once, and every file must be
// what its name says.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "tests/fakes/temp_folder.h"
#include "tests/faults/rig.h"

namespace cusp::faults {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kTickets = 30;
constexpr int kKillsOfEach = 12;

TEST(DeliveryUnderKill, what_was_saved_arrives_once) {
  const fakes::TempFolder folder;
  const Place place{folder.path()};
  make_place(place);
  const std::string endpoint = free_endpoint();
  Process store({FAULT_STORE, place.folder, endpoint, free_endpoint()});
  Process station({FAULT_STATION, place.folder, endpoint, std::to_string(kTickets)});

  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 2 * kKillsOfEach; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 400));
    Process& victim = i % 2 == 0 ? station : store;
    if (const auto code = victim.ended()) {
      EXPECT_EQ(*code, 0) << "ended by itself, seed " << seed;
    }
    victim.kill_and_wait();
    victim.start();
  }
  std::optional<int> code;
  for (int i = 0; i < 12'000 && !(code = station.ended()); ++i) std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(code.has_value()) << "the backlog did not drain, seed " << seed;
  EXPECT_EQ(*code, 0);
  store.kill_and_wait();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;

  const Audit result = audit(place);
  std::printf(
      "kills station/store  tickets saved  stored  lost  doubled  damaged  sent/needed  seconds\n"
      "%13d / %-5d  %13zu  %6zu  %4zu  %7zu  %7zu  %11.3f  %7.1f\n",
      kKillsOfEach, kKillsOfEach, result.saved, result.stored, result.lost, result.doubled,
      result.damaged, static_cast<double>(bytes_sent(place)) / static_cast<double>(result.bytes),
      took.count());
  EXPECT_GE(result.saved, kTickets - kKillsOfEach) << "seed " << seed;
  EXPECT_EQ(result.stored, kTickets) << "seed " << seed;
  EXPECT_EQ(result.lost, 0U) << "seed " << seed;
  EXPECT_EQ(result.doubled, 0U) << "seed " << seed;
  EXPECT_EQ(result.damaged, 0U) << "seed " << seed;
  EXPECT_LT(bytes_sent(place), 2 * result.bytes) << "resumed from zero again and again";
}

// An audit that can't fail proves nothing.
TEST(DeliveryUnderKill, the_audit_sees_loss_doubles_and_damage) {
  const fakes::TempFolder folder;
  const Place place{folder.path()};
  make_place(place);
  const std::string endpoint = free_endpoint();
  {
    Process store({FAULT_STORE, place.folder, endpoint, free_endpoint()});
    Process station({FAULT_STATION, place.folder, endpoint, "3"});
    std::optional<int> code;
    for (int i = 0; i < 12'000 && !(code = station.ended()); ++i) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(code.value_or(-1), 0);
  }
  Audit result = audit(place);
  EXPECT_EQ(result.saved, 3U);
  EXPECT_EQ(result.lost + result.doubled + result.damaged, 0U);

  {
    auto database = delivery::Database::open(place.store_database(), records::schema_steps());
    ASSERT_TRUE(database
                    ->script("PRAGMA foreign_keys = OFF; DELETE FROM record WHERE store_seq = 1;"
                             "CREATE TEMP TABLE twin AS SELECT * FROM record WHERE store_seq = 2;"
                             "UPDATE twin SET store_seq = 99, id = 'another', "
                             "outbox_epoch = 'another', revision = 2;"
                             "INSERT INTO record SELECT * FROM twin;")
                    .ok());
  }
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(place.store_folder() / "cas")) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
    std::fstream(entry.path(), std::ios::in | std::ios::out | std::ios::binary).put('\0').put('\0');
  }
  result = audit(place);
  EXPECT_EQ(result.lost, 1U);
  EXPECT_EQ(result.doubled, 1U);
  EXPECT_GE(result.damaged, 4U);
}

}  // namespace
}  // namespace cusp::faults
