#include <cstring>

#include "tools/sim/embree_scene_internal.h"

namespace cusp::sim {

Result<EmbreeScene> EmbreeScene::build(const Mesh& mesh) {
  if (mesh.empty()) return error(ErrorCode::kInvalidArgument, "scene: the mesh has no triangles");
  CUSP_TRY(validate(mesh));

  EmbreeScene built;
  built.device_.reset(rtcNewDevice("threads=1,set_affinity=0"));
  if (!built.device_)
    return error(ErrorCode::kUnavailable, "scene: Embree does not start (error {})",
                 static_cast<int>(rtcGetDeviceError(nullptr)));
  RTCDevice device = built.device_.get();

  built.scene_.reset(rtcNewScene(device));
  rtcSetSceneFlags(built.scene_.get(), RTC_SCENE_FLAG_ROBUST);
  RTCGeometry geometry = rtcNewGeometry(device, RTC_GEOMETRY_TYPE_TRIANGLE);
  void* vertices = rtcSetNewGeometryBuffer(geometry, RTC_BUFFER_TYPE_VERTEX, 0, RTC_FORMAT_FLOAT3,
                                           3 * sizeof(float), mesh.vertices_mm.size());
  void* indices = rtcSetNewGeometryBuffer(geometry, RTC_BUFFER_TYPE_INDEX, 0, RTC_FORMAT_UINT3,
                                          3 * sizeof(std::uint32_t), mesh.triangles.size());
  if (vertices == nullptr || indices == nullptr) {
    rtcReleaseGeometry(geometry);
    return error(ErrorCode::kNoSpace, "scene: no memory for {} triangles", mesh.triangles.size());
  }
  static_assert(sizeof(Eigen::Vector3f) == 3 * sizeof(float));
  std::memcpy(vertices, mesh.vertices_mm.data(), mesh.vertices_mm.size() * 3 * sizeof(float));
  std::memcpy(indices, mesh.triangles.data(), mesh.triangles.size() * 3 * sizeof(std::uint32_t));
  rtcCommitGeometry(geometry);
  rtcAttachGeometry(built.scene_.get(), geometry);
  rtcReleaseGeometry(geometry);
  rtcCommitScene(built.scene_.get());
  if (const RTCError code = rtcGetDeviceError(device); code != RTC_ERROR_NONE)
    return error(ErrorCode::kUnavailable, "scene: Embree refuses the mesh (error {})",
                 static_cast<int>(code));
  return built;
}

}  // namespace cusp::sim
