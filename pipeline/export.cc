#include "pipeline/export.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string>

#include "core/check.h"

namespace cusp {
namespace {

static_assert(std::endian::native == std::endian::little, "both formats are little-endian");

class Bytes {
 public:
  explicit Bytes(std::size_t size) { bytes_.reserve(size); }

  template <typename T>
  void put(T value) {
    std::array<std::uint8_t, sizeof(T)> raw;
    std::memcpy(raw.data(), &value, sizeof(T));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void put(const Eigen::Vector3f& v) {
    put(v.x());
    put(v.y());
    put(v.z());
  }
  void put_text(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

constexpr std::size_t kStlHeader = 80;
constexpr std::size_t kStlTriangle = 50;

Eigen::Vector3f facet_normal(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
  const Eigen::Vector3f& a = mesh.vertices_mm[t[0]];
  const Eigen::Vector3f n = (mesh.vertices_mm[t[1]] - a).cross(mesh.vertices_mm[t[2]] - a);
  const float length = n.norm();
  return length > 0 ? Eigen::Vector3f(n / length) : Eigen::Vector3f::Zero();
}

}  // namespace

std::vector<std::uint8_t> to_stl(const Mesh& mesh) {
  CUSP_CHECK(mesh.triangles.size() <= std::numeric_limits<std::uint32_t>::max(),
             "STL counts triangles in 32 bits");
  Bytes bytes(kStlHeader + 4 + kStlTriangle * mesh.triangles.size());
  std::string header = "Cusp binary STL, millimetres";
  header.resize(kStlHeader, ' ');
  bytes.put_text(header);
  bytes.put(static_cast<std::uint32_t>(mesh.triangles.size()));
  for (const auto& triangle : mesh.triangles) {
    bytes.put(facet_normal(mesh, triangle));
    for (const std::uint32_t vertex : triangle) bytes.put(mesh.vertices_mm[vertex]);
    bytes.put(std::uint16_t{0});
  }
  return bytes.take();
}

std::vector<std::uint8_t> to_ply(const Mesh& mesh, const MeshProperties& properties) {
  const auto& [filled, expected_error_mm, colours] = properties;
  CUSP_CHECK(filled.empty() || filled.size() == mesh.triangles.size(), "a mark a triangle");
  CUSP_CHECK(expected_error_mm.empty() || expected_error_mm.size() == mesh.vertices_mm.size(),
             "a number a vertex");
  CUSP_CHECK(colours.empty() || colours.size() == mesh.vertices_mm.size(), "a colour a vertex");
  const bool normals = !mesh.normals.empty();
  std::string header = fmt::format(
      "ply\nformat binary_little_endian 1.0\ncomment Cusp, millimetres\nelement vertex {}\n",
      mesh.vertices_mm.size());
  header += "property float x\nproperty float y\nproperty float z\n";
  if (normals) header += "property float nx\nproperty float ny\nproperty float nz\n";
  if (!colours.empty()) header += "property uchar red\nproperty uchar green\nproperty uchar blue\n";
  if (!expected_error_mm.empty()) header += "property float expected_error\n";
  header += fmt::format("element face {}\nproperty list uchar int vertex_indices\n",
                        mesh.triangles.size());
  if (!filled.empty()) header += "property uchar filled\n";
  header += "end_header\n";
  Bytes bytes(header.size() + mesh.vertices_mm.size() * (normals ? 24 : 12) + 3 * colours.size() +
              4 * expected_error_mm.size() + mesh.triangles.size() * (filled.empty() ? 13 : 14));
  bytes.put_text(header);
  for (std::size_t i = 0; i < mesh.vertices_mm.size(); ++i) {
    bytes.put(mesh.vertices_mm[i]);
    if (normals) bytes.put(mesh.normals[i]);
    if (!colours.empty()) bytes.put(colours[i]);
    if (!expected_error_mm.empty()) bytes.put(expected_error_mm[i]);
  }
  for (std::size_t t = 0; t < mesh.triangles.size(); ++t) {
    bytes.put(std::uint8_t{3});
    for (const std::uint32_t vertex : mesh.triangles[t])
      bytes.put(static_cast<std::int32_t>(vertex));
    if (!filled.empty()) bytes.put(filled[t]);
  }
  return bytes.take();
}

}  // namespace cusp
