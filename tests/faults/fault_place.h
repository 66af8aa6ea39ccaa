// What the two programs that are killed and the test that kills them agree on: where things lie.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

namespace cusp::faults {

struct Place {
  std::filesystem::path folder;

  [[nodiscard]] std::filesystem::path station_keys() const { return folder / "station"; }
  [[nodiscard]] std::filesystem::path store_keys() const { return folder / "store"; }
  [[nodiscard]] std::filesystem::path subscriber_keys() const { return folder / "subscriber"; }
  [[nodiscard]] std::filesystem::path stations_file() const { return folder / "stations"; }
  [[nodiscard]] std::filesystem::path outbox() const { return folder / "outbox"; }
  [[nodiscard]] std::filesystem::path worklist() const { return folder / "worklist.db"; }
  [[nodiscard]] std::filesystem::path store_folder() const { return folder / "store-files"; }
  [[nodiscard]] std::filesystem::path store_database() const { return folder / "store.db"; }
  // The oracle: a line for each ticket that was reported as saved.
  [[nodiscard]] std::filesystem::path saved() const { return folder / "saved"; }
  // A shared counter of the bytes that stations put on the wire; it survives them.
  [[nodiscard]] std::filesystem::path sent_bytes() const { return folder / "sent-bytes"; }
};

inline std::string ticket_id(unsigned number) {
  return fmt::format("00000000-0000-4000-8000-{:012x}", number);
}

}  // namespace cusp::faults
