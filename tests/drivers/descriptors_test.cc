// The descriptor parser: right on what a D435 sends, and safe on everything else.
#include "drivers/uvc/descriptors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/emulator.h"
#include "drivers/realsense_d400/protocol.h"
#include "tests/drivers/test_scene.h"

namespace cusp {
namespace {

using uvc::parse_video_functions;
using Bytes = std::vector<std::uint8_t>;

Bytes config_of_the_double(Intrinsics depth = kSmall) {
  auto options = quick_camera();
  options.depth = depth;
  options.max_rate_hz = 90;
  return realsense_d400::make_emulator(options, fill_frame).function->config_descriptor();
}

// Offset of the first descriptor of this type and subtype.
std::size_t find(const Bytes& config, std::uint8_t type, int subtype = -1) {
  for (std::size_t at = 0; at < config.size(); at += config[at])
    if (config[at + 1] == type && (subtype < 0 || config[at + 2] == subtype)) return at;
  ADD_FAILURE() << "no such descriptor";
  return 0;
}

// Takes the descriptor at `at` out and keeps the total length right.
Bytes without(Bytes config, std::size_t at) {
  const auto begin = config.begin() + static_cast<std::ptrdiff_t>(at);
  config.erase(begin, begin + config[at]);
  write_le(config, 2, static_cast<std::uint16_t>(config.size()));
  return config;
}

std::string error_of(const Bytes& config) {
  const auto parsed = parse_video_functions(config);
  EXPECT_FALSE(parsed.ok());
  if (parsed) return {};
  EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
  return parsed.error().message;
}

TEST(Descriptors, DescribeTheDepthStreamOfAD435) {
  // Facts of a real D435's configuration (lsusb): see realsense_d400/README.md.
  const auto functions = parse_video_functions(config_of_the_double({848, 480, 1, 1, 1, 1}));
  ASSERT_TRUE(functions) << functions.error().message;
  ASSERT_EQ(functions->size(), 1u);
  const auto& function = functions->front();
  EXPECT_EQ(function.uvc_version_bcd, 0x0150);
  EXPECT_EQ(function.clock_hz, 48'000'000u);
  ASSERT_EQ(function.extension_units.size(), 1u);
  EXPECT_EQ(function.extension_units[0].id, 3);
  EXPECT_EQ(function.extension_units[0].guid, realsense_d400::kDepthUnitGuid);
  ASSERT_EQ(function.streams.size(), 1u);
  const auto& stream = function.streams[0];
  EXPECT_EQ(stream.number, 1);
  EXPECT_EQ(stream.endpoint(), 0x82);
  EXPECT_TRUE(stream.bulk());
  EXPECT_EQ(stream.alternates.front().interval_bytes, 1024);
  ASSERT_EQ(stream.formats.size(), 1u);
  EXPECT_EQ(stream.formats[0].guid, realsense_d400::kZ16Guid);
  EXPECT_EQ(stream.formats[0].bits_per_pixel, 16);
  ASSERT_EQ(stream.formats[0].frames.size(), 8u);
  const auto& frame = stream.formats[0].frames[6];
  EXPECT_EQ(frame.index, 7);
  EXPECT_EQ(frame.width_px, 848);
  EXPECT_EQ(frame.height_px, 480);
  EXPECT_THAT(frame.intervals_100ns,
              testing::ElementsAre(111'111u, 166'666u, 333'333u, 666'666u, 1'666'665u));
}

TEST(Descriptors, OfACameraWithoutVideoAreEmpty) {
  const Bytes config{9, 2, 18, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 255, 0, 0, 0};
  const auto functions = parse_video_functions(config);
  ASSERT_TRUE(functions) << functions.error().message;
  EXPECT_TRUE(functions->empty());
}

TEST(Descriptors, OfUnknownTypesAreSteppedOver) {
  Bytes config = config_of_the_double();
  const Bytes vendor{5, 0xF0, 1, 2, 3};
  config.insert(config.begin() + static_cast<std::ptrdiff_t>(find(config, 0x24, 0x10)),
                vendor.begin(), vendor.end());
  write_le(config, 2, static_cast<std::uint16_t>(config.size()));
  const auto functions = parse_video_functions(config);
  ASSERT_TRUE(functions) << functions.error().message;
  EXPECT_EQ(functions->front().streams.front().formats.size(), 1u);
}

TEST(Descriptors, ReadTheEndsOfARangeOfIntervals) {
  Bytes config = config_of_the_double();
  const std::size_t at = find(config, 0x24, 0x11);
  Bytes frame(config.begin() + static_cast<std::ptrdiff_t>(at),
              config.begin() + static_cast<std::ptrdiff_t>(at) + 26);
  frame[0] = 38;
  frame[3] = 99;
  frame[21] = 0;
  frame.resize(38);
  write_le<std::uint32_t>(frame, 26, 100'000);
  write_le<std::uint32_t>(frame, 30, 500'000);
  write_le<std::uint32_t>(frame, 34, 1'000);
  config.insert(config.begin() + static_cast<std::ptrdiff_t>(at), frame.begin(), frame.end());
  write_le(config, 2, static_cast<std::uint16_t>(config.size()));
  const auto functions = parse_video_functions(config);
  ASSERT_TRUE(functions) << functions.error().message;
  EXPECT_THAT(functions->front().streams.front().formats.front().frames.front().intervals_100ns,
              testing::ElementsAre(100'000u, 500'000u));
}

TEST(Descriptors, ThatAreEmptyOrOfAnotherKindGiveOneError) {
  EXPECT_THAT(error_of({}), testing::HasSubstr("stray"));
  EXPECT_THAT(error_of({9}), testing::HasSubstr("stray"));
  Bytes config = config_of_the_double();
  config[1] = 1;
  EXPECT_THAT(error_of(config), testing::HasSubstr("type 0x01"));
}

TEST(Descriptors, WithALengthOfZeroGiveOneError) {
  Bytes config = config_of_the_double();
  config[find(config, 0x24, 0x10)] = 0;
  EXPECT_THAT(error_of(config), testing::HasSubstr("says 0 bytes"));
}

TEST(Descriptors, WhoseTotalLengthLiesGiveOneError) {
  Bytes config = config_of_the_double();
  write_le(config, 2, static_cast<std::uint16_t>(config.size() + 1));
  EXPECT_THAT(error_of(config), testing::HasSubstr("total length"));
}

TEST(Descriptors, WithTooManyIntervalsForTheirLengthGiveOneError) {
  Bytes config = config_of_the_double();
  config[find(config, 0x24, 0x11) + 21] = 200;
  EXPECT_THAT(error_of(config), testing::HasSubstr("video frame"));
}

TEST(Descriptors, WithAFrameOfNoSizeGiveOneError) {
  Bytes config = config_of_the_double();
  write_le<std::uint16_t>(config, find(config, 0x24, 0x11) + 5, 0);
  EXPECT_THAT(error_of(config), testing::HasSubstr("size 0x"));
}

TEST(Descriptors, WithAnIntervalOfZeroGiveOneError) {
  Bytes config = config_of_the_double();
  write_le<std::uint32_t>(config, find(config, 0x24, 0x11) + 26, 0);
  EXPECT_THAT(error_of(config), testing::HasSubstr("interval of 0"));
}

TEST(Descriptors, WithAFrameBeforeItsFormatGiveOneError) {
  const Bytes config = config_of_the_double();
  EXPECT_THAT(error_of(without(config, find(config, 0x24, 0x10))),
              testing::HasSubstr("before its format"));
}

TEST(Descriptors, WithAnExtensionUnitThatClaimsTooManyPinsGiveOneError) {
  Bytes config = config_of_the_double();
  config[find(config, 0x24, 0x06) + 21] = 250;
  EXPECT_THAT(error_of(config), testing::HasSubstr("extension unit"));
}

TEST(Descriptors, WithAStreamThatBelongsToNoFunctionGiveOneError) {
  Bytes config = config_of_the_double();
  config[find(config, 0x24, 0x01) + 12] = 77;
  EXPECT_THAT(error_of(config), testing::HasSubstr("belongs to no video function"));
}

TEST(Descriptors, CutOffAnywhereGiveOneError) {
  const Bytes config = config_of_the_double();
  for (std::size_t size = 0; size < config.size(); ++size) {
    Bytes cut(config.begin(), config.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(error_of(cut).empty());
    // And with a total length that agrees: parsed as far as whole descriptors go, or one error.
    if (size < 9) continue;
    write_le(cut, 2, static_cast<std::uint16_t>(size));
    const auto parsed = parse_video_functions(cut);
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
    }
  }
}

TEST(Descriptors, WithAnyByteChangedAreParsedOrGiveOneError) {
  const Bytes config = config_of_the_double();
  std::mt19937 random(20'260'131);
  std::size_t refused = 0;
  const auto check = [&](const Bytes& broken) {
    const auto parsed = parse_video_functions(broken);
    if (parsed) return;
    ++refused;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol);
    EXPECT_THAT(parsed.error().message, testing::StartsWith("USB configuration: "));
  };
  for (std::size_t at = 0; at < config.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      Bytes broken = config;
      broken[at] = static_cast<std::uint8_t>(broken[at] ^ (1 << bit));
      check(broken);
    }
  for (int round = 0; round < 20'000; ++round) {
    Bytes broken = config;
    const auto changes = 1 + random() % 8;
    for (std::size_t i = 0; i < changes; ++i)
      broken[random() % broken.size()] = static_cast<std::uint8_t>(random());
    check(broken);
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace cusp
