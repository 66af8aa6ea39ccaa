// Peers: the same work done by Open3D 0.16 (Q.-Y. Zhou, J. Park, V. Koltun, "Open3D: A modern
// library for 3D data processing", arXiv:1801.09847), for a comparison in one run.
//
// Lengths stay in mm: Open3D's are the caller's (depth_scale 1). It takes its threads from
// OMP_NUM_THREADS, which must be set before the process starts. The names are those of its classes.
// Threads: one at a time. Errors: kUnsupported with what Open3D threw.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/frame.h"
#include "core/pose.h"
#include "core/result.h"

namespace cusp::bench {

struct PeerOptions {
  Intrinsics camera;
  double voxel_mm = 0;
  double truncation_voxels = 0;
  double min_depth_mm = 0;
  double max_depth_mm = 0;
};

// Puts frames into a volume at given poses; a pair, so that either can be timed alone.
struct Fuser {
  std::string name;
  std::function<Result<void>(const DepthFrame&)> prepare;
  std::function<Result<void>(const RigidTransform& model_from_sensor)> integrate;
};
// legacy pipelines::integration::ScalableTSDFVolume
Fuser make_scalable_tsdf(const PeerOptions& options);
// t::geometry::VoxelBlockGrid
Fuser make_voxel_block_grid(const PeerOptions& options);

// Tracks a frame against the model's last view, integrates it and casts the next view.
struct Slam {
  std::string name;
  std::function<Result<RigidTransform>(const DepthFrame&)> add;  // model_from_sensor
};
// t::pipelines::slam::Model as far as it goes: its TrackFrameToModel throws where Open3D was built
// without IPP, as Debian's was (Image::FilterBilateral is not implemented on the CPU there). So the
// loop of RGBDOdometryMultiScale round ComputeOdometryResultPointToPlane is written out, with the
// same pyramid and iterations (6, 3, 1) and without that filter.
Slam make_slam(const PeerOptions& options);

}  // namespace cusp::bench
