// What a D400 driver does when the camera is busy, or its colour stream is no use: depth goes on,
// nothing is guessed, and health() says what is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/drivers/d400_camera.h"
#include "tests/drivers/passing_transport.h"

namespace cusp {
namespace {

using realsense_d400::EmulatorOptions;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int32_t kNotReady = -7, kBusy = -41;

TEST(D400Busy, JustAfterOpeningIsAskedAgain) {
  for (const std::int32_t refusal : {kBusy, kNotReady}) {
    const auto emulator = realsense_d400::make_emulator(camera_of(kD435), fill_frame);
    emulator.camera->refuse_commands(refusal, 2);
    const auto device = realsense_d400::open(make_in_process_transport(*emulator.function));
    ASSERT_TRUE(device) << device.error().message;
    EXPECT_EQ((*device)->info().serial, "0123456789ab");
  }
}

TEST(D400Busy, ForTooLongIsAnErrorAndTheCountOfDepthIsNotGuessed) {
  const Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.camera->set_advanced_depth_unit(100);
  camera.emulator.camera->refuse_commands(kBusy, 1000);
  const auto calibration = camera.device->read_calibration();
  ASSERT_FALSE(calibration);
  EXPECT_EQ(calibration.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(calibration.error().message, HasSubstr("busy"));
}

TEST(D400Busy, AfterAResetDoesNotLookLikeAnotherCountOfDepth) {
  const Camera camera = open_camera(camera_of(kD435));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  camera.emulator.camera->set_advanced_depth_unit(100);
  ASSERT_TRUE(camera.device->read_calibration());
  camera.emulator.camera->refuse_commands(kNotReady, 2);
  camera.emulator.control->stall_after(3);
  const Captured captured = capture(*camera.device, 10);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  EXPECT_EQ(captured.frames.size(), 10u);
  EXPECT_EQ(camera.device->counts().restarts, 1u);
}

// A cable whose interface 3, the colour camera's, somebody else has.
class OccupiedColour final : public PassingTransport {
 public:
  using PassingTransport::PassingTransport;
  Result<void> claim_interface(int number) override {
    if (number == 3) return error(ErrorCode::kConflict, "interface 3 is in use by another program");
    return PassingTransport::claim_interface(number);
  }
};

// A kernel that has memory for one stream alone.
class ScarceMemory final : public PassingTransport {
 public:
  using PassingTransport::PassingTransport;
  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    if (endpoints.size() > 1)
      return error(ErrorCode::kNoSpace, "the kernel's memory for USB transfers is used up");
    return PassingTransport::stream(endpoints, std::move(stop), on_chunk);
  }
};

TEST(D400ColourTrouble, OfAnInterfaceInUseIsTold) {
  const auto emulator = realsense_d400::make_emulator(colour_camera(), fill_frame, grey_picture);
  const auto device = realsense_d400::open(
      std::make_unique<OccupiedColour>(make_in_process_transport(*emulator.function)));
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(kSmallMode));
  EXPECT_EQ(capture(**device, 3).frames.size(), 3u);
  EXPECT_THAT((*device)->health().problems,
              ElementsAre("no colour: interface 3 is in use by another program"));
}

TEST(D400ColourTrouble, OfARateThatColourLacksIsToldAsLongAsItLasts) {
  EmulatorOptions options = colour_camera();
  options.max_rate_hz = 300;
  const Camera camera = open_camera(options, fill_frame, grey_picture);
  ASSERT_TRUE(camera.device->configure({848, 100, 100}));
  EXPECT_THAT(camera.device->health().problems,
              ElementsAre("no colour: it has no colour mode of 100 Hz"));
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  EXPECT_THAT(camera.device->health().problems, IsEmpty());
}

TEST(D400ColourTrouble, OfMemoryLeavesDepthAlone) {
  const auto emulator = realsense_d400::make_emulator(colour_camera(), fill_frame, grey_picture);
  const auto device = realsense_d400::open(
      std::make_unique<ScarceMemory>(make_in_process_transport(*emulator.function)));
  ASSERT_TRUE(device) << device.error().message;
  ASSERT_TRUE((*device)->configure(kSmallMode));
  const Captured captured = capture(**device, 3);
  EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
  EXPECT_EQ(captured.frames.size(), 3u);
  EXPECT_THAT((*device)->health().problems,
              ElementsAre(testing::AllOf(HasSubstr("no colour"), HasSubstr("used up"))));
}

TEST(D400ColourTrouble, OfAStreamThatFellSilentIsTold) {
  const Camera camera = open_camera(colour_camera(), fill_frame,
                                    [](std::uint64_t index, int width, int height, auto yuy2) {
                                      return index < 2 && grey_picture(index, width, height, yuy2);
                                    });
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured captured = capture(*camera.device, 45);
  EXPECT_TRUE(captured.result.ok());
  EXPECT_THAT(camera.device->health().problems,
              ElementsAre("no colour: its stream has fallen silent"));
}

TEST(D400ColourTrouble, IsNotBlamedForDepthThatFallsSilent) {
  const Camera camera = open_camera(
      colour_camera(),
      [](std::uint64_t index, auto z16) { return index < 3 && fill_frame(index, z16); },
      grey_picture);
  ASSERT_TRUE(camera.device->configure(kSmallMode));
  const Captured captured = capture(*camera.device, 10);
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(captured.frames.size(), 3u);
  EXPECT_EQ(camera.device->counts().restarts, 2u) << "one way up the ladder, not two";
  EXPECT_THAT(camera.device->health().problems, IsEmpty());
}

}  // namespace
}  // namespace cusp
