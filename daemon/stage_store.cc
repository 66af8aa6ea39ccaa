#include "daemon/stage_store.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "core/uuid.h"
#include "delivery/digest.h"
#include "delivery/statement_json.h"

namespace cusp::daemon {
namespace {

namespace fs = std::filesystem;
using delivery::BlobRef;
using json = nlohmann::ordered_json;

constexpr std::string_view kRecordName = "stage.json";
constexpr std::string_view kJournals = "journals";

json to_json(const FinishedStage& stage) {
  json blobs = json::array();
  for (const BlobRef& blob : stage.statement.blobs)
    blobs.push_back({{"sha256", blob.sha256},
                     {"size_bytes", blob.size_bytes},
                     {"media_type", blob.media_type},
                     {"role", blob.role},
                     {"file_name", blob.file_name}});
  const delivery::StageStatement& s = stage.statement;
  json record = {{"stage", to_string(s.stage)},
                 {"blobs", blobs},
                 {"triangles", s.triangles},
                 {"frames", s.frames},
                 {"frames_tracked", s.frames_tracked},
                 {"frames_lost", s.frames_lost},
                 {"frames_dropped", s.frames_dropped},
                 {"frames_broken", s.frames_broken},
                 {"mean_residual_mm", s.mean_residual_mm},
                 {"device",
                  {{"driver", stage.device.driver},
                   {"maker", stage.device.maker},
                   {"model", stage.device.model},
                   {"serial", stage.device.serial},
                   {"firmware", stage.device.firmware}}},
                 {"calibration_id", stage.calibration_id},
                 {"started_at", stage.started_at},
                 {"finished_at", stage.finished_at},
                 {"recording_id", stage.recording_id}};
  record.update(delivery::model_json(s));
  return record;
}

// Throws json::exception on a record of another shape.
FinishedStage from_json(const json& record, ScanStage stage) {
  FinishedStage finished;
  delivery::StageStatement& s = finished.statement;
  s.stage = stage;
  for (const json& blob : record.at("blobs"))
    s.blobs.push_back({blob.at("sha256"), blob.at("size_bytes"), blob.at("media_type"),
                       blob.at("role"), blob.at("file_name")});
  s.triangles = record.at("triangles");
  s.frames = record.at("frames");
  s.frames_tracked = record.at("frames_tracked");
  s.frames_lost = record.at("frames_lost");
  s.frames_dropped = record.at("frames_dropped");
  s.frames_broken = record.at("frames_broken");
  s.mean_residual_mm = record.at("mean_residual_mm");
  delivery::read_model_json(record, s);
  const json& device = record.at("device");
  finished.device = {device.at("driver"), device.at("maker"), device.at("model"),
                     device.at("serial"), device.at("firmware")};
  finished.calibration_id = record.at("calibration_id");
  finished.started_at = record.at("started_at");
  finished.finished_at = record.at("finished_at");
  finished.recording_id = record.value("recording_id", "");
  return finished;
}

}  // namespace

fs::path StageStore::stage_folder(const std::string& ticket_id, ScanStage stage) const {
  CUSP_CHECK(is_uuid(ticket_id), "a ticket id that is not a UUID as a folder name");
  return folder_ / ticket_id / to_string(stage);
}

fs::path StageStore::file_path(const std::string& ticket_id, ScanStage stage,
                               const BlobRef& blob) const {
  return stage_folder(ticket_id, stage) / blob.sha256;
}

Result<void> StageStore::save(const std::string& ticket_id, const FinishedStage& stage,
                              const std::vector<delivery::OutboxFile>& files) {
  const fs::path folder = stage_folder(ticket_id, stage.statement.stage);
  CUSP_TRY(files_.make_folder(folder));
  std::set<std::string> wanted = {std::string(kRecordName)};
  for (const delivery::OutboxFile& file : files) {
    CUSP_TRY(files_.write_synced(folder / file.blob.sha256, file.bytes));
    wanted.insert(file.blob.sha256);
  }
  const std::string record = to_json(stage).dump(1);
  CUSP_TRY(files_.write_synced(
      folder / kRecordName,
      std::span(reinterpret_cast<const std::uint8_t*>(record.data()), record.size())));
  CUSP_ASSIGN(const auto names, files_.list(folder));
  for (const std::string& name : names)
    if (!wanted.contains(name)) CUSP_TRY(files_.remove(folder / name));
  return {};
}

Result<FinishedStage> StageStore::load_stage(const std::string& ticket_id, ScanStage stage,
                                             Check check) {
  const fs::path path = stage_folder(ticket_id, stage) / kRecordName;
  CUSP_ASSIGN(const auto bytes, files_.read(path));
  FinishedStage finished;
  try {
    finished = from_json(json::parse(bytes.begin(), bytes.end()), stage);
  } catch (const json::exception&) {
    return error(ErrorCode::kCorrupt, "{}: damaged", path.string());
  }
  for (const BlobRef& blob : finished.statement.blobs) {
    if (!delivery::is_sha256_hex(blob.sha256))
      return error(ErrorCode::kCorrupt, "{}: a file name that is no hash", path.string());
    const fs::path file = file_path(ticket_id, stage, blob);
    std::error_code failure;
    if (fs::file_size(file, failure) != blob.size_bytes || failure)
      return error(ErrorCode::kCorrupt, "{}: missing, or of another size", file.string());
    if (check == Check::kSizes) continue;
    CUSP_ASSIGN(const std::string sha256, delivery::sha256_hex_of_file(file));
    if (sha256 != blob.sha256)
      return error(ErrorCode::kCorrupt, "{}: its bytes do not match its name", file.string());
  }
  return finished;
}

StageStore::Loaded StageStore::load(const std::string& ticket_id, Check check) {
  Loaded loaded;
  for (int i = 0; i <= static_cast<int>(ScanStage::kFaceRetracted); ++i) {
    const auto stage = static_cast<ScanStage>(i);
    if (!has(ticket_id, stage)) continue;
    auto finished = load_stage(ticket_id, stage, check);
    if (finished.ok())
      loaded.stages.push_back(std::move(*finished));
    else
      loaded.problems.push_back(finished.error().message);
  }
  return loaded;
}

bool StageStore::has(const std::string& ticket_id, ScanStage stage) const {
  std::error_code ignored;
  return fs::exists(stage_folder(ticket_id, stage) / kRecordName, ignored);
}

Result<std::vector<delivery::OutboxFile>> StageStore::read_files(const std::string& ticket_id,
                                                                 const FinishedStage& stage) {
  std::vector<delivery::OutboxFile> files;
  for (const BlobRef& blob : stage.statement.blobs) {
    CUSP_ASSIGN(auto bytes, files_.read(file_path(ticket_id, stage.statement.stage, blob)));
    files.push_back({blob, std::move(bytes)});
  }
  return files;
}

// Nothing depends on it: what stays behind after a crash is forgotten at the next start.
void StageStore::forget(const std::string& ticket_id) {
  CUSP_CHECK(is_uuid(ticket_id), "a ticket id that is not a UUID as a folder name");
  std::error_code ignored;
  fs::remove_all(folder_ / ticket_id, ignored);
}

Result<fs::path> StageStore::new_journal(const std::string& ticket_id, ScanStage stage) {
  CUSP_CHECK(is_uuid(ticket_id), "a ticket id that is not a UUID as a folder name");
  const fs::path folder = folder_ / ticket_id / kJournals;
  CUSP_TRY(files_.make_folder(folder));
  return folder / fmt::format("{}.{}", to_string(stage), new_uuid());
}

std::vector<StageStore::JournalEntry> StageStore::journals(const std::string& ticket_id) const {
  CUSP_CHECK(is_uuid(ticket_id), "a ticket id that is not a UUID as a folder name");
  std::map<ScanStage, std::pair<fs::file_time_type, fs::path>> newest;
  std::error_code failure;
  for (fs::directory_iterator entry(folder_ / ticket_id / kJournals, failure), end;
       !failure && entry != end; entry.increment(failure)) {
    const std::string name = entry->path().stem();
    const auto stage = scan_stage_from(name);
    std::error_code gone;
    const auto written = entry->last_write_time(gone);
    if (!stage || gone) continue;
    auto& known = newest[*stage];
    if (known.second.empty() || written > known.first) known = {written, entry->path()};
  }
  std::vector<std::pair<fs::file_time_type, JournalEntry>> sorted;
  for (const auto& [stage, found] : newest) sorted.push_back({found.first, {stage, found.second}});
  std::ranges::stable_sort(sorted, {}, &decltype(sorted)::value_type::first);
  std::vector<JournalEntry> entries;
  for (auto& [written, entry] : sorted) entries.push_back(std::move(entry));
  return entries;
}

std::vector<std::string> StageStore::tickets() const {
  std::vector<std::string> ids;
  std::error_code failure;
  // A range-for would throw when the disk fails in the middle of the folder.
  for (fs::directory_iterator entry(folder_, failure), end; !failure && entry != end;
       entry.increment(failure))
    if (is_uuid(entry->path().filename().string())) ids.push_back(entry->path().filename());
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace cusp::daemon
