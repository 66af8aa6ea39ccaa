#include "pipeline/scan_journal.h"

#include <cmath>
#include <optional>
#include <string_view>

#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

constexpr std::string_view kMagic = "CUSPSCN1";
constexpr std::size_t kMaxHeadBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxPatterns = 1000;

void put(RecordWriter& writer, const Intrinsics& in) {
  const auto& [width_px, height_px, fx_px, fy_px, cx_px, cy_px] = in;
  writer.put(width_px);
  writer.put(height_px);
  for (const double value : {fx_px, fy_px, cx_px, cy_px}) writer.put(value);
}
Intrinsics get_intrinsics(RecordReader& reader) {
  Intrinsics in;
  in.width_px = reader.get<int>();
  in.height_px = reader.get<int>();
  for (double* value : {&in.fx_px, &in.fy_px, &in.cx_px, &in.cy_px}) *value = reader.get<double>();
  return in;
}

void put(RecordWriter& writer, const LensDistortion& lens) {
  const auto& [k1, k2, p1, p2, k3] = lens;
  for (const double value : {k1, k2, p1, p2, k3}) writer.put(value);
}
LensDistortion get_lens(RecordReader& reader) {
  LensDistortion lens;
  for (double* value : {&lens.k1, &lens.k2, &lens.p1, &lens.p2, &lens.k3})
    *value = reader.get<double>();
  return lens;
}

// A new field that is not written here must not compile.
void put(RecordWriter& writer, const Calibration& calibration) {
  const auto& [id, depth_unit_mm, baseline_mm, depth, made_on, colour, fringe] = calibration;
  writer.put(id);
  writer.put(depth_unit_mm);
  writer.put(baseline_mm);
  put(writer, depth);
  writer.put(made_on);
  writer.put(colour.has_value());
  if (colour) {
    const auto& [intrinsics, distortion, colour_from_depth] = *colour;
    put(writer, intrinsics);
    put(writer, distortion);
    writer.put(colour_from_depth);
  }
  writer.put(fringe.has_value());
  if (!fringe) return;
  const auto& [camera_distortion, projector, projector_distortion, projector_from_camera, patterns,
               min_depth_mm, max_depth_mm] = *fringe;
  put(writer, camera_distortion);
  put(writer, projector);
  put(writer, projector_distortion);
  writer.put(projector_from_camera);
  writer.put(min_depth_mm);
  writer.put(max_depth_mm);
  writer.put(static_cast<std::uint64_t>(patterns.size()));
  for (const auto& [pitch_px, phase_rad] : patterns) {
    writer.put(pitch_px);
    writer.put(phase_rad);
  }
}

Calibration get_calibration(RecordReader& reader) {
  Calibration calibration;
  calibration.id = reader.text();
  calibration.depth_unit_mm = reader.get<double>();
  calibration.baseline_mm = reader.get<double>();
  calibration.depth = get_intrinsics(reader);
  calibration.made_on = reader.text();
  if (reader.get<std::uint8_t>() != 0) {
    ColourOptics colour{.intrinsics = get_intrinsics(reader), .distortion = get_lens(reader)};
    colour.colour_from_depth = reader.pose();
    calibration.colour = colour;
  }
  if (reader.get<std::uint8_t>() != 0) {
    FringeOptics fringe;
    fringe.camera_distortion = get_lens(reader);
    fringe.projector = get_intrinsics(reader);
    fringe.projector_distortion = get_lens(reader);
    fringe.projector_from_camera = reader.pose();
    fringe.min_depth_mm = reader.get<double>();
    fringe.max_depth_mm = reader.get<double>();
    const std::size_t patterns = reader.count(2 * sizeof(double));
    if (patterns > kMaxPatterns) reader.refuse();
    for (std::size_t i = 0; i < std::min(patterns, kMaxPatterns); ++i) {
      const auto pitch_px = reader.get<double>();
      fringe.patterns.push_back({.pitch_px = pitch_px, .phase_rad = reader.get<double>()});
    }
    calibration.fringe = fringe;
  }
  return calibration;
}

