// A cable that goes wrong as scripted, around a double that works.
#include "drivers/emulation/faulty_function.h"

#include <gmock/gmock.h>

#include <thread>

#include "drivers/emulation/uvc_function.h"
#include "tests/drivers/double_host.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using Kind = UsbOutcome::Kind;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kTransferBytes = 4096;
constexpr std::size_t kPayloadBytes = 44;  // 32 of 64 pixel bytes each: two payloads a frame
constexpr std::size_t kHeaderBytes = 12;

class FaultyFunctionTest : public testing::Test {
 protected:
  FaultyFunctionTest()
      : function_(make_uvc_function(bulk_camera(numbered_frames(), kPayloadBytes)).function),
        host_(function_) {}

  void start() { ASSERT_TRUE(host_.agree(0x0150)); }
  DoubleHost::Read read(std::size_t size = kTransferBytes) {
    return host_.read(kVideoEndpoint, size);
  }
  static std::uint8_t flags(const DoubleHost::Read& result) { return result.bytes.at(1); }
  Fault on_video(Fault::Of of, FaultKind kind, std::uint64_t at = 0) const {
    return {.of = of, .kind = kind, .endpoint = kVideoEndpoint, .at = at};
  }

  FaultyFunction function_;
  DoubleHost host_;
};

TEST_F(FaultyFunctionTest, PassesEverythingOnWhenNothingIsArmed) {
  start();
  for (std::uint64_t frame = 0; frame < 4; ++frame) {
    Bytes pixels;
    for (int part = 0; part < 2; ++part) {
      const auto result = read();
      pixels.insert(pixels.end(), result.bytes.begin() + kHeaderBytes, result.bytes.end());
    }
    EXPECT_EQ(pixels, numbered_pixels(frame, kCameraFrameBytes));
  }
  EXPECT_EQ(function_.string_descriptor(2), "Camera");
  EXPECT_EQ(function_.struck(), 0u);
}

TEST_F(FaultyFunctionTest, StallHaltsTheEndpointUntilItIsCleared) {
  start();
  function_.arm(on_video(Fault::Of::kTransfer, FaultKind::kStall, 1));
  EXPECT_EQ(read().outcome.kind, Kind::kData);
  EXPECT_EQ(read().outcome.kind, Kind::kStall);
  EXPECT_EQ(read().outcome.kind, Kind::kStall);
  function_.clear_halt(kVideoEndpoint);
  start();
  EXPECT_EQ(read().outcome.kind, Kind::kData);
  EXPECT_EQ(function_.struck(), 1u);
}

TEST_F(FaultyFunctionTest, ShortTransferLosesTheRestOfItsPayload) {
  start();
  auto fault = on_video(Fault::Of::kTransfer, FaultKind::kShort);
  fault.at_byte = 20;
  function_.arm(fault);
  EXPECT_EQ(read(30).outcome.size, 20u);
  EXPECT_EQ(read(30).bytes.front(), kHeaderBytes) << "the next payload";
}

TEST_F(FaultyFunctionTest, BabbleIsMoreThanTheHostAskedFor) {
  start();
  auto fault = on_video(Fault::Of::kTransfer, FaultKind::kBabble);
  fault.bytes = {1, 2, 3};
  function_.arm(fault);
  EXPECT_EQ(read(30).outcome.size, 33u);
}

TEST_F(FaultyFunctionTest, DamagedTransferSaysHowFarItCame) {
  start();
  auto fault = on_video(Fault::Of::kTransfer, FaultKind::kDamage);
  fault.at_byte = 7;
  function_.arm(fault);
  const auto result = read();
  EXPECT_EQ(result.outcome.kind, Kind::kDamaged);
  EXPECT_EQ(result.outcome.size, 7u);
}

TEST_F(FaultyFunctionTest, TruncatedAndOverlongPayloads) {
  start();
  auto cut = on_video(Fault::Of::kPayload, FaultKind::kShort, 1);
  cut.at_byte = 3;
  function_.arm(cut);
  auto babble = on_video(Fault::Of::kPayload, FaultKind::kBabble, 2);
  babble.bytes = {1, 2, 3};
  function_.arm(babble);
  EXPECT_EQ(read().outcome.size, kPayloadBytes);
  EXPECT_EQ(read().outcome.size, 3u);
  EXPECT_EQ(read().outcome.size, kPayloadBytes + 3);
  EXPECT_EQ(read().outcome.size, kPayloadBytes);
}

