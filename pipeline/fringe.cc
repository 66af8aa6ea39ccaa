#include "pipeline/fringe.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/check.h"
#include "pipeline/fringe_kernel.h"
#include "pipeline/lens.h"

namespace cusp {
namespace {

constexpr int kMaxSidePx = 4096;
constexpr std::size_t kMaxPatterns = 32;
constexpr std::size_t kRowsAChunk = 8;
constexpr double kMaxColumnPx = 1e6;
constexpr int kUndistortRounds = 30;
constexpr double kUndistortedWithin = 1e-7;  // at z = 1
// A surface may fall away by this many pixel widths a pixel before it counts as a jump.
constexpr float kJumpSlope = 5.5F;

Result<std::vector<FringePitch>> pitch_sets(const FringeOptics& optics, const std::string& id) {
  std::vector<FringePitch> sets;
  for (std::size_t k = 0; k < optics.patterns.size(); ++k) {
    const auto pitch = static_cast<float>(optics.patterns[k].pitch_px);
    if (!(pitch > 1) || !std::isfinite(pitch) || !std::isfinite(optics.patterns[k].phase_rad))
      return error(ErrorCode::kInvalidArgument, "calibration {}: pattern {} has a pitch of {} px",
                   id, k, pitch);
    auto found = std::find_if(sets.begin(), sets.end(),
                              [&](const FringePitch& set) { return set.pitch_px == pitch; });
    if (found == sets.end()) found = sets.insert(sets.end(), {.pitch_px = pitch});
    found->pictures.push_back(k);
  }
  std::sort(sets.begin(), sets.end(),
            [](const FringePitch& l, const FringePitch& r) { return l.pitch_px > r.pitch_px; });
  for (FringePitch& set : sets) {
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
    set.phase_noise = static_cast<float>(std::sqrt(0.5 * weights.bottomRows(2).squaredNorm()));
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
  State(const Calibration& device, const FringeLimits& limits, std::vector<FringePitch> pitches)
      : calibration(device),
        fringe(*device.fringe),
        sets(std::move(pitches)),
        width(static_cast<std::size_t>(device.depth.width_px)),
        height(static_cast<std::size_t>(device.depth.height_px)),
        camera_bends(!(fringe.camera_distortion == LensDistortion{})),
        pictures(fringe.patterns.size()) {
    const Eigen::Vector3d centre = fringe.projector_from_camera.translation();
    geometry = {.tx = static_cast<float>(centre.x()),
                .ty = static_cast<float>(centre.y()),
                .tz = static_cast<float>(centre.z()),
                .fx_px = static_cast<float>(fringe.projector.fx_px),
                .cx_px = static_cast<float>(fringe.projector.cx_px),
                .bends = !(fringe.projector_distortion == LensDistortion{}),
                .lens = fringe.projector_distortion,
                .min_depth_mm = static_cast<float>(limits.min_depth_mm),
                .max_depth_mm = static_cast<float>(limits.max_depth_mm),
                .min_modulation = static_cast<float>(limits.min_modulation),
                .saturated_from = static_cast<float>(limits.saturated_from),
                .read_noise = static_cast<float>(limits.read_noise),
                .shot_noise = static_cast<float>(limits.shot_noise)};
    for (auto* each : {&rays.a, &rays.b, &rays.c, &rays.column_min, &rays.column_max})
      each->resize(width * height);
    const Eigen::Matrix3d turn = fringe.projector_from_camera.linear();
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) set_ray(y * width + x, turn, pixel(x, y));
    if (camera_bends) find_sources();
  }

  // In front of the lens at z = 1, as the lens shows it.
  [[nodiscard]] Eigen::Vector2d pixel(std::size_t x, std::size_t y) const {
    const Intrinsics& camera = calibration.depth;
    return {(static_cast<double>(x) - camera.cx_px) / camera.fx_px,
            (static_cast<double>(y) - camera.cy_px) / camera.fy_px};
  }

  void set_ray(std::size_t i, const Eigen::Matrix3d& turn, const Eigen::Vector2d& seen) {
    rays.column_min[i] = 1;  // nothing
    rays.column_max[i] = -1;
    const auto at = undistort(fringe.camera_distortion, seen);
    if (!at) return;
    const Eigen::Vector3d ray = turn * at->homogeneous();
    const double near = column_of(ray, geometry.min_depth_mm);
    const double far = column_of(ray, geometry.max_depth_mm);
    if (!(std::abs(near) < kMaxColumnPx && std::abs(far) < kMaxColumnPx)) return;
    rays.a[i] = static_cast<float>(ray.x());
    rays.b[i] = static_cast<float>(ray.y());
    rays.c[i] = static_cast<float>(ray.z());
    rays.column_min[i] = static_cast<float>(std::min(near, far));
    rays.column_max[i] = static_cast<float>(std::max(near, far));
  }

  // By fixed-point iteration; none where the lens model folds over.
  static std::optional<Eigen::Vector2d> undistort(const LensDistortion& lens,
                                                  const Eigen::Vector2d& seen) {
    Eigen::Vector2d at = seen;
    for (int round = 0; round < kUndistortRounds; ++round) {
      const Eigen::Vector2d miss = seen - distort(lens, at);
      if (miss.norm() < kUndistortedWithin) return at;
      at += miss;
    }
    return std::nullopt;
  }

  // The projector's column that lights the point at this depth.
  [[nodiscard]] double column_of(const Eigen::Vector3d& ray, double depth_mm) const {
    const Eigen::Vector3d point = ray * depth_mm + fringe.projector_from_camera.translation();
    if (point.z() <= 0) return std::numeric_limits<double>::quiet_NaN();
    return distort(fringe.projector_distortion, point.hnormalized()).x() * fringe.projector.fx_px +
           fringe.projector.cx_px;
  }

  // Where in the picture the pinhole's pixels lie.
  void find_sources() {
    sources.assign(width * height, Eigen::Vector2f(-1, -1));
    const Intrinsics& camera = calibration.depth;
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        const Eigen::Vector2d seen = distort(fringe.camera_distortion, pixel(x, y));
        const double u = seen.x() * camera.fx_px + camera.cx_px;
        const double v = seen.y() * camera.fy_px + camera.cy_px;
        if (u >= 0 && v >= 0 && u <= static_cast<double>(width - 1) &&
            v <= static_cast<double>(height - 1))
          sources[y * width + x] = {static_cast<float>(u), static_cast<float>(v)};
      }
  }

