// Scanners whose frames go wrong on the way: each fault has its count and its outcome, and nothing
// is lost uncounted. Real drivers, over libusb and without it. Runs under umockdev's preload.
#include <gmock/gmock.h>

#include <tuple>

#include "tests/faults/usb/fault_rig.h"

namespace cusp {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kFrames = 40, kFaultAt = 12;
constexpr std::size_t kHeaderLengthAt = 0;

std::vector<std::uint64_t> all_but(std::vector<std::uint64_t> missing) {
  std::vector<std::uint64_t> indices;
  for (std::uint64_t i = 0; i < kFrames; ++i)
    if (std::find(missing.begin(), missing.end(), i) == missing.end()) indices.push_back(i);
  return indices;
}

class StreamFaultTest : public testing::TestWithParam<std::tuple<Family, Cable>> {
 protected:
  void SetUp() override {
    socket_->plug(*scanner_.function);
    auto opened = socket_->open(*scanner_.function);
    ASSERT_TRUE(opened) << opened.error().message;
    device_ = std::move(opened).value();
    const auto configured = device_->configure(scanner_.mode);
    ASSERT_TRUE(configured) << configured.error().message;
  }
  void TearDown() override {
    device_.reset();
    socket_.reset();
  }

  // Captures with the fault in the way.
  Captured capture_with(Fault fault) {
    if (fault.of != Fault::Of::kRequest) fault.endpoint = scanner_.endpoint;
    scanner_.function->arm(std::move(fault));
    Captured captured = capture(*device_, kFrames);
    EXPECT_GT(scanner_.function->struck(), 0u) << "the fault did not happen";
    EXPECT_EQ(captured.indices.size(), captured.counts.frames);
    EXPECT_TRUE(std::is_sorted(captured.indices.begin(), captured.indices.end()));
    EXPECT_EQ(std::adjacent_find(captured.indices.begin(), captured.indices.end()),
              captured.indices.end())
        << "a frame came twice";
    return captured;
  }

  Scanner scanner_ = make_scanner(std::get<0>(GetParam()), kFrames);
  std::unique_ptr<Socket> socket_ = Socket::make(std::get<1>(GetParam()));
  std::unique_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Scanners, StreamFaultTest,
                         testing::Combine(testing::Values(Family::kD400, Family::kWand),
                                          testing::Values(Cable::kLibusb, Cable::kInProcess)),
                         [](const auto& tested) {
                           return to_string(std::get<0>(tested.param)) +
                                  to_string(std::get<1>(tested.param));
                         });

TEST_P(StreamFaultTest, WithoutAFaultEveryFrameComes) {
  const Captured captured = capture(*device_, kFrames);
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({}));
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
  EXPECT_EQ(captured.counts.restarts, 0u);
}

TEST_P(StreamFaultTest, AShortPayloadIsABrokenFrame) {
  const Captured captured = capture_with(
      {.of = Fault::Of::kPayload, .kind = FaultKind::kShort, .at = kFaultAt, .at_byte = 600});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt}));
  EXPECT_EQ(captured.counts.broken_size, 1u);
  EXPECT_EQ(captured.counts.restarts, 0u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

TEST_P(StreamFaultTest, AnOverlongPayloadIsABrokenFrame) {
  const Captured captured = capture_with({.of = Fault::Of::kPayload,
                                          .kind = FaultKind::kBabble,
                                          .at = kFaultAt,
                                          .bytes = std::vector<std::uint8_t>(1000, 0xAB)});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt}));
  // The surplus may look like a payload of one more frame.
  EXPECT_THAT(captured.counts.broken(), testing::AnyOf(1u, 2u));
  EXPECT_EQ(captured.counts.lost, 0u);
}

TEST_P(StreamFaultTest, AHeaderThatIsNoneIsABrokenFrame) {
  std::uint64_t at = kFaultAt;
  for (const std::uint8_t length : {0, 1, 255})
    scanner_.function->arm({.of = Fault::Of::kPayload,
                            .kind = FaultKind::kOverwrite,
                            .endpoint = scanner_.endpoint,
                            .at = at++,
                            .at_byte = kHeaderLengthAt,
                            .bytes = {length}});
  const Captured captured = capture(*device_, kFrames);
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt, kFaultAt + 1, kFaultAt + 2}));
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

