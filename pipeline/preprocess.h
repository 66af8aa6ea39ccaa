// preprocess: from depth values to a measured surface.
//
//  1. Pixels at depth jumps and at the rim of what was measured go: stereo smears foreground and
//  background there.
//  2. Where voxels are much larger than pixels, squares of four become one (binning): a voxel
//  takes the pixel that its centre falls into, and most would come to nothing.
//  3. Smoothing that keeps edges (Tomasi and Manduchi, "Bilateral filtering for gray and color
//  images", ICCV 1998,
//     doi:10.1109/ICCV.1998.710815, run along rows, then along columns), its range in units of the
//     noise model.
//  4. Normals from the smoothed depth; surfaces seen at a grazing angle go.
// The fused plane of a pixel has the smoothed normal but passes through the measured point:
// smoothing would move cusps and fissures. So do the samples for tracking: a surface that is mostly
// convex, smoothed, lies behind itself, and a pose that follows it drifts (measured on teeth at 14
// mm: 86 um in 100 frames against 33).
// What is no depth (negative, infinite, not a number) counts as not measured; so does a depth whose
// own sigma is none.
//
// Frame: the sensor's, mm. Threads: pure function, uses the pool. The same bits with any number of
// threads.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "core/frame.h"
#include "pipeline/noise_model.h"
#include "pipeline/worker_pool.h"

namespace cusp {

// A sample for every second or fourth row and column of the sensor, for the tracker: one array a
// quantity, row by row. Rows are as long as `stride`, a multiple of eight; what is not measured and
// what fills a row up has the weight 0.
struct SampleGrid {
  int step = 0;  // pixels of the surface
  int width = 0, height = 0;
  std::size_t stride = 0;
  std::vector<float> ray_x;  // a column: x = ray_x * z
  std::vector<float> ray_y;  // a row
  std::vector<float> z_mm;
  std::vector<float> nx, ny, nz;  // unit, towards the sensor
  std::vector<float> weight;      // as MeasuredSurface::weights
  std::size_t count = 0;          // samples with a weight

  // Index i is row i / stride, column i % stride.
  [[nodiscard]] Eigen::Vector3f point_mm(std::size_t i) const {
    return {ray_x[i % stride] * z_mm[i], ray_y[i / stride] * z_mm[i], z_mm[i]};
  }
  [[nodiscard]] Eigen::Vector3f normal(std::size_t i) const { return {nx[i], ny[i], nz[i]}; }
};

struct MeasuredSurface {
  Intrinsics intrinsics;  // of its pixels
  int binning = 1;        // pixels of the sensor that one of them is made of, a side
  // A plane a pixel: (nx, ny, nz, d) with n . p = d on it; d < 0 in front of the sensor, all 0
  // where there is none.
  std::vector<Eigen::Vector4f> planes;
  // How much a pixel counts in the volume: incidence squared over noise variance (1: head-on at mid
  // range).
  std::vector<float> weights;
  std::vector<std::uint8_t> rgb;  // as DepthFrame::rgb
  SampleGrid fine;                // two rows and columns of the sensor apart
  SampleGrid coarse;              // four
  // Of the coarse samples; 0 when there are none.
  Eigen::Vector3d middle_mm = Eigen::Vector3d::Zero();
  double radius_mm = 0;  // root mean square distance from the middle
  double mean_depth_mm = 0;

  // Working images of preprocess, with their borders. Nobody else's.
  std::vector<float> sigma_mm_, kept_mm_, half_smooth_mm_, smooth_mm_;
};

// `memory`: a surface that is no longer needed, whose memory is used again.
MeasuredSurface preprocess(const DepthFrame& frame, const NoiseModel& model, WorkerPool& pool,
                           MeasuredSurface memory = {});

}  // namespace cusp
