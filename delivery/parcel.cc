#include "delivery/parcel.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/text.h"
#include "core/uuid.h"
#include "delivery/digest.h"
#include "delivery/messages.pb.h"

namespace cusp::delivery {
namespace {

// Before main: protobuf would write a line to stderr for every broken text that a peer sends.
[[maybe_unused]] const auto kNoProtobufLog = google::protobuf::SetLogHandler(nullptr);

constexpr std::uint32_t kSchema = 1;
constexpr std::size_t kMaxBlobs = 64;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxFileNameBytes = 128;

template <typename... Args>
Error broken(fmt::format_string<Args...> format, Args&&... args) {
  return error(ErrorCode::kProtocol, "parcel: {}",
               fmt::format(format, std::forward<Args>(args)...));
}

void write(const StageQuality& quality, sxp::Quality& message) {
  message.set_grade(static_cast<std::uint32_t>(quality.grade));
  for (const std::string& reason : quality.reasons) message.add_reasons(reason);
  message.set_area_mm2(quality.area_mm2);
  message.set_holes(quality.holes);
  message.set_largest_hole_mm(quality.largest_hole_mm);
  if (quality.drift_mm) message.set_drift_mm(*quality.drift_mm);
  if (quality.expected_error_mm) message.set_expected_error_mm(*quality.expected_error_mm);
}

sxp::Parcel to_message(const Parcel& parcel) {
  sxp::Parcel message;
  message.set_schema(kSchema);
  message.set_station_id(parcel.station_id);
  message.set_outbox_epoch(parcel.outbox_epoch);
  message.set_outbox_seq(parcel.outbox_seq);
  message.set_ticket_id(parcel.ticket_id);
  message.set_revision(parcel.revision);
  message.set_kind(std::string(to_string(parcel.kind)));
  message.set_case_type(parcel.case_type);
  message.set_visit_type(parcel.visit_type);
  message.set_doctor(parcel.doctor);
  message.set_patient_ref(parcel.patient_ref);
  message.set_case_ref(parcel.case_ref);
  message.set_note(parcel.note);
  for (const int tooth : parcel.teeth_fdi) message.add_teeth_fdi(static_cast<std::uint32_t>(tooth));
  for (const StageStatement& statement : parcel.stages) {
    sxp::Stage& stage = *message.add_stages();
    stage.set_stage(std::string(to_string(statement.stage)));
    for (const BlobRef& ref : statement.blobs) {
      sxp::Blob& blob = *stage.add_blobs();
      blob.set_sha256(ref.sha256);
      blob.set_size_bytes(ref.size_bytes);
      blob.set_media_type(ref.media_type);
      blob.set_role(ref.role);
      blob.set_file_name(ref.file_name);
    }
    stage.set_triangles(statement.triangles);
    stage.set_frames(statement.frames);
    stage.set_frames_tracked(statement.frames_tracked);
    stage.set_frames_lost(statement.frames_lost);
    stage.set_frames_dropped(statement.frames_dropped);
    stage.set_frames_broken(statement.frames_broken);
    stage.set_mean_residual_mm(statement.mean_residual_mm);
    if (statement.quality) write(*statement.quality, *stage.mutable_quality());
    if (statement.placement) {
      sxp::Placement& placement = *stage.mutable_placement();
      placement.set_into(std::string(to_string(statement.placement->into)));
      for (const double number : statement.placement->into_from_stage)
        placement.add_into_from_stage(number);
      placement.set_residual_mm(statement.placement->residual_mm);
    }
    if (statement.anatomical_from_stage)
      for (const double number : *statement.anatomical_from_stage)
        stage.add_anatomical_from_stage(number);
  }
  message.set_device_maker(parcel.device_maker);
  message.set_device_model(parcel.device_model);
  message.set_device_serial(parcel.device_serial);
  message.set_device_firmware(parcel.device_firmware);
  message.set_calibration_id(parcel.calibration_id);
  message.set_config_sha256(parcel.config_sha256);
  message.set_software_version(parcel.software_version);
  message.set_started_at(parcel.started_at);
  message.set_finished_at(parcel.finished_at);
  return message;
}

Result<BlobRef> blob_from(const sxp::Blob& blob) {
  if (!is_sha256_hex(blob.sha256())) return broken("a file's name is not a SHA-256");
  if (blob.size_bytes() == 0) return broken("file {} is empty", blob.sha256());
  CUSP_TRY(check_text("parcel: media_type", blob.media_type(), kMaxFileNameBytes));
  CUSP_TRY(check_text("parcel: role", blob.role(), kMaxFileNameBytes));
  CUSP_TRY(check_text("parcel: file_name", blob.file_name(), kMaxFileNameBytes));
  const std::string& name = blob.file_name();
  if (name.empty() || name.front() == '.' || name.find_first_of("/\\\n\t") != std::string::npos)
    return broken("file {} has no usable name for people", blob.sha256());
  return BlobRef{blob.sha256(), blob.size_bytes(), blob.media_type(), blob.role(), name};
}

bool is_measure(double value) { return std::isfinite(value) && value >= 0; }

Result<StageQuality> quality_from(const sxp::Quality& message) {
  if (message.grade() < 1 || message.grade() > 4) return broken("a grade that is not 1 to 4");
  if (message.reasons().size() > static_cast<int>(kMaxReasons))
    return broken("more than {} reasons of a grade", kMaxReasons);
  StageQuality quality;
  quality.grade = static_cast<int>(message.grade());
  for (const std::string& reason : message.reasons()) {
    CUSP_TRY(check_text("parcel: reason of a grade", reason, kMaxReasonBytes));
    if (reason.find('\n') != std::string::npos) return broken("a reason of two lines");
    quality.reasons.push_back(reason);
  }
  quality.area_mm2 = message.area_mm2();
  quality.holes = message.holes();
  quality.largest_hole_mm = message.largest_hole_mm();
  if (message.has_drift_mm()) quality.drift_mm = message.drift_mm();
  if (message.has_expected_error_mm()) quality.expected_error_mm = message.expected_error_mm();
  if (!is_measure(quality.area_mm2) || !is_measure(quality.largest_hole_mm) ||
      !is_measure(quality.drift_mm.value_or(0)) ||
      !is_measure(quality.expected_error_mm.value_or(0)))
    return broken("a figure of the quality that is no measure");
  return quality;
}

// The rows of its 3 x 3 are orthonormal and right-handed, within rounding.
bool is_rigid(const RigidRows& m) {
  constexpr double kRounding = 1e-6;
  const auto row = [&](int i, int k) { return m[static_cast<std::size_t>(4 * i + k)]; };
  const auto dot = [&](int i, int j) {
    return row(i, 0) * row(j, 0) + row(i, 1) * row(j, 1) + row(i, 2) * row(j, 2);
  };
  for (int i = 0; i < 3; ++i)
    for (int j = i; j < 3; ++j)
      if (!(std::abs(dot(i, j) - (i == j ? 1 : 0)) < kRounding)) return false;
  const double determinant = row(0, 0) * (row(1, 1) * row(2, 2) - row(1, 2) * row(2, 1)) -
                             row(0, 1) * (row(1, 0) * row(2, 2) - row(1, 2) * row(2, 0)) +
                             row(0, 2) * (row(1, 0) * row(2, 1) - row(1, 1) * row(2, 0));
  return determinant > 0 && std::isfinite(m[3]) && std::isfinite(m[7]) && std::isfinite(m[11]);
}

Result<RigidRows> rows_from(const google::protobuf::RepeatedField<double>& numbers,
                            std::string_view what) {
  RigidRows rows;
  if (numbers.size() != static_cast<int>(rows.size())) return broken("{} has 12 numbers", what);
  std::ranges::copy(numbers, rows.begin());
  if (!is_rigid(rows)) return broken("{} that is no rigid motion", what);
  return rows;
}

Result<StagePlacement> placement_from(const sxp::Placement& message) {
  StagePlacement placement;
  const auto into = scan_stage_from(message.into());
  if (!into) return broken("a model is placed into an unknown stage");
  placement.into = *into;
  CUSP_ASSIGN(placement.into_from_stage, rows_from(message.into_from_stage(), "a placement"));
  placement.residual_mm = message.residual_mm();
  if (!is_measure(placement.residual_mm))
    return broken("a placement whose residual is no distance");
  return placement;
}

// Into another stage of the parcel, and not in a circle.
Result<void> check_placements(const Parcel& parcel) {
  const auto find = [&](ScanStage stage) {
    return std::ranges::find(parcel.stages, stage, &StageStatement::stage);
  };
  for (const StageStatement& statement : parcel.stages) {
    auto at = find(statement.stage);
    for (std::size_t steps = 0; at->placement; ++steps) {
      at = find(at->placement->into);
      if (at == parcel.stages.end()) return broken("a model is placed into one that is not there");
      if (steps == parcel.stages.size()) return broken("models are placed in a circle");
    }
  }
  return {};
}

Result<StageStatement> stage_from(const sxp::Stage& stage) {
  StageStatement statement;
  const auto known = scan_stage_from(stage.stage());
  if (!known) return broken("unknown stage");
  statement.stage = *known;
  for (const sxp::Blob& blob : stage.blobs()) {
    CUSP_ASSIGN(BlobRef ref, blob_from(blob));
    statement.blobs.push_back(std::move(ref));
  }
  statement.triangles = stage.triangles();
  statement.frames = stage.frames();
  statement.frames_tracked = stage.frames_tracked();
  statement.frames_lost = stage.frames_lost();
  statement.frames_dropped = stage.frames_dropped();
  statement.frames_broken = stage.frames_broken();
  statement.mean_residual_mm = stage.mean_residual_mm();
  if (!is_measure(statement.mean_residual_mm))
    return broken("stage {}: mean_residual_mm is not a distance", stage.stage());
  if (stage.has_quality()) {
    CUSP_ASSIGN(statement.quality, quality_from(stage.quality()));
  }
  if (stage.has_placement()) {
    CUSP_ASSIGN(statement.placement, placement_from(stage.placement()));
  }
  if (!stage.anatomical_from_stage().empty()) {
    CUSP_ASSIGN(statement.anatomical_from_stage,
                rows_from(stage.anatomical_from_stage(), "an anatomical frame"));
  }
  return statement;
}

Result<void> check_blobs(const Parcel& parcel) {
  const auto blobs = parcel.all_blobs();
  if (blobs.size() > kMaxBlobs) return broken("more than {} files", kMaxBlobs);
  std::map<std::string, std::uint64_t> sizes;
  for (const BlobRef& blob : blobs)
    if (sizes.try_emplace(blob.sha256, blob.size_bytes).first->second != blob.size_bytes)
      return broken("file {} is named with two sizes", blob.sha256);
  return {};
}

// The order's part of a parcel obeys the order's own rules.
Result<void> check_ticket(const Parcel& parcel) {
  ScanTicket ticket{parcel.ticket_id,
                    parcel.revision,
                    parcel.kind,
                    parcel.case_type,
                    parcel.visit_type,
                    parcel.doctor,
                    parcel.patient_ref,
                    parcel.case_ref,
                    parcel.teeth_fdi,
                    parcel.note,
                    {},
                    {}};
  for (const StageStatement& statement : parcel.stages) ticket.stages.push_back(statement.stage);
  return validate(ticket);
}

Result<Parcel> from_message(const sxp::Parcel& message) {
  if (message.schema() != kSchema) return broken("schema {} is not known", message.schema());
  Parcel parcel;
  parcel.station_id = message.station_id();
  parcel.outbox_epoch = message.outbox_epoch();
  parcel.outbox_seq = message.outbox_seq();
  parcel.ticket_id = message.ticket_id();
  parcel.revision = message.revision();
  const auto kind = ticket_kind_from(message.kind());
  if (!kind) return broken("unknown kind");
  parcel.kind = *kind;
  parcel.case_type = message.case_type();
  parcel.visit_type = message.visit_type();
  parcel.doctor = message.doctor();
  parcel.patient_ref = message.patient_ref();
  parcel.case_ref = message.case_ref();
  parcel.note = message.note();
  if (message.teeth_fdi_size() > static_cast<int>(kMaxTeeth))
    return broken("more than {} teeth", kMaxTeeth);
  for (const std::uint32_t tooth : message.teeth_fdi())
    parcel.teeth_fdi.push_back(static_cast<int>(tooth));
  for (const sxp::Stage& stage : message.stages()) {
    CUSP_ASSIGN(StageStatement statement, stage_from(stage));
    parcel.stages.push_back(std::move(statement));
  }
  parcel.device_maker = message.device_maker();
  parcel.device_model = message.device_model();
  parcel.device_serial = message.device_serial();
  parcel.device_firmware = message.device_firmware();
  parcel.calibration_id = message.calibration_id();
  parcel.config_sha256 = message.config_sha256();
  parcel.software_version = message.software_version();
  parcel.started_at = message.started_at();
  parcel.finished_at = message.finished_at();

  if (!is_uuid(parcel.outbox_epoch)) return broken("outbox_epoch is not a UUID");
  if (parcel.station_id.empty()) return broken("no station_id");
  const std::pair<std::string_view, const std::string*> names[] = {
      {"station_id", &parcel.station_id},           {"device_maker", &parcel.device_maker},
      {"device_model", &parcel.device_model},       {"device_serial", &parcel.device_serial},
      {"device_firmware", &parcel.device_firmware}, {"calibration_id", &parcel.calibration_id},
      {"config_sha256", &parcel.config_sha256},     {"software_version", &parcel.software_version},
      {"started_at", &parcel.started_at},           {"finished_at", &parcel.finished_at}};
  for (const auto& [name, text] : names)
    CUSP_TRY(check_text(fmt::format("parcel: {}", name), *text, kMaxNameBytes));
  CUSP_TRY(check_ticket(parcel));
  CUSP_TRY(check_blobs(parcel));
  CUSP_TRY(check_placements(parcel));
  return parcel;
}

}  // namespace

std::vector<BlobRef> Parcel::all_blobs() const {
  std::vector<BlobRef> all;
  for (const StageStatement& statement : stages)
    all.insert(all.end(), statement.blobs.begin(), statement.blobs.end());
  return all;
}

std::vector<std::uint8_t> encode(const Parcel& parcel) {
  const std::string bytes = to_message(parcel).SerializeAsString();
  return {bytes.begin(), bytes.end()};
}

Result<Parcel> decode_parcel(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kMaxEnvelopeBytes)
    return broken("{} bytes are more than {}", bytes.size(), kMaxEnvelopeBytes);
  sxp::Parcel message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return broken("the bytes are not a parcel");
  auto parcel = from_message(message);
  // Whatever rule was broken, it is the sender's fault.
  if (!parcel.ok()) return Error{ErrorCode::kProtocol, parcel.error().message};
  return parcel;
}

}  // namespace cusp::delivery
