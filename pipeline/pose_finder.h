// PoseFinder: where the sensor is, from frame to frame: followed, lost, searched for, found again.
//
// A frame is tracked from where the last motion predicts the sensor (track.h); when that fails it
// is searched for near by, then in the whole model (relocalise.h), and a pose that was found again
// must be confirmed by the frames that follow before anything is built on it. All limits are in
// voxels and noise sigmas. Model and sensor frames, mm. Threads: one at a time; it uses the pool.
// No errors: a pose that can't be told is lost.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/pose.h"
#include "pipeline/live_mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/reconstruction.h"
#include "pipeline/relocalise.h"
#include "pipeline/track.h"
#include "pipeline/worker_pool.h"

namespace cusp {

class PoseFinder {
 public:
  PoseFinder(const ReconstructionOptions& options, const NoiseModel& noise)
      : options_(options), noise_(noise) {}

  // Of the frame that a model begins with: the identity, when it shows enough.
  Pose begin(const MeasuredSurface& surface, std::uint64_t sequence);
  // `kRelocalised`: not to be built on yet.
  Pose find(const MeasuredSurface& surface, const LiveMesh& mesh, const Keyframes& keyframes,
            std::uint64_t sequence, WorkerPool& pool);

  // Of the frame that was just followed, which shows its surface better now. Lost: it does not fit.
  Pose correct(const MeasuredSurface& surface, const LiveMesh& mesh, WorkerPool& pool);

  // Of the last frame: the model as it was predicted, and the directions in which it can slide.
  [[nodiscard]] const ModelView& view() const { return view_; }
  [[nodiscard]] int free_slides() const { return free_slides_; }
  [[nodiscard]] int free_turns() const { return free_turns_; }
  [[nodiscard]] int lost_in_a_row() const { return lost_in_a_row_; }
  // From a frame to the next, in the sensor's frame; the identity while it is not known.
  [[nodiscard]] RigidTransform motion_a_frame() const {
    return lost_in_a_row_ == 0 ? motion_a_frame_ : RigidTransform::Identity();
  }
  // The sensor's noise at the surface's depth.
  [[nodiscard]] double sigma_mm(const MeasuredSurface& surface) const {
    return noise_.sigma_mm(static_cast<float>(surface.mean_depth_mm));
  }

  // The model was moved under the sensor.
  void move(const RigidTransform& new_from_old) { last_pose_ = new_from_old * last_pose_; }
  // The model is another: nothing is known of the sensor, or that it was here, and is lost.
  void forget();
  void lose_at(const RigidTransform& model_from_sensor);

 private:
  [[nodiscard]] std::optional<Fit> track(const MeasuredSurface& surface, const LiveMesh& mesh,
                                         const RigidTransform& start, WorkerPool& pool);
  [[nodiscard]] TrackLimits track_limits(double sigma_mm) const;
  [[nodiscard]] Gate track_gate(double sigma_mm) const;
  [[nodiscard]] Gate sure_gate(double sigma_mm) const;
  [[nodiscard]] Gate rim_gate(double sigma_mm) const;
  [[nodiscard]] RelocaliseSearch near_search(double sigma_mm) const;
  [[nodiscard]] RelocaliseSearch relocalise_search(double sigma_mm) const;
  [[nodiscard]] double gap_frames(std::uint64_t sequence) const;
  [[nodiscard]] RigidTransform predicted(std::uint64_t sequence) const;
  [[nodiscard]] std::vector<RigidTransform> likely(std::uint64_t sequence) const;
  void remember(const Fit& found, bool followed, std::uint64_t sequence);

  ReconstructionOptions options_;
  const NoiseModel& noise_;
  ModelView view_;
  int lost_in_a_row_ = 0;
  int confirming_ = 0;  // frames that must still follow before one is built on
  int free_slides_ = 0, free_turns_ = 0;
  int free_in_a_row_ = 0;
  int firm_frames_ = 0;  // since the pose was found, that told all of the motion
  RigidTransform last_pose_ = RigidTransform::Identity();
  RigidTransform motion_a_frame_ = RigidTransform::Identity();  // in the sensor's frame
  RigidTransform pose_before_ = RigidTransform::Identity();     // the last one
  double frames_between_ = 1;                                   // it and the last one
  std::uint64_t last_sequence_ = 0;
  double usual_rms_mm_ = 0;
};

}  // namespace cusp
