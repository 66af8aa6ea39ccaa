// What a camera offers, what is asked of it, and what real cameras answer instead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/bytes.h"
#include "drivers/uvc/still_capture.h"
#include "drivers/uvc/video_capture.h"
#include "tests/drivers/scripted_transport.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using uvc::FormatKind;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kInterval = 333'333;
constexpr std::size_t kQualityAt = 14;

// A camera with YUY2, MJPEG and an unknown format, over high speed isochronous settings.
class StreamChoiceTest : public testing::Test {
 protected:
  StreamChoiceTest() {
    stream_.number = 1;
    for (const int bytes : {3072, 192, 1024})
      stream_.alternates.push_back({.number = bytes / 100,
                                    .endpoint = 0x81,
                                    .type = TransferType::kIsochronous,
                                    .interval_bytes = bytes});
    const auto format = [](std::uint8_t index, FormatKind kind, uvc::Guid guid, int bits) {
      uvc::FormatDescriptor made{
          .index = index, .kind = kind, .guid = guid, .bits_per_pixel = bits};
      made.frames = {
          {.index = 1,
           .width_px = 640,
           .height_px = 480,
           .intervals_100ns = {kInterval, 666'666},
           .max_frame_bytes = 700'000},
          {.index = 2, .width_px = 320, .height_px = 240, .intervals_100ns = {kInterval}}};
      return made;
    };
    stream_.formats = {format(1, FormatKind::kUncompressed, uvc::fourcc_guid("YUY2"), 16),
                       format(2, FormatKind::kMjpeg, {}, 0),
                       format(3, FormatKind::kFrameBased, uvc::fourcc_guid("H264"), 0)};
    function_.uvc_version_bcd = 0x0110;
    function_.clock_hz = 15'000'000;
    function_.streams = {stream_};
  }

  static Bytes block(std::uint8_t format, std::uint8_t frame, std::size_t bytes = 34,
                     std::uint32_t frame_bytes = 614'400, std::uint32_t payload_bytes = 1000) {
    Bytes made(bytes);
    made[2] = format;
    made[3] = frame;
    write_le(made, 4, kInterval);
    made[kQualityAt] = 61;
    write_le(made, 18, frame_bytes);
    write_le(made, 22, payload_bytes);
    if (bytes >= 34) write_le<std::uint32_t>(made, 26, 48'000'000);
    return made;
  }
  void probe_answers(Bytes bytes) {
    cable_.answer(uvc::kGetCur, uvc::kProbeSelector, 1, std::move(bytes));
  }
  Result<uvc::AgreedStream> agree(std::uint8_t format = 1, std::uint8_t frame = 1,
                                  std::uint32_t interval = kInterval) {
    return uvc::agree(cable_, function_, stream_, format, frame, interval);
  }
  ErrorCode refusal() {
    const auto agreed = agree();
    EXPECT_FALSE(agreed);
    return agreed ? ErrorCode::kIo : agreed.error().code;
  }

  ScriptedTransport cable_;
  uvc::StreamingInterface stream_;
  uvc::VideoFunction function_;
};

TEST_F(StreamChoiceTest, TheDeviceIsAskedAndItsAnswerIsWhatWillBeCommitted) {
  Bytes defaults(34);
  defaults[kQualityAt] = 61;
  cable_.answer(uvc::kGetDef, uvc::kProbeSelector, 1, defaults);
  probe_answers(block(1, 1));
  const auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->commit_block, block(1, 1));
  EXPECT_EQ(agreed->clock_hz, 48'000'000u);
  EXPECT_NEAR(agreed->rate_hz(), 30, 0.01);
  EXPECT_EQ(agreed->frame().width_px, 640);
  EXPECT_EQ(agreed->frame_bytes, 614'400u);
  EXPECT_EQ(agreed->frame_size, uvc::FrameSize::kExact);
  const auto wish = cable_.written(uvc::kProbeSelector).at(0);
  EXPECT_EQ(wish[0], 1) << "the interval is to be kept";
  EXPECT_EQ(wish[2], 1);
  EXPECT_EQ(wish[3], 1);
  EXPECT_EQ(wish[kQualityAt], 61) << "the device's own default";
  EXPECT_THAT(cable_.log, ElementsAre("alternate 1.0"));
}

TEST_F(StreamChoiceTest, TheSmallestSettingThatIsEnoughIsChosen) {
  probe_answers(block(1, 1, 34, 614'400, 1024));
  auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->setting.interval_bytes, 1024);
  probe_answers(block(1, 1, 34, 614'400, 1025));
  agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->setting.interval_bytes, 3072);
}

TEST_F(StreamChoiceTest, MissingBandwidthIsToldWithWhatIsNeededAndThere) {
  probe_answers(block(1, 1, 34, 614'400, 4000));
  const auto agreed = agree();
  ASSERT_FALSE(agreed);
  EXPECT_EQ(agreed.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(agreed.error().message, testing::AllOf(HasSubstr("4000"), HasSubstr("3072")));
}

TEST_F(StreamChoiceTest, ABulkStreamHasOneSetting) {
  stream_.alternates = {{.endpoint = 0x82, .type = TransferType::kBulk, .interval_bytes = 512}};
  probe_answers(block(1, 1, 34, 614'400, 500'000));
  const auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->setting.endpoint, 0x82);
}

TEST_F(StreamChoiceTest, AnInterfaceWithoutEndpointIsUnsupported) {
  stream_.alternates.clear();
  probe_answers(block(1, 1));
  EXPECT_EQ(refusal(), ErrorCode::kUnsupported);
}

TEST_F(StreamChoiceTest, ADeviceThatAnswersInAnOlderVersionIsCommittedInThatVersion) {
  probe_answers(block(1, 1, 26));
  const auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->commit_block.size(), 26u);
  EXPECT_EQ(agreed->clock_hz, 15'000'000u) << "of the interface header";
}

TEST_F(StreamChoiceTest, ADeviceThatRefusesTheLongBlockIsAskedWithAShorterOne) {
  function_.uvc_version_bcd = 0x0150;
  cable_.on_write = [](const ControlSetup&, const Bytes& bytes) -> Result<void> {
    if (bytes.size() == 48) return ScriptedTransport::stall();
    return {};
  };
  probe_answers(block(1, 1, 34));
  const auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(cable_.written(uvc::kProbeSelector).at(0).size(), 34u);
}

TEST_F(StreamChoiceTest, TheSizeOfAnUncompressedFrameIsComputedWhateverTheDeviceSays) {
  for (const std::uint32_t said : {0u, 1u, 700'000u, 0xFFFF'FFFFu}) {
    probe_answers(block(1, 1, 34, said));
    const auto agreed = agree();
    ASSERT_TRUE(agreed) << agreed.error().message;
    EXPECT_EQ(agreed->frame_bytes, 614'400u);
  }
}

TEST_F(StreamChoiceTest, CompressedFramesHaveALimit) {
  probe_answers(block(2, 1, 34, 90'000));
  auto agreed = agree(2);
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->frame_bytes, 90'000u);
  EXPECT_EQ(agreed->frame_size, uvc::FrameSize::kJpeg);
  // Which the descriptor states when the answer does not.
  probe_answers(block(3, 1, 34, 0));
  agreed = agree(3);
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->frame_bytes, 700'000u);
  EXPECT_EQ(agreed->frame_size, uvc::FrameSize::kAtMost);
}

TEST_F(StreamChoiceTest, AFrameSizeThatNoMemoryHoldsIsRefused) {
  probe_answers(block(2, 1, 34, 0xFFFF'FFFF));
  const auto agreed = agree(2);
  ASSERT_FALSE(agreed);
  EXPECT_EQ(agreed.error().code, ErrorCode::kProtocol);
}

TEST_F(StreamChoiceTest, APayloadSizeThatWasSignExtendedIsMended) {
  probe_answers(block(1, 1, 34, 614'400, 0xFFFF'0BE0));
  const auto agreed = agree();
  ASSERT_TRUE(agreed) << agreed.error().message;
  EXPECT_EQ(agreed->control.max_payload_bytes, 0x0BE0u);
}

TEST_F(StreamChoiceTest, PayloadsWithoutRoomForAHeaderAreRefused) {
  probe_answers(block(1, 1, 34, 614'400, 2));
  EXPECT_EQ(refusal(), ErrorCode::kProtocol);
}

TEST_F(StreamChoiceTest, AnotherFormatFrameOrRateThanAskedIsRefused) {
  probe_answers(block(2, 1));
  EXPECT_EQ(refusal(), ErrorCode::kProtocol);
  probe_answers(block(1, 2));
  EXPECT_EQ(refusal(), ErrorCode::kProtocol);
  Bytes slower = block(1, 1);
  write_le<std::uint32_t>(slower, 4, 666'666);
  probe_answers(slower);
  EXPECT_EQ(refusal(), ErrorCode::kProtocol);
  write_le<std::uint32_t>(slower, 4, 0);
  probe_answers(slower);
  EXPECT_EQ(refusal(), ErrorCode::kProtocol);
  // A rounding of it is the same.
  write_le<std::uint32_t>(slower, 4, 333'000);
  probe_answers(slower);
  EXPECT_TRUE(agree());
}

TEST_F(StreamChoiceTest, AnswersOfOddSizesAreRefused) {
  for (const std::size_t size : {0, 1, 2, 25, 27, 33}) {
    probe_answers(Bytes(size, 1));
    EXPECT_EQ(refusal(), ErrorCode::kProtocol);
  }
}

TEST_F(StreamChoiceTest, WhatTheDeviceDoesNotHaveIsNotAskedFor) {
  for (const auto& [format, frame] : {std::pair{9, 1}, std::pair{1, 9}}) {
    const auto agreed = agree(static_cast<std::uint8_t>(format), static_cast<std::uint8_t>(frame));
    ASSERT_FALSE(agreed);
    EXPECT_EQ(agreed.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(cable_.written(uvc::kProbeSelector).empty());
}

TEST_F(StreamChoiceTest, ADeviceThatIsGoneIsNotAskedOn) {
  cable_.on_alternate = [](int, int) -> Result<void> { return ScriptedTransport::gone(); };
  EXPECT_EQ(refusal(), ErrorCode::kDisconnected);
  cable_.on_alternate = {};
  cable_.fail(uvc::kGetDef, uvc::kProbeSelector, 1, ScriptedTransport::gone());
  EXPECT_EQ(refusal(), ErrorCode::kDisconnected);
  EXPECT_TRUE(cable_.written(uvc::kProbeSelector).empty());
}

TEST_F(StreamChoiceTest, EveryWantedModeIsOfferedAndAMissingOneListsThem) {
  const auto offered = uvc::offered_modes(
      stream_, [](const auto& format) { return format.kind == FormatKind::kMjpeg; });
  ASSERT_EQ(offered.size(), 3u);
  EXPECT_EQ(offered[1].format_index, 2);
  EXPECT_EQ(offered[1].interval_100ns, 666'666u);
  const auto chosen = uvc::choose_mode(offered, {640, 480, 15}, "camera 7");
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(chosen->interval_100ns, 666'666u);
  for (const StreamMode& wish : {StreamMode{640, 480, 25}, StreamMode{640, 400, 30}}) {
    const auto none = uvc::choose_mode(offered, wish, "camera 7");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(none.error().message,
                testing::AllOf(HasSubstr("camera 7"),
                               HasSubstr("640x480 at 30 Hz, 640x480 at 15 Hz, 320x240 at 30 Hz")));
  }
}

class StillChoiceTest : public StreamChoiceTest {
 protected:
  StillChoiceTest() {
    stream_.still_method = 2;
    stream_.formats[0].still = uvc::StillDescriptor{.sizes = {{640, 480}, {1600, 1200}}};
    probe_answers(block(1, 1));
  }
  void still_answers(uvc::StillControl control) {
    cable_.answer(uvc::kGetCur, uvc::kStillProbeSelector, 1, uvc::encode(control));
  }
  Result<uvc::AgreedStill> agree_still(std::uint8_t size_index = 2) {
    auto video = agree();
    if (!video) return video.error();
    video_ = std::move(*video);
    return uvc::agree_still(cable_, stream_, video_, size_index);
  }
  uvc::AgreedStream video_;
};

TEST_F(StillChoiceTest, GetsTheBandwidthThatItNeeds) {
  still_answers(
      {.format_index = 1, .size_index = 2, .max_frame_bytes = 5, .max_payload_bytes = 2000});
  const auto still = agree_still();
  ASSERT_TRUE(still) << still.error().message;
  EXPECT_EQ(still->size.width_px, 1600);
  EXPECT_EQ(still->frame_bytes, 1600u * 1200 * 2);
  EXPECT_EQ(video_.setting.interval_bytes, 3072);
  still_answers(
      {.format_index = 1, .size_index = 2, .max_frame_bytes = 5, .max_payload_bytes = 9000});
  const auto none = agree_still();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
}

TEST_F(StillChoiceTest, RefusesWhatIsNotOfferedOrNotAskedFor) {
  still_answers({.format_index = 1, .size_index = 1, .max_payload_bytes = 1000});
  EXPECT_EQ(agree_still(2).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(agree_still(0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(agree_still(3).error().code, ErrorCode::kInvalidArgument);
  cable_.answer(uvc::kGetCur, uvc::kStillProbeSelector, 1, Bytes(10));
  EXPECT_EQ(agree_still(2).error().code, ErrorCode::kProtocol);
  stream_.still_method = 1;
  EXPECT_EQ(agree_still(2).error().code, ErrorCode::kUnsupported);
  stream_.still_method = 3;  // without an endpoint
  EXPECT_EQ(agree_still(2).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace cusp
