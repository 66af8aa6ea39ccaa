#include "daemon/finishing.h"

#include <algorithm>
#include <set>

#include "daemon/placing.h"
#include "pipeline/base.h"
#include "pipeline/export.h"
#include "pipeline/orient.h"
#include "pipeline/quality.h"

namespace cusp::daemon {
namespace {

constexpr int kThumbnailPx = 320;
// Shares of the time that a model takes; grading and saving have the rest.
constexpr double kRefineTo = 0.7, kFinishTo = 0.9;
constexpr std::string_view kPly = "application/x-ply";

// A bite scan is a part of two jaws. A face is ten times as large as a tooth, and is graded for
// what is planned on it, not for a laboratory's mill.
QualityLimits limits_for(ScanStage stage) {
  QualityLimits limits;
  if (stage == ScanStage::kBiteLeft || stage == ScanStage::kBiteRight) {
    limits.min_triangles = 0;
    limits.parts = {2, 6, 20};
  } else if (kind_of(stage) == TicketKind::kFace) {
    constexpr double kLarger = 10;
    for (Limits* lengths :
         {&limits.largest_hole_mm, &limits.residual_mm, &limits.drift_mm, &limits.worst_sigma_mm})
      *lengths = {lengths->ideal * kLarger, lengths->minor * kLarger, lengths->usable * kLarger};
    limits.double_surface_mm *= kLarger;
    limits.min_triangles = 0;
  }
  return limits;
}

delivery::StageQuality graded(const FinishedModel& model, ScanStage stage, const ScanCounts& counts,
                              const std::optional<AdjustReport>& adjustment,
                              const std::vector<float>& expected_error_mm, WorkerPool& pool) {
  ScanFigures scan{.vertex_sigma_mm = expected_error_mm, .filled = model.filled};
  if (counts.tracked > 0) scan.residual_mm = counts.mean_residual_mm;
  if (counts.frames > 0)
    scan.lost_share = static_cast<double>(counts.lost) / static_cast<double>(counts.frames);
  if (adjustment) scan.drift_mm = adjustment->pose_sigma_um / 1000;
  const QualityLimits limits = limits_for(stage);
  const Quality quality = grade(measure_quality(model.mesh, scan, limits, pool), limits);
  delivery::StageQuality statement{.grade = quality.grade,
                                   .reasons = {},
                                   .area_mm2 = quality.figures.area_mm2,
                                   .holes = quality.figures.holes,
                                   .largest_hole_mm = quality.figures.largest_hole_mm,
                                   .drift_mm = quality.figures.drift_mm,
                                   .expected_error_mm = quality.figures.worst_sigma_mm};
  for (const QualityReason& reason : quality.reasons)
    if (statement.reasons.size() < delivery::kMaxReasons) statement.reasons.push_back(reason.text);
  return statement;
}

std::optional<JawKind> jaw_of(ScanStage stage) {
  switch (stage) {
    case ScanStage::kUpper:
    case ScanStage::kPreopUpper:
    case ScanStage::kScanBodyUpper:
      return JawKind::kUpper;
    case ScanStage::kLower:
    case ScanStage::kPreopLower:
    case ScanStage::kScanBodyLower:
      return JawKind::kLower;
    default:
      return std::nullopt;
  }
}

// From the teeth into the bone.
Eigen::Vector3d into_jaw(JawKind kind, const JawFrame& frame) {
  const Eigen::Vector3d up = frame.anatomical_from_model.linear().row(2).transpose();
  return kind == JawKind::kUpper ? up : Eigen::Vector3d(-up);
}

// Of a part of a jaw: away from where its surface looks.
Eigen::Vector3d behind(const Mesh& mesh) {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  for (const auto& [a, b, c] : mesh.triangles)
    sum += (mesh.vertices_mm[b] - mesh.vertices_mm[a])
               .cross(mesh.vertices_mm[c] - mesh.vertices_mm[a])
               .cast<double>();
  return sum.norm() > 0 ? Eigen::Vector3d(-sum.normalized()) : Eigen::Vector3d(0, 0, 1);
}

// Smoothed, filled or decimated, it is another surface than the one that was measured.
bool changes_surface(const FinishOptions& options) {
  return options.smooth_sigma_mm > 0 || options.max_hole_mm > 0 || options.max_error_mm > 0 ||
         options.target_triangles.value_or(0) > 0;
}

}  // namespace

Result<FinishedStage> finish_stage(Scan& scan, const ScanTicket& ticket, ScanStage stage,
                                   const std::string& started_at, const ModelOptions& options,
                                   const FinishRun& run, StageStore& stages, const Clock& clock) {
  const auto part = [&run](double from, double to) -> std::function<void(double)> {
    return [&run, from, to](double share) {
      if (run.progress) run.progress(from + (to - from) * share);
    };
  };
  scan.end();
  CUSP_ASSIGN(RefinedScan refined, scan.refine({.stop = run.stop, .progress = part(0, kRefineTo)}));
  WorkerPool pool(run.threads);
  std::vector<std::uint8_t> original;
  if (changes_surface(options.finish))
    original = to_ply(refined.mesh, {.colours = refined.colours.of(refined.mesh, pool)});
  CUSP_ASSIGN(
      FinishedModel model,
      finish(std::move(refined.mesh), options.finish,
             {.threads = run.threads, .stop = run.stop, .progress = part(kRefineTo, kFinishTo)}));
  const std::vector<float> expected_error_mm = refined.expected_error.of(model.mesh, pool);
  const std::vector<Rgb> colours = refined.colours.of(model.mesh, pool);
  CUSP_ASSIGN(auto thumbnail,
              render_thumbnail_png(model.mesh, kThumbnailPx, kThumbnailPx, colours));
  const std::string name(to_string(stage));
  std::vector<delivery::OutboxFile> files;
  files.push_back(delivery::named_by_hash(to_stl(model.mesh), "model/stl", "model", name + ".stl"));
  files.push_back(delivery::named_by_hash(
      to_ply(model.mesh,
             {.filled = model.filled, .expected_error_mm = expected_error_mm, .colours = colours}),
      std::string(kPly), "model", name + ".ply"));
  const std::string mesh_sha256 = files.back().blob.sha256;
  if (!original.empty())
    files.push_back(delivery::named_by_hash(std::move(original), std::string(kPly), "original",
                                            name + "-original.ply"));
  files.push_back(
      delivery::named_by_hash(std::move(thumbnail), "image/png", "thumbnail", name + ".png"));

  const ScanStatus status = scan.status();
  FinishedStage finished;
  if (const auto kind = jaw_of(stage)) {
    const auto frame = find_jaw_frame(model.mesh, *kind);  // an error: no whole arch
    if (frame.ok())
      finished.statement.anatomical_from_stage = to_rows(frame->anatomical_from_model);
    if (options.base_mm > 0) {
      const Eigen::Vector3d down = frame.ok() ? into_jaw(*kind, *frame) : behind(model.mesh);
      auto based = add_base(model.mesh, {.down = down, .height_mm = options.base_mm}, pool);
      if (based.ok())
        files.push_back(
            delivery::named_by_hash(to_stl(*based), "model/stl", "based", name + "-based.stl"));
      else
        finished.no_base = based.error().message;
    }
  }
  delivery::StageStatement& s = finished.statement;
  s.stage = stage;
  for (const delivery::OutboxFile& file : files) s.blobs.push_back(file.blob);
  s.triangles = model.mesh.triangles.size();
  s.frames = status.counts.frames;
  s.frames_tracked = status.counts.tracked;
  s.frames_lost = status.counts.lost;
  s.frames_dropped = status.counts.dropped;
  s.frames_broken = status.counts.broken + status.counts.missing;
  s.mean_residual_mm = status.counts.mean_residual_mm;
  s.quality = graded(model, stage, status.counts, refined.adjustment, expected_error_mm, pool);
  finished.device = status.device;
  finished.calibration_id = status.calibration_id;
  finished.started_at = started_at;
  finished.finished_at = to_rfc3339(clock.wall());
  finished.recording_id = scan.recording_id();
  finished.not_adjusted = std::move(refined.not_adjusted);
  if (run.stop.stop_requested())
    return error(ErrorCode::kCancelled, "stage {}: its model was not wanted any more", name);
  CUSP_TRY(stages.save(ticket.id, finished, files));
  scan.note_result(mesh_sha256);
  return finished;
}

Result<Committed> commit_parcel(const ScanTicket& ticket, const std::vector<ScanStage>& expected,
                                const Origin& origin, StageStore& stages,
                                delivery::Outbox& outbox) {
  const StageStore::Loaded loaded = stages.load(ticket.id, StageStore::Check::kSizes);
  delivery::Parcel parcel;
  parcel.ticket_id = ticket.id;
  parcel.revision = ticket.revision;
  parcel.kind = ticket.kind;
  parcel.case_type = ticket.case_type;
  parcel.visit_type = ticket.visit_type;
  parcel.doctor = ticket.doctor;
  parcel.patient_ref = ticket.patient_ref;
  parcel.case_ref = ticket.case_ref;
  parcel.note = ticket.note;
  parcel.teeth_fdi = ticket.teeth_fdi;
  parcel.config_sha256 = origin.config_sha256;
  parcel.software_version = origin.software_version;

  std::vector<delivery::OutboxFile> files;
  std::set<std::string> given;
  for (const ScanStage stage : expected) {
    const auto found =
        std::find_if(loaded.stages.begin(), loaded.stages.end(),
                     [&](const FinishedStage& one) { return one.statement.stage == stage; });
    if (found == loaded.stages.end())
      return error(ErrorCode::kCorrupt,
                   "ticket {}: the model of stage {} is not whole{}{}: redo it", ticket.id,
                   to_string(stage), loaded.problems.empty() ? "" : ": ",
                   loaded.problems.empty() ? "" : loaded.problems.front());
    parcel.stages.push_back(found->statement);
    CUSP_ASSIGN(auto of_stage, stages.read_files(ticket.id, *found));
    for (auto& file : of_stage)  // two stages may share a file: the outbox takes it once
      if (given.insert(file.blob.sha256).second) files.push_back(std::move(file));
    // RFC 3339 in UTC sorts as text.
    if (parcel.started_at.empty() || found->started_at < parcel.started_at)
      parcel.started_at = found->started_at;
    if (found->finished_at >= parcel.finished_at) {
      parcel.finished_at = found->finished_at;
      parcel.device_maker = found->device.maker;
      parcel.device_model = found->device.model;
      parcel.device_serial = found->device.serial;
      parcel.device_firmware = found->device.firmware;
      parcel.calibration_id = found->calibration_id;
    }
  }
  Placing placing = place_in_one_another(ticket.id, stages, parcel.stages);
  std::ranges::move(placing.files, std::back_inserter(files));
  Committed committed{.entry = {}, .not_placed = std::move(placing.problems)};
  CUSP_ASSIGN(committed.entry, outbox.commit(std::move(parcel), files));
  return committed;
}

Result<void> restore_stages(const delivery::Parcel& parcel, delivery::Outbox& outbox,
                            FileSystem& files, StageStore& stages) {
  for (const delivery::StageStatement& statement : parcel.stages) {
    if (stages.has(parcel.ticket_id, statement.stage)) continue;
    FinishedStage stage;
    stage.statement = statement;
    stage.device = {"", parcel.device_maker, parcel.device_model, parcel.device_serial,
                    parcel.device_firmware};
    stage.calibration_id = parcel.calibration_id;
    stage.started_at = parcel.started_at;
    stage.finished_at = parcel.finished_at;
    std::vector<delivery::OutboxFile> blobs;
    for (const delivery::BlobRef& blob : statement.blobs) {
      CUSP_ASSIGN(auto bytes, files.read(outbox.blob_path(blob.sha256)));
      blobs.push_back({blob, std::move(bytes)});
    }
    CUSP_TRY(stages.save(parcel.ticket_id, stage, blobs));
  }
  return {};
}

}  // namespace cusp::daemon
