#include "pipeline/fringe.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/check.h"
#include "pipeline/lens.h"

namespace cusp {
namespace {

constexpr int kMaxSidePx = 4096;
constexpr std::size_t kMaxPatterns = 32;
constexpr std::size_t kRowsAChunk = 8;
constexpr float kTurn = static_cast<float>(2 * std::numbers::pi);
// The projector's lens bends a column by a pixel or so: three rounds settle far below its noise.
constexpr int kLensRounds = 3;

// The pictures of one pitch, and how their brightness adds up to B cos(theta) and B sin(theta).
struct PitchSet {
  float pitch_px = 0;
  std::vector<std::size_t> pictures{};
  std::vector<float> cosine{}, sine{};  // one weight a picture
};

// What is known of a pixel of the depth image before any picture comes.
struct PixelRay {
  float x = -1, y = -1;                  // where the lens shows it; x < 0: outside the picture
  float a = 0, b = 0, c = 0;             // its direction in the projector's frame
  float column_min = 0, column_max = 0;  // where the range's ends fall
};

Result<std::vector<PitchSet>> pitch_sets(const FringeOptics& optics, const std::string& id) {
  std::vector<PitchSet> sets;
  for (std::size_t k = 0; k < optics.patterns.size(); ++k) {
    const auto pitch = static_cast<float>(optics.patterns[k].pitch_px);
    if (!(pitch > 1) || !std::isfinite(pitch) || !std::isfinite(optics.patterns[k].phase_rad))
      return error(ErrorCode::kInvalidArgument, "calibration {}: pattern {} has a pitch of {} px",
                   id, k, pitch);
    auto found = std::find_if(sets.begin(), sets.end(),
                              [&](const PitchSet& set) { return set.pitch_px == pitch; });
    if (found == sets.end()) found = sets.insert(sets.end(), {.pitch_px = pitch});
    found->pictures.push_back(k);
  }
  std::sort(sets.begin(), sets.end(),
            [](const PitchSet& l, const PitchSet& r) { return l.pitch_px > r.pitch_px; });
  for (PitchSet& set : sets) {
    const auto count = static_cast<Eigen::Index>(set.pictures.size());
    Eigen::MatrixXd design(count, 3);
    for (Eigen::Index i = 0; i < count; ++i) {
      const double phase = optics.patterns[set.pictures[static_cast<std::size_t>(i)]].phase_rad;
      design.row(i) << 1, std::cos(phase), std::sin(phase);
    }
    const Eigen::Matrix3d normal = design.transpose() * design;
    if (count < 3 || std::abs(normal.determinant()) < 1e-3)
      return error(ErrorCode::kInvalidArgument,
                   "calibration {}: {} patterns of pitch {} px do not fix a phase", id, count,
                   set.pitch_px);
    const Eigen::MatrixXd weights = normal.inverse() * design.transpose();
    for (Eigen::Index i = 0; i < count; ++i) {
      set.cosine.push_back(static_cast<float>(weights(1, i)));
      set.sine.push_back(static_cast<float>(weights(2, i)));
    }
  }
  return sets;
}

bool usable(const Intrinsics& optics) {
  const auto size = [](int side) { return side > 0 && side <= kMaxSidePx; };
  const auto focal = [](double f) { return std::isfinite(f) && f > 0; };
  return size(optics.width_px) && size(optics.height_px) && focal(optics.fx_px) &&
         focal(optics.fy_px) && std::isfinite(optics.cx_px) && std::isfinite(optics.cy_px);
}

}  // namespace

struct FringeDecoder::State {
  State(const Calibration& device, const FringeLimits& chosen, std::vector<PitchSet> pitches)
      : calibration(device),
        fringe(*device.fringe),
        limits(chosen),
        sets(std::move(pitches)),
        projector_bends(!(fringe.projector_distortion == LensDistortion{})) {
    const Intrinsics& camera = calibration.depth;
    width = static_cast<std::size_t>(camera.width_px);
    height = static_cast<std::size_t>(camera.height_px);
    pictures.resize(fringe.patterns.size());
    rays.resize(width * height);
    const Eigen::Matrix3d turn = fringe.projector_from_camera.linear();
    for (std::size_t row = 0; row < height; ++row)
      for (std::size_t column = 0; column < width; ++column) {
        const Eigen::Vector2d at((static_cast<double>(column) - camera.cx_px) / camera.fx_px,
                                 (static_cast<double>(row) - camera.cy_px) / camera.fy_px);
        const Eigen::Vector2d seen = distort(fringe.camera_distortion, at);
        PixelRay& ray = rays[row * width + column];
        const double x = seen.x() * camera.fx_px + camera.cx_px;
        const double y = seen.y() * camera.fy_px + camera.cy_px;
        if (!(x >= 0 && y >= 0 && x <= static_cast<double>(width - 1) &&
              y <= static_cast<double>(height - 1)))
          continue;
        const Eigen::Vector3d direction = turn * at.homogeneous();
        const double near = column_of(direction, limits.min_depth_mm);
        const double far = column_of(direction, limits.max_depth_mm);
        if (!std::isfinite(near) || !std::isfinite(far)) continue;
        ray = {.x = static_cast<float>(x),
               .y = static_cast<float>(y),
               .a = static_cast<float>(direction.x()),
               .b = static_cast<float>(direction.y()),
               .c = static_cast<float>(direction.z()),
               .column_min = static_cast<float>(std::min(near, far)),
               .column_max = static_cast<float>(std::max(near, far))};
      }
  }

