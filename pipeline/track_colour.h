// ColourTerm: what the brightness of a frame tells of its pose where its shape tells nothing.
//
// Smooth gums and foreheads slide on themselves, but few are of one colour. Points of the predicted
// view are looked up in the frame's picture, and the motion that makes both alike is found by least
// squares, as the photometric half of J. Park, Q.-Y. Zhou, V. Koltun, "Colored point cloud
// registration revisited", ICCV 2017, doi:10.1109/ICCV.2017.25, with a Geman-McClure kernel against
// highlights. It is asked for some directions alone: all others are the geometry's.
//
// What is not the surface's own: the exposure changes between frames, and light that is carried by
// the sensor leaves its fall-off in every frame at the same pixels, which looks like a surface that
// stands still. So each tile of the picture has an offset and a slope of its own, which are taken
// out, and the contrast of the frame over the model's is the gain.
//
// Held is a direction whose standard deviation is small. What noise does to the pose is counted
// tile by tile from what remains; how firmly the picture answers is told by the gradients that
// frame and model have in common: noise has steep ones too, but not the same in both. (By the
// frame's alone stripes would hold along themselves.)
//
// Directions are motions (turn * radius_mm, shift) about the middle of the measured samples in the
// view's frame, mm. Threads: one at a time; uses the pool; the same bits with any number of
// threads. No errors: what has no colour tells nothing.
#pragma once

#include <Eigen/Core>
#include <array>
#include <vector>

#include "core/pose.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/worker_pool.h"

namespace cusp {

using Motion = Eigen::Matrix<double, 6, 1>;
inline constexpr int kMostAsked = 3;
// Orthonormal columns.
using Directions = Eigen::Matrix<double, 6, Eigen::Dynamic, Eigen::ColMajor, 6, 6>;

enum class Sharpness { kCoarse, kFine };

// Brightness, its slopes along x and y in counts a pixel, and 1; all 0 where they are not known.
using BrightnessPicture = std::vector<Eigen::Vector4f>;

class ColourTerm {
 public:
  // Both outlive it, and the mesh of the view does not change meanwhile. Points farther than
  // reach_mm from the measured surface are not looked up.
  ColourTerm(const MeasuredSurface& surface, const ModelView& view, double reach_mm,
             WorkerPool& pool);

  // False: frame or model has no colour.
  [[nodiscard]] bool tells() const { return tells_; }

  // Towards the pose at which both are alike, along at most kMostAsked directions.
  struct Step {
    Motion motion = Motion::Zero();
    bool are_alike = false;  // from where it starts
  };
  [[nodiscard]] Step step(const RigidTransform& view_from_sensor, const Directions& asked,
                          Sharpness sharpness) const;

  // Of these directions, those that it tells to sigma_mm, and the others.
  struct Verdict {
    Directions held, open;
  };
  [[nodiscard]] Verdict judge(const RigidTransform& view_from_sensor, const Directions& asked,
                              double sigma_mm) const;

 private:
  struct Sums;
  [[nodiscard]] Sums look(const RigidTransform& view_from_sensor, const Directions& asked,
                          Sharpness sharpness) const;

  const MeasuredSurface& surface_;
  const ModelView& view_;
  double reach_mm_;
  WorkerPool& pool_;
  bool tells_ = false;
  std::array<BrightnessPicture, 2> frame_, model_;  // by Sharpness
};

}  // namespace cusp
