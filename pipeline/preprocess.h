// preprocess: from depth values to a measured surface.
//
//  1. Pixels at depth jumps and at the rim of what was measured go: stereo smears foreground and
//  background there.
//  2. Smoothing that keeps edges (Tomasi and Manduchi, "Bilateral filtering for gray and color
//  images", ICCV 1998,
//     doi:10.1109/ICCV.1998.710815, run along rows, then along columns), its range in units of the
//     noise model.
//  3. Normals from the smoothed depth; surfaces seen at a grazing angle go.
// The fused plane of a pixel has the smoothed normal but passes through the measured point:
// smoothing would move cusps and fissures. Samples for tracking lie on the smoothed surface.
//
// Frame: the sensor's, mm. Threads: pure function, uses the pool.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "core/frame.h"
#include "pipeline/noise_model.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct SurfaceSample {
  Eigen::Vector3f point_mm;
  Eigen::Vector3f normal;  // unit, towards the sensor
};

struct MeasuredSurface {
  Intrinsics intrinsics;
  // A plane a pixel: (nx, ny, nz, d) with n . p = d on it; d < 0 in front of the sensor, all 0
  // where there is none.
  std::vector<Eigen::Vector4f> planes;
  // How much a pixel counts in the volume: incidence squared over noise variance (1: head-on at mid
  // range).
  std::vector<float> weights;
  std::vector<SurfaceSample> fine;    // every 2nd row and column
  std::vector<SurfaceSample> coarse;  // every 4th
  double mean_depth_mm = 0;           // of the fine samples; 0 when there are none
};

MeasuredSurface preprocess(const DepthFrame& frame, const NoiseModel& model, WorkerPool& pool);

}  // namespace cusp
