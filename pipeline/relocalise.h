// relocalise: finds the pose again after the track was lost, or was about to be.
//
// Keyframes keep a pose and a thumbnail of the depth (as in B. Glocker et al., "Real-time RGB-D
// camera relocalization via randomized ferns for keyframe encoding", TVCG 2015,
// doi:10.1109/TVCG.2014.2360403, with the plain thumbnail distance, over shifts and turns of
// the picture, in place of the ferns: a scan has hundreds of keyframes, not thousands). Those that
// look most like the frame, and poses that the motion makes likely, are starts for wide fits of the
// coarse samples. The best of these are fitted once more, against what is seen from the poses
// found, and must pass a strict gate. Teeth look alike: when another pose is nearly as good as the
// best one, neither is believed, and the next frame may tell. Threads: one thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "pipeline/track.h"

namespace cusp {

// Mean depth of the cells of a coarse grid, 0 where little was measured.
using DepthThumbnail = std::vector<float>;
// As a sensor would see it that is turned by so much the other way.
DepthThumbnail thumbnail_of(const MeasuredSurface& surface, double turn_rad = 0);

class Keyframes {
 public:
  // Keeps the pose if no kept one is near it.
  void offer(const RigidTransform& model_from_sensor, const MeasuredSurface& surface);
  // Poses from which the model should look as the frame does, most similar first: those of
  // keyframes, shifted and turned as their pictures are; no two that are nearly the same.
  [[nodiscard]] std::vector<RigidTransform> nearest(const MeasuredSurface& surface,
                                                    std::size_t count) const;
  [[nodiscard]] std::size_t size() const { return keyframes_.size(); }
  void clear() { keyframes_.clear(); }

 private:
  struct Keyframe {
    RigidTransform model_from_sensor;
    DepthThumbnail thumbnail;
    double mean_depth_mm = 0;
  };
  std::vector<Keyframe> keyframes_;
};

struct RelocaliseSearch {
  TrackLimits limits;
  std::vector<Gate> gates;  // one of them must be passed
  double max_depth_mm = 0;
};

// From the likely poses alone: for a motion that was not as predicted. Nothing, when no start led
// to a fit that passes the gate, or two did that differ.
std::optional<Fit> find_near(const MeasuredSurface& surface, const LiveMesh& mesh,
                             const std::vector<RigidTransform>& likely,
                             const RelocaliseSearch& search, WorkerPool& pool);
// From the likely poses and those of keyframes.
std::optional<Fit> relocalise(const MeasuredSurface& surface, const LiveMesh& mesh,
                              const Keyframes& keyframes, std::vector<RigidTransform> likely,
                              const RelocaliseSearch& search, WorkerPool& pool);

}  // namespace cusp
