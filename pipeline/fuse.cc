#include "pipeline/fuse.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 8;  // of pixels that look for blocks
constexpr std::size_t kBlocksAChunk = 64;
// Pixels that look for blocks are at most this share of a block apart, and at most kMaxPixelStep.
constexpr double kSearchShare = 0.5;
constexpr int kMaxPixelStep = 6;
// Of the way between two of them: few are missed, and those have but a corner in the band.
constexpr float kSearchMargin = 0.3F;
// Blocks come into being this close to the surface: what shapes it and its gradient. Farther ones
// that are there already are filled to the end of the band.
constexpr float kShapingVoxels = 2.5F;
// The corners of a cube that the surface crosses are no farther from it.
constexpr float kCrossedVoxels = 1.75F;
constexpr float kShownShare = 1.0F / 4;  // of a voxel: smaller moves of the surface can wait
// Times seen, and steps of the widest angle between views: then its levels may be others.
constexpr std::uint32_t kShownAgain = 8;
constexpr int kShownSpread_deg = 10;

// The frames from one that a block takes to the next.
constexpr unsigned kTurnsOfFamiliar = 2, kTurnsOfKnown = 4;
constexpr std::uint32_t kFamiliarFrames = 8;
unsigned turns_of(const BlockInfo& info) {
  if (info.frames_seen < kFamiliarFrames) return 1;
  const bool is_known = info.frames_seen >= kEnoughFrames &&
                        static_cast<float>(info.least_weight) >= kEnoughFrames * kWeightSteps;
  return is_known ? kTurnsOfKnown : kTurnsOfFamiliar;
}

struct Rigid {
  Eigen::Matrix3f rotation;
  Eigen::Vector3f translation;

  explicit Rigid(const RigidTransform& transform)
      : rotation(transform.rotation().cast<float>()),
        translation(transform.translation().cast<float>()) {}
  Eigen::Vector3f operator*(const Eigen::Vector3f& p) const { return rotation * p + translation; }
};

// Drops most of what was there before. It holds as many blocks as a few rows pass through.
class RecentBlocks {
 public:
  bool is_new(const Eigen::Vector3i& index) {
    Eigen::Vector3i& known = known_[static_cast<std::size_t>(
        (index.x() & 15) | (index.y() & 15) << 4 | (index.z() & 15) << 8)];
    auto place = used_[static_cast<std::size_t>(&known - known_.data())];
    if (place && known == index) return false;
    place = true;
    known = index;
    return true;
  }

 private:
  static constexpr std::size_t kPlaces = 16 * 16 * 16;
  std::array<Eigen::Vector3i, kPlaces> known_;
  std::bitset<kPlaces> used_;
};

struct Wanted {
  std::vector<Eigen::Vector3i> blocks;  // some more than once
  std::vector<std::size_t> numbers;     // of those, Volume::kNone where there is none yet
  float farthest_mm = 0;
};

// Blocks that the band around the surface passes through.
class BlockSearch {
 public:
  BlockSearch(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
              const Volume& volume)
      : surface_(surface), to_model_(model_from_sensor), volume_(volume) {
    const double pixel_mm = surface.mean_depth_mm / surface.intrinsics.fx_px;
    const double step = kSearchShare * static_cast<double>(volume.block_mm()) / pixel_mm;
    step_ = step > 1 ? static_cast<int>(std::min<double>(step, kMaxPixelStep)) : 1;
  }
  [[nodiscard]] std::size_t rows() const {
    return static_cast<std::size_t>((surface_.intrinsics.height_px + step_ - 1) / step_);
  }

  void search_row(std::size_t row, RecentBlocks& recent, Wanted& wanted) const {
    const Intrinsics& in = surface_.intrinsics;
    const int y = static_cast<int>(row) * step_;
    const float band = std::min(volume_.truncation_mm(), kShapingVoxels * volume_.voxel_mm());
    const float block = volume_.block_mm();
    const float per_block = 1.0F / block;
    const auto steps = static_cast<int>(std::ceil(2 * band / (0.5F * block)));
    const auto margin_a_mm =
        kSearchMargin * static_cast<float>(step_) / static_cast<float>(in.fx_px);
    // Half a voxel more: a block begins half a voxel before its first centre.
    const Eigen::Vector3f shift = Eigen::Vector3f::Constant(0.5F * volume_.voxel_mm());
    const auto ray_y = static_cast<float>((y - in.cy_px) / in.fy_px);
    for (int x = 0; x < in.width_px; x += step_) {
      const Eigen::Vector4f& plane =
          surface_.planes[static_cast<std::size_t>(y) * static_cast<std::size_t>(in.width_px) +
                          static_cast<std::size_t>(x)];
      if (plane.w() == 0) continue;
      const Eigen::Vector3f ray(static_cast<float>((x - in.cx_px) / in.fx_px), ray_y, 1.0F);
      const Eigen::Vector3f normal = plane.head<3>();
      const float depth = plane.w() / normal.dot(ray);
      const Eigen::Vector3f point = (to_model_ * (ray * depth) + shift) * per_block;
      // Also false for what is not a number.
      if (!(point.cwiseAbs().maxCoeff() < kFarthestBlock) || !(depth > 0)) continue;
      wanted.farthest_mm = std::max(wanted.farthest_mm, depth);
      const Eigen::Vector3f across = to_model_.rotation * normal * (band * per_block);
      const float margin = std::min(depth * margin_a_mm * per_block, 0.5F);
      for (int k = 0; k <= steps; ++k) {
        const float offset = 2.0F * static_cast<float>(k) / static_cast<float>(steps) - 1;
        want_around(point + offset * across, margin, recent, wanted.blocks);
      }
    }
  }