  // The projector's column that lights the point at this depth.
  [[nodiscard]] double column_of(const Eigen::Vector3d& direction, double depth_mm) const {
    const Eigen::Vector3d point = direction * depth_mm + fringe.projector_from_camera.translation();
    if (point.z() <= 0) return std::numeric_limits<double>::quiet_NaN();
    return distort(fringe.projector_distortion, point.hnormalized()).x() * fringe.projector.fx_px +
           fringe.projector.cx_px;
  }

  // Where the ray meets the projector's column.
  [[nodiscard]] float depth_mm(const PixelRay& ray, float column) const {
    const auto t = fringe.projector_from_camera.translation().cast<float>();
    const auto bent =
        static_cast<float>((column - fringe.projector.cx_px) / fringe.projector.fx_px);
    float straight = bent;
    const auto meet = [&] { return (t.x() - straight * t.z()) / (straight * ray.c - ray.a); };
    float z = meet();
    for (int round = 0; projector_bends && round < kLensRounds; ++round) {
      const float across = (ray.b * z + t.y()) / (ray.c * z + t.z());
      const Eigen::Vector2d seen =
          distort(fringe.projector_distortion, Eigen::Vector2d(straight, across));
      straight += bent - static_cast<float>(seen.x());
      z = meet();
    }
    return z;
  }

  void decode_rows(std::size_t begin, std::size_t end, float* depth) const {
    for (std::size_t row = begin; row < end; ++row)
      for (std::size_t column = 0; column < width; ++column) {
        const std::size_t i = row * width + column;
        depth[i] = rays[i].x < 0 ? 0 : decode_pixel(rays[i]);
      }
  }

  [[nodiscard]] float decode_pixel(const PixelRay& ray) const {
    const auto x0 = static_cast<std::size_t>(ray.x);
    const auto y0 = static_cast<std::size_t>(ray.y);
    const float fx = ray.x - static_cast<float>(x0);
    const float fy = ray.y - static_cast<float>(y0);
    const std::size_t at = y0 * width + x0;
    const std::size_t right = x0 + 1 < width ? 1 : 0;
    const std::size_t below = y0 + 1 < height ? width : 0;
    float column = 0;
    bool coarser = false;  // `column` holds what the coarser pitch said
    for (const PitchSet& set : sets) {
      float cosine = 0;
      float sine = 0;
      for (std::size_t k = 0; k < set.pictures.size(); ++k) {
        const std::uint8_t* const p = pictures[set.pictures[k]].data() + at;
        const std::uint8_t p00 = p[0], p10 = p[right], p01 = p[below], p11 = p[below + right];
        if (std::max(std::max(p00, p10), std::max(p01, p11)) >= limits.saturated_from) return 0;
        const float top = static_cast<float>(p00) + fx * static_cast<float>(p10 - p00);
        const float bottom = static_cast<float>(p01) + fx * static_cast<float>(p11 - p01);
        const float value = top + fy * (bottom - top);
        cosine += set.cosine[k] * value;
        sine += set.sine[k] * value;
      }
      const auto modulation = static_cast<float>(limits.min_modulation);
      if (cosine * cosine + sine * sine < modulation * modulation) return 0;
      // In fringes, 0 .. 1.
      const float part = std::atan2(sine, cosine) / kTurn;
      const float first = std::ceil(ray.column_min / set.pitch_px - part);
      const float last = std::floor(ray.column_max / set.pitch_px - part);
      float order = first;
      if (last < first) return 0;  // nothing within the range looks like this
      if (last > first) {
        if (!coarser) return 0;
        order = std::round(column / set.pitch_px - part);
      }
      column = (order + part) * set.pitch_px;
      coarser = true;
    }
    const float z = depth_mm(ray, column);
    return z >= limits.min_depth_mm && z <= limits.max_depth_mm ? z : 0;
  }

