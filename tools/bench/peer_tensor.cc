#include <open3d/core/Tensor.h>
#include <open3d/t/geometry/Image.h>
#include <open3d/t/geometry/VoxelBlockGrid.h>
#include <open3d/t/pipelines/odometry/RGBDOdometry.h>
#include <open3d/utility/Logging.h>

#include <algorithm>
#include <array>
#include <limits>

#include "tools/bench/peers.h"

namespace cusp::bench {
namespace {

namespace o3c = open3d::core;
using open3d::t::geometry::Image;
using open3d::t::geometry::VoxelBlockGrid;
using open3d::t::pipelines::odometry::ComputeOdometryResultPointToPlane;

constexpr float kUnit = 1;  // depth_scale: mm stay mm
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

o3c::Tensor tensor_of(const RigidTransform& transform) {
  std::vector<double> values;
  for (Eigen::Index row = 0; row < 4; ++row)
    for (Eigen::Index column = 0; column < 4; ++column)
      values.push_back(transform.matrix()(row, column));
  return {values, {4, 4}, o3c::Float64};
}
RigidTransform transform_of(const o3c::Tensor& tensor) {
  const std::vector<double> values = tensor.ToFlatVector<double>();
  RigidTransform transform;
  for (Eigen::Index row = 0; row < 4; ++row)
    for (Eigen::Index column = 0; column < 4; ++column)
      transform.matrix()(row, column) = values[static_cast<std::size_t>(4 * row + column)];
  return transform;
}

// Of a pyramid's level: every second pixel of the level before, from pixel 0.
o3c::Tensor camera_of(const Intrinsics& camera, double scale) {
  return {std::vector<double>{camera.fx_px * scale, 0, camera.cx_px * scale, 0,
                              camera.fy_px * scale, camera.cy_px * scale, 0, 0, 1},
          {3, 3},
          o3c::Float64};
}

Image image_of(const DepthFrame& frame) {
  return Image(o3c::Tensor(
      frame.depth_mm, {frame.intrinsics.height_px, frame.intrinsics.width_px, 1}, o3c::Float32));
}

class Grid {
 public:
  explicit Grid(const PeerOptions& options)
      : options_(options),
        camera_(camera_of(options.camera, 1)),
        grid_({"tsdf", "weight"}, {o3c::Float32, o3c::Float32}, {{1}, {1}},
              static_cast<float>(options.voxel_mm), 16, 20000) {
    // Each ray casting would say that its range map has grown.
    open3d::utility::SetVerbosityLevel(open3d::utility::VerbosityLevel::Error);
  }

  void integrate(const Image& depth, const RigidTransform& model_from_sensor) {
    const o3c::Tensor extrinsic = tensor_of(model_from_sensor.inverse());
    seen_ = grid_.GetUniqueBlockCoordinates(depth, camera_, extrinsic, kUnit, max_depth(),
                                            truncation());
    grid_.Integrate(seen_, depth, camera_, extrinsic, kUnit, max_depth(), truncation());
    ++frames_;
  }
  // Of the blocks that the last frame touched.
  Image cast(const RigidTransform& model_from_sensor) {
    auto views = grid_.RayCast(seen_, camera_, tensor_of(model_from_sensor.inverse()),
                               options_.camera.width_px, options_.camera.height_px, {"depth"},
                               kUnit, static_cast<float>(options_.min_depth_mm), max_depth(),
                               static_cast<float>(std::min(frames_ - 1, 3)), truncation());
    return Image(views["depth"]);
  }

 private:
  [[nodiscard]] float max_depth() const { return static_cast<float>(options_.max_depth_mm); }
  [[nodiscard]] float truncation() const { return static_cast<float>(options_.truncation_voxels); }

  PeerOptions options_;
  o3c::Tensor camera_;
  VoxelBlockGrid grid_;
  o3c::Tensor seen_;
  int frames_ = 0;
};

// Where the frame stands in the view, from where it may stand.
RigidTransform align(const Image& frame, const Image& view, const PeerOptions& options) {
  // Coarse to fine, as RGBDOdometryMultiScale's defaults.
  constexpr std::array<int, 3> kSteps = {6, 3, 1};
  const auto reach = static_cast<float>(10 * options.voxel_mm);
  const auto max_depth = static_cast<float>(options.max_depth_mm);
  std::vector<Image> frames = {Image(frame).ClipTransform(kUnit, 0, max_depth, kNan)};
  std::vector<Image> views = {Image(view).ClipTransform(kUnit, 0, max_depth, kNan)};
  while (frames.size() < kSteps.size()) {
    frames.push_back(frames.back().PyrDownDepth(2 * reach, kNan));
    views.push_back(views.back().PyrDownDepth(2 * reach, kNan));
  }
  o3c::Tensor view_from_frame = o3c::Tensor::Eye(4, o3c::Float64, o3c::Device("CPU:0"));
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    const std::size_t level = kSteps.size() - 1 - i;
    const o3c::Tensor camera = camera_of(options.camera, 1.0 / static_cast<double>(1U << level));
    const Image points = frames[level].CreateVertexMap(camera, kNan);
    Image model = views[level].CreateVertexMap(camera, kNan);
    const Image normals = model.CreateNormalMap(kNan);
    for (int step = 0; step < kSteps[i]; ++step)
      view_from_frame =
          ComputeOdometryResultPointToPlane(points.AsTensor(), model.AsTensor(), normals.AsTensor(),
                                            camera, view_from_frame, reach, 0.2F * reach)
              .transformation_.Matmul(view_from_frame);
  }
  return transform_of(view_from_frame);
}

}  // namespace

Fuser make_voxel_block_grid(const PeerOptions& options) {
  const auto grid = std::make_shared<Grid>(options);
  const auto depth = std::make_shared<Image>();
  return {.name = "Open3D VoxelBlockGrid",
          .prepare = [depth](const DepthFrame& frame) -> Result<void> {
            *depth = image_of(frame);
            return {};
          },
          .integrate = [grid, depth](const RigidTransform& model_from_sensor) -> Result<void> {
            try {
              grid->integrate(*depth, model_from_sensor);
              return {};
            } catch (const std::exception& problem) {
              return error(ErrorCode::kUnsupported, "VoxelBlockGrid: {}", problem.what());
            }
          }};
}

Slam make_slam(const PeerOptions& options) {
  struct State {
    Grid grid;
    std::optional<Image> view{};
    RigidTransform model_from_sensor = RigidTransform::Identity();
  };
  const auto state = std::make_shared<State>(State{.grid = Grid(options)});
  return {.name = "Open3D tensor SLAM",
          .add = [state, options](const DepthFrame& frame) -> Result<RigidTransform> {
            try {
              const Image depth = image_of(frame);
              if (state->view)
                state->model_from_sensor =
                    state->model_from_sensor * align(depth, *state->view, options);
              state->grid.integrate(depth, state->model_from_sensor);
              state->view = state->grid.cast(state->model_from_sensor);
              return state->model_from_sensor;
            } catch (const std::exception& problem) {
              return error(ErrorCode::kUnsupported, "tensor SLAM: {}", problem.what());
            }
          }};
}

}  // namespace cusp::bench
