// What Open3D does for us with meshes: reading files. No exception and no log line
// of its leaves this file. Threads: pure functions.
#pragma once

#include <filesystem>

#include "core/mesh.h"
#include "core/result.h"

namespace cusp::open3d_mesh {

// Vertices and triangles as Open3D finds them, neither checked nor welded. kCorrupt when it cannot
// read the file.
Result<Mesh> read(const std::filesystem::path& path);
// PLY, whatever the file is called.
Result<Mesh> read_ply(const std::filesystem::path& path);

}  // namespace cusp::open3d_mesh