void put(RecordWriter& writer, const ReconstructionOptions& options) {
  const auto& [voxel_mm, truncation_voxels, min_depth_mm, max_depth_mm, max_volume_bytes, threads,
               hair_at] = options;
  for (const double value : {voxel_mm, truncation_voxels, min_depth_mm, max_depth_mm})
    writer.put(value);
  writer.put(static_cast<std::uint64_t>(max_volume_bytes));
  writer.put(threads);
  writer.put(hair_at);
}
ReconstructionOptions get_options(RecordReader& reader) {
  ReconstructionOptions options;
  for (double* value : {&options.voxel_mm, &options.truncation_voxels, &options.min_depth_mm,
                        &options.max_depth_mm})
    *value = reader.get<double>();
  options.max_volume_bytes = reader.get<std::uint64_t>();
  options.threads = reader.get<int>();
  if (!reader.whole()) options.hair_at = reader.get<double>();  // journals that end here kept it
  if (!is_possible(options)) reader.refuse();
  return options;
}

void append(std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& sealed) {
  RecordWriter length;
  length.put(static_cast<std::uint32_t>(sealed.size()));
  to.insert(to.end(), length.bytes().begin(), length.bytes().end());
  to.insert(to.end(), sealed.begin(), sealed.end());
}

// The next record's bytes, taken from the front; nothing when it is not all there.
std::optional<std::span<const std::uint8_t>> next(std::span<const std::uint8_t>& rest) {
  RecordReader head(rest.first(std::min(rest.size(), sizeof(std::uint32_t))));
  const std::size_t size = head.get<std::uint32_t>();
  if (!head.whole() || rest.size() - sizeof(std::uint32_t) < size) return std::nullopt;
  const auto record = rest.subspan(sizeof(std::uint32_t), size);
  rest = rest.subspan(sizeof(std::uint32_t) + size);
  return record;
}

}  // namespace

std::vector<std::uint8_t> journal_head(const JournalBegin& begin) {
  RecordWriter writer;
  for (const std::string& text : {begin.device_driver, begin.device_maker, begin.device_model,
                                  begin.device_serial, begin.device_firmware, begin.started_at})
    writer.put(text);
  put(writer, begin.calibration);
  put(writer, begin.options);
  std::vector<std::uint8_t> head(kMagic.begin(), kMagic.end());
  append(head, seal(writer.bytes()));
  return head;
}

std::vector<std::uint8_t> journal_bytes(const ScanRecord& record) {
  std::vector<std::uint8_t> bytes;
  append(bytes, to_bytes(record));
  return bytes;
}

Result<Journal> read_journal(std::span<const std::uint8_t> file) {
  const auto no_journal = [](std::string_view why) {
    return error(ErrorCode::kCorrupt, "scan journal: {}: the scan can't be gone on with", why);
  };
  if (file.size() < kMagic.size() ||
      std::string_view(reinterpret_cast<const char*>(file.data()), kMagic.size()) != kMagic)
    return no_journal("it is none");
  std::span<const std::uint8_t> rest = file.subspan(kMagic.size());
  const auto head = next(rest);
  if (!head) return no_journal("its head is cut short");
  CUSP_ASSIGN(const auto bytes, unseal(*head, kMaxHeadBytes, "scan journal's head"));
  RecordReader reader{bytes};
  Journal journal;
  JournalBegin& begin = journal.begin;
  for (std::string* text : {&begin.device_driver, &begin.device_maker, &begin.device_model,
                            &begin.device_serial, &begin.device_firmware, &begin.started_at})
    *text = reader.text();
  journal.begin.calibration = get_calibration(reader);
  journal.begin.options = get_options(reader);
  if (!reader.whole()) return no_journal("its head is of another version");
  journal.whole_bytes = file.size() - rest.size();
  while (const auto record = next(rest)) {
    auto read = scan_record(*record);
    if (!read.ok() || !journal.log.apply(std::move(*read))) break;
    journal.whole_bytes = file.size() - rest.size();
  }
  return journal;
}

}  // namespace cusp
