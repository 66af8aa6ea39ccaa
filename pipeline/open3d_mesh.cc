#include "pipeline/open3d_mesh.h"

#include <open3d/geometry/TriangleMesh.h>
#include <open3d/io/TriangleMeshIO.h>
#include <open3d/utility/Logging.h>

#include <exception>

namespace cusp::open3d_mesh {
namespace {

// Libraries do not log: what went wrong is said by the Result.
void silence() {
  static const bool done = [] {
    open3d::utility::SetVerbosityLevel(open3d::utility::VerbosityLevel::Error);
    return true;
  }();
  (void)done;
}

Mesh from_open3d(const open3d::geometry::TriangleMesh& source) {
  Mesh mesh;
  mesh.vertices_mm.reserve(source.vertices_.size());
  for (const Eigen::Vector3d& vertex : source.vertices_)
    mesh.vertices_mm.push_back(vertex.cast<float>());
  mesh.triangles.reserve(source.triangles_.size());
  for (const Eigen::Vector3i& t : source.triangles_)
    // A negative index becomes one that no mesh reaches; validate() finds it.
    mesh.triangles.push_back({static_cast<std::uint32_t>(t.x()), static_cast<std::uint32_t>(t.y()),
                              static_cast<std::uint32_t>(t.z())});
  return mesh;
}

template <typename Reader>
Result<Mesh> read_with(const Reader& reader, const std::filesystem::path& path) {
  silence();
  try {
    open3d::geometry::TriangleMesh mesh;
    if (!reader(path.string(), mesh))
      return error(ErrorCode::kCorrupt, "mesh {}: it is damaged or not what its ending says",
                   path.string());
    return from_open3d(mesh);
  } catch (const std::exception& failure) {
    return error(ErrorCode::kCorrupt, "mesh {}: {}", path.string(), failure.what());
  }
}

}  // namespace

Result<Mesh> read(const std::filesystem::path& path) {
  return read_with(
      [](const auto& name, auto& mesh) { return open3d::io::ReadTriangleMesh(name, mesh); }, path);
}

Result<Mesh> read_ply(const std::filesystem::path& path) {
  return read_with([](const auto& name,
                      auto& mesh) { return open3d::io::ReadTriangleMeshFromPLY(name, mesh, {}); },
                   path);
}

}  // namespace cusp::open3d_mesh
