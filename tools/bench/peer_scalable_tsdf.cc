#include <open3d/camera/PinholeCameraIntrinsic.h>
#include <open3d/geometry/Image.h>
#include <open3d/geometry/RGBDImage.h>
#include <open3d/pipelines/integration/ScalableTSDFVolume.h>

#include <cstring>

#include "tools/bench/peers.h"

namespace cusp::bench {
namespace {

using open3d::pipelines::integration::ScalableTSDFVolume;
using open3d::pipelines::integration::TSDFVolumeColorType;

struct Volume {
  explicit Volume(const PeerOptions& options)
      : camera(options.camera.width_px, options.camera.height_px, options.camera.fx_px,
               options.camera.fy_px, options.camera.cx_px, options.camera.cy_px),
        tsdf(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
             TSDFVolumeColorType::NoColor) {}

  open3d::camera::PinholeCameraIntrinsic camera;
  ScalableTSDFVolume tsdf;
  open3d::geometry::RGBDImage image;
};

}  // namespace

Fuser make_scalable_tsdf(const PeerOptions& options) {
  const auto volume = std::make_shared<Volume>(options);
  return {.name = "Open3D ScalableTSDFVolume",
          .prepare = [volume](const DepthFrame& frame) -> Result<void> {
            auto& depth = volume->image.depth_;
            depth.Prepare(frame.intrinsics.width_px, frame.intrinsics.height_px, 1, 4);
            std::memcpy(depth.data_.data(), frame.depth_mm.data(), depth.data_.size());
            return {};
          },
          .integrate = [volume](const RigidTransform& model_from_sensor) -> Result<void> {
            try {
              volume->tsdf.Integrate(volume->image, volume->camera,
                                     model_from_sensor.inverse().matrix());
              return {};
            } catch (const std::exception& problem) {
              return error(ErrorCode::kUnsupported, "ScalableTSDFVolume: {}", problem.what());
            }
          }};
}

}  // namespace cusp::bench
