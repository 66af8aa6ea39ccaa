// Adjustment: the poses of all keyframes of a scan at once, together with the depth warp of the
// device, so that every surface that several frames saw is one surface.
//
// Frame-to-model tracking carries a small error on from tooth to tooth, and a device whose depth is
// bent by micrometres bends an arch by many times that (depth_warp.h). Here all pairs of frames
// that see the same surface take part, the passes' cross pairs (occlusal, buccal, lingual) with the
// neighbours in time: dense point to plane, correspondences by projection and made anew in each
// round, robust, Gauss-Newton (adjust_kernel.h, adjust_solve.h). Buccal and lingual passes bend an
// arch opposite ways when the depth is warped: this is what tells the warp from the poses.
//
// add() keeps 230 kB of a 640x480 frame and forgets the rest. The first frame keeps its pose. The
// same frames give the same bits with any number of threads.
// Model and sensor frames, mm. Errors: kInvalidArgument: fewer than two frames, none that overlap,
// or a pose that is not a number; kCancelled.
// Threads: one thread at a time, which uses the pool.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <vector>

#include "core/pose.h"
#include "core/result.h"
#include "pipeline/adjust_cells.h"
#include "pipeline/depth_warp.h"
#include "pipeline/expected_error.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct AdjustOptions {
  // How far apart the poses may have left one surface: 10 voxels are plenty.
  double search_mm = 0.5;
  // Of the device's depth at mid range; the warp is expected to be of this order.
  double sigma_mm = 0.01;
  bool estimate_warp = true;
  DepthWarp warp{};  // what is known of it before
};

struct AdjustReport {
  std::size_t frames = 0;
  std::size_t loose_frames = 0;  // that see no surface of another: their poses stay
  std::size_t pairs = 0;
  std::size_t cross_pairs = 0;  // whose frames look at the surface from well apart
  int rounds = 0;
  double rms_before_um = 0, rms_after_um = 0;  // point to plane, over all pairs
  double warp_rms_um = 0, warp_max_um = 0;
  // How far the surface moved, rms, apart from a motion of the whole: what the poses had drifted.
  double drift_um = 0;
  // Expected error of the frame that is known worst against the first, from the residuals.
  double pose_sigma_um = 0;
};

class Adjustment {
 public:
  explicit Adjustment(const AdjustOptions& options);

  // All frames have the same intrinsics (CUSP_CHECK).
  void add(const MeasuredSurface& surface, const RigidTransform& model_from_sensor,
           WorkerPool& pool);

  // `progress` is told the share that is done, 0..1. May be run again after more frames were added:
  // it goes on from the poses and the warp that it had.
  Result<AdjustReport> run(WorkerPool& pool, const std::stop_token& stop,
                           const std::function<void(double share)>& progress);

  // One a frame, in the order of add(); before run() as given.
  [[nodiscard]] const std::vector<RigidTransform>& poses() const { return poses_; }
  [[nodiscard]] const DepthWarp& warp() const { return warp_; }
  // What is left to be expected of the surface that the frames make, after run().
  [[nodiscard]] ErrorMap expected_error(WorkerPool& pool) const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Round;

  AdjustOptions options_;
  Intrinsics intrinsics_;  // of the surfaces, and ...
  int binning_ = 1;        // ... of the sensor's pixels
  CellLayout layout_;
  std::vector<KeyframeCells> frames_;
  std::vector<RigidTransform> poses_;
  DepthWarp warp_;
  double rms_mm_ = 0;  // after the last run
};

}  // namespace cusp
