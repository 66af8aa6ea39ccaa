#include "pipeline/export.h"

#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "pipeline/finish.h"
#include "tests/pipeline/shapes.h"

namespace cusp {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

class MeshFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "cusp-mesh-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, std::string_view bytes) {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  fs::path write(const std::string& name, const Bytes& bytes) {
    return write(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  void expect_refused(const fs::path& path, ErrorCode code) {
    const auto mesh = read_mesh(path);
    ASSERT_FALSE(mesh.ok()) << path;
    EXPECT_EQ(mesh.error().code, code) << mesh.error().message;
    EXPECT_NE(mesh.error().message.find(path.string()), std::string::npos) << mesh.error().message;
  }

  fs::path folder_;
};

Mesh model() { return finish(testing::sphere(10, {1, 2, 3}), {}).value().mesh; }

TEST_F(MeshFiles, StlHasTheSizeOfItsTrianglesAndNoTextHeader) {
  const Mesh mesh = model();
  const Bytes stl = to_stl(mesh);
  EXPECT_EQ(stl.size(), 84 + 50 * mesh.triangles.size());
  EXPECT_NE(std::string(stl.begin(), stl.begin() + 5), "solid");
  std::uint32_t count = 0;
  std::memcpy(&count, stl.data() + 80, 4);
  EXPECT_EQ(count, mesh.triangles.size());
  EXPECT_EQ(stl, to_stl(mesh));

  const auto back = read_mesh(write("a.STL", stl));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().triangles.size(), mesh.triangles.size());
  // Welded again.
  EXPECT_EQ(back.value().vertices_mm.size(), mesh.vertices_mm.size());
}

TEST_F(MeshFiles, PlyComesBackBitForBit) {
  const Mesh mesh = model();
  ASSERT_FALSE(mesh.normals.empty());
  const auto back = read_mesh(write("a.ply", to_ply(mesh)));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().triangles, mesh.triangles);
  EXPECT_EQ(back.value().vertices_mm, mesh.vertices_mm);
  EXPECT_EQ(to_ply(mesh), to_ply(mesh));
}

TEST_F(MeshFiles, PlyMarksWhatWasFilledIn) {
  const Mesh mesh = model();
  std::vector<std::uint8_t> filled(mesh.triangles.size());
  filled.back() = 1;
  const auto bytes = to_ply(mesh, {.filled = filled});
  const std::string text(bytes.begin(), bytes.end());
  EXPECT_NE(text.find("property uchar filled\nend_header\n"), std::string::npos);
  EXPECT_EQ(bytes.size(), to_ply(mesh).size() + std::string("property uchar filled\n").size() +
                              mesh.triangles.size());
  EXPECT_EQ(bytes.back(), 1);
  const auto back = read_mesh(write("a.ply", bytes));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().triangles, mesh.triangles);
}

TEST_F(MeshFiles, PlyTellsHowFarAVertexMayBeOff) {
  const Mesh mesh = model();
  std::vector<float> expected_mm(mesh.vertices_mm.size());
  for (std::size_t i = 0; i < expected_mm.size(); ++i)
    expected_mm[i] = 0.001F * static_cast<float>(i);
  const auto bytes = to_ply(mesh, {.expected_error_mm = expected_mm});
  const std::string text(bytes.begin(), bytes.end());
  const std::string last = "property float nz\nproperty float expected_error\nelement face";
  ASSERT_NE(text.find(last), std::string::npos);
  const std::size_t data = text.find("end_header\n") + std::string("end_header\n").size();
  float of_third = 0;
  std::memcpy(&of_third, bytes.data() + data + 2 * 28 + 24, sizeof of_third);
  EXPECT_EQ(of_third, expected_mm[2]);
  const auto back = read_mesh(write("a.ply", bytes));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().vertices_mm, mesh.vertices_mm);
  EXPECT_EQ(back.value().triangles, mesh.triangles);
}

