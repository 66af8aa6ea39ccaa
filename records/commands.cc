#include "records/commands.h"

#include <fmt/core.h>

#include <algorithm>

#include "delivery/keys.h"
#include "http/token.h"
#include "records/backup.h"

namespace cusp::records {
namespace {

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Root enrols, the service's own user reads; public keys are no secret.
Result<void> let_all_read(const std::filesystem::path& file) {
  using std::filesystem::perms;
  std::error_code failed;
  std::filesystem::permissions(
      file, perms::owner_read | perms::owner_write | perms::group_read | perms::others_read,
      failed);
  if (failed)
    return error(ErrorCode::kPermission, "{} can't be made readable for the store: {}",
                 file.string(), failed.message());
  return {};
}

}  // namespace

Result<void> keygen(FileSystem& files, const std::filesystem::path& stem) {
  if (stem.has_parent_path()) CUSP_TRY(files.make_folder(stem.parent_path()));
  const auto pair = delivery::make_key_pair();
  CUSP_TRY(delivery::save_key_pair(stem, pair));
  fmt::print("public key  {}\nwritten to  {}.public, {}.secret\n", pair.public_z85, stem.string(),
             stem.string());
  return {};
}

Result<void> enroll(FileSystem& files, const Options& options, delivery::Role role,
                    const std::string& id, const std::filesystem::path& public_key) {
  CUSP_ASSIGN(const auto key, delivery::load_public_key(public_key));
  const auto& file = options.stations_file;
  std::string text = "# id public_key role\n";
  if (std::filesystem::exists(file)) {
    CUSP_ASSIGN(const auto peers, delivery::load_peers(file));
    for (const auto& peer : peers) {
      if (peer.id != id) continue;
      if (peer.public_z85 != key || peer.role != role)
        return error(ErrorCode::kConflict,
                     "{} is enrolled with another key or role: remove its line from {} first", id,
                     file.string());
      CUSP_TRY(let_all_read(file));
      fmt::print("{} {} is enrolled already\n", to_string(role), id);
      return {};
    }
    CUSP_ASSIGN(const auto bytes, files.read(file));
    text.assign(bytes.begin(), bytes.end());
    if (!text.empty() && text.back() != '\n') text += '\n';
  } else if (file.has_parent_path()) {
    CUSP_TRY(files.make_folder(file.parent_path()));
  }
  text += fmt::format("{} {} {}\n", id, key, to_string(role));

  // The store must be able to read what we leave, so it is read before it counts.
  auto draft = file;
  draft += ".draft";
  CUSP_TRY(files.write_synced(draft, bytes_of(text)));
  if (const auto readable = delivery::load_peers(draft); !readable) {
    CUSP_TRY(files.remove(draft));
    return readable.error();
  }
  CUSP_TRY(let_all_read(draft));
  CUSP_TRY(files.rename_synced(draft, file));
  fmt::print("{} {} may {}\n", to_string(role), id,
             role == delivery::Role::kStation ? "deliver" : "read the feed");
  return {};
}

Result<void> print_address(const Options& options) {
  if (options.http_port == 0)
    return error(ErrorCode::kUnsupported,
                 "web.http_port is 0, a free port: the store's log says which one it took");
  CUSP_ASSIGN(const auto token, http::load_token(token_file(options)));
  fmt::print("http://127.0.0.1:{}/?token={}\n", options.http_port, token);
  return {};
}

Result<void> back_up(FileSystem& files, const Options& options, const std::filesystem::path& to) {
  const SystemClock clock;
  const auto store = RecordsStore::open(options.data_folder / "records.db", clock);
  if (!store && store.error().code == ErrorCode::kUnavailable)
    return error(ErrorCode::kUnavailable,
                 "the store runs and makes its own backups: set storage.backup_folder, or ask it "
                 "for one now with POST /api/v1/backup");
  if (!store) return store.error();
  CUSP_ASSIGN(const auto report, back_up(**store, files, clock, options.data_folder, to, {}));
  fmt::print("{}: {} files, {} new ({} MiB)\n", (to / report.snapshot).string(), report.files,
             report.copied_files, report.copied_bytes >> 20);
  if (report.damaged_files > 0)
    fmt::print("{} files were damaged or missing in the store and are not in the backup\n",
               report.damaged_files);
  return {};
}

Result<void> restore(FileSystem& files, const Options& options, const std::filesystem::path& from,
                     const std::string& snapshot) {
  const SystemClock clock;
  CUSP_ASSIGN(const auto report, restore(files, clock, from, snapshot, options.data_folder));
  fmt::print("{} restored from {}: {} records, {} files\n", options.data_folder.string(),
             report.snapshot, report.records, report.files);
  if (report.lost_files > 0)
    fmt::print("{} files are not whole in the backup: stations that still hold them bring them\n",
               report.lost_files);
  fmt::print(
      "Start the store: stations deliver again what it does not know. The data folder must belong "
      "to its user.\n");
  return {};
}

std::filesystem::path token_file(const Options& options) {
  return options.token_file.empty() ? options.data_folder / "http.token" : options.token_file;
}

}  // namespace cusp::records
