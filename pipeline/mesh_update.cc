#include "pipeline/mesh_update.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

namespace cusp {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers go as they lie in memory");

constexpr std::string_view kMagic = "CUSPMESH";
constexpr std::uint32_t kFormat = 1;

constexpr std::size_t kVertexBytes = 13, kTriangleBytes = 6, kPatchHeadBytes = 20, kHeadBytes = 36;

// Writes on from `at`.
template <typename T>
void put(std::uint8_t*& at, const T& value) {
  static_assert(std::is_arithmetic_v<T>);
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}
template <typename T, std::size_t N>
void put(std::uint8_t*& at, const std::array<T, N>& values) {
  std::memcpy(at, values.data(), sizeof values);
  at += sizeof values;
}

void add_patch(const MeshPatch& patch, std::vector<std::uint8_t>& bytes) {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + kPatchHeadBytes + kVertexBytes * patch.vertices.size() +
               kTriangleBytes * patch.triangles.size());
  std::uint8_t* at = bytes.data() + begin;
  for (int axis = 0; axis < 3; ++axis) put(at, static_cast<std::int32_t>(patch.block[axis]));
  put(at, patch.last_seen);
  put(at, static_cast<std::uint16_t>(patch.vertices.size()));
  put(at, static_cast<std::uint16_t>(patch.triangles.size()));
  for (const PatchVertex& vertex : patch.vertices) {
    put(at, vertex.position);
    put(at, vertex.normal);
    put(at, vertex.rgb);
    put(at, static_cast<std::uint8_t>(vertex.level));
  }
  for (const PatchTriangle& triangle : patch.triangles) put(at, triangle);
}

}  // namespace

std::vector<std::uint8_t> encode_mesh_update(const LiveMesh& mesh, std::uint64_t mesh_id,
                                             std::uint32_t since, std::size_t enough_bytes) {
  // What a viewer has from before the mesh was cleared, or says to have from the future, is nothing
  // of it.
  const bool anew = since <= mesh.begun() || since > mesh.updates();
  std::vector<std::uint32_t> lacking = mesh.changed_since(anew ? mesh.begun() : since);
  std::ranges::stable_sort(lacking, {}, [&](std::uint32_t i) { return mesh.patch(i).changed; });

  std::vector<std::uint8_t> bytes(kHeadBytes);
  std::uint32_t patches = 0;
  std::uint32_t update = 0;
  bool all = true;
  for (const std::uint32_t i : lacking) {
    const MeshPatch patch = mesh.patch(i);
    all = patch.changed == update || bytes.size() < kHeadBytes + enough_bytes;
    if (!all) break;
    update = patch.changed;
    // Of what a new viewer never had, nothing needs to go.
    if (anew && patch.vertices.empty()) continue;
    add_patch(patch, bytes);
    ++patches;
  }
  std::uint8_t* at = bytes.data();
  for (const char c : kMagic) put(at, c);
  put(at, kFormat);
  put(at, static_cast<std::uint32_t>(anew ? 1 : 0));
  put(at, mesh_id);
  put(at, all ? mesh.updates() : update);
  put(at, patches);
  put(at, mesh.voxel_mm());
  return bytes;
}

}  // namespace cusp
