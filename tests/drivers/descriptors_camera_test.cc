// Descriptors that depth cameras do not have: isochronous settings, companions, stills, controls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/bytes.h"
#include "drivers/uvc/descriptors.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;

// A camera's configuration, descriptor by descriptor.
class Camera {
 public:
  Camera() {
    add({9, 2, 0, 0, 2, 1, 0, 0x80, 50});
    add({9, 4, 0, 0, 1, 14, 1, 0, 0});
    add({13, 0x24, 1, 0x10, 1, 0, 0, 0x80, 0x8D, 0x5B, 0, 1, 1});
  }
  Camera& add(const Bytes& descriptor) {
    bytes_.insert(bytes_.end(), descriptor.begin(), descriptor.end());
    return *this;
  }
  Camera& streaming(std::uint8_t alternate = 0) {
    return add({9, 4, 1, alternate, 1, 14, 2, 0, 0});
  }
  Camera& header(std::uint8_t endpoint, std::uint8_t still_method = 0) {
    return add({13, 0x24, 1, 1, 0, 0, endpoint, 0, 3, still_method, 0, 0, 0});
  }
  Camera& mjpeg() { return add({11, 0x24, 6, 1, 1, 0, 1, 0, 0, 0, 0}); }
  Camera& isochronous(std::uint8_t alternate, std::uint16_t max_packet, std::uint8_t interval = 1) {
    streaming(alternate);
    return endpoint(0x81, 5, max_packet, interval);
  }
  Camera& endpoint(std::uint8_t address, std::uint8_t attributes, std::uint16_t max_packet,
                   std::uint8_t interval = 1) {
    return add({7, 5, address, attributes, static_cast<std::uint8_t>(max_packet),
                static_cast<std::uint8_t>(max_packet >> 8), interval});
  }
  Result<std::vector<uvc::VideoFunction>> parse() {
    write_le(bytes_, 2, static_cast<std::uint16_t>(bytes_.size()));
    return uvc::parse_video_functions(bytes_);
  }
  uvc::StreamingInterface stream() {
    auto functions = parse();
    EXPECT_TRUE(functions) << functions.error().message;
    if (!functions || functions->empty() || functions->front().streams.empty()) return {};
    return functions->front().streams.front();
  }

 private:
  Bytes bytes_;
};

TEST(CameraDescriptors, HighSpeedSettingsCountTheirTransactions) {
  const auto stream = Camera()
                          .streaming()
                          .header(0x81)
                          .isochronous(1, 192)
                          .isochronous(2, 0x0C00)
                          .isochronous(3, 0x1400, 4)
                          .stream();
  ASSERT_EQ(stream.alternates.size(), 3u);
  EXPECT_FALSE(stream.bulk());
  EXPECT_EQ(stream.alternates[0].interval_bytes, 192);
  EXPECT_EQ(stream.alternates[1].interval_bytes, 2 * 1024);
  EXPECT_EQ(stream.alternates[2].interval_bytes, 3 * 1024);
  EXPECT_EQ(stream.alternates[2].number, 3);
  EXPECT_EQ(stream.alternates[2].interval_exponent, 4);
}

TEST(CameraDescriptors, SuperSpeedSettingsHaveWhatTheirCompanionSays) {
  Camera camera;
  camera.streaming().header(0x81);
  camera.isochronous(1, 1024).add({6, 0x30, 15, 2, 0x00, 0xC0});
  // A SuperSpeedPlus endpoint has two companions; the first one's count is then 1.
  camera.isochronous(2, 1024).add({6, 0x30, 15, 0x82, 1, 0}).add({8, 0x31, 0, 0, 0, 0x80, 1, 0});
  const auto stream = camera.stream();
  ASSERT_EQ(stream.alternates.size(), 2u);
  EXPECT_EQ(stream.alternates[0].interval_bytes, 48 * 1024);
  EXPECT_EQ(stream.alternates[1].interval_bytes, 96 * 1024);
}

