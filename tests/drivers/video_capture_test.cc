// VideoCapture: streaming over bulk and isochronous endpoints, and the ladder of a stopped stream.
#include "drivers/uvc/video_capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/bytes.h"
#include "drivers/uvc/still_capture.h"
#include "tests/drivers/scripted_transport.h"

namespace cusp {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using uvc::AgreedStream;
using uvc::AssembledFrame;
using uvc::VideoCapture;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kFid = 1, kEof = 2, kErr = 0x40, kSti = 0x20;
constexpr std::size_t kFrameBytes = 8;

AgreedStream bulk_stream(std::uint8_t endpoint = 0x81, int interface_number = 1) {
  AgreedStream stream{.interface_number = interface_number};
  stream.setting = {.endpoint = endpoint, .type = TransferType::kBulk, .interval_bytes = 512};
  stream.control = {.format_index = 1,
                    .frame_index = 1,
                    .interval_100ns = 333'333,
                    .max_frame_bytes = kFrameBytes,
                    .max_payload_bytes = 1000};
  stream.commit_block = Bytes{1, 2, 3};
  stream.format.frames.resize(1);
  stream.frame_bytes = kFrameBytes;
  return stream;
}

AgreedStream isochronous_stream() {
  AgreedStream stream = bulk_stream();
  stream.setting = {
      .number = 4, .endpoint = 0x81, .type = TransferType::kIsochronous, .interval_bytes = 3072};
  return stream;
}

Bytes payload(std::uint8_t flags, std::size_t pixels = kFrameBytes) {
  Bytes bytes(2 + pixels, 0x55);
  bytes[0] = 2;
  bytes[1] = flags;
  return bytes;
}

class VideoCaptureTest : public testing::Test {
 protected:
  // Sends whole frames with alternating ids until the host has enough.
  ScriptedTransport::Stream frames(std::uint8_t endpoint = 0x81) {
    return [=, this](auto, const ScriptedTransport::OnChunk& on_chunk) -> Result<void> {
      for (int i = 0; i < 1000; ++i)
        if (!send(on_chunk, payload(i % 2 == 0 ? kEof : kEof | kFid), endpoint)) return {};
      return error(ErrorCode::kIo, "nobody stopped the camera");
    };
  }
  static ScriptedTransport::Stream failing(Error why) {
    return [why](auto, const auto&) -> Result<void> { return why; };
  }
  ScriptedTransport::Stream frames_then_stall(int count) {
    return [=, this](auto, const ScriptedTransport::OnChunk& on_chunk) -> Result<void> {
      for (int i = 0; i < count; ++i)
        if (!send(on_chunk, payload(i % 2 == 0 ? kEof : kEof | kFid))) return {};
      return ScriptedTransport::stall();
    };
  }
  static Error timeout() { return error(ErrorCode::kTimeout, "no data"); }

  bool send(const ScriptedTransport::OnChunk& on_chunk, const Bytes& bytes,
            std::uint8_t endpoint = 0x81, bool damaged = false) {
    now_ += 1ms;
    return on_chunk({.endpoint = endpoint,
                     .bytes = bytes,
                     .ends_payload = true,
                     .damaged = damaged,
                     .arrival = now_});
  }

  // Takes `count` frames.
  Result<void> run(VideoCapture& capture, std::size_t count) {
    return capture.run({}, [&](std::size_t stream, AssembledFrame&& frame) {
      frames_.push_back(std::move(frame));
      streams_.push_back(stream);
      return frames_.size() < count;
    });
  }

  ScriptedTransport cable_;
  MonoTime now_ = std::chrono::steady_clock::now();
  std::vector<AssembledFrame> frames_;
  std::vector<std::size_t> streams_;
};

TEST_F(VideoCaptureTest, CommitsWhatTheDeviceAnsweredAndClearsTheEndpointAtTheEnd) {
  cable_.streams = {frames()};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 3);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(frames_.size(), 3u);
  EXPECT_THAT(cable_.written(uvc::kCommitSelector), ElementsAre(Bytes{1, 2, 3}));
  EXPECT_THAT(cable_.log, ElementsAre("stream", "clear 0x81"));
  EXPECT_EQ(capture.counts().bytes, 30u);
  EXPECT_EQ(capture.counts().restarts, 0u);
}

