#include "tools/verify/fringes.h"

#include <algorithm>
#include <cmath>

#include "pipeline/finish.h"
#include "pipeline/fringe.h"
#include "pipeline/fuse.h"
#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/preprocess.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp::verify {
namespace {

// A single view: whatever it measured counts.
constexpr float kMinWeight = 1e-3F;

double median(std::vector<float> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// One standard deviation of a pixel, from the second differences along rows: of independent noise
// they have sqrt(1.5) times its deviation, and a median of 0.6745 deviations.
double noise_of(const DepthFrame& depth) {
  constexpr float kSteepest_mm = 2;  // across two pixels: beyond is an edge
  const auto width = static_cast<std::size_t>(depth.intrinsics.width_px);
  std::vector<float> bends;
  for (std::size_t i = 1; i + 1 < depth.depth_mm.size(); ++i) {
    if (i % width == 0 || (i + 1) % width == 0) continue;
    const float left = depth.depth_mm[i - 1];
    const float middle = depth.depth_mm[i];
    const float right = depth.depth_mm[i + 1];
    if (left == 0 || middle == 0 || right == 0 || std::abs(left - right) > kSteepest_mm) continue;
    bends.push_back(std::abs(middle - 0.5F * (left + right)));
  }
  return median(std::move(bends)) / (0.6745 * std::sqrt(1.5));
}

// As a wand gives them.
std::vector<RawFrame> wand_frames(const StructuredLightScan& scan) {
  const int count = static_cast<int>(scan.pictures.size());
  std::vector<RawFrame> frames;
  for (int k = 0; k < count; ++k)
    frames.push_back({.sequence = static_cast<std::uint64_t>(k),
                      .format = PixelFormat::kGrey8,
                      .width_px = scan.calibration.depth.width_px,
                      .height_px = scan.calibration.depth.height_px,
                      .bytes = scan.pictures[static_cast<std::size_t>(k)],
                      .fringe = FringeIndex{0, k, count}});
  return frames;
}

}  // namespace

Result<StillView> still_view(const StructuredLightScan& scan,
                             const ReconstructionOptions& options) {
  StillView view;
  CUSP_ASSIGN(FringeDecoder decoder,
              FringeDecoder::create(scan.calibration, {.min_depth_mm = options.min_depth_mm,
                                                       .max_depth_mm = options.max_depth_mm}));
  WorkerPool pool(options.threads);
  for (const RawFrame& frame : wand_frames(scan)) {
    CUSP_ASSIGN(DepthFrame* const depth, decoder.add(frame, pool));
    if (depth != nullptr) view.depth = std::move(*depth);
  }
  std::vector<float> sigmas;
  for (const float sigma : view.depth.sigma_mm)
    if (sigma > 0) sigmas.push_back(sigma);
  view.points = sigmas.size();
  view.median_sigma_mm = median(std::move(sigmas));
  view.median_noise_mm = noise_of(view.depth);

  const NoiseModel noise(options, scan.calibration);
  Volume volume(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
                options.max_volume_bytes);
  CUSP_TRY(fuse(preprocess(view.depth, noise, pool), RigidTransform::Identity(), volume, pool));
  CUSP_ASSIGN(FinishedModel model, finish(extract_mesh(volume, kMinWeight, pool), {}));
  view.mesh = std::move(model.mesh);
  return view;
}

double agreement(const DepthFrame& a, const DepthFrame& b, double sigmas) {
  std::size_t both = 0;
  std::size_t close = 0;
  for (std::size_t i = 0; i < std::min(a.depth_mm.size(), b.depth_mm.size()); ++i) {
    if (a.depth_mm[i] == 0 || b.depth_mm[i] == 0) continue;
    ++both;
    close += std::abs(a.depth_mm[i] - b.depth_mm[i]) <=
             sigmas * std::hypot(a.sigma_mm[i], b.sigma_mm[i]);
  }
  return both == 0 ? 0 : static_cast<double>(close) / static_cast<double>(both);
}

}  // namespace cusp::verify