TEST_F(MeshFiles, PlyHasTheColoursOfItsVertices) {
  const Mesh mesh = model();
  std::vector<Rgb> colours(mesh.vertices_mm.size());
  for (std::size_t i = 0; i < colours.size(); ++i)
    colours[i] = {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i / 3), 7};
  const std::vector<float> expected_mm(mesh.vertices_mm.size(), 0.25F);
  const auto bytes = to_ply(mesh, {.expected_error_mm = expected_mm, .colours = colours});
  const std::string text(bytes.begin(), bytes.end());
  const std::string properties = "property uchar red\nproperty uchar green\nproperty uchar blue\n";
  ASSERT_NE(text.find(properties), std::string::npos);
  EXPECT_EQ(bytes.size(), to_ply(mesh, {.expected_error_mm = expected_mm}).size() +
                              properties.size() + 3 * colours.size());
  // x, y, z, nx, ny, nz, red, green, blue, expected error.
  const std::size_t data = text.find("end_header\n") + std::string("end_header\n").size();
  for (std::size_t i = 0; i < colours.size(); ++i) {
    Rgb read{};
    std::memcpy(read.data(), bytes.data() + data + i * 31 + 24, read.size());
    ASSERT_EQ(read, colours[i]) << i;
  }
  const auto back = read_mesh(write("a.ply", bytes));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().vertices_mm, mesh.vertices_mm);
  EXPECT_EQ(back.value().triangles, mesh.triangles);
}

TEST_F(MeshFiles, AnEmptyMeshIsAnEmptyFileOfItsKind) {
  EXPECT_EQ(to_stl({}).size(), 84U);
  expect_refused(write("a.stl", to_stl({})), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(read_mesh(write("a.ply", to_ply({}))).ok());
}

TEST_F(MeshFiles, ReadsObjAndTextStl) {
  const auto obj = read_mesh(write("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"));
  ASSERT_TRUE(obj.ok()) << obj.error().message;
  EXPECT_EQ(obj.value().triangles.size(), 1U);
  const auto stl = read_mesh(write(
      "a.stl",
      "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\n"
      "endfacet\nendsolid a\n"));
  ASSERT_TRUE(stl.ok()) << stl.error().message;
  EXPECT_EQ(stl.value().triangles.size(), 1U);
}

TEST_F(MeshFiles, NamesAFileThatIsNotThereOrOfAnotherKind) {
  expect_refused(folder_ / "none.stl", ErrorCode::kNotFound);
  expect_refused(folder_, ErrorCode::kInvalidArgument);
  expect_refused(write("a.txt", "hello"), ErrorCode::kInvalidArgument);
  expect_refused(write("noending", "hello"), ErrorCode::kInvalidArgument);
}

TEST_F(MeshFiles, RefusesEveryTruncatedFile) {
  const Mesh mesh = finish(testing::sphere(10, {0, 0, 0}, 8), {}).value().mesh;
  for (const auto& [name, bytes] :
       {std::pair{"cut.stl", to_stl(mesh)}, {"cut.ply", to_ply(mesh)}}) {
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 97)
      expect_refused(write(name, Bytes(bytes.begin(), bytes.begin() + static_cast<long>(size))),
                     ErrorCode::kCorrupt);
    expect_refused(write(name, Bytes(bytes.begin(), bytes.end() - 1)), ErrorCode::kCorrupt);
  }
}

TEST_F(MeshFiles, DoesNotBelieveAbsurdCounts) {
  Bytes stl = to_stl(model());
  const std::uint32_t absurd = 0xfffffff0U;
  std::memcpy(stl.data() + 80, &absurd, 4);
  expect_refused(write("a.stl", stl), ErrorCode::kCorrupt);
  const std::string tail =
      "\nproperty float x\nproperty float y\nproperty float z\nelement face 1\nproperty list uchar "
      "int "
      "vertex_indices\nend_header\n";
  for (const char* count : {"4000000000", "99999999999999999999", "-1", "many", "1000"})
    expect_refused(
        write("a.ply",
              std::string("ply\nformat binary_little_endian 1.0\nelement vertex ") + count + tail),
        ErrorCode::kCorrupt);
}

TEST_F(MeshFiles, RefusesValuesThatAreNoPlace) {
  Mesh mesh = model();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30F}) {
    mesh.vertices_mm[7].y() = bad;
    expect_refused(write("a.stl", to_stl(mesh)), ErrorCode::kCorrupt);
    expect_refused(write("a.ply", to_ply(mesh)), ErrorCode::kCorrupt);
  }
}

TEST_F(MeshFiles, RefusesIndicesBeyondTheVertices) {
  Mesh mesh = model();
  mesh.triangles[3][1] = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  expect_refused(write("a.ply", to_ply(mesh)), ErrorCode::kCorrupt);
  mesh.triangles[3][1] = 0xffffffffU;
  expect_refused(write("a.ply", to_ply(mesh)), ErrorCode::kCorrupt);
  EXPECT_FALSE(read_mesh(write("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")).ok());
}