TEST_F(VideoCaptureTest, ChoosesTheAlternateSettingForAnIsochronousStreamAndZeroAfterIt) {
  cable_.streams = {[&](std::span<const StreamOptions> endpoints, const auto& on_chunk) {
    EXPECT_EQ(endpoints.size(), 1u);
    EXPECT_EQ(endpoints[0].type, TransferType::kIsochronous);
    EXPECT_EQ(endpoints[0].packet_bytes, 3072);
    return frames()(endpoints, on_chunk);
  }};
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  const auto ran = run(capture, 1);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_THAT(cable_.log, ElementsAre("alternate 1.4", "stream", "alternate 1.0"));
}

TEST_F(VideoCaptureTest, SequenceNumbersGoOnOverRunsAndAFrameCutOffByTheStopIsNotBroken) {
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
                      send(on_chunk, payload(kFid, 3));
                      send(on_chunk, payload(kEof | kFid, 5));
                      EXPECT_FALSE(send(on_chunk, payload(0, 3)));
                      return {};
                    },
                    frames()};
  ASSERT_TRUE(run(capture, 1));
  ASSERT_TRUE(run(capture, 2));
  EXPECT_EQ(frames_[0].sequence, 0u);
  EXPECT_EQ(frames_[1].sequence, 1u);
  EXPECT_EQ(capture.counts().broken(), 0u);
}

TEST_F(VideoCaptureTest, RestartsAStalledStream) {
  cable_.streams = {failing(ScriptedTransport::stall()), frames()};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 2);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(capture.counts().restarts, 1u);
  EXPECT_EQ(cable_.written(uvc::kCommitSelector).size(), 2u);
  EXPECT_THAT(cable_.log, ElementsAre("stream", "clear 0x81", "stream", "clear 0x81"));
}

TEST_F(VideoCaptureTest, ResetsADeviceThatARestartDoesNotHelpThenAsksTheOperator) {
  cable_.streams = {failing(timeout()), failing(timeout()), failing(timeout())};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(ran.error().message,
              testing::AllOf(HasSubstr("camera 7"), HasSubstr("unplug the device")));
  EXPECT_THAT(cable_.log, ElementsAre("stream", "clear 0x81", "stream", "reset", "alternate 1.0",
                                      "stream", "clear 0x81"));
  EXPECT_EQ(capture.counts().restarts, 2u);
}

TEST_F(VideoCaptureTest, StopsTheStreamBeforeItTellsTheOperator) {
  cable_.streams = {failing(error(ErrorCode::kNoSpace, "no memory"))};
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  EXPECT_EQ(run(capture, 1).error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(cable_.log, ElementsAre("alternate 1.4", "stream", "alternate 1.0"));
}

TEST_F(VideoCaptureTest, ForgivesFailuresAfterTwoSecondsOfFrames) {
  for (int i = 0; i < 5; ++i) cable_.streams.push_back(frames_then_stall(60));  // at 30 a second
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 5 * 60);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(capture.counts().restarts, 4u);
  EXPECT_THAT(cable_.log, testing::Not(testing::Contains("reset")));
}

TEST_F(VideoCaptureTest, AFrameBetweenTwoStallsForgivesNothing) {
  for (int i = 0; i < 5; ++i) cable_.streams.push_back(frames_then_stall(59));
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 1000);
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, HasSubstr("unplug the device"));
  EXPECT_EQ(frames_.size(), 3u * 59);
  EXPECT_THAT(cable_.log, testing::Contains("reset"));
}

TEST_F(VideoCaptureTest, ADeviceThatKnowsWhyItStoppedIsNotRestarted) {
  cable_.streams = {failing(timeout()), frames()};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  capture.before_recovery([] { return Result<void>(error(ErrorCode::kUnavailable, "too hot")); });
  const auto ran = run(capture, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message, "too hot");
  EXPECT_THAT(cable_.log, ElementsAre("stream", "clear 0x81"));
}

