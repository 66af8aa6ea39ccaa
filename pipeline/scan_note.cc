#include "pipeline/scan_note.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace cusp {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view kScan = "cusp.scan ", kFrames = "cusp.frames ", kResult = "cusp.result ";

std::string text_of(std::string_view name, const json& value) {
  return fmt::format("{}{}", name, value.dump(-1, ' ', true, json::error_handler_t::replace));
}

std::optional<json> json_of(std::string_view name, std::string_view text) {
  if (!text.starts_with(name)) return std::nullopt;
  json value = json::parse(text.substr(name.size()), nullptr, false);
  if (!value.is_object()) return std::nullopt;
  return value;
}

// Reads members of an object; whether all were there and of the right kind is asked at the end.
class Members {
 public:
  explicit Members(const json& object) : object_(object) {}

  void get(const char* key, std::string& value) {
    if (const json* found = find(key, &json::is_string)) value = found->get<std::string>();
  }
  void get(const char* key, double& value) {
    if (const json* found = find(key, &json::is_number)) value = found->get<double>();
  }
  void get(const char* key, std::uint64_t& value) {
    if (const json* found = find(key, &json::is_number_unsigned))
      value = found->get<std::uint64_t>();
  }
  void get(const char* key, int& value) {
    std::uint64_t wide = 0;
    get(key, wide);
    right_ = right_ && wide <= 1'000'000;
    value = right_ ? static_cast<int>(wide) : 0;
  }
  [[nodiscard]] bool right() const { return right_; }

 private:
  const json* find(const char* key, bool (json::*is_kind)() const noexcept) {
    const auto found = object_.find(key);
    if (found != object_.end() && ((*found).*is_kind)()) return &*found;
    right_ = false;
    return nullptr;
  }
  const json& object_;
  bool right_ = true;
};

bool are_possible(const FinishOptions& f) {
  return f.max_error_mm >= 0 && f.smooth_sigma_mm >= 0 && f.max_hole_mm >= 0;
}

}  // namespace

std::string to_text(const ScanNote& note) {
  // A new option that is not written here must not compile.
  const auto& [voxel_mm, truncation_voxels, min_depth_mm, max_depth_mm, max_volume_bytes, threads,
               hair_at] = note.reconstruction;
  const auto& [min_component_share, target_triangles, max_error_mm, smooth_sigma_mm, max_hole_mm] =
      note.finish;
  return text_of(kScan, {{"software_version", note.software_version},
                         {"stage", note.stage},
                         {"width_px", note.width_px},
                         {"height_px", note.height_px},
                         {"rate_hz", note.rate_hz},
                         {"voxel_mm", voxel_mm},
                         {"truncation_voxels", truncation_voxels},
                         {"min_depth_mm", min_depth_mm},
                         {"max_depth_mm", max_depth_mm},
                         {"max_volume_bytes", max_volume_bytes},
                         {"threads", threads},
                         {"hair_at", hair_at},
                         {"min_component_share", min_component_share},
                         {"target_triangles", target_triangles.value_or(0)},
                         {"max_error_mm", max_error_mm},
                         {"smooth_sigma_mm", smooth_sigma_mm},
                         {"max_hole_mm", max_hole_mm}});
}

std::optional<ScanNote> scan_note(std::string_view text) {
  const auto value = json_of(kScan, text);
  if (!value) return std::nullopt;
  ScanNote note;
  std::uint64_t max_volume_bytes = 0, target_triangles = 0;
  Members members(*value);
  members.get("software_version", note.software_version);
  members.get("stage", note.stage);
  members.get("width_px", note.width_px);
  members.get("height_px", note.height_px);
  members.get("rate_hz", note.rate_hz);
  members.get("voxel_mm", note.reconstruction.voxel_mm);
  members.get("truncation_voxels", note.reconstruction.truncation_voxels);
  members.get("min_depth_mm", note.reconstruction.min_depth_mm);
  members.get("max_depth_mm", note.reconstruction.max_depth_mm);
  members.get("max_volume_bytes", max_volume_bytes);
  members.get("threads", note.reconstruction.threads);
  if (value->contains("hair_at")) members.get("hair_at", note.reconstruction.hair_at);
  members.get("min_component_share", note.finish.min_component_share);
  members.get("target_triangles", target_triangles);
  members.get("max_error_mm", note.finish.max_error_mm);
  members.get("smooth_sigma_mm", note.finish.smooth_sigma_mm);
  members.get("max_hole_mm", note.finish.max_hole_mm);
  note.reconstruction.max_volume_bytes = max_volume_bytes;
  if (target_triangles > 0) note.finish.target_triangles = target_triangles;
  if (!members.right() || !are_possible(note.finish) || !is_possible(note.reconstruction))
    return std::nullopt;
  return note;
}

std::string to_text(const FramesNote& note) {
  json ranges = json::array();
  for (const FramesNote::Range& range : note.ranges) ranges.push_back({range.first, range.last});
  return text_of(kFrames, {{"opening", note.opening}, {"ranges", std::move(ranges)}});
}

std::optional<FramesNote> frames_note(std::string_view text) {
  const auto value = json_of(kFrames, text);
  if (!value) return std::nullopt;
  FramesNote note;
  std::uint64_t opening = 0;
  Members members(*value);
  members.get("opening", opening);
  note.opening = opening;
  const auto ranges = value->find("ranges");
  if (!members.right() || ranges == value->end() || !ranges->is_array()) return std::nullopt;
  for (const json& range : *ranges) {
    if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() ||
        !range[1].is_number_unsigned())
      return std::nullopt;
    note.ranges.push_back({range[0].get<std::uint64_t>(), range[1].get<std::uint64_t>()});
  }
  return note;
}

std::string to_text(const ResultNote& note) {
  return text_of(kResult, {{"mesh_sha256", note.mesh_sha256}, {"frames", note.frames}});
}

std::optional<ResultNote> result_note(std::string_view text) {
  const auto value = json_of(kResult, text);
  if (!value) return std::nullopt;
  ResultNote note;
  Members members(*value);
  members.get("mesh_sha256", note.mesh_sha256);
  members.get("frames", note.frames);
  if (!members.right()) return std::nullopt;
  return note;
}

}  // namespace cusp