TEST(CameraDescriptors, ACompanionThatIsShortOrClaimsTooMuchIsAnError) {
  EXPECT_FALSE(
      Camera().streaming().header(0x81).isochronous(1, 1024).add({5, 0x30, 0, 0, 1}).parse());
  EXPECT_FALSE(Camera()
                   .streaming()
                   .header(0x81)
                   .isochronous(1, 1024)
                   .add({8, 0x31, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
                   .parse());
}

TEST(CameraDescriptors, ASettingWithoutBandwidthIsNone) {
  const auto stream = Camera().streaming().header(0x81).endpoint(0x81, 5, 0).stream();
  EXPECT_TRUE(stream.alternates.empty());
  EXPECT_EQ(stream.endpoint(), 0);
}

TEST(CameraDescriptors, TheStillEndpointIsNotTheVideos) {
  Camera camera;
  camera.streaming().header(0x81, 3).mjpeg();
  camera.add({11, 0x24, 3, 0x83, 1, 0x40, 6, 0xB0, 4, 1, 5});  // 1600x1200, one compression
  camera.streaming(1).endpoint(0x83, 2, 512).endpoint(0x81, 5, 1024);
  const auto stream = camera.stream();
  EXPECT_EQ(stream.still_method, 3);
  ASSERT_EQ(stream.alternates.size(), 1u);
  EXPECT_EQ(stream.alternates[0].endpoint, 0x81);
  ASSERT_TRUE(stream.formats.at(0).still);
  const auto& still = *stream.formats[0].still;
  EXPECT_EQ(still.endpoint, 0x83);
  ASSERT_EQ(still.sizes.size(), 1u);
  EXPECT_EQ(still.sizes[0].width_px, 1600);
  EXPECT_EQ(still.sizes[0].height_px, 1200);
  EXPECT_THAT(still.compressions, ElementsAre(5));
}

TEST(CameraDescriptors, StillSizesThatDoNotFitTheirDescriptorAreAnError) {
  for (const Bytes& still : {Bytes{4, 0x24, 3, 0}, Bytes{6, 0x24, 3, 0, 9, 0},
                             Bytes{6, 0x24, 3, 0, 0, 7}, Bytes{10, 0x24, 3, 0, 1, 0, 0, 0, 0, 0}})
    EXPECT_FALSE(Camera().streaming().header(0x81).mjpeg().add(still).parse());
}

TEST(CameraDescriptors, AnUnknownStillMethodIsNone) {
  EXPECT_EQ(Camera().streaming().header(0x81, 77).stream().still_method, 0);
}

TEST(CameraDescriptors, ControlsOfTerminalsAndUnitsAreRead) {
  const auto functions = Camera()
                             .add({18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x2E, 0x0A, 2})
                             .add({8, 0x24, 2, 9, 2, 4, 0, 0})  // a terminal, but no camera
                             .add({11, 0x24, 5, 3, 1, 0, 0, 2, 0x5B, 0x17, 0})
                             .add({25, 0x24, 6,  6,  1,  2,  3,  4, 5, 6, 7, 8,   9,
                                   10, 11,   12, 13, 14, 15, 16, 4, 1, 3, 1, 0x0F})
                             .endpoint(0x85, 3, 16, 8)
                             .parse();
  ASSERT_TRUE(functions) << functions.error().message;
  const auto& function = functions->front();
  ASSERT_EQ(function.cameras.size(), 1u);
  EXPECT_EQ(function.cameras[0].controls, 0x020A2Eu);
  ASSERT_EQ(function.processing_units.size(), 1u);
  EXPECT_EQ(function.processing_units[0].controls, 0x175Bu);
  EXPECT_EQ(function.processing_units[0].source, 1);
  ASSERT_EQ(function.extension_units.size(), 1u);
  EXPECT_THAT(function.extension_units[0].controls, ElementsAre(0x0F));
  EXPECT_EQ(function.status_endpoint, 0x85);
}

TEST(CameraDescriptors, ABitmapLongerThanItsDescriptorIsAnError) {
  EXPECT_FALSE(Camera().add({15, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3}).parse());
  EXPECT_FALSE(Camera().add({8, 0x24, 5, 3, 1, 0, 0, 2}).parse());
  EXPECT_FALSE(Camera()
                   .add({24, 0x24, 6,  6,  1,  2,  3,  4,  5, 6, 7, 8,
                         9,  10,   11, 12, 13, 14, 15, 16, 4, 1, 3, 200})
                   .parse());
}

TEST(CameraDescriptors, PixelFormatsAreToldByTheirGuidAndBits) {
  const auto format = [](const char(&fourcc)[5], int bits) {
    return uvc::pixel_format({.kind = uvc::FormatKind::kUncompressed,
                              .guid = uvc::fourcc_guid(fourcc),
                              .bits_per_pixel = bits});
  };
  EXPECT_EQ(format("YUY2", 16), PixelFormat::kYuy2);
  EXPECT_EQ(format("Y8  ", 8), PixelFormat::kGrey8);
  EXPECT_EQ(format("GREY", 8), PixelFormat::kGrey8);
  EXPECT_EQ(format("Y16 ", 16), PixelFormat::kGrey16);
  EXPECT_EQ(format("Z16 ", 16), PixelFormat::kZ16);
  EXPECT_EQ(format("Z16 ", 8), std::nullopt);
  EXPECT_EQ(format("NV12", 12), std::nullopt);
  EXPECT_EQ(uvc::pixel_format({.kind = uvc::FormatKind::kMjpeg}), PixelFormat::kMjpeg);
}

}  // namespace
}  // namespace cusp