  DepthFrame decode(WorkerPool& pool) {
    DepthFrame frame{.intrinsics = calibration.depth,
                     .depth_mm = std::vector<float>(width * height),
                     .sigma_mm = std::vector<float>(width * height)};
    if (camera_bends) {
      bent.depth_mm.resize(width * height);
      bent.sigma_mm.resize(width * height);
    }
    DepthFrame& seen = camera_bends ? bent : frame;
    pool.for_chunks(height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
      std::vector<const std::uint8_t*> rows(pictures.size());
      for (std::size_t y = begin; y < end; ++y) {
        const std::size_t first = y * width;
        for (std::size_t k = 0; k < rows.size(); ++k) rows[k] = pictures[k].data() + first;
        decode_row(sets, rows.data(), rays, first, width, geometry, seen.depth_mm.data() + first,
                   seen.sigma_mm.data() + first);
      }
    });
    if (camera_bends)
      pool.for_chunks(height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin * width; i < end * width; ++i) take_bent(i, frame);
      });
    return frame;
  }

  // Between the picture's pixels 1 / z is interpolated: on a plane it is linear. At a jump and at
  // the rim the nearest pixel counts.
  void take_bent(std::size_t i, DepthFrame& frame) const {
    const Eigen::Vector2f& at = sources[i];
    if (at.x() < 0) return;
    const auto x = static_cast<std::size_t>(at.x());
    const auto y = static_cast<std::size_t>(at.y());
    const float fx = at.x() - static_cast<float>(x);
    const float fy = at.y() - static_cast<float>(y);
    const std::size_t right = x + 1 < width ? 1 : 0;
    const std::size_t below = y + 1 < height ? width : 0;
    const std::size_t from = y * width + x;
    const std::size_t nearest = from + (fx > 0.5F ? right : 0) + (fy > 0.5F ? below : 0);
    frame.depth_mm[i] = bent.depth_mm[nearest];
    frame.sigma_mm[i] = bent.sigma_mm[nearest];
    const std::array<float, 4> z = {bent.depth_mm[from], bent.depth_mm[from + right],
                                    bent.depth_mm[from + below],
                                    bent.depth_mm[from + below + right]};
    const auto [low, high] = std::minmax({z[0], z[1], z[2], z[3]});
    const auto pixel_at_1mm = static_cast<float>(1 / calibration.depth.fx_px);
    if (low == 0 || high - low > kJumpSlope * low * pixel_at_1mm + 6 * frame.sigma_mm[i]) return;
    const float top = (1 - fx) / z[0] + fx / z[1];
    const float bottom = (1 - fx) / z[2] + fx / z[3];
    frame.depth_mm[i] = 1 / (top + fy * (bottom - top));
  }

  const Calibration calibration;
  const FringeOptics fringe;
  const std::vector<FringePitch> sets;  // from the coarsest to the finest
  const std::size_t width, height;
  const bool camera_bends;
  const FringeRowDecoder decode_row = fringe_row_decoder();
  FringeGeometry geometry;
  FringeRays rays;                       // of the picture's pixels
  std::vector<Eigen::Vector2f> sources;  // of the depth image's pixels; x < 0: outside the picture
  DepthFrame bent;                       // as the camera's lens shows it

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
  DepthFrame depth = s.decode(pool);
  depth.sequence = frame.fringe->sequence;
  depth.host_time = frame.host_time;
  return std::optional<DepthFrame>(std::move(depth));
}

}  // namespace cusp
