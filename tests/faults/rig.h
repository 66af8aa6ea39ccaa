// What the tests that kill programs share: the programs, where they live, and the audit of what is
// left. The audit reads the files themselves and an oracle that the station wrote on the side.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "delivery/digest.h"
#include "delivery/keys.h"
#include "delivery/parcel.h"
#include "delivery/sqlite.h"
#include "delivery/store_gate.h"
#include "records/schema.h"
#include "tests/faults/fault_place.h"

extern char** environ;

namespace cusp::faults {

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

inline std::string free_endpoint() {
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

inline void make_place(const Place& place) {
  const auto station = delivery::make_key_pair();
  ASSERT_TRUE(delivery::save_key_pair(place.station_keys(), station).ok());
  ASSERT_TRUE(delivery::save_key_pair(place.store_keys(), delivery::make_key_pair()).ok());
  const auto subscriber = delivery::make_key_pair();
  ASSERT_TRUE(delivery::save_key_pair(place.subscriber_keys(), subscriber).ok());
  std::ofstream(place.stations_file())
      << "room-1 " << station.public_z85 << "\nmirror " << subscriber.public_z85 << " subscriber\n";
}

struct Audit {
  std::size_t saved = 0;    // the station was told so
  std::size_t stored = 0;   // rows of the store
  std::size_t lost = 0;     // saved, not stored
  std::size_t doubled = 0;  // stored more than once
  std::size_t damaged = 0;  // files that are not what their name says
  std::uint64_t bytes = 0;  // of the files that the store holds
};

inline Audit audit(const Place& place) {
  Audit result;
  auto database = delivery::Database::open(place.store_database(), records::schema_steps());
  EXPECT_TRUE(database.ok());
  std::map<std::string, int> rows;
  auto records = database->query("SELECT envelope, envelope_sha256 FROM record");
  EXPECT_TRUE(records.ok());
  while (*records->step()) {
    ++result.stored;
    const auto envelope = records->blob(0);
    const auto parcel = delivery::decode_parcel(envelope);
    if (!parcel.ok() || delivery::sha256_hex(envelope) != records->text(1)) {
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

inline std::uint64_t bytes_sent(const Place& place) {
  std::uint64_t bytes = 0;
  std::ifstream(place.sent_bytes(), std::ios::binary)
      .read(reinterpret_cast<char*>(&bytes), sizeof bytes);
  return bytes;
}

}  // namespace cusp::faults
