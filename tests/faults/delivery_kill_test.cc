// Two real processes, killed with SIGKILL again and again while tickets go from one to the other.
// Every ticket that the station was told is saved must be in the store once, and every file must be
// what its name says. The audit reads the files themselves and an oracle that the station wrote on
// the side.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "delivery/digest.h"
#include "delivery/keys.h"
#include "delivery/parcel.h"
#include "delivery/store_gate.h"
#include "tests/fakes/temp_folder.h"
#include "tests/faults/fault_place.h"

extern char** environ;

namespace cusp::faults {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kTickets = 30;
constexpr int kKillsOfEach = 12;

class Process {
 public:
  explicit Process(std::vector<std::string> command) : command_(std::move(command)) { start(); }
  ~Process() { kill_and_wait(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start() {
    std::vector<char*> arguments;
    for (std::string& word : command_) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    CUSP_CHECK(posix_spawn(&id_, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0,
               "can't start " + command_[0]);
  }
  void kill_and_wait() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    id_ = 0;
  }
  // Its exit code, once it ended by itself.
  std::optional<int> ended() {
    int status = 0;
    if (id_ <= 0 || ::waitpid(id_, &status, WNOHANG) != id_) return std::nullopt;
    id_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  std::vector<std::string> command_;
  pid_t id_ = 0;
};

std::string free_endpoint() {
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CUSP_CHECK(::bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                 ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0,
             "no free port");
  ::close(probe);
  return fmt::format("tcp://127.0.0.1:{}", ntohs(address.sin_port));
}

void make_place(const Place& place) {
  const auto station = delivery::make_key_pair();
  ASSERT_TRUE(delivery::save_key_pair(place.station_keys(), station).ok());
  ASSERT_TRUE(delivery::save_key_pair(place.store_keys(), delivery::make_key_pair()).ok());
  std::ofstream(place.stations_file()) << "room-1 " << station.public_z85 << "\n";
}

struct Audit {
  std::size_t saved = 0;    // the station was told so
  std::size_t stored = 0;   // rows of the store
  std::size_t lost = 0;     // saved, not stored
  std::size_t doubled = 0;  // stored more than once
  std::size_t damaged = 0;  // files that are not what their name says
  std::uint64_t bytes = 0;  // of the files that the store holds
};

Audit audit(const Place& place) {
  Audit result;
  auto database = delivery::Database::open(place.store_database(), kStoreSchema);
  EXPECT_TRUE(database.ok());
  std::map<std::string, int> rows;
  auto inbox = database->query("SELECT envelope, envelope_sha256 FROM inbox");
  EXPECT_TRUE(inbox.ok());
  while (*inbox->step()) {
    ++result.stored;
    const auto envelope = inbox->blob(0);
    const auto parcel = delivery::decode_parcel(envelope);
    if (!parcel.ok() || delivery::sha256_hex(envelope) != inbox->text(1)) {
      ++result.damaged;
      continue;
    }
    ++rows[parcel->ticket_id];
    for (const auto& blob : parcel->all_blobs()) {
      const auto path = delivery::cas_path(place.store_folder(), blob.sha256);
      const auto hash = delivery::sha256_hex_of_file(path);
      if (!hash.ok() || *hash != blob.sha256) ++result.damaged;
      result.bytes += blob.size_bytes;
    }
  }
  for (const auto& [ticket, count] : rows) result.doubled += count > 1 ? 1 : 0;
  std::ifstream saved(place.saved());
  std::set<std::string> told;
  for (std::string line; std::getline(saved, line);) told.insert(line);
  result.saved = told.size();
  for (const std::string& ticket : told) result.lost += rows.contains(ticket) ? 0 : 1;
  return result;
}

std::uint64_t bytes_sent(const Place& place) {
  std::uint64_t bytes = 0;
  std::ifstream(place.sent_bytes(), std::ios::binary)
      .read(reinterpret_cast<char*>(&bytes), sizeof bytes);
  return bytes;
}

TEST(DeliveryUnderKill, what_was_saved_arrives_once) {
  const fakes::TempFolder folder;
  const Place place{folder.path()};
  make_place(place);
  const std::string endpoint = free_endpoint();
  Process store({FAULT_STORE, place.folder, endpoint});
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
    Process store({FAULT_STORE, place.folder, endpoint});
    Process station({FAULT_STATION, place.folder, endpoint, "3"});
    std::optional<int> code;
    for (int i = 0; i < 12'000 && !(code = station.ended()); ++i) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(code.value_or(-1), 0);
  }
  Audit result = audit(place);
  EXPECT_EQ(result.saved, 3U);
  EXPECT_EQ(result.lost + result.doubled + result.damaged, 0U);

  {
    auto database = delivery::Database::open(place.store_database(), kStoreSchema);
    ASSERT_TRUE(database->run("DELETE FROM inbox WHERE store_seq = 1").ok());
    ASSERT_TRUE(database
                    ->run("INSERT INTO inbox(station, epoch, seq, ticket, revision, envelope, "
                          "envelope_sha256) SELECT station, 'another', seq, ticket, revision, "
                          "envelope, envelope_sha256 FROM inbox WHERE store_seq = 2")
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