TEST_F(FaultyFunctionTest, HeaderIsOverwrittenAndItsBitsFlipped) {
  start();
  auto overwrite = on_video(Fault::Of::kPayload, FaultKind::kOverwrite);
  overwrite.bytes = {0xFF, 0xEE};
  function_.arm(overwrite);
  auto error = on_video(Fault::Of::kPayload, FaultKind::kFlip, 1);
  error.at_byte = kPayloadFlagsAt;
  error.bytes = {kErrorFlag};
  function_.arm(error);
  const auto garbled = read();
  EXPECT_EQ(garbled.bytes[0], 0xFF);
  EXPECT_EQ(garbled.bytes[1], 0xEE);
  EXPECT_NE(flags(read()) & kErrorFlag, 0);
  EXPECT_EQ(flags(read()) & kErrorFlag, 0);
}

TEST_F(FaultyFunctionTest, FrameFaultHoldsForEachPayloadOfOneFrame) {
  start();
  auto wrong_id = on_video(Fault::Of::kFrame, FaultKind::kFlip, 1);
  wrong_id.at_byte = kPayloadFlagsAt;
  wrong_id.bytes = {kFrameIdFlag};
  function_.arm(wrong_id);
  std::vector<int> ids;
  for (int payload = 0; payload < 6; ++payload) ids.push_back(flags(read()) & kFrameIdFlag);
  EXPECT_THAT(ids, ElementsAre(1, 1, 1, 1, 1, 1)) << "the middle frame has its neighbours' id";
}

TEST_F(FaultyFunctionTest, DroppedAndDoubledPayloadsAndFrames) {
  start();
  const auto first_pixels = [&](int payloads) {
    std::vector<int> pixels;
    for (int i = 0; i < payloads; ++i) pixels.push_back(read().bytes.at(kHeaderBytes));
    return pixels;
  };
  function_.arm(on_video(Fault::Of::kPayload, FaultKind::kDrop, 1));
  function_.arm(on_video(Fault::Of::kFrame, FaultKind::kDrop, 1));
  // Frame 0 begins with pixel 0 and its second payload with 32, frame n with 31 n.
  EXPECT_THAT(first_pixels(3), ElementsAre(0, 62, 94));
  function_.arm(on_video(Fault::Of::kPayload, FaultKind::kDouble));
  function_.arm(on_video(Fault::Of::kFrame, FaultKind::kDouble, 1));
  EXPECT_THAT(first_pixels(7), ElementsAre(93, 93, 125, 124, 156, 124, 156));
  EXPECT_EQ(function_.struck(), 4u);
}

TEST_F(FaultyFunctionTest, DroppedAndDoubledTransfers) {
  start();
  function_.arm(on_video(Fault::Of::kTransfer, FaultKind::kDrop));
  function_.arm(on_video(Fault::Of::kTransfer, FaultKind::kDouble, 1));
  EXPECT_EQ(read().bytes.at(kHeaderBytes), 32);
  EXPECT_EQ(read().bytes.at(kHeaderBytes), 32);
  EXPECT_EQ(read().bytes.at(kHeaderBytes), 31);
}

TEST_F(FaultyFunctionTest, ZeroLengthStormLosesNothing) {
  start();
  auto storm = on_video(Fault::Of::kTransfer, FaultKind::kEmpty);
  storm.count = 1000;
  function_.arm(storm);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(read().outcome.size, 0u);
  EXPECT_EQ(read().bytes.at(kHeaderBytes), 0);
  EXPECT_EQ(function_.struck(), 1000u);
}

TEST_F(FaultyFunctionTest, AStormThatIsArmedWhileTheHostWaitsWakesIt) {
  auto storm = on_video(Fault::Of::kTransfer, FaultKind::kEmpty);
  storm.count = Fault::kForEver;
  std::jthread armer([&] { function_.arm(storm); });
  EXPECT_EQ(read().outcome.size, 0u) << "though nothing was committed";
}

