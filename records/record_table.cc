#include "records/record_table.h"

#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <set>
#include <sstream>

#include "records/patient_table.h"
#include "records/ticket_table.h"

namespace cusp::records {
namespace {

using delivery::Database;
using delivery::Statement;

constexpr std::string_view kSelect =
    "SELECT id, store_seq, title, visiting_time, committed_at, envelope_sha256, patient_id, "
    "ticket_id, revision, kind, case_type, visit_type, doctor, patient_ref, case_ref, note, "
    "teeth_fdi, device_maker, device_model, device_serial, device_firmware, calibration_id, "
    "config_sha256, software_version, started_at, finished_at, station_id, outbox_epoch, "
    "outbox_seq, EXISTS (SELECT 1 FROM record twin WHERE twin.ticket_id = record.ticket_id AND "
    "twin.delivered_revision = record.delivered_revision AND twin.store_seq <> record.store_seq) "
    "FROM record ";

std::string in_lines(const std::vector<std::string>& reasons) {
  return fmt::format("{}", fmt::join(reasons, "\n"));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

static_assert(std::endian::native == std::endian::little, "numbers are stored as in memory");
std::vector<std::uint8_t> bytes_of(const delivery::RigidRows& rows) {
  std::vector<std::uint8_t> bytes(sizeof rows);
  std::memcpy(bytes.data(), rows.data(), bytes.size());
  return bytes;
}
Result<delivery::RigidRows> rows_of(std::span<const std::uint8_t> bytes, std::uint64_t store_seq) {
  delivery::RigidRows rows;
  if (bytes.size() != sizeof rows)
    return error(ErrorCode::kCorrupt, "record {}: a damaged placement", store_seq);
  std::memcpy(rows.data(), bytes.data(), bytes.size());
  return rows;
}

Result<void> insert_stage(Database& database, std::uint64_t store_seq, std::size_t position,
                          const delivery::StageStatement& stage) {
  const auto& place = stage.placement;
  const delivery::StageQuality quality = stage.quality.value_or(delivery::StageQuality{});
  CUSP_TRY(database.run(
      "INSERT INTO record_stage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
      "?, ?, ?, ?, ?)",
      store_seq, position, to_string(stage.stage), stage.triangles, stage.frames,
      stage.frames_tracked, stage.frames_lost, stage.frames_dropped, stage.frames_broken,
      stage.mean_residual_mm, stage.quality ? std::optional(quality.grade) : std::nullopt,
      in_lines(quality.reasons), quality.area_mm2, quality.holes, quality.largest_hole_mm,
      quality.drift_mm, place ? std::optional(std::string(to_string(place->into))) : std::nullopt,
      place ? std::optional(bytes_of(place->into_from_stage)) : std::nullopt,
      place ? std::optional(place->residual_mm) : std::nullopt,
      stage.anatomical_from_stage ? std::optional(bytes_of(*stage.anatomical_from_stage))
                                  : std::nullopt,
      quality.expected_error_mm));
  for (std::size_t i = 0; i < stage.blobs.size(); ++i) {
    const auto& blob = stage.blobs[i];
    CUSP_TRY(database.run("INSERT INTO record_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)", store_seq,
                          position, i, blob.sha256, blob.size_bytes, blob.media_type, blob.role,
                          blob.file_name));
  }
  return {};
}

Result<std::vector<delivery::StageStatement>> read_stages(Database& database,
                                                          std::uint64_t store_seq) {
  CUSP_ASSIGN(auto rows,
              database.query("SELECT stage, triangles, frames, frames_tracked, frames_lost, "
                             "frames_dropped, frames_broken, mean_residual_mm, grade, "
                             "grade_reasons, area_mm2, holes, largest_hole_mm, drift_mm, "
                             "placed_into, placement, placement_residual_mm, anatomical, "
                             "expected_error_mm "
                             "FROM record_stage WHERE store_seq = ? ORDER BY position",
                             store_seq));
  std::vector<delivery::StageStatement> stages;
  const auto count = [&](int column) { return static_cast<std::uint64_t>(rows.integer(column)); };
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) break;
    const auto stage = scan_stage_from(rows.text(0));
    if (!stage) return error(ErrorCode::kCorrupt, "record {}: unknown stage", store_seq);
    stages.push_back(
        {*stage, {}, count(1), count(2), count(3), count(4), count(5), count(6), rows.real(7)});
    if (!rows.is_null(14)) {
      delivery::StagePlacement& place = stages.back().placement.emplace();
      const auto into = scan_stage_from(rows.text(14));
      if (!into) return error(ErrorCode::kCorrupt, "record {}: a damaged placement", store_seq);
      place.into = *into;
      CUSP_ASSIGN(place.into_from_stage, rows_of(rows.blob(15), store_seq));
      place.residual_mm = rows.real(16);
    }
    if (!rows.is_null(17)) {
      CUSP_ASSIGN(stages.back().anatomical_from_stage, rows_of(rows.blob(17), store_seq));
    }
    if (rows.is_null(8)) continue;
    delivery::StageQuality& quality = stages.back().quality.emplace();
    quality.grade = static_cast<int>(rows.integer(8));
    quality.reasons = lines_of(rows.text(9));
    quality.area_mm2 = rows.real(10);
    quality.holes = count(11);
    quality.largest_hole_mm = rows.real(12);
    if (!rows.is_null(13)) quality.drift_mm = rows.real(13);
    if (!rows.is_null(18)) quality.expected_error_mm = rows.real(18);
  }
  CUSP_ASSIGN(
      auto files,
      database.query("SELECT stage_position, sha256, size_bytes, media_type, role, file_name "
                     "FROM record_file WHERE store_seq = ? "
                     "ORDER BY stage_position, position",
                     store_seq));
  while (true) {
    CUSP_ASSIGN(const bool row, files.step());
    if (!row) return stages;
    const auto position = static_cast<std::size_t>(files.integer(0));
    CUSP_CHECK(position < stages.size(), "a file belongs to a stage");
    stages[position].blobs.push_back({files.text(1), static_cast<std::uint64_t>(files.integer(2)),
                                      files.text(3), files.text(4), files.text(5)});
  }
}

Result<Record> read_record(Database& database, const Statement& row) {
  Record record;
  record.id = row.text(0);
  record.store_seq = static_cast<std::uint64_t>(row.integer(1));
  record.title = row.text(2);
  record.visiting_time = row.text(3);
  record.committed_at = row.text(4);
  record.envelope_sha256 = row.text(5);
  if (!row.is_null(6)) {
    CUSP_ASSIGN(record.patient, patient_by_id(database, row.text(6)));
  }
  delivery::Parcel& parcel = record.parcel;
  parcel.ticket_id = row.text(7);
  parcel.revision = static_cast<unsigned>(row.integer(8));
  const auto kind = ticket_kind_from(row.text(9));
  if (!kind) return error(ErrorCode::kCorrupt, "record {}: unknown kind", record.id);
  parcel.kind = *kind;
  parcel.case_type = row.text(10);
  parcel.visit_type = row.text(11);
  parcel.doctor = row.text(12);
  parcel.patient_ref = row.text(13);
  parcel.case_ref = row.text(14);
  parcel.note = row.text(15);
  CUSP_ASSIGN(parcel.teeth_fdi, split_teeth(row.text(16)));
  parcel.device_maker = row.text(17);
  parcel.device_model = row.text(18);
  parcel.device_serial = row.text(19);
  parcel.device_firmware = row.text(20);
  parcel.calibration_id = row.text(21);
  parcel.config_sha256 = row.text(22);
  parcel.software_version = row.text(23);
  parcel.started_at = row.text(24);
  parcel.finished_at = row.text(25);
  parcel.station_id = row.text(26);
  parcel.outbox_epoch = row.text(27);
  parcel.outbox_seq = static_cast<std::uint64_t>(row.integer(28));
  record.scanned_twice = row.integer(29) != 0;
  CUSP_ASSIGN(parcel.stages, read_stages(database, record.store_seq));
  return record;
}

constexpr std::string_view kSelectReceipt =
    "SELECT id, ticket_id, delivered_revision, store_seq, envelope_sha256, committed_at "
    "FROM record ";

Result<std::optional<CommittedParcel>> only_committed(Result<Statement> query) {
  CUSP_ASSIGN(auto row, std::move(query));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<CommittedParcel>();
  CommittedParcel committed;
  committed.record_id = row.text(0);
  committed.receipt.ticket_id = row.text(1);
  committed.receipt.revision = static_cast<unsigned>(row.integer(2));
  committed.receipt.store_seq = static_cast<std::uint64_t>(row.integer(3));
  committed.receipt.envelope_sha256 = row.text(4);
  committed.receipt.committed_at = row.text(5);
  return std::optional<CommittedParcel>(std::move(committed));
}

}  // namespace

