#include "pipeline/scan_note.h"

#include <gtest/gtest.h>

namespace cusp {
namespace {

TEST(ScanNote, ComesBackExactly) {
  ScanNote note{.software_version = "0.1.0 \"\u00fc\"",
                .stage = "upper",
                .width_px = 848,
                .height_px = 480,
                .rate_hz = 29.97,
                .reconstruction = {},
                .finish = {}};
  note.reconstruction.voxel_mm = 0.1 + 0.2;
  note.reconstruction.max_volume_bytes = std::uint64_t{3} << 40;
  note.reconstruction.threads = 3;
  note.reconstruction.hair_at = 2.5;
  note.finish.target_triangles = 200'000;
  const auto back = scan_note(to_text(note));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->software_version, note.software_version);
  EXPECT_EQ(back->stage, "upper");
  EXPECT_EQ(back->width_px, 848);
  EXPECT_EQ(back->height_px, 480);
  EXPECT_EQ(back->rate_hz, 29.97);
  EXPECT_EQ(back->reconstruction.voxel_mm, 0.1 + 0.2);
  EXPECT_EQ(back->reconstruction.truncation_voxels, note.reconstruction.truncation_voxels);
  EXPECT_EQ(back->reconstruction.min_depth_mm, note.reconstruction.min_depth_mm);
  EXPECT_EQ(back->reconstruction.max_depth_mm, note.reconstruction.max_depth_mm);
  EXPECT_EQ(back->reconstruction.max_volume_bytes, std::uint64_t{3} << 40);
  EXPECT_EQ(back->reconstruction.threads, 3);
  EXPECT_EQ(back->reconstruction.hair_at, 2.5);
  EXPECT_EQ(back->finish.min_component_share, note.finish.min_component_share);
  EXPECT_EQ(back->finish.target_triangles, 200'000U);
  EXPECT_FALSE(scan_note(to_text(ScanNote{}))->finish.target_triangles);
}

TEST(ScanNote, OfBeforeHairWasToldKeepsIt) {
  std::string text = to_text(ScanNote{});
  const std::size_t at = text.find("\"hair_at\"");
  ASSERT_NE(at, std::string::npos);
  text.erase(at, text.find(',', at) + 1 - at);
  const auto note = scan_note(text);
  ASSERT_TRUE(note);
  EXPECT_EQ(note->reconstruction.hair_at, 0);
}

TEST(FramesNote, ComesBackExactly) {
  const auto back = frames_note(to_text(FramesNote{.opening = 2, .ranges = {{0, 5}, {9, 9}}}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->opening, 2U);
  ASSERT_EQ(back->ranges.size(), 2U);
  EXPECT_EQ(back->ranges[1].first, 9U);
  EXPECT_EQ(back->ranges[0].last, 5U);
}

TEST(ResultNote, ComesBackExactly) {
  const auto back = result_note(to_text(ResultNote{.mesh_sha256 = "ab", .frames = 7}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->mesh_sha256, "ab");
  EXPECT_EQ(back->frames, 7U);
}

TEST(ScanNote, IsNoneWhenItIsBroken) {
  const std::string right = to_text(ScanNote{});
  EXPECT_TRUE(scan_note(right));
  EXPECT_FALSE(scan_note("cusp.frames {}"));
  EXPECT_FALSE(scan_note("cusp.scan"));
  EXPECT_FALSE(scan_note("cusp.scan []"));
  EXPECT_FALSE(scan_note("cusp.scan {}"));
  for (std::size_t size = 0; size < right.size(); ++size)
    EXPECT_FALSE(scan_note(right.substr(0, size)));
  const auto with = [&](std::string_view key, const std::string& value) {
    const std::size_t at = right.find(':', right.find(key)) + 1;
    return right.substr(0, at) + value + right.substr(right.find_first_of(",}", at));
  };
  EXPECT_TRUE(scan_note(with("threads", "3")));
  EXPECT_FALSE(scan_note(with("threads", "0")));
  EXPECT_FALSE(scan_note(with("threads", "-1")));
  EXPECT_FALSE(scan_note(with("threads", "1000000000000")));
  EXPECT_FALSE(scan_note(with("voxel_mm", "0")));
  EXPECT_FALSE(scan_note(with("voxel_mm", "\"1\"")));
  EXPECT_FALSE(scan_note(with("max_depth_mm", "1")));
  EXPECT_FALSE(frames_note("cusp.frames {\"opening\":0,\"ranges\":[[1]]}"));
  EXPECT_FALSE(frames_note("cusp.frames {\"opening\":0,\"ranges\":[[1,-2]]}"));
  EXPECT_FALSE(frames_note("cusp.frames {\"opening\":0}"));
  EXPECT_FALSE(result_note("cusp.result {\"mesh_sha256\":7,\"frames\":1}"));
}

}  // namespace
}  // namespace cusp