 private:
  // A key holds 2^20 blocks to either side.
  static constexpr float kFarthestBlock = 1 << 19;

  static void want_around(const Eigen::Vector3f& p, float margin, RecentBlocks& recent,
                          std::vector<Eigen::Vector3i>& blocks) {
    std::array<int, 3> from{};
    std::array<int, 3> to{};
    for (int k = 0; k < 3; ++k) {
      from[static_cast<std::size_t>(k)] = floor_to_int(p[k] - margin);
      to[static_cast<std::size_t>(k)] = floor_to_int(p[k] + margin);
    }
    for (int z = from[2]; z <= to[2]; ++z)
      for (int y = from[1]; y <= to[1]; ++y)
        for (int x = from[0]; x <= to[0]; ++x)
          if (const Eigen::Vector3i index(x, y, z); recent.is_new(index)) blocks.push_back(index);
  }

  const MeasuredSurface& surface_;
  Rigid to_model_;
  const Volume& volume_;
  int step_;
};

// Makes the blocks that are missing and gives the numbers of all, in a fixed order; `farthest_mm`
// becomes the largest depth.
Result<std::vector<std::uint32_t>> blocks_of_band(const MeasuredSurface& surface,
                                                  const RigidTransform& model_from_sensor,
                                                  Volume& volume, WorkerPool& pool,
                                                  float& farthest_mm) {
  const BlockSearch search(surface, model_from_sensor, volume);
  std::vector<Wanted> parts((search.rows() + kRowsAChunk - 1) / kRowsAChunk);
  pool.for_chunks(search.rows(), kRowsAChunk, [&](std::size_t begin, std::size_t end) {
    RecentBlocks recent;
    Wanted& part = parts[begin / kRowsAChunk];
    for (std::size_t row = begin; row < end; ++row) search.search_row(row, recent, part);
    part.numbers.reserve(part.blocks.size());
    for (const Eigen::Vector3i& index : part.blocks) part.numbers.push_back(volume.find(index));
  });
  const std::uint32_t frame = volume.next_frame();
  std::vector<std::uint32_t> numbers;
  for (const Wanted& part : parts) {
    farthest_mm = std::max(farthest_mm, part.farthest_mm);
    for (std::size_t i = 0; i < part.blocks.size(); ++i) {
      const std::size_t number =
          part.numbers[i] != Volume::kNone ? part.numbers[i] : volume.find_or_add(part.blocks[i]);
      if (number == Volume::kNone)
        return error(ErrorCode::kNoSpace,
                     "scan volume: its memory budget is used up after {} MiB; "
                     "finish this scan or use larger voxels",
                     volume.bytes() >> 20);
      BlockInfo& info = volume.info(number);
      if (info.wanted == frame) continue;
      info.wanted = frame;
      numbers.push_back(static_cast<std::uint32_t>(number));
    }
  }
  return numbers;
}

class Integrator {
 public:
  Integrator(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
             Volume& volume)
      : to_sensor_(model_from_sensor.inverse()),
        sensor_in_model_(model_from_sensor.translation().cast<float>()),
        volume_(volume),
        fuse_(block_fuser()),
        shown_steps_(static_cast<std::int32_t>(kShownShare * volume.voxel_mm() * kDistanceSteps /
                                               volume.truncation_mm())) {
    const Intrinsics& in = surface.intrinsics;
    const auto column = [&](int axis) {
      const Eigen::Vector3f step = to_sensor_.rotation.col(axis) * volume.voxel_mm();
      return std::array{step.x(), step.y(), step.z()};
    };
    frame_ = {
        .planes = surface.planes.data()->data(),
        .weights = surface.weights.data(),
        .width_px = in.width_px,
        .height_px = in.height_px,
        .fx_px = static_cast<float>(in.fx_px),
        .fy_px = static_cast<float>(in.fy_px),
        .cx_px = static_cast<float>(in.cx_px + 0.5),
        .cy_px = static_cast<float>(in.cy_px + 0.5),
        .truncation_mm = volume.truncation_mm(),
        .distance_steps_a_mm = kDistanceSteps / volume.truncation_mm(),
        .near_steps = kCrossedVoxels * volume.voxel_mm() * kDistanceSteps / volume.truncation_mm(),
        .step_x = column(0),
        .step_y = column(1),
        .step_z = column(2)};
    double_frame_ = frame_;
    double_frame_.stands_for = kTurnsOfFamiliar;
  }

