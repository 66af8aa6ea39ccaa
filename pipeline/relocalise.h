// relocalise: finds the pose again after the track was lost.
//
// Keyframes keep a pose and a thumbnail of the depth (as in B. Glocker et al., "Real-time RGB-D
// camera relocalization via randomized ferns for keyframe encoding", TVCG 2015,
// doi:10.1109/TVCG.2014.2360403, with the plain thumbnail distance, over small shifts of the
// picture, in place of the ferns: a scan has hundreds of keyframes, not thousands). Those that look
// most like the frame, and the last good pose, are starts for wide fits of the coarse samples. The
// best of these are fitted once more, against what is seen from the poses found, and must pass a
// strict gate. Teeth look alike: when another pose is nearly as good as the best one, neither is
// believed, and the next frame may tell. Threads: one thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "pipeline/track.h"

namespace cusp {

// Mean depth of the cells of a coarse grid, 0 where little was measured.
using DepthThumbnail = std::vector<float>;
DepthThumbnail thumbnail_of(const MeasuredSurface& surface);

class Keyframes {
 public:
  // Keeps the pose if no kept one is near it.
  void offer(const RigidTransform& model_from_sensor, const MeasuredSurface& surface);
  // Poses from which the model should look as the frame does, most similar first: those of
  // keyframes, shifted as their pictures are.
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
  Gate gate;
  int view_step = 2;
  double max_depth_mm = 0;
};

// Nothing, when no start led to a fit that passes the gate, or two did that differ.
std::optional<Fit> relocalise(const MeasuredSurface& surface, const LiveMesh& mesh,
                              const Keyframes& keyframes, const RigidTransform& last_good,
                              const RelocaliseSearch& search, WorkerPool& pool);

}  // namespace cusp
