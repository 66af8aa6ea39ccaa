// What cusp-records does besides serving: keys, stations, the address for people. Each prints its
// answer. Threads: main's.
#pragma once

#include <filesystem>
#include <string>

#include "core/file_system.h"
#include "delivery/keys.h"
#include "records/options.h"

namespace cusp::records {

// Writes <stem>.public and <stem>.secret; an existing secret is never replaced.
Result<void> keygen(FileSystem& files, const std::filesystem::path& stem);

// Adds the peer to stations_file; a running store reads it again. Enrolling the same key twice is
// fine, another key or role under a known id is kConflict.
Result<void> enroll(FileSystem& files, const Options& options, delivery::Role role,
                    const std::string& id, const std::filesystem::path& public_key);

// http://127.0.0.1:PORT/?token=... with the token that the running store made: one made here would
// belong to whoever asks, and the store could not read it. kNotFound: it never ran.
Result<void> print_address(const Options& options);

// Makes a backup of a store that does not run (a running one makes its own), or a store out of one.
Result<void> back_up(FileSystem& files, const Options& options, const std::filesystem::path& to);
Result<void> restore(FileSystem& files, const Options& options, const std::filesystem::path& from,
                     const std::string& snapshot);

// Where the store's token lies when the configuration does not say.
std::filesystem::path token_file(const Options& options);

}  // namespace cusp::records
