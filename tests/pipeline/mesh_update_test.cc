#include "pipeline/mesh_update.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <set>

namespace cusp {
namespace {

constexpr std::uint64_t kMesh = 0x1234'5678'9ABC'DEF0;
constexpr std::size_t kAll = std::size_t{1} << 30;

// A viewer in another language would read it so.
struct Viewer {
  std::uint64_t mesh = 0;
  std::uint32_t since = 0;
  std::uint32_t told = 0;  // patches in the last message
  bool began_anew = false;
  std::map<std::array<std::int32_t, 3>, std::vector<std::uint8_t>> patches;

  void take(const std::vector<std::uint8_t>& bytes) {
    const std::uint8_t* at = bytes.data();
    const auto read = [&]<typename T>(T value) {
      std::memcpy(&value, at, sizeof value);
      at += sizeof value;
      return value;
    };
    ASSERT_EQ(std::memcmp(at, "CUSPMESH", 8), 0);
    at += 8;
    ASSERT_EQ(read(std::uint32_t{}), 1u);
    began_anew = read(std::uint32_t{}) == 1;
    if (began_anew) patches.clear();
    mesh = read(std::uint64_t{});
    since = read(std::uint32_t{});
    told = read(std::uint32_t{});
    EXPECT_FLOAT_EQ(read(float{}), 0.25F);
    for (std::uint32_t i = 0; i < told; ++i) {
      const std::uint8_t* const begin = at;
      std::array<std::int32_t, 3> block{};
      for (auto& axis : block) axis = read(std::int32_t{});
      at += 4;
      const auto vertices = read(std::uint16_t{});
      const auto triangles = read(std::uint16_t{});
      at += 13 * vertices + 6 * triangles;
      ASSERT_LE(at, bytes.data() + bytes.size());
      if (vertices == 0)
        patches.erase(block);
      else
        patches[block].assign(begin, at);
    }
    EXPECT_EQ(at, bytes.data() + bytes.size());
  }
};

class MeshUpdate : public ::testing::Test {
 protected:
  // A slab of four blocks whose surface lies at this height.
  void put_surface(float height_mm) {
    std::vector<std::uint32_t> changed;
    for (int x = 0; x < 2; ++x)
      for (int z = -1; z < 1; ++z) {
        const std::size_t number = volume_.find_or_add({x, 0, z});
        for (int k = 0; k < kBlockVoxels; ++k) {
          const float z_mm = static_cast<float>(8 * z + (k >> 6)) * volume_.voxel_mm();
          volume_.set_voxel(number, static_cast<std::size_t>(k),
                            {.distance_mm = z_mm - height_mm, .weight = 5});
        }
        changed.push_back(static_cast<std::uint32_t>(number));
      }
    mesh_.update(volume_, changed, pool_);
  }
  // What one sees who has nothing.
  Viewer afresh() {
    Viewer viewer;
    viewer.take(encode_mesh_update(mesh_, kMesh, 0, kAll));
    return viewer;
  }

  Volume volume_{0.25, 1.0, std::size_t{1} << 26};
  LiveMesh mesh_{0.25F, 1};
  WorkerPool pool_{2};
};

TEST_F(MeshUpdate, BringsAViewerUpToDate) {
  put_surface(0.6F);
  Viewer viewer = afresh();
  EXPECT_TRUE(viewer.began_anew);
  EXPECT_EQ(viewer.mesh, kMesh);
  EXPECT_GE(viewer.patches.size(), 2u);

  viewer.take(encode_mesh_update(mesh_, kMesh, viewer.since, kAll));
  EXPECT_FALSE(viewer.began_anew);
  EXPECT_EQ(viewer.told, 0u) << "nothing has changed";

  put_surface(-0.7F);  // the surface leaves the upper blocks
  viewer.take(encode_mesh_update(mesh_, kMesh, viewer.since, kAll));
  EXPECT_FALSE(viewer.began_anew);
  EXPECT_GT(viewer.told, viewer.patches.size()) << "and those that it left";
  EXPECT_EQ(viewer.patches, afresh().patches);
}

TEST_F(MeshUpdate, ComesInPartsOfWholeUpdates) {
  put_surface(0.6F);
  put_surface(-0.7F);
  put_surface(0.6F);
  Viewer viewer;
  std::set<std::uint32_t> seen;
  for (int parts = 0; parts < 100; ++parts) {
    viewer.take(encode_mesh_update(mesh_, kMesh, viewer.since, 1));
    if (viewer.told == 0) break;
    EXPECT_TRUE(seen.insert(viewer.since).second) << "each part goes on";
  }
  EXPECT_EQ(viewer.told, 0u);
  EXPECT_EQ(viewer.patches, afresh().patches);
}

TEST_F(MeshUpdate, BeginsAnewWhenTheMeshDid) {
  put_surface(0.6F);
  Viewer viewer = afresh();
  mesh_.clear();
  volume_.clear();
  viewer.take(encode_mesh_update(mesh_, kMesh, viewer.since, kAll));
  EXPECT_TRUE(viewer.began_anew);
  EXPECT_TRUE(viewer.patches.empty());
  put_surface(-0.7F);
  viewer.take(encode_mesh_update(mesh_, kMesh, viewer.since, kAll));
  EXPECT_EQ(viewer.patches, afresh().patches);
  EXPECT_FALSE(viewer.patches.empty());
}

TEST_F(MeshUpdate, DoesNotBelieveAViewerFromTheFuture) {
  put_surface(0.6F);
  Viewer viewer;
  viewer.take(encode_mesh_update(mesh_, kMesh, 4'000'000'000u, kAll));
  EXPECT_TRUE(viewer.began_anew);
  EXPECT_EQ(viewer.patches, afresh().patches);
}

}  // namespace
}  // namespace cusp
