// track: refines the sensor's pose so that the measured surface lies on the predicted view of the
// model.
//
// Projective point to plane (KinectFusion, section 3.5; K.-L. Low, "Linear least-squares
// optimization for point-to-plane ICP surface registration", UNC TR04-004, 2004), coarse samples
// first, with a Geman-McClure kernel whose width shrinks with the search distance. The step is
// solved in double about the centre of the samples. Every limit is in voxels or in standard
// deviations of the noise model: the same code follows a jaw and a room.
//
// A fit says how good it is; judge() says whether it may be believed. Threads: pure functions, use
// the pool.
#pragma once

#include <cstddef>
#include <span>

#include "core/pose.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct TrackLimits {
  double wide_mm = 0;    // search distance at the start
  double narrow_mm = 0;  // and at the end: farther samples are no inliers
  int coarse_steps = 0;
  int fine_steps = 0;
};

struct Fit {
  RigidTransform model_from_sensor = RigidTransform::Identity();
  bool solved = false;   // false: too few samples or a singular system
  double rms_mm = 0;     // of the inliers, point to plane
  double overlap = 0;    // inliers / samples
  double agreement = 0;  // inliers / samples that saw the model at all: the rest contradict it
  // Smallest eigenvalue of the mean normal matrix, rotations scaled by the samples' radius: 0 on a
  // plane or a sphere, where the surface can slide on itself.
  double stiffness = 0;
};

Fit fit(const MeasuredSurface& surface, const ModelView& view, const RigidTransform& start,
        const TrackLimits& limits, WorkerPool& pool);

// What a fit must reach.
struct Gate {
  double min_overlap = 0;
  double min_agreement = 0;
  double max_rms_mm = 0;
  double min_stiffness = 0;
};
bool passes(const Fit& fit, const Gate& gate);

}  // namespace cusp
