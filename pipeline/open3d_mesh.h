// What Open3D does for us with meshes: reading files and decimating. No exception and no log line
// of its leaves this file. Threads: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::open3d_mesh {

// Vertices and triangles as Open3D finds them, neither checked nor welded. kCorrupt when it cannot
// read the file.
Result<Mesh> read(const std::filesystem::path& path);

// Quadric error metric (M. Garland and P. Heckbert, "Surface simplification using quadric error
// metrics", SIGGRAPH 1997, doi:10.1145/258734.258849) down to about this many triangles.
Result<Mesh> decimate(const Mesh& mesh, std::uint64_t target_triangles);

}  // namespace cusp::open3d_mesh