TEST_F(VideoCaptureTest, ADeviceThatKnowsNoReasonIsRestarted) {
  int asked = 0;
  cable_.streams = {failing(timeout()), frames()};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  capture.before_recovery([&] {
    ++asked;
    return Result<void>();
  });
  EXPECT_TRUE(run(capture, 1));
  EXPECT_EQ(asked, 1);
}

TEST_F(VideoCaptureTest, IsPatientAtTheStartAndForTenFramePeriodsAfterIt) {
  std::vector<StreamOptions> asked;
  cable_.streams = {[&](std::span<const StreamOptions> endpoints, const auto& on_chunk) {
    asked.assign(endpoints.begin(), endpoints.end());
    send(on_chunk, payload(kEof));
    return Result<void>{};
  }};
  AgreedStream slow = bulk_stream();
  slow.control.interval_100ns = 1'000'000;
  VideoCapture capture(cable_, "camera 7", {slow, bulk_stream(0x82, 2)});
  ASSERT_TRUE(run(capture, 1));
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].watchdog, 1000ms);
  EXPECT_EQ(asked[0].start_watchdog, 2000ms);
  EXPECT_EQ(asked[1].watchdog, 0ms);
  EXPECT_EQ(asked[1].start_watchdog, 0ms);
}

TEST_F(VideoCaptureTest, GivesUpAtOnceWhenTheDeviceIsGone) {
  cable_.streams = {failing(ScriptedTransport::gone())};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kDisconnected);
  EXPECT_THAT(ran.error().message, HasSubstr("camera 7"));
  EXPECT_THAT(cable_.log, ElementsAre("stream"));
}

TEST_F(VideoCaptureTest, GivesUpWhenTheResetTellsThatTheDeviceIsGone) {
  cable_.streams = {failing(timeout()), failing(timeout()), frames()};
  cable_.reset_result = ScriptedTransport::gone();
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kDisconnected);
}

TEST_F(VideoCaptureTest, EmptyPacketsDoNotHideASilentIsochronousCamera) {
  std::size_t packets = 0;
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
                      send(on_chunk, payload(kEof));
                      while (packets < 100'000 && send(on_chunk, {})) ++packets;
                      return {};
                    },
                    frames()};
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  const auto ran = run(capture, 2);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(packets, 499u);  // of one millisecond each
  EXPECT_EQ(capture.counts().restarts, 1u);
  EXPECT_THAT(cable_.log, ElementsAre("alternate 1.4", "stream", "alternate 1.0", "alternate 1.4",
                                      "stream", "alternate 1.0"));
}

TEST_F(VideoCaptureTest, ACameraMayTakeTwoSecondsToBegin) {
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
    for (int i = 0; i < 1900; ++i) EXPECT_TRUE(send(on_chunk, payload(0, 0)));
    send(on_chunk, payload(kEof));
    return {};
  }};
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  ASSERT_TRUE(run(capture, 1));
  EXPECT_EQ(capture.counts().restarts, 0u);
}

TEST_F(VideoCaptureTest, AHostThatSleptDoesNotBlameTheCamera) {
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
    send(on_chunk, payload(kEof));
    now_ += 1h;
    EXPECT_TRUE(send(on_chunk, {}));
    send(on_chunk, payload(kEof | kFid));
    return {};
  }};
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  ASSERT_TRUE(run(capture, 2));
  EXPECT_EQ(capture.counts().restarts, 0u);
}