Result<std::uint64_t> insert_record(Database& database, const Record& record,
                                    unsigned delivered_revision,
                                    const std::vector<std::uint8_t>& envelope) {
  const delivery::Parcel& parcel = record.parcel;
  std::optional<std::string> patient_id;
  if (record.patient) patient_id = record.patient->id;
  CUSP_TRY(database.run(
      "INSERT INTO record(id, title, visiting_time, committed_at, patient_id, ticket_id, revision, "
      "kind, case_type, visit_type, doctor, patient_ref, case_ref, note, teeth_fdi, device_maker, "
      "device_model, device_serial, device_firmware, calibration_id, config_sha256, "
      "software_version, started_at, finished_at, station_id, outbox_epoch, outbox_seq, envelope, "
      "envelope_sha256, delivered_revision) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
      "?, "
      "?)",
      record.id, record.title, record.visiting_time, record.committed_at, patient_id,
      parcel.ticket_id, parcel.revision, to_string(parcel.kind), parcel.case_type,
      parcel.visit_type, parcel.doctor, parcel.patient_ref, parcel.case_ref, parcel.note,
      join_teeth(parcel.teeth_fdi), parcel.device_maker, parcel.device_model, parcel.device_serial,
      parcel.device_firmware, parcel.calibration_id, parcel.config_sha256, parcel.software_version,
      parcel.started_at, parcel.finished_at, parcel.station_id, parcel.outbox_epoch,
      parcel.outbox_seq, envelope, record.envelope_sha256, delivered_revision));
  const auto store_seq = static_cast<std::uint64_t>(database.last_insert_id());
  for (std::size_t i = 0; i < parcel.stages.size(); ++i)
    CUSP_TRY(insert_stage(database, store_seq, i, parcel.stages[i]));
  return store_seq;
}

