#include "records/backup.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

#include "delivery/blob_reader.h"
#include "delivery/cas.h"
#include "delivery/digest.h"
#include "delivery/part_file.h"

namespace cusp::records {
namespace {

namespace fs = std::filesystem;
using delivery::BlobRef;

constexpr std::uint64_t kSliceBytes = 4 << 20;
constexpr std::string_view kPrefix = "records-", kSuffix = ".db", kSealSuffix = ".sha256";

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

fs::path seal_of(const fs::path& snapshot) { return snapshot.string() + std::string(kSealSuffix); }

std::string snapshot_name(WallTime time) {
  return fmt::format("{}{:%Y%m%d-%H%M%S}{}", kPrefix,
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)), kSuffix);
}

// A piece at a time: a file may be larger than the memory that we are given. Answers its hash.
Result<std::string> copy_bytes(FileSystem& files, const fs::path& from, std::uint64_t size_bytes,
                               const fs::path& to) {
  CUSP_TRY(files.remove(to));
  delivery::BlobReader reader(from);
  CUSP_ASSIGN(auto part, delivery::PartFile::open(to));
  std::vector<std::uint8_t> slice;
  while (part.offset() < size_bytes) {
    slice.resize(std::min(kSliceBytes, size_bytes - part.offset()));
    CUSP_TRY(reader.read(part.offset(), slice));
    CUSP_TRY(part.append(slice));
  }
  return part.finish();
}

// True: it was copied; false: it is there already. kCorrupt: the source is damaged or gone.
Result<bool> copy_file(FileSystem& files, const fs::path& from_folder, const fs::path& to_folder,
                       const BlobRef& blob) {
  if (delivery::is_in_cas(to_folder, blob)) return false;
  const fs::path target = delivery::cas_path(to_folder, blob.sha256);
  const fs::path part = target.string() + ".part";
  CUSP_TRY(files.make_folder(target.parent_path()));
  const auto arrived =
      copy_bytes(files, delivery::cas_path(from_folder, blob.sha256), blob.size_bytes, part);
  if (!arrived.ok() || *arrived != blob.sha256) {
    CUSP_TRY(files.remove(part));
    if (!arrived.ok()) return arrived.error();
    return error(ErrorCode::kCorrupt, "file {} is not what its name says", blob.sha256);
  }
  CUSP_TRY(files.rename_synced(part, target));
  return true;
}

// Older snapshots go; files that only they named stay: they are few, and may be wanted.
Result<void> forget_old(FileSystem& files, const fs::path& folder) {
  CUSP_ASSIGN(const auto all, snapshots(files, folder));
  for (std::size_t i = 0; i + kSnapshotsKept < all.size(); ++i) {
    CUSP_TRY(files.remove(seal_of(folder / all[i])));
    CUSP_TRY(files.remove(folder / all[i]));
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> snapshots(FileSystem& files, const fs::path& backup_folder) {
  CUSP_ASSIGN(const auto names, files.list(backup_folder));
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix) &&
        std::ranges::binary_search(names, name + std::string(kSealSuffix)))
      found.push_back(name);
  return found;
}

std::optional<WallTime> snapshot_time(const std::string& snapshot) {
  std::tm utc{};
  const std::string format = std::string(kPrefix) + "%Y%m%d-%H%M%S" + std::string(kSuffix);
  const char* end = ::strptime(snapshot.c_str(), format.c_str(), &utc);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&utc));
}

Result<BackupReport> back_up(RecordsStore& store, FileSystem& files, const Clock& clock,
                             const fs::path& data_folder, const fs::path& backup_folder,
                             std::stop_token stop) {
  CUSP_TRY(files.make_folder(backup_folder));
  BackupReport report;
  report.snapshot = snapshot_name(clock.wall());
  const fs::path snapshot = backup_folder / report.snapshot;
  const fs::path draft = snapshot.string() + ".part";
  CUSP_TRY(files.remove(draft));
  CUSP_TRY(store.copy_database(draft, stop));
  std::string after;
  while (true) {
    if (stop.stop_requested()) return error(ErrorCode::kCancelled, "the backup was stopped");
    CUSP_ASSIGN(const auto blob, store.next_file(after));
    if (!blob) break;
    after = blob->sha256;
    ++report.files;
    const auto copied = copy_file(files, data_folder, backup_folder, *blob);
    if (!copied.ok() && copied.error().code != ErrorCode::kCorrupt) return copied.error();
    if (!copied.ok()) ++report.damaged_files;
    if (copied.ok() && *copied) {
      ++report.copied_files;
      report.copied_bytes += blob->size_bytes;
    }
  }
  CUSP_ASSIGN(const std::string sha256, delivery::sha256_hex_of_file(draft));
  CUSP_TRY(files.rename_synced(draft, snapshot));
  CUSP_TRY(files.write_synced(seal_of(snapshot), bytes_of(sha256 + "\n")));
  CUSP_TRY(forget_old(files, backup_folder));
  return report;
}

Result<RestoreReport> restore(FileSystem& files, const Clock& clock, const fs::path& backup_folder,
                              std::string snapshot, const fs::path& data_folder) {
  CUSP_ASSIGN(const auto all, snapshots(files, backup_folder));
  if (snapshot.empty() && !all.empty()) snapshot = all.back();
  if (std::ranges::find(all, snapshot) == all.end())
    return error(ErrorCode::kNotFound, "{} holds no whole backup{}", backup_folder.string(),
                 snapshot.empty() ? "" : " of that name");
  const fs::path database = data_folder / "records.db";
  if (std::error_code unknown; fs::exists(database, unknown) || unknown)
    return error(ErrorCode::kConflict, "{} holds a store already: move it away first",
                 data_folder.string());
  CUSP_ASSIGN(const auto seal, files.read(seal_of(backup_folder / snapshot)));
  CUSP_TRY(files.make_folder(data_folder));

  // The database comes last: what is not finished is no store.
  const fs::path draft = data_folder / "records.db.restored";
  std::error_code failed;
  const auto size_bytes = fs::file_size(backup_folder / snapshot, failed);
  if (failed)
    return error(ErrorCode::kIo, "can't read {}: {}", (backup_folder / snapshot).string(),
                 failed.message());
  CUSP_ASSIGN(const auto sha256, copy_bytes(files, backup_folder / snapshot, size_bytes, draft));
  if (std::string(seal.begin(), seal.end()) != sha256 + "\n")
    return error(ErrorCode::kCorrupt, "{}: the database is damaged in this backup: take another",
                 snapshot);
  fs::permissions(draft, fs::perms::owner_read | fs::perms::owner_write, failed);
  RestoreReport report{.snapshot = snapshot};
  {
    CUSP_ASSIGN(auto store, RecordsStore::open(draft, clock));
    CUSP_TRY(store->check_audit());
    std::string after;
    while (true) {
      CUSP_ASSIGN(const auto blob, store->next_file(after));
      if (!blob) break;
      after = blob->sha256;
      ++report.files;
      const auto copied = copy_file(files, backup_folder, data_folder, *blob);
      if (!copied.ok() && copied.error().code != ErrorCode::kCorrupt) return copied.error();
      if (!copied.ok()) {
        ++report.lost_files;
        CUSP_TRY(store->mark_damaged(blob->sha256, true));
      }
    }
    CUSP_TRY(store->renew_epoch("restored from " + snapshot));
    CUSP_ASSIGN(const auto counts, store->counts());
    report.records = counts.records;
  }
  CUSP_TRY(files.rename_synced(draft, database));
  return report;
}

}  // namespace cusp::records