TEST_F(VideoCaptureTest, RestartsAStreamOfBrokenFramesAndCountsThemByReason) {
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
                      std::uint8_t id = 0;
                      const auto next = [&](std::uint8_t flags, std::size_t pixels) {
                        id ^= kFid;
                        return send(on_chunk, payload(flags | id, pixels));
                      };
                      EXPECT_TRUE(next(kEof, 3));         // too short
                      EXPECT_TRUE(next(kEof | kErr, 8));  // the device says so
                      EXPECT_TRUE(next(0, 4));            // then a damaged packet
                      EXPECT_TRUE(send(on_chunk, Bytes(5), 0x81, true));
                      EXPECT_TRUE(send(on_chunk, payload(kEof | id, 4)));
                      EXPECT_TRUE(send(on_chunk, {1, kEof, 0, 0}));  // no header
                      for (int i = 4; i < 29; ++i) EXPECT_TRUE(next(kEof, 9));
                      EXPECT_FALSE(next(kEof, 9));
                      return {};
                    },
                    frames()};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = run(capture, 1);
  ASSERT_TRUE(ran) << ran.error().message;
  const CaptureCounts counts = capture.counts();
  EXPECT_EQ(counts.broken_by_device, 1u);
  EXPECT_EQ(counts.broken_on_bus, 1u);
  EXPECT_EQ(counts.broken_header, 1u);
  EXPECT_EQ(counts.broken_size, 27u);
  EXPECT_EQ(counts.restarts, 1u);
  EXPECT_EQ(frames_[0].sequence, 30u);
}

TEST_F(VideoCaptureTest, TwoStreamsAreStartedAndKeptApart) {
  cable_.streams = {[&](std::span<const StreamOptions> endpoints, const auto& on_chunk) {
    EXPECT_EQ(endpoints.size(), 2u);
    EXPECT_GT(endpoints[0].watchdog, 0ms);
    EXPECT_EQ(endpoints[1].watchdog, 0ms);
    send(on_chunk, payload(0, 4), 0x81);
    send(on_chunk, payload(kEof | kFid), 0x82);
    send(on_chunk, payload(kEof, 4), 0x81);
    return Result<void>{};
  }};
  VideoCapture capture(cable_, "camera 7", {bulk_stream(), bulk_stream(0x82, 2)});
  ASSERT_TRUE(run(capture, 2));
  EXPECT_THAT(streams_, ElementsAre(1u, 0u));
  EXPECT_EQ(cable_.written(uvc::kCommitSelector).size(), 2u);
  EXPECT_THAT(cable_.log, ElementsAre("stream", "clear 0x81", "clear 0x82"));
}

TEST_F(VideoCaptureTest, HearsTheStatusEndpointAndCallsPeriodically) {
  std::vector<Bytes> heard;
  int calls = 0;
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  capture.listen({.status_endpoint = 0x85, .status_packet_bytes = 16},
                 [&](std::span<const std::uint8_t> packet) {
                   heard.emplace_back(packet.begin(), packet.end());
                 });
  capture.every(0ms, [&] { ++calls; });
  cable_.streams = {[&](std::span<const StreamOptions> endpoints, const auto& on_chunk) {
    EXPECT_EQ(endpoints.size(), 2u);
    EXPECT_EQ(endpoints[1].type, TransferType::kInterrupt);
    EXPECT_EQ(endpoints[1].watchdog, 0ms);
    EXPECT_EQ(endpoints[1].transfer_size_bytes, 16);
    send(on_chunk, {2, 1, 0, 1}, 0x85);
    send(on_chunk, payload(kEof));
    return Result<void>{};
  }};
  ASSERT_TRUE(run(capture, 1));
  EXPECT_THAT(heard, ElementsAre(Bytes{2, 1, 0, 1}));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(capture.counts().bytes, 10u);
}

