// Models as files in memory: binary STL and binary little-endian PLY, both in millimetres.
// PLY has colours as "red", "green", "blue" (0 to 255); marks what was filled in, not seen: the
// face property "filled" is not 0; and tells, where it is known, how far a vertex may be off: the
// vertex property "expected_error", one standard deviation along the normal, mm (expected_error.h).
// The STL header never begins with "solid" (readers would take it for text). Same mesh, same bytes.
// Thumbnail: PNG of the model seen from its mean normal, shaded, in its own colours if it has any.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/mesh.h"
#include "core/result.h"
#include "pipeline/surface_colour.h"

namespace cusp {

std::vector<std::uint8_t> to_stl(const Mesh& mesh);

// What is known of a mesh beside its shape; each may be empty.
struct MeshProperties {
  std::span<const std::uint8_t> filled{};      // a mark a triangle
  std::span<const float> expected_error_mm{};  // a number a vertex
  std::span<const Rgb> colours{};              // one a vertex
};
std::vector<std::uint8_t> to_ply(const Mesh& mesh, const MeshProperties& properties = {});
Result<std::vector<std::uint8_t>> render_thumbnail_png(const Mesh& mesh, int width_px,
                                                       int height_px,
                                                       std::span<const Rgb> colours = {});

// Reads STL, PLY or OBJ (by its ending), through Open3D. One clear error names the file: kNotFound,
// kCorrupt (truncated, not finite, indices out of range), kInvalidArgument (no triangles, unknown
// ending).
Result<Mesh> read_mesh(const std::filesystem::path& path);
// PLY, whatever the file is called, with the vertices as they stand in it, repeated ones too.
Result<Mesh> read_ply(const std::filesystem::path& path);

}  // namespace cusp
