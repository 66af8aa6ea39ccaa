#include "pipeline/pose_finder.h"

#include <algorithm>
#include <utility>

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
// Colours tell where a smooth surface is when they tell it to this share of a voxel.
constexpr double kColourSigmaVoxels = 0.1;
// A gyroscope may predict a turn worse than the motion does by as much as it drifts and hums.
constexpr double kGyroSlack_rad = 0.005;

}  // namespace

Pose PoseFinder::find(const MeasuredSurface& surface, const LiveMesh& mesh,
                      const Keyframes& keyframes, std::uint64_t sequence, WorkerPool& pool) {
  const double sigma = sigma_mm(surface);
  std::optional<Fit> found;
  if (lost_in_a_row_ == 0) {
    found = track(surface, mesh, predicted(sequence), pool);
    // A hand that turns about a tooth and no more as fast also shifts less, which no gyroscope
    // tells.
    if (!found && heeds_gyro())
      found = track(surface, mesh, on_course(std::min(frames_to(sequence), kMaxGapFrames)), pool);
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
    now_.free_slides = now_.free_turns = 0;
    return Pose{};
  }
  if (followed) judge_gyro(found->model_from_sensor.linear(), sequence);
  turn_ = Eigen::Matrix3d::Identity();
  const PoseVerdict verdict = confirming_ > 0 ? PoseVerdict::kRelocalised : PoseVerdict::kTracked;
  remember(*found, followed, sequence);
  return Pose{.verdict = verdict,
              .model_from_sensor = found->model_from_sensor,
              .residual_mm = found->rms_mm,
              .overlap = found->overlap};
}

// The last frame once more, as if it had not been found yet.
Pose PoseFinder::correct(const MeasuredSurface& surface, const LiveMesh& mesh, WorkerPool& pool) {
  const Course first = std::exchange(now_, before_);
  const auto found = track(surface, mesh, first.pose, pool);
  if (!found) {
    now_ = first;  // the sensor is near by
    lost_in_a_row_ = 1;
    now_.free_slides = now_.free_turns = 0;
    return Pose{};
  }
  remember(*found, first.followed, first.sequence);
  // Frames that are searched for are held against it before their motion is known.
  now_.usual_rms_mm = first.usual_rms_mm;
  return Pose{.verdict = PoseVerdict::kTracked,
              .model_from_sensor = found->model_from_sensor,
              .residual_mm = found->rms_mm,
              .overlap = found->overlap};
}

