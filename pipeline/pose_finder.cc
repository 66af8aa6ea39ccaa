#include "pipeline/pose_finder.h"

#include <algorithm>

namespace cusp {
namespace {

// A model begins with a frame that shows something: this share of its pixels.
constexpr double kMinSeedShare = 0.01;
// Longer gaps say nothing about the motion any more.
constexpr double kMaxGapFrames = 5;
// After the pose was found again so many frames must confirm it before one is fused: few when it
// was looked for where the sensor must be, many when most of what it sees is new.
constexpr int kConfirmingNear = 1, kConfirmingFrames = 2, kConfirmingAtRim = 5;
// A surface that can slide on itself is followed by the motion alone for so many frames, and only
// when so many before them told the motion.
constexpr int kMaxFreeFrames = 10;
constexpr int kMinFirmFrames = 5;
// A tracked frame's residual may be this much above what was usual so far to count as found again.
constexpr double kUsualFactor = 1.4;
constexpr double kUsualMemory = 0.05;

// The motion between two frames, a share of it, or several times it.
RigidTransform scaled(const RigidTransform& motion, double factor) {
  const Eigen::AngleAxisd turn(motion.rotation());
  RigidTransform result = RigidTransform::Identity();
  result.linear() = Eigen::AngleAxisd(turn.angle() * factor, turn.axis()).toRotationMatrix();
  result.translation() = motion.translation() * factor;
  return result;
}

}  // namespace

Pose PoseFinder::find(const MeasuredSurface& surface, const LiveMesh& mesh,
                      const Keyframes& keyframes, std::uint64_t sequence, WorkerPool& pool) {
  const double sigma = sigma_mm(surface);
  std::optional<Fit> found;
  if (lost_in_a_row_ == 0) {
    found = track(surface, mesh, predicted(sequence), pool);
    const bool as_predicted = found.has_value();
    if (!found) found = find_near(surface, mesh, likely(sequence), near_search(sigma), pool);
    if (confirming_ > 0)
      --confirming_;
    else if (!as_predicted)
      confirming_ = kConfirmingNear;
  }
  const bool followed = found.has_value();
  if (!followed) {
    const RelocaliseSearch search = relocalise_search(sigma);
    found = relocalise(surface, mesh, keyframes, likely(sequence), search, pool);
    confirming_ =
        found && passes(*found, search.gates.front()) ? kConfirmingFrames : kConfirmingAtRim;
  }
  if (!found) {
    ++lost_in_a_row_;
    free_slides_ = free_turns_ = 0;
    return Pose{};
  }
  const PoseVerdict verdict = confirming_ > 0 ? PoseVerdict::kRelocalised : PoseVerdict::kTracked;
  remember(*found, followed, sequence);
  return Pose{.verdict = verdict,
              .model_from_sensor = found->model_from_sensor,
              .residual_mm = found->rms_mm,
              .overlap = found->overlap};
}

Pose PoseFinder::correct(const MeasuredSurface& surface, const LiveMesh& mesh, WorkerPool& pool) {
  const auto found = track(surface, mesh, last_pose_, pool);
  if (!found) {
    lost_in_a_row_ = 1;
    return Pose{};
  }
  last_pose_ = found->model_from_sensor;
  motion_a_frame_ = scaled(pose_before_.inverse() * last_pose_, 1.0 / frames_between_);
  return Pose{.verdict = PoseVerdict::kTracked,
              .model_from_sensor = last_pose_,
              .residual_mm = found->rms_mm,
              .overlap = found->overlap};
}

Pose PoseFinder::begin(const MeasuredSurface& surface, std::uint64_t sequence) {
  const double pixels = static_cast<double>(surface.intrinsics.width_px) *
                        static_cast<double>(surface.intrinsics.height_px);
  const auto pixels_a_sample = static_cast<double>(surface.fine.step * surface.fine.step);
  if (pixels_a_sample * static_cast<double>(surface.fine.count) < kMinSeedShare * pixels)
    return Pose{};
  last_pose_ = RigidTransform::Identity();
  last_sequence_ = sequence;
  return Pose{.verdict = PoseVerdict::kTracked,
              .model_from_sensor = last_pose_,
              .residual_mm = 0,
              .overlap = 1};
}

std::optional<Fit> PoseFinder::track(const MeasuredSurface& surface, const LiveMesh& mesh,
                                     const RigidTransform& start, WorkerPool& pool) {
  const double sigma = sigma_mm(surface);
  view_ = predict_view(mesh, start, surface.intrinsics, surface.fine.step, options_.max_depth_mm,
                       pool, std::move(view_));
  const Fit found = fit(surface, view_, start, track_limits(sigma), pool);
  const bool good = confirming_ > 0 ? passes_one(found, relocalise_search(sigma).gates)
                                    : passes(found, track_gate(sigma));
  return good ? std::optional(found) : std::nullopt;
}

// --- limits, all in voxels and noise ---

TrackLimits PoseFinder::track_limits(double sigma_mm) const {
  return {.wide_mm = 10 * options_.voxel_mm,
          .narrow_mm = std::max(2 * options_.voxel_mm, 5 * sigma_mm),
          .coarse_steps = 8,
          .fine_steps = 5};
}
Gate PoseFinder::track_gate(double sigma_mm) const {
  return {.min_overlap = 0.3,
          .min_agreement = 0.6,
          .max_rms_mm = std::max(0.75 * options_.voxel_mm, 2.5 * sigma_mm),
          .max_free_directions =
              firm_frames_ >= kMinFirmFrames && free_in_a_row_ < kMaxFreeFrames ? 3 : 0};
}
// A place of the model, beyond doubt.
Gate PoseFinder::sure_gate(double sigma_mm) const {
  Gate gate = track_gate(sigma_mm);
  gate.min_overlap = 0.5;
  gate.min_agreement = 0.85;
  gate.max_free_directions = 0;
  if (usual_rms_mm_ > 0) gate.max_rms_mm = std::min(gate.max_rms_mm, kUsualFactor * usual_rms_mm_);
  return gate;
}
// Its rim: little of what is seen is known, but that fits well and holds the pose firmly.
Gate PoseFinder::rim_gate(double sigma_mm) const {
  Gate gate = sure_gate(sigma_mm);
  gate.min_overlap = 0.2;
  gate.min_agreement = 0.95;
  gate.min_stiffness = 0.01;
  return gate;
}
RelocaliseSearch PoseFinder::near_search(double sigma_mm) const {
  TrackLimits limits = track_limits(sigma_mm);
  limits.wide_mm *= 3;
  limits.coarse_steps = 20;
  return {.limits = limits, .gates = {sure_gate(sigma_mm)}, .max_depth_mm = options_.max_depth_mm};
}
RelocaliseSearch PoseFinder::relocalise_search(double sigma_mm) const {
  RelocaliseSearch search = near_search(sigma_mm);
  search.gates.push_back(rim_gate(sigma_mm));
  return search;
}

// --- what is known about the motion ---

double PoseFinder::gap_frames(std::uint64_t sequence) const {
  if (sequence <= last_sequence_) return 1;
  return std::min(static_cast<double>(sequence - last_sequence_), kMaxGapFrames);
}
RigidTransform PoseFinder::predicted(std::uint64_t sequence) const {
  return last_pose_ * scaled(motion_a_frame_, gap_frames(sequence));
}
// Where the sensor may be when it did not go on as it went: it stopped, or half did.
std::vector<RigidTransform> PoseFinder::likely(std::uint64_t sequence) const {
  if (motion_a_frame_.matrix().isIdentity(0)) return {last_pose_};
  return {predicted(sequence), last_pose_ * scaled(motion_a_frame_, 0.5 * gap_frames(sequence)),
          last_pose_};
}
// A pose that has just been found says nothing about the motion; those that confirm it do.
void PoseFinder::remember(const Fit& found, bool followed, std::uint64_t sequence) {
  pose_before_ = last_pose_;
  frames_between_ = gap_frames(sequence);
  motion_a_frame_ =
      followed ? scaled(pose_before_.inverse() * found.model_from_sensor, 1.0 / frames_between_)
               : RigidTransform::Identity();
  if (confirming_ == 0)
    usual_rms_mm_ += (found.rms_mm - usual_rms_mm_) * (usual_rms_mm_ == 0 ? 1.0 : kUsualMemory);
  free_slides_ = found.free_slides;
  free_turns_ = found.free_turns;
  free_in_a_row_ = found.free_directions() > 0 ? free_in_a_row_ + 1 : 0;
  firm_frames_ = !followed ? 0 : firm_frames_ + (found.free_directions() == 0 ? 1 : 0);
  last_pose_ = found.model_from_sensor;
  last_sequence_ = sequence;
  lost_in_a_row_ = 0;
}

void PoseFinder::forget() {
  lost_in_a_row_ = confirming_ = free_in_a_row_ = firm_frames_ = 0;
  motion_a_frame_ = RigidTransform::Identity();
  usual_rms_mm_ = 0;
}

void PoseFinder::lose_at(const RigidTransform& model_from_sensor) {
  lost_in_a_row_ = 1;
  confirming_ = free_in_a_row_ = firm_frames_ = 0;
  motion_a_frame_ = RigidTransform::Identity();
  last_pose_ = model_from_sensor;
}

}  // namespace cusp