Result<std::uint64_t> stored_file_bytes(Database& database) {
  CUSP_ASSIGN(auto row, database.query("SELECT coalesce(sum(size_bytes), 0) FROM "
                                       "(SELECT DISTINCT sha256, size_bytes FROM record_file)"));
  CUSP_TRY(row.step());
  return static_cast<std::uint64_t>(row.integer(0));
}

Result<std::uint64_t> bytes_of_new_files(Database& database, const delivery::Parcel& parcel) {
  std::uint64_t bytes = 0;
  std::set<std::string> seen;
  for (const auto& blob : parcel.all_blobs()) {
    if (!seen.insert(blob.sha256).second) continue;
    CUSP_ASSIGN(auto row,
                database.query("SELECT 1 FROM record_file WHERE sha256 = ? LIMIT 1", blob.sha256));
    CUSP_ASSIGN(const bool known, row.step());
    if (!known) bytes += blob.size_bytes;
  }
  return bytes;
}

Result<std::optional<std::uint64_t>> stored_file_size(Database& database,
                                                      const std::string& sha256) {
  CUSP_ASSIGN(auto row, database.query(
                            "SELECT size_bytes FROM record_file WHERE sha256 = ? LIMIT 1", sha256));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<std::uint64_t>();
  return std::optional(static_cast<std::uint64_t>(row.integer(0)));
}

Result<std::optional<delivery::BlobRef>> file_after(Database& database, const std::string& sha256) {
  CUSP_ASSIGN(auto row, database.query("SELECT sha256, size_bytes FROM record_file "
                                       "WHERE sha256 > ? ORDER BY sha256 LIMIT 1",
                                       sha256));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<delivery::BlobRef>();
  return std::optional(
      delivery::BlobRef{row.text(0), static_cast<std::uint64_t>(row.integer(1)), {}, {}, {}});
}

Result<std::vector<delivery::FeedEntry>> feed_entries(Database& database, std::uint64_t since,
                                                      std::size_t limit) {
  CUSP_ASSIGN(auto rows,
              database.query("SELECT store_seq, id, committed_at, envelope, envelope_sha256 "
                             "FROM record WHERE store_seq > ? ORDER BY store_seq LIMIT ?",
                             since, limit));
  std::vector<delivery::FeedEntry> entries;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return entries;
    entries.push_back({static_cast<std::uint64_t>(rows.integer(0)), rows.text(1), rows.text(2),
                       rows.blob(3), rows.text(4)});
  }
}

