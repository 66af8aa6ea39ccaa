#include "core/mesh.h"

#include <gtest/gtest.h>

#include <limits>

namespace cusp {
namespace {

Mesh one_triangle() {
  Mesh mesh;
  mesh.vertices_mm = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  mesh.triangles = {{0, 1, 2}};
  return mesh;
}

TEST(Mesh, counter_clockwise_triangles_face_the_viewer) {
  Mesh mesh = one_triangle();
  compute_normals(mesh);
  ASSERT_EQ(mesh.normals.size(), 3u);
  for (const auto& normal : mesh.normals) EXPECT_TRUE(normal.isApprox(Eigen::Vector3f::UnitZ()));
  EXPECT_TRUE(validate(mesh).ok());
}

TEST(Mesh, a_vertex_that_no_triangle_uses_still_gets_a_unit_normal) {
  Mesh mesh = one_triangle();
  mesh.vertices_mm.emplace_back(5, 5, 5);
  compute_normals(mesh);
  EXPECT_FLOAT_EQ(mesh.normals[3].norm(), 1.0f);
}

TEST(Mesh, validation_names_what_is_wrong) {
  Mesh bad_index = one_triangle();
  bad_index.triangles[0][2] = 3;
  EXPECT_EQ(validate(bad_index).error().message,
            "mesh: triangle 0 names vertex 3, but there are only 3");

  Mesh not_a_number = one_triangle();
  not_a_number.vertices_mm[1].y() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(validate(not_a_number).error().message,
            "mesh: vertex 1 has a coordinate that is not a number");

  Mesh few_normals = one_triangle();
  few_normals.normals.resize(1);
  EXPECT_EQ(validate(few_normals).error().message, "mesh: 1 normals for 3 vertices");
}

}  // namespace
}  // namespace cusp