TEST_F(VideoCaptureTest, ABusThatRefusesTheBandwidthIsNamed) {
  cable_.on_alternate = [](int, int alternate) -> Result<void> {
    if (alternate == 0) return {};
    return error(ErrorCode::kNoSpace, "no room left");
  };
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  const auto ran = run(capture, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(ran.error().message, HasSubstr("3072 bytes"));
}

TEST_F(VideoCaptureTest, AStopThatWasAskedBeforeStreamsNothing) {
  std::stop_source stop;
  stop.request_stop();
  cable_.streams = {[](auto, const auto&) { return Result<void>{}; }};
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  const auto ran = capture.run(stop.get_token(), [](auto, auto&&) { return true; });
  EXPECT_TRUE(ran);
}

// Still pictures beside the video stream, of methods 2 (the same endpoint) and 3 (another).
class StillPictureTest : public VideoCaptureTest {
 protected:
  static uvc::AgreedStill still(std::uint8_t method) {
    return {.interface_number = 1,
            .method = method,
            .endpoint = method == 3 ? std::uint8_t{0x83} : std::uint8_t{0},
            .control = {.format_index = 1,
                        .size_index = 1,
                        .compression_index = 1,
                        .max_frame_bytes = 20,
                        .max_payload_bytes = 500},
            .frame_bytes = 20};
  }
  std::size_t triggers() const { return cable_.written(uvc::kStillTriggerSelector).size(); }
};

TEST_F(StillPictureTest, OfMethodTwoComesInPlaceOfAFrame) {
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  cable_.streams = {[&](auto, const auto& on_chunk) -> Result<void> {
    std::uint8_t id = 0;
    while (triggers() == 0)
      if (!send(on_chunk, payload(kEof | (id ^= kFid)))) return {};
    send(on_chunk, payload(kSti | (id ^= kFid), 12));
    EXPECT_FALSE(send(on_chunk, payload(kSti | kEof | id, 8)));
    return {};
  }};
  const auto agreed = still(2);
  const auto picture = uvc::take_picture(cable_, capture, &agreed, 3, {});
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_TRUE(picture->still);
  EXPECT_EQ(picture->bytes.size(), 20u);
  EXPECT_EQ(picture->sequence, 4u);
  EXPECT_THAT(cable_.written(uvc::kStillCommitSelector), ElementsAre(uvc::encode(agreed.control)));
  EXPECT_THAT(cable_.written(uvc::kStillTriggerSelector), ElementsAre(Bytes{uvc::kSendStill}));
  EXPECT_EQ(capture.counts().broken(), 0u);
}

TEST_F(StillPictureTest, OfMethodThreeComesOverItsOwnEndpoint) {
  VideoCapture capture(cable_, "camera 7", {isochronous_stream()});
  cable_.streams = {[&](std::span<const StreamOptions> endpoints, const auto& on_chunk) {
    EXPECT_EQ(endpoints.size(), 2u);
    EXPECT_EQ(endpoints[1].endpoint, 0x83);
    EXPECT_EQ(endpoints[1].type, TransferType::kBulk);
    send(on_chunk, payload(kEof));
    EXPECT_EQ(triggers(), 1u);
    send(on_chunk, payload(kEof | kFid));
    EXPECT_FALSE(send(on_chunk, payload(kEof, 20), 0x83));
    return Result<void>{};
  }};
  const auto agreed = still(3);
  const auto picture = uvc::take_picture(cable_, capture, &agreed, 0, {});
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_TRUE(picture->still);
  EXPECT_EQ(picture->bytes.size(), 20u);
  EXPECT_THAT(cable_.written(uvc::kStillTriggerSelector),
              ElementsAre(Bytes{uvc::kSendStillOverBulk}));
}

TEST_F(StillPictureTest, WithoutStillCaptureIsTheFrameAfterTheSettling) {
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  cable_.streams = {frames()};
  const auto picture = uvc::take_picture(cable_, capture, nullptr, 5, {});
  ASSERT_TRUE(picture) << picture.error().message;
  EXPECT_EQ(picture->sequence, 5u);
  EXPECT_FALSE(picture->still);
}

TEST_F(StillPictureTest, ThatTheDeviceRefusesIsAnError) {
  VideoCapture capture(cable_, "camera 7", {bulk_stream()});
  cable_.streams = {frames()};
  cable_.fail(uvc::kSetCur, uvc::kStillTriggerSelector, 1, ScriptedTransport::stall());
  const auto agreed = still(2);
  const auto picture = uvc::take_picture(cable_, capture, &agreed, 0, {});
  ASSERT_FALSE(picture);
  EXPECT_EQ(picture.error().code, ErrorCode::kProtocol);
}

TEST(DeviceClockTest, GoesOnWhenTheTicksWrap) {
  uvc::DeviceClock clock(1'000'000);
  EXPECT_EQ(clock(0xFFFF'FF00u), std::chrono::microseconds(0xFFFF'FF00u));
  EXPECT_EQ(clock(0x100), std::chrono::microseconds(0x1'0000'0100));
}

}  // namespace
}  // namespace cusp