Result<std::optional<Record>> record_by_id(Database& database, const std::string& id) {
  CUSP_ASSIGN(auto row, database.query(std::string(kSelect) + "WHERE id = ?", id));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<Record>();
  CUSP_ASSIGN(auto record, read_record(database, row));
  return std::optional<Record>(std::move(record));
}

Result<Page<Record>> record_page(Database& database, const PageRequest& request) {
  CUSP_ASSIGN(auto rows,
              database.query(std::string(kSelect) + "WHERE (?1 IS NULL OR store_seq < ?1) "
                                                    "ORDER BY store_seq DESC LIMIT ?2",
                             request.before, request.limit + 1));
  Page<Record> page;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return page;
    if (page.items.size() == request.limit) {
      page.next = page.items.back().store_seq;
      return page;
    }
    CUSP_ASSIGN(auto record, read_record(database, rows));
    page.items.push_back(std::move(record));
  }
}

Result<std::optional<CommittedParcel>> committed_by_outbox(Database& database,
                                                           const std::string& station_id,
                                                           const std::string& outbox_epoch,
                                                           std::uint64_t outbox_seq) {
  return only_committed(database.query(
      std::string(kSelectReceipt) + "WHERE station_id = ? AND outbox_epoch = ? AND outbox_seq = ?",
      station_id, outbox_epoch, outbox_seq));
}

Result<std::optional<CommittedParcel>> committed_by_ticket(Database& database,
                                                           const std::string& station_id,
                                                           const std::string& outbox_epoch,
                                                           const std::string& ticket_id,
                                                           unsigned revision) {
  return only_committed(database.query(std::string(kSelectReceipt) +
                                           "WHERE ticket_id = ? AND delivered_revision = ? AND "
                                           "station_id = ? AND outbox_epoch = ?",
                                       ticket_id, revision, station_id, outbox_epoch));
}

Result<unsigned> free_revision(Database& database, const std::string& ticket_id,
                               unsigned revision) {
  CUSP_ASSIGN(auto row, database.query("SELECT sum(revision = ?2), max(revision) FROM record "
                                       "WHERE ticket_id = ?1",
                                       ticket_id, revision));
  CUSP_TRY(row.step());
  return row.integer(0) == 0 ? revision : static_cast<unsigned>(row.integer(1)) + 1;
}

Result<std::vector<delivery::BlobRef>> files_of_record(Database& database,
                                                       std::uint64_t store_seq) {
  CUSP_ASSIGN(auto rows, database.query("SELECT DISTINCT sha256, size_bytes FROM record_file "
                                        "WHERE store_seq = ? ORDER BY sha256",
                                        store_seq));
  std::vector<delivery::BlobRef> files;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return files;
    files.push_back({rows.text(0), static_cast<std::uint64_t>(rows.integer(1)), {}, {}, {}});
  }
}

Result<std::vector<std::uint64_t>> deliveries_with_damage(Database& database,
                                                          const std::string& station_id,
                                                          const std::string& outbox_epoch) {
  CUSP_ASSIGN(auto rows,
              database.query("SELECT DISTINCT r.outbox_seq FROM damaged_file d "
                             "JOIN record_file f ON f.sha256 = d.sha256 "
                             "JOIN record r ON r.store_seq = f.store_seq "
                             "WHERE r.station_id = ? AND r.outbox_epoch = ? ORDER BY r.outbox_seq",
                             station_id, outbox_epoch));
  std::vector<std::uint64_t> seqs;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return seqs;
    seqs.push_back(static_cast<std::uint64_t>(rows.integer(0)));
  }
}

Result<void> insert_refused(Database& database, const delivery::Parcel& parcel,
                            const std::vector<std::uint8_t>& envelope,
                            const std::string& envelope_sha256, const std::string& record_id,
                            const std::string& at) {
  constexpr int kRefusedOfAStation = 500;
  return database.run(
      "INSERT INTO refused_parcel SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 "
      "WHERE (SELECT count(*) FROM refused_parcel WHERE station_id = ?3) < ?10 "
      "ON CONFLICT DO NOTHING",
      envelope_sha256, at, parcel.station_id, parcel.outbox_epoch, parcel.outbox_seq,
      parcel.ticket_id, parcel.revision, record_id, envelope, kRefusedOfAStation);
}

}  // namespace cusp::records
