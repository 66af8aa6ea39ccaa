// The worked examples of docs/wand-protocol.md are what the code makes and reads.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <numbers>
#include <sstream>

#include "drivers/wand/protocol.h"

namespace cusp::wand {
namespace {

using Bytes = std::vector<std::uint8_t>;

// The blocks "```hex name" of the page.
std::map<std::string, Bytes> blocks_of_the_page() {
  std::ifstream page(CUSP_WAND_PROTOCOL);
  EXPECT_TRUE(page) << CUSP_WAND_PROTOCOL;
  std::map<std::string, Bytes> blocks;
  Bytes* open = nullptr;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("```hex ")) {
      open = &blocks[line.substr(7)];
    } else if (line.starts_with("```")) {
      open = nullptr;
    } else if (open != nullptr) {
      std::istringstream words(line);
      for (std::string word; words >> word;)
        open->push_back(static_cast<std::uint8_t>(std::stoul(word, nullptr, 16)));
    }
  }
  return blocks;
}

std::string hex(const Bytes& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    text += fmt::format("{:02x}{}", bytes[i], i % 16 == 15 || i + 1 == bytes.size() ? '\n' : ' ');
  return text;
}

class WandExamples : public testing::Test {
 protected:
  Bytes block(const std::string& name) {
    EXPECT_TRUE(blocks_.contains(name)) << "the page has no example of " << name;
    return blocks_[name];
  }
  std::map<std::string, Bytes> blocks_ = blocks_of_the_page();
};

Capabilities example_capabilities() {
  constexpr double kThird = 2 * std::numbers::pi / 3;
  Capabilities wand{.width_px = 1688,
                    .height_px = 1352,
                    .projector_width_px = 1824,
                    .projector_height_px = 1140,
                    .colour_every = 2,
                    .has_imu = true,
                    .has_heater = true,
                    .has_tip_id = true,
                    .min_depth_mm = 300,
                    .max_depth_mm = 500,
                    .min_exposure = std::chrono::microseconds(100),
                    .max_exposure = std::chrono::microseconds(8000),
                    .heater_usual_c = 37,
                    .heater_max_c = 41};
  for (const double pitch_px : {114.0, 1824.0})
    for (int step = 0; step < 3; ++step)
      wand.patterns.push_back({.pitch_px = pitch_px, .phase_rad = step * kThird});
  return wand;
}

TEST_F(WandExamples, Identity) {
  const Identity identity{.hardware = 3, .firmware = "1.4.0"};
  EXPECT_EQ(hex(block("identity")), hex(encode(identity)));
}

TEST_F(WandExamples, Capabilities) {
  Bytes bytes = encode(example_capabilities());
  bytes.resize(112);
  EXPECT_EQ(hex(block("capabilities")), hex(bytes));
}

TEST_F(WandExamples, SmallBlocks) {
  EXPECT_EQ(hex(block("calibration-info")),
            hex(encode(
                CalibrationInfo{.size_bytes = 288, .crc32 = 0x1A2B3C4D, .made_on = "2026-03-14"})));
  EXPECT_EQ(hex(block("tip")),
            hex(encode(Tip{.present = true, .id = "T-000017", .uses = 12, .uses_allowed = 100})));
  EXPECT_EQ(hex(block("heater")),
            hex(encode(Heater{.target_c = 37, .now_c = 31.5, .state = HeaterState::kWarming})));
  EXPECT_EQ(hex(block("status")), hex(encode(Status{.faults = fault::kWarmingUp | fault::kTipWorn,
                                                    .projector_c = 41.25,
                                                    .sensor_c = 38,
                                                    .tip_c = 31.5,
                                                    .awake_s = 95,
                                                    .frames_captured = 11400,
                                                    .frames_dropped = 2})));
  EXPECT_EQ(hex(block("button")), hex(encode_button_packet(2, ButtonPress::kShort)));
}

TEST_F(WandExamples, PayloadHeader) {
  Bytes header{84, 0x8F, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0};
  const Bytes metadata =
      encode(FrameMetadata{.index = {.sequence = 70, .pattern = 4, .patterns = 6},
                           .frame = 480,
                           .time = std::chrono::milliseconds(4004),
                           .exposure = std::chrono::milliseconds(4),
                           .projector_c = 41.25,
                           .sensor_c = 38,
                           .tip_c = 31.5,
                           .imu = ImuSample{{0, 0, -9.81f}, {0, 0, 0}}});
  header.insert(header.end(), metadata.begin(), metadata.end());
  EXPECT_EQ(hex(block("payload-header")), hex(header));
}

}  // namespace
}  // namespace cusp::wand