  const Calibration calibration;
  const FringeOptics fringe;
  const FringeLimits limits;
  const std::vector<PitchSet> sets;  // from the coarsest to the finest
  const bool projector_bends;
  std::size_t width = 0, height = 0;
  std::vector<PixelRay> rays;

  std::optional<std::uint32_t> sequence;  // that is being gathered
  std::uint32_t have = 0;                 // bit k: picture k is here
  std::vector<std::vector<std::uint8_t>> pictures;
  std::uint64_t incomplete = 0;
};

Result<FringeDecoder> FringeDecoder::create(const Calibration& calibration,
                                            const FringeLimits& limits) {
  CUSP_CHECK(limits.min_depth_mm > 0 && limits.max_depth_mm > limits.min_depth_mm, "a range");
  if (!calibration.fringe)
    return error(ErrorCode::kInvalidArgument, "calibration {}: it has no projector",
                 calibration.id);
  const FringeOptics& fringe = *calibration.fringe;
  if (!usable(calibration.depth) || !usable(fringe.projector) ||
      !fringe.projector_from_camera.matrix().allFinite() ||
      fringe.projector_from_camera.translation().norm() == 0)
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: its camera, its projector or where they stand can't be used",
                 calibration.id);
  if (fringe.patterns.empty() || fringe.patterns.size() > kMaxPatterns)
    return error(ErrorCode::kInvalidArgument, "calibration {}: {} patterns; 3 to {} can be used",
                 calibration.id, fringe.patterns.size(), kMaxPatterns);
  CUSP_ASSIGN(auto sets, pitch_sets(fringe, calibration.id));
  FringeLimits within = limits;
  within.min_depth_mm = std::max(within.min_depth_mm, fringe.min_depth_mm);
  if (fringe.max_depth_mm > 0)
    within.max_depth_mm = std::min(within.max_depth_mm, fringe.max_depth_mm);
  if (!(within.min_depth_mm < within.max_depth_mm))
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: its working range of {} to {} mm lies outside {} to {} mm",
                 calibration.id, fringe.min_depth_mm, fringe.max_depth_mm, limits.min_depth_mm,
                 limits.max_depth_mm);
  return FringeDecoder(std::make_unique<State>(calibration, within, std::move(sets)));
}

FringeDecoder::FringeDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
FringeDecoder::~FringeDecoder() = default;
FringeDecoder::FringeDecoder(FringeDecoder&&) noexcept = default;
FringeDecoder& FringeDecoder::operator=(FringeDecoder&&) noexcept = default;

std::uint64_t FringeDecoder::incomplete() const { return state_->incomplete; }

Result<std::optional<DepthFrame>> FringeDecoder::add(const RawFrame& frame, WorkerPool& pool) {
  State& s = *state_;
  const auto patterns = static_cast<int>(s.fringe.patterns.size());
  if (!frame.fringe || frame.fringe->patterns != patterns || frame.fringe->pattern < 0 ||
      frame.fringe->pattern > patterns)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: it is no picture of the {} patterns of calibration {}", frame.sequence,
                 patterns, s.calibration.id);
  if (frame.fringe->pattern == patterns) return std::optional<DepthFrame>{};  // in colour
  if (frame.format != PixelFormat::kGrey8 || frame.bytes.size() != s.width * s.height ||
      frame.width_px != s.calibration.depth.width_px)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: {} of {}x{} px, calibration {} is for GREY8 of {}x{} px",
                 frame.sequence, to_string(frame.format), frame.width_px, frame.height_px,
                 s.calibration.id, s.width, s.height);
  if (s.sequence != frame.fringe->sequence) {
    if (s.have != 0) ++s.incomplete;
    s.sequence = frame.fringe->sequence;
    s.have = 0;
  }
  const auto k = static_cast<std::size_t>(frame.fringe->pattern);
  s.pictures[k] = frame.bytes;
  s.have |= std::uint32_t{1} << k;
  if (s.have != static_cast<std::uint32_t>((std::uint64_t{1} << patterns) - 1))
    return std::optional<DepthFrame>{};
  s.have = 0;
  DepthFrame depth{.sequence = frame.fringe->sequence,
                   .host_time = frame.host_time,
                   .intrinsics = s.calibration.depth,
                   .depth_mm = std::vector<float>(s.width * s.height)};
  pool.for_chunks(s.height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
    s.decode_rows(begin, end, depth.depth_mm.data());
  });
  return std::optional<DepthFrame>(std::move(depth));
}

}  // namespace cusp
