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

  // What a gyroscope says of the turn since the frame before, of every frame before it is looked
  // for; nothing, where there is none. It is heeded while it predicts as well as the motion does.
  void turned(const std::optional<Eigen::Matrix3d>& before_from_now);

  // Of the frame that was just followed, which shows its surface better now. Lost: it does not fit.
  Pose correct(const MeasuredSurface& surface, const LiveMesh& mesh, WorkerPool& pool);

  // Of the last frame: the model as it was predicted, and the directions in which it can slide.
  [[nodiscard]] const ModelView& view() const { return view_; }
  [[nodiscard]] int free_slides() const { return now_.free_slides; }
  [[nodiscard]] int free_turns() const { return now_.free_turns; }
  [[nodiscard]] int lost_in_a_row() const { return lost_in_a_row_; }
  // From the frame before to the last, in the sensor's frame. Nothing where it was not followed, or
  // too many are missing in between.
  [[nodiscard]] std::optional<RigidTransform> motion() const;
  // The sensor's noise at the surface's depth.
  [[nodiscard]] double sigma_mm(const MeasuredSurface& surface) const {
    return noise_.sigma_mm(static_cast<float>(surface.mean_depth_mm));
  }

  // The model was moved under the sensor.
  void move(const RigidTransform& new_from_old) {
    now_.pose = new_from_old * now_.pose;
    now_.firm_pose = new_from_old * now_.firm_pose;
  }
  // The model is another: nothing is known of the sensor, or that it was here, and is lost.
  void forget();
  void lose_at(const RigidTransform& model_from_sensor);

 private:
  // What is known from the frames that were found.
  struct Course {
    RigidTransform pose = RigidTransform::Identity();  // model_from_sensor, of the last of them
    std::uint64_t sequence = 0;
    RigidTransform motion = RigidTransform::Identity();  // to it, in the sensor's frame,
    double frames = 1;                                   // from so many frames before
    bool followed = false;                               // not found by a search
    int free_slides = 0, free_turns = 0;
    int free_in_a_row = 0;
    int firm_frames = 0;  // since the pose was found, that told all of the motion
    RigidTransform firm_pose = RigidTransform::Identity();  // of the last of them
    std::uint64_t firm_sequence = 0;
    double usual_rms_mm = 0;
  };

  [[nodiscard]] std::optional<Fit> track(const MeasuredSurface& surface, const LiveMesh& mesh,
                                         const RigidTransform& start, WorkerPool& pool);
  [[nodiscard]] TrackLimits track_limits(double sigma_mm) const;
  [[nodiscard]] Gate track_gate(double sigma_mm) const;
  [[nodiscard]] Gate sure_gate(double sigma_mm) const;
  [[nodiscard]] Gate rim_gate(double sigma_mm) const;
  [[nodiscard]] RelocaliseSearch near_search(double sigma_mm) const;
  [[nodiscard]] RelocaliseSearch relocalise_search(double sigma_mm) const;
  [[nodiscard]] double frames_to(std::uint64_t sequence) const;
  [[nodiscard]] RigidTransform on_course(double frames) const;
  [[nodiscard]] bool heeds_gyro() const { return gyro_is_good_ && turn_; }
  [[nodiscard]] RigidTransform predicted(std::uint64_t sequence) const;
  [[nodiscard]] std::vector<RigidTransform> likely(std::uint64_t sequence) const;
  void judge_gyro(const Eigen::Matrix3d& model_from_sensor, std::uint64_t sequence);
  [[nodiscard]] RigidTransform motion_to(const Fit& found, std::uint64_t sequence) const;
  void remember(const Fit& found, bool followed, std::uint64_t sequence);

  ReconstructionOptions options_;
  const NoiseModel& noise_;
  ModelView view_;
  int lost_in_a_row_ = 0;
  int confirming_ = 0;  // frames that must still follow before one is built on
  // By the gyroscope, since the last frame that was found: before_from_now.
  std::optional<Eigen::Matrix3d> turn_;
  bool gyro_is_good_ = false;
  Course before_, now_{};  // as it was before the last frame that was found, and with it
};

}  // namespace cusp
