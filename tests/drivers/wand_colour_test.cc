// Three grey frames as a colour picture, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "drivers/wand/colour.h"

namespace cusp::wand {
namespace {

using testing::ElementsAre;

using Bytes = std::vector<std::uint8_t>;

// Values of ITU-R BT.601's own table of colour bars, 100 %.
TEST(WandColour, MakesTheColourBarsOfTheStandard) {
  const Bytes on{255, 255}, off{0, 0};
  EXPECT_THAT(yuy2_of(off, off, off), ElementsAre(16, 128, 16, 128));
  EXPECT_THAT(yuy2_of(on, on, on), ElementsAre(235, 128, 235, 128));
  EXPECT_THAT(yuy2_of(on, off, off), ElementsAre(81, 90, 81, 240));
  EXPECT_THAT(yuy2_of(off, on, off), ElementsAre(145, 54, 145, 34));
  EXPECT_THAT(yuy2_of(off, off, on), ElementsAre(41, 240, 41, 110));
}

// Half the light is 188 in sRGB.
TEST(WandColour, EncodesLightAsTheEyeSeesIt) {
  const Bytes half{128, 128};
  EXPECT_EQ(yuy2_of(half, half, half)[0], 16 + (188 * 219 + 127) / 255);
}

TEST(WandColour, ComesBackToWithinItsRounding) {
  Bytes red, green, blue;
  for (int r = 30; r < 256; r += 45)
    for (int g = 30; g < 256; g += 45)
      for (int b = 30; b < 256; b += 45)
        for (int twice = 0; twice < 2; ++twice) {
          red.push_back(static_cast<std::uint8_t>(r));
          green.push_back(static_cast<std::uint8_t>(g));
          blue.push_back(static_cast<std::uint8_t>(b));
        }
  const Bytes yuy2 = yuy2_of(red, green, blue);
  Bytes grey(red.size());
  for (const auto& [kind, sent] :
       {std::pair{FrameKind::kRed, &red}, {FrameKind::kGreen, &green}, {FrameKind::kBlue, &blue}}) {
    light_of(yuy2, kind, grey);
    for (std::size_t i = 0; i < grey.size(); ++i) ASSERT_NEAR(grey[i], (*sent)[i], 4) << i;
  }
}

}  // namespace
}  // namespace cusp::wand
