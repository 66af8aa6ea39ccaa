// track: refines the sensor's pose so that the measured surface lies on the predicted view of the
// model.
//
// Projective point to plane (KinectFusion, section 3.5; K.-L. Low, "Linear least-squares
// optimization for point-to-plane ICP surface registration", UNC TR04-004, 2004), coarse samples
// first, each weighted by its sigma and view angle (MeasuredSurface::weights), with a
// Geman-McClure kernel whose width shrinks with the search distance. The step is solved in double
// about the middle of the samples. Directions in which the surface can slide on itself are found
// from the eigenvalues of the normal matrix and keep what the start says (J. Zhang, M. Kaess, S.
// Singh, "On degeneracy of optimization-based state estimation problems", ICRA 2016,
// doi:10.1109/ICRA.2016.7487211): the fit tells how many. Where frame and model have colours, these
// are asked for such directions, and for no others (track_colour.h). Every limit is in voxels or in
// standard deviations of the noise model: the same code follows a jaw and a room.
//
// A fit says how good it is; passes() says whether it may be believed. Threads: pure functions, use
// the pool; the same bits with any number of threads.
#pragma once

#include <vector>

#include "core/pose.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct TrackLimits {
  double wide_mm = 0;    // search distance at the start
  double narrow_mm = 0;  // and at the end: farther samples are no inliers
  int coarse_steps = 0;
  int fine_steps = 0;  // 0: stop with the coarse samples
  // Eigenvalues of the mean normal matrix below this are of directions that nothing holds (turns
  // scaled by the samples' radius: a surface that looks everywhere has 1/3).
  double min_stiffness = 0.003;
  // A direction that the colours tell to this standard deviation is not free; 0: they are not
  // asked.
  double colour_sigma_mm = 0;
};

struct Fit {
  RigidTransform model_from_sensor = RigidTransform::Identity();
  bool solved = false;   // false: too few samples, or a step that is no refinement
  double rms_mm = 0;     // of the inliers, point to plane
  double overlap = 0;    // inliers / samples
  double agreement = 0;  // inliers / samples that saw the model at all: the rest contradict it
  double stiffness = 0;  // smallest eigenvalue
  // Directions that nothing tells, where the pose is the start's: a plane of one colour has two
  // slides and a turn, a sphere three turns.
  int free_slides = 0, free_turns = 0;
  // Those that would be free, but for the colours.
  int colour_slides = 0, colour_turns = 0;

  [[nodiscard]] int free_directions() const { return free_slides + free_turns; }
  [[nodiscard]] bool by_colour() const { return colour_slides + colour_turns > 0; }
};

Fit fit(const MeasuredSurface& surface, const ModelView& view, const RigidTransform& start,
        const TrackLimits& limits, WorkerPool& pool);

// What a fit must reach.
struct Gate {
  double min_overlap = 0;
  double min_agreement = 0;
  double max_rms_mm = 0;
  int max_free_directions = 0;
  double min_stiffness = 0;
};
bool passes(const Fit& fit, const Gate& gate);
bool passes_one(const Fit& fit, const std::vector<Gate>& gates);

}  // namespace cusp