  // Does the block hold an inside where its middle is in free space? Then that may have to go.
  [[nodiscard]] bool contradicted(std::uint32_t number) const {
    const BlockInfo& info = volume_.info(number);
    if (info.lowest >= 0) return false;  // nothing, or all of it outside
    const Eigen::Vector3f p = to_sensor_ * middle_of(info);
    if (!(p.z() > 0)) return false;
    const float u = p.x() / p.z() * frame_.fx_px + frame_.cx_px;
    const float v = p.y() / p.z() * frame_.fy_px + frame_.cy_px;
    if (!(u >= 0 && v >= 0 && u < static_cast<float>(frame_.width_px) &&
          v < static_cast<float>(frame_.height_px)))
      return false;
    const float* plane = frame_.planes + 4 * (static_cast<std::ptrdiff_t>(v) * frame_.width_px +
                                              static_cast<std::ptrdiff_t>(u));
    return plane[3] != 0 &&
           plane[0] * p.x() + plane[1] * p.y() + plane[2] * p.z() - plane[3] > frame_.truncation_mm;
  }

  // True: what there is to see of the block changed. `turns`: as turns_of says; a familiar block's
  // weight grows as if it took every frame, a known one has enough of it.
  bool update(std::uint32_t number, unsigned turns) const {
    BlockInfo& info = volume_.info(number);
    Block& block = volume_.block(number);
    const Eigen::Vector3f start =
        to_sensor_ * ((info.index * kBlockSide).cast<float>() * volume_.voxel_mm());
    const std::uint32_t stands_for = turns == kTurnsOfFamiliar ? turns : 1;
    const FuseFrame& frame = stands_for == 1 ? frame_ : double_frame_;
    const FusedBlock fused =
        fuse_(frame, {start.x(), start.y(), start.z()}, block.distance.data(), block.weight.data());
    if (!fused.changed) return false;
    info.changed = volume_.frame();
    info.lowest = fused.lowest;
    info.highest = fused.highest;
    info.least_weight = fused.least_weight;
    bool wider = false;
    if (fused.seen) {
      const int spread = info.views.widest_deg() / kShownSpread_deg;
      info.last_seen = volume_.frame();
      info.frames_seen += stands_for;
      info.views.add((sensor_in_model_ - middle_of(info)).normalized());
      wider = info.views.widest_deg() / kShownSpread_deg > spread;
    }
    info.moved += fused.moved;
    if (fused.moved == kFirstSeen) info.grown = volume_.frame();
    const bool again = fused.seen && info.frames_seen % kShownAgain < stands_for;
    if (info.moved < shown_steps_ && !again && !wider) return false;
    info.moved = 0;
    return true;
  }

 private:
  [[nodiscard]] Eigen::Vector3f middle_of(const BlockInfo& info) const {
    return (info.index.cast<float>() * kBlockSide + Eigen::Vector3f::Constant(3.5F)) *
           volume_.voxel_mm();
  }

  Rigid to_sensor_;
  Eigen::Vector3f sensor_in_model_;
  Volume& volume_;
  BlockFuser fuse_;
  std::int32_t shown_steps_;
  FuseFrame frame_, double_frame_;
};

}  // namespace

Result<FuseReport> fuse(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
                        Volume& volume, WorkerPool& pool, FuseRhythm rhythm) {
  if (!model_from_sensor.matrix().allFinite())
    return error(ErrorCode::kInvalidArgument, "scan volume: the frame's pose is not a number");
  float farthest_mm = 0;
  CUSP_ASSIGN(std::vector<std::uint32_t> blocks,
              blocks_of_band(surface, model_from_sensor, volume, pool, farthest_mm));
  if (blocks.empty()) return FuseReport{};
  const std::size_t in_band = blocks.size();
  volume.blocks_in_view(model_from_sensor, surface.intrinsics, farthest_mm, blocks);

  const Integrator integrator(surface, model_from_sensor, volume);
  std::vector<std::uint8_t> changed(blocks.size(), 0);
  pool.for_chunks(blocks.size(), kBlocksAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      // Those of the band are in view too: once is enough.
      const BlockInfo& info = volume.info(blocks[i]);
      if (info.locked) continue;
      const unsigned turns = i < in_band && rhythm == FuseRhythm::kInTurns ? turns_of(info) : 1;
      if (!has_turn(info.index, volume.frame(), turns)) continue;
      if (i >= in_band && (info.wanted == volume.frame() || !integrator.contradicted(blocks[i])))
        continue;
      // Blocks lie anywhere: the next is on its way while one is fused.
      if (i + 1 < std::min(end, in_band)) volume.prefetch(blocks[i + 1]);
      changed[i] = integrator.update(blocks[i], turns) ? 1 : 0;
    }
  });
  FuseReport report{.changed = {}, .in_view = blocks.size()};
  for (std::size_t i = 0; i < blocks.size(); ++i)
    if (changed[i] != 0) report.changed.push_back(blocks[i]);
  return report;
}

}  // namespace cusp