TEST_F(MeshFiles, RefusesOneKindUnderAnothersName) {
  expect_refused(write("a.ply", to_stl(model())), ErrorCode::kCorrupt);
  expect_refused(write("a.stl", to_ply(model())), ErrorCode::kCorrupt);
  expect_refused(
      write("b.ply", "ply\nformat ascii 1.0\nelement vertex 3\nproperty wrong x\nend_header\n"),
      ErrorCode::kCorrupt);
}

// Grey values of a PNG, empty when it is none.
std::vector<std::uint8_t> pixels_of(const Bytes& png, int width, int height,
                                    png_uint_32 format = PNG_FORMAT_GRAY) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, png.data(), png.size()) == 0) return {};
  if (image.width != static_cast<unsigned>(width) ||
      image.height != static_cast<unsigned>(height)) {
    png_image_free(&image);
    return {};
  }
  image.format = format;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 0) return {};
  return pixels;
}

TEST(Thumbnail, ShowsTheModelInTheMiddleOfAQuietGround) {
  const auto png = render_thumbnail_png(model(), 160, 120);
  ASSERT_TRUE(png.ok());
  const auto grey = pixels_of(png.value(), 160, 120);
  ASSERT_FALSE(grey.empty());
  EXPECT_GT(grey[0], 230);
  EXPECT_EQ(grey[0], grey[159]);
  EXPECT_LT(grey[60 * 160 + 80], grey[0]);
  std::size_t drawn = 0;
  for (const std::uint8_t value : grey) drawn += value < 225;
  EXPECT_GT(drawn, 4000U);
  EXPECT_LT(drawn, 12000U);
  EXPECT_EQ(png.value(), render_thumbnail_png(model(), 160, 120).value());
}

TEST(Thumbnail, TurnsAnArchSoThatItsFrontIsUp) {
  // Half a ring lying in x, y, closed side towards +x, seen from +z.
  Mesh arch;
  constexpr int kSteps = 60;
  for (int k = 0; k <= kSteps; ++k) {
    const double angle = M_PI * (static_cast<double>(k) / kSteps - 0.5);
    for (const double radius : {20.0, 30.0})
      arch.vertices_mm.emplace_back(static_cast<float>(radius * std::cos(angle)),
                                    static_cast<float>(radius * std::sin(angle)), 0.0F);
  }
  for (std::uint32_t k = 0; k < kSteps; ++k) {
    arch.triangles.push_back({2 * k, 2 * k + 1, 2 * k + 3});
    arch.triangles.push_back({2 * k, 2 * k + 3, 2 * k + 2});
  }
  const auto png = render_thumbnail_png(arch, 160, 120);
  ASSERT_TRUE(png.ok());
  const auto grey = pixels_of(png.value(), 160, 120);
  ASSERT_FALSE(grey.empty());
  const auto drawn = [&](int x, int y) {
    return grey[static_cast<std::size_t>(y * 160 + x)] < 225;
  };
  // Down the middle line: first the front, then nothing.
  bool above = false;
  bool below = false;
  for (int y = 0; y < 60; ++y) above |= drawn(80, y);
  for (int y = 70; y < 120; ++y) below |= drawn(80, y);
  EXPECT_TRUE(above);
  EXPECT_FALSE(below);
}

TEST(Thumbnail, ShowsTheModelInItsColours) {
  const Mesh mesh = model();
  std::vector<Rgb> colours(mesh.vertices_mm.size(), Rgb{200, 60, 60});
  const auto png = render_thumbnail_png(mesh, 160, 120, colours);
  ASSERT_TRUE(png.ok());
  const auto rgb = pixels_of(png.value(), 160, 120, PNG_FORMAT_RGB);
  ASSERT_FALSE(rgb.empty());
  const std::uint8_t* const middle = &rgb[3 * (60 * 160 + 80)];
  EXPECT_GT(middle[0], 2 * middle[1]);
  EXPECT_NEAR(middle[1], middle[2], 12);
  EXPECT_NEAR(rgb[0], rgb[2], 10) << "the ground is as quiet";
}

TEST(Thumbnail, RefusesWhatCannotBeDrawn) {
  EXPECT_FALSE(render_thumbnail_png({}, 100, 100).ok());
  EXPECT_FALSE(render_thumbnail_png(model(), 0, 100).ok());
  EXPECT_FALSE(render_thumbnail_png(model(), 100, 100000).ok());
  Mesh broken = model();
  broken.triangles[0][0] = 1U << 30;
  EXPECT_FALSE(render_thumbnail_png(broken, 100, 100).ok());
}

}  // namespace
}  // namespace cusp