Pose PoseFinder::begin(const MeasuredSurface& surface, std::uint64_t sequence) {
  const double pixels = static_cast<double>(surface.intrinsics.width_px) *
                        static_cast<double>(surface.intrinsics.height_px);
  const auto pixels_a_sample = static_cast<double>(surface.fine.step * surface.fine.step);
  if (pixels_a_sample * static_cast<double>(surface.fine.count) < kMinSeedShare * pixels)
    return Pose{};
  now_.pose = RigidTransform::Identity();
  now_.sequence = sequence;
  turn_ = Eigen::Matrix3d::Identity();
  return Pose{.verdict = PoseVerdict::kTracked,
              .model_from_sensor = now_.pose,
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
          .fine_steps = 5,
          .colour_sigma_mm = kColourSigmaVoxels * options_.voxel_mm};
}
Gate PoseFinder::track_gate(double sigma_mm) const {
  return {.min_overlap = 0.3,
          .min_agreement = 0.6,
          .max_rms_mm = std::max(0.75 * options_.voxel_mm, 2.5 * sigma_mm),
          .max_free_directions =
              now_.firm_frames >= kMinFirmFrames && now_.free_in_a_row < kMaxFreeFrames ? 3 : 0};
}
// A place of the model, beyond doubt.
Gate PoseFinder::sure_gate(double sigma_mm) const {
  Gate gate = track_gate(sigma_mm);
  gate.min_overlap = 0.5;
  gate.min_agreement = 0.85;
  gate.max_free_directions = 0;
  if (now_.usual_rms_mm > 0)
    gate.max_rms_mm = std::min(gate.max_rms_mm, kUsualFactor * now_.usual_rms_mm);
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

double PoseFinder::frames_to(std::uint64_t sequence) const {
  return sequence <= now_.sequence ? 1 : static_cast<double>(sequence - now_.sequence);
}
std::optional<RigidTransform> PoseFinder::motion() const {
  const bool known = lost_in_a_row_ == 0 && now_.followed && now_.frames <= kMaxGapFrames;
  return known ? std::optional(now_.motion) : std::nullopt;
}
// Where the sensor is after so many frames if it goes on as it went.
RigidTransform PoseFinder::on_course(double frames) const {
  return now_.pose * scaled(now_.motion, frames / now_.frames);
}
RigidTransform PoseFinder::predicted(std::uint64_t sequence) const {
  RigidTransform there = on_course(std::min(frames_to(sequence), kMaxGapFrames));
  if (heeds_gyro()) there.linear() = now_.pose.linear() * *turn_;
  return there;
}
// Where the sensor may be when it did not go on as it went: it stopped, or half did.
std::vector<RigidTransform> PoseFinder::likely(std::uint64_t sequence) const {
  std::vector<RigidTransform> places;
  if (heeds_gyro()) places.push_back(predicted(sequence));
  if (!now_.motion.matrix().isIdentity(0)) {
    const double frames = std::min(frames_to(sequence), kMaxGapFrames);
    places.push_back(on_course(frames));
    places.push_back(on_course(0.5 * frames));
  }
  places.push_back(now_.pose);
  return places;
}

void PoseFinder::turned(const std::optional<Eigen::Matrix3d>& before_from_now) {
  if (turn_ && before_from_now)
    turn_ = *turn_ * *before_from_now;
  else
    turn_.reset();
}
// One that is broken, or turned round, must not lead the tracker astray.
void PoseFinder::judge_gyro(const Eigen::Matrix3d& model_from_sensor, std::uint64_t sequence) {
  if (!turn_) return;
  const auto off_rad = [&](const Eigen::Matrix3d& predicted) {
    return Eigen::AngleAxisd(predicted.transpose() * model_from_sensor).angle();
  };
  const double by_motion =
      off_rad(on_course(std::min(frames_to(sequence), kMaxGapFrames)).linear());
  gyro_is_good_ = off_rad(now_.pose.linear() * *turn_) <= by_motion + kGyroSlack_rad;
}
// Where few frames have colours, one that has them takes back what those before it slid: that is no
// motion. All since the last that was firm is.
RigidTransform PoseFinder::motion_to(const Fit& found, std::uint64_t sequence) const {
  if (!found.by_colour() || now_.free_in_a_row == 0 || sequence <= now_.firm_sequence)
    return now_.pose.inverse() * found.model_from_sensor;
  return scaled(now_.firm_pose.inverse() * found.model_from_sensor,
                frames_to(sequence) / static_cast<double>(sequence - now_.firm_sequence));
}
// A pose that has just been found says nothing about the motion; those that confirm it do.
void PoseFinder::remember(const Fit& found, bool followed, std::uint64_t sequence) {
  before_ = now_;
  now_.frames = frames_to(sequence);
  now_.followed = followed;
  now_.motion = followed ? motion_to(found, sequence) : RigidTransform::Identity();
  if (confirming_ == 0)
    now_.usual_rms_mm +=
        (found.rms_mm - now_.usual_rms_mm) * (now_.usual_rms_mm == 0 ? 1.0 : kUsualMemory);
  now_.free_slides = found.free_slides;
  now_.free_turns = found.free_turns;
  now_.free_in_a_row = found.free_directions() > 0 ? now_.free_in_a_row + 1 : 0;
  now_.firm_frames = !followed ? 0 : now_.firm_frames + (found.free_directions() == 0 ? 1 : 0);
  now_.pose = found.model_from_sensor;
  now_.sequence = sequence;
  if (found.free_directions() == 0) {
    now_.firm_pose = now_.pose;
    now_.firm_sequence = sequence;
  }
  lost_in_a_row_ = 0;
}

void PoseFinder::forget() {
  now_ = {.pose = now_.pose, .sequence = now_.sequence};
  lost_in_a_row_ = confirming_ = 0;
  turn_.reset();
}

void PoseFinder::lose_at(const RigidTransform& model_from_sensor) {
  now_ = {.pose = model_from_sensor, .sequence = now_.sequence, .usual_rms_mm = now_.usual_rms_mm};
  lost_in_a_row_ = 1;
  confirming_ = 0;
  turn_.reset();
}

}  // namespace cusp