TEST_P(StreamFaultTest, AFrameThatTheDeviceCallsWrongIsBroken) {
  const Captured captured = capture_with({.of = Fault::Of::kPayload,
                                          .kind = FaultKind::kFlip,
                                          .at = kFaultAt,
                                          .at_byte = kPayloadFlagsAt,
                                          .bytes = {kErrorFlag}});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt}));
  EXPECT_EQ(captured.counts.broken_by_device, 1u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

TEST_P(StreamFaultTest, FramesThatNeverCameAreLost) {
  const Captured captured = capture_with(
      {.of = Fault::Of::kPayload, .kind = FaultKind::kDrop, .at = kFaultAt, .count = 2});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt, kFaultAt + 1}));
  EXPECT_EQ(captured.counts.lost, 2u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

// Its neighbours have the same frame id, and the second of them looks like more of the first.
TEST_P(StreamFaultTest, AFrameThatNeverCameMaySpoilTheNext) {
  const Captured captured =
      capture_with({.of = Fault::Of::kPayload, .kind = FaultKind::kDrop, .at = kFaultAt});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({kFaultAt, kFaultAt + 1}));
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

TEST_P(StreamFaultTest, AFrameThatCameTwiceIsGivenOnce) {
  const Captured captured =
      capture_with({.of = Fault::Of::kPayload, .kind = FaultKind::kDouble, .at = kFaultAt});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({}));
  EXPECT_EQ(captured.counts.lost, 0u);
}

TEST_P(StreamFaultTest, AnEmptyTransferIsNothing) {
  const Captured captured =
      capture_with({.of = Fault::Of::kTransfer, .kind = FaultKind::kEmpty, .at = kFaultAt});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.indices, all_but({}));
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
}

TEST_P(StreamFaultTest, AStallRestartsTheStream) {
  const Captured captured =
      capture_with({.of = Fault::Of::kTransfer, .kind = FaultKind::kStall, .at = kFaultAt});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.counts.restarts, 1u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
  EXPECT_GE(captured.indices.size(), kFrames - 2);
}

TEST_P(StreamFaultTest, BabbleRestartsTheStream) {
  const Captured captured = capture_with(
      {.of = Fault::Of::kTransfer, .kind = FaultKind::kBabble, .at = kFaultAt, .bytes = {1, 2, 3}});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.counts.restarts, 1u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
  EXPECT_GE(captured.indices.size(), kFrames - 2);
}

TEST_P(StreamFaultTest, ABusErrorRestartsTheStream) {
  const Captured captured =
      capture_with({.of = Fault::Of::kTransfer, .kind = FaultKind::kDamage, .at = kFaultAt});
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.counts.restarts, 1u);
  EXPECT_EQ(captured.accounted(), scanner_.stream->frames_sent());
  EXPECT_GE(captured.indices.size(), kFrames - 2);
}

TEST_P(StreamFaultTest, NothingButBrokenFramesRestartsTheStream) {
  constexpr std::uint64_t kBrokenInARow = 30;
  scanner_.function->arm({.of = Fault::Of::kPayload,
                          .kind = FaultKind::kFlip,
                          .endpoint = scanner_.endpoint,
                          .count = kBrokenInARow,
                          .at_byte = kPayloadFlagsAt,
                          .bytes = {kErrorFlag}});
  const Captured captured = capture(*device_, kBrokenInARow + 1);
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_EQ(captured.counts.broken_by_device, kBrokenInARow);
  EXPECT_EQ(captured.counts.restarts, 1u);
  EXPECT_GE(captured.counts.frames, 1u);
}

TEST_P(StreamFaultTest, AFrozenDeviceEndsWithAWordToTheOperator) {
  const Captured captured =
      capture_with({.of = Fault::Of::kTransfer, .kind = FaultKind::kFreeze, .at = kFaultAt});
  ASSERT_FALSE(captured.result);
  EXPECT_EQ(captured.result.error().code, ErrorCode::kTimeout) << captured.result.error().message;
  EXPECT_THAT(captured.result.error().message, HasSubstr(scanner_.serial));
  EXPECT_THAT(captured.result.error().message, HasSubstr("plug"));
  EXPECT_EQ(captured.indices.size(), kFaultAt);
}

// Each byte of the payload's header and what follows it, flipped in turn.
TEST_P(StreamFaultTest, HostileHeadersHangNothing) {
  constexpr std::uint64_t kEnough = 25;  // what garbage adds up to can't be foreseen
  for (std::uint64_t frame = 1; frame + 1 < kFrames; ++frame)
    scanner_.function->arm({.of = Fault::Of::kPayload,
                            .kind = FaultKind::kFlip,
                            .endpoint = scanner_.endpoint,
                            .at = frame,
                            .at_byte = frame % 12,
                            .bytes = {static_cast<std::uint8_t>(frame * 37), 0x5A}});
  const Captured captured = capture(*device_, kEnough);
  EXPECT_TRUE(captured.result) << captured.result.error().message;
  EXPECT_GE(scanner_.function->struck(), kEnough - 5);
  EXPECT_GE(captured.counts.broken(), 1u);
  EXPECT_TRUE(std::is_sorted(captured.indices.begin(), captured.indices.end()));
}

}  // namespace
}  // namespace cusp