TEST_F(FaultyFunctionTest, FrozenDeviceThawsWhenItIsPluggedInAgain) {
  start();
  function_.arm(on_video(Fault::Of::kFrame, FaultKind::kFreeze, 1));
  read();
  read();
  while (function_.struck() == 0)
    EXPECT_EQ(host_.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  function_.clear_halt(kVideoEndpoint);
  function_.reset();
  EXPECT_FALSE(host_.agree(0x0150));
  host_.plug();
  start();
  EXPECT_EQ(read().outcome.kind, Kind::kData);
}

TEST_F(FaultyFunctionTest, RequestsAreRefusedUnansweredShortOrGarbled) {
  const auto armed = [&](FaultKind kind, std::uint64_t at) {
    return Fault{
        .of = Fault::Of::kRequest,
        .kind = kind,
        .at = at,
        .at_byte = 2,
        .bytes = {0xAB},
        .request = [](const ControlSetup& setup) { return setup.request == uvc::kGetCur; }};
  };
  function_.arm(armed(FaultKind::kStall, 0));
  function_.arm(armed(FaultKind::kDrop, 1));
  function_.arm(armed(FaultKind::kShort, 2));
  function_.arm(armed(FaultKind::kOverwrite, 3));
  function_.arm(armed(FaultKind::kBabble, 4));
  Bytes data(48);
  const auto ask = [&](std::uint8_t request = uvc::kGetCur) {
    return function_.control({uvc::kFromInterface, request, uvc::kProbeSelector << 8, 1}, data);
  };
  EXPECT_EQ(ask(uvc::kGetLen).size, 2u) << "does not count";
  EXPECT_EQ(ask().kind, Kind::kStall);
  EXPECT_EQ(ask().kind, Kind::kNak);
  EXPECT_EQ(ask().size, 2u);
  EXPECT_EQ(ask().size, 48u);
  EXPECT_EQ(data[2], 0xAB);
  EXPECT_EQ(ask().size, 49u);
  EXPECT_EQ(ask().size, 48u);
  EXPECT_EQ(function_.struck(), 5u);
}

TEST_F(FaultyFunctionTest, GarblesWhatTheDeviceIsTold) {
  function_.arm(
      {.of = Fault::Of::kRequest,
       .kind = FaultKind::kOverwrite,
       .at_byte = 2,
       .bytes = {99},
       .request = [](const ControlSetup& setup) { return setup.request == uvc::kSetCur; }});
  EXPECT_FALSE(host_.agree(0x0150)) << "there is no format 99";
  EXPECT_TRUE(host_.agree(0x0150));
}

TEST_F(FaultyFunctionTest, HostileDescriptorsReplaceTheRealOnes) {
  function_.replace_device_descriptor({18, 1, 0});
  function_.replace_config_descriptor({9, 2, 0xFF, 0xFF});
  EXPECT_THAT(function_.device_descriptor(), ElementsAre(18, 1, 0));
  EXPECT_THAT(function_.config_descriptor(), ElementsAre(9, 2, 0xFF, 0xFF));
}

TEST(FaultyFunctionIsochronous, FaultsOfPacketsLeaveTheirNeighboursAlone) {
  FaultyFunction function(make_uvc_function(isochronous_camera(numbered_frames())).function);
  DoubleHost host(function);
  ASSERT_TRUE(host.agree(0x0110));
  function.set_alternate(1, 1);
  const auto fault = [](FaultKind kind, std::uint64_t at) {
    return Fault{.of = Fault::Of::kTransfer,
                 .kind = kind,
                 .endpoint = kVideoEndpoint,
                 .at = at,
                 .bytes = {1}};
  };
  function.arm(fault(FaultKind::kDamage, 1));
  function.arm(fault(FaultKind::kBabble, 2));
  EXPECT_EQ(host.read(kVideoEndpoint, 32).outcome.size, 32u);
  EXPECT_EQ(host.read(kVideoEndpoint, 32).outcome.kind, Kind::kDamaged);
  EXPECT_EQ(host.read(kVideoEndpoint, 32).outcome.size, 33u);
  EXPECT_EQ(host.read(kVideoEndpoint, 32).outcome.size, 16u) << "the last of four";
}

}  // namespace
}  // namespace cusp
