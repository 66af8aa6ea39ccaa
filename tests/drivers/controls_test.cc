// Controls: a unit that lacks one, a value it does not take, and a cable that is bad are three
// things.
#include "drivers/uvc/controls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/uvc/stream_control.h"
#include "tests/drivers/scripted_transport.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

constexpr uvc::Entity kUnit{.control_interface = 2, .id = 5};
constexpr std::uint16_t kIndex = 0x0502;
constexpr std::uint16_t kInterfaceIndex = 0x0002;
constexpr std::uint8_t kRequestErrorCode = 2;

class ControlsTest : public testing::Test {
 protected:
  Error read_error(std::size_t bytes = 2) {
    const auto value = uvc::get_control(cable_, kUnit, uvc::kGain, uvc::kGetCur, bytes);
    EXPECT_FALSE(value);
    return value ? Error{ErrorCode::kIo, "no error"} : value.error();
  }
  ScriptedTransport cable_;
};

TEST_F(ControlsTest, AreReadAndWrittenAtTheirUnit) {
  cable_.answer(uvc::kGetMax, uvc::kGain, kIndex, {0x34, 0x12});
  const auto value = uvc::get_control(cable_, kUnit, uvc::kGain, uvc::kGetMax, 2);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_THAT(*value, ElementsAre(0x34, 0x12));
  cable_.on_write = [](const ControlSetup& setup, const Bytes&) -> Result<void> {
    EXPECT_EQ(setup.request_type, uvc::kToInterface);
    EXPECT_EQ(setup.request, uvc::kSetCur);
    EXPECT_EQ(setup.index, kIndex);
    return {};
  };
  const Bytes gain{7, 0};
  ASSERT_TRUE(uvc::set_control(cable_, kUnit, uvc::kGain, gain));
  EXPECT_THAT(cable_.written(uvc::kGain), ElementsAre(gain));
}

TEST_F(ControlsTest, ThatAUnitLacksAreUnsupported) {
  const Error silent = read_error();  // a device that does not say why
  EXPECT_EQ(silent.code, ErrorCode::kUnsupported);
  EXPECT_THAT(silent.message, testing::AllOf(HasSubstr("unit 5"), HasSubstr("control 4")));
  cable_.answer(uvc::kGetCur, kRequestErrorCode, kInterfaceIndex, {6});
  EXPECT_EQ(read_error().code, ErrorCode::kUnsupported);
}

TEST_F(ControlsTest, TellTheDevicesReasonWhenItHasOne) {
  cable_.fail(uvc::kSetCur, uvc::kGain, kIndex, ScriptedTransport::stall());
  const auto refusal = [&](std::uint8_t said) {
    cable_.answer(uvc::kGetCur, kRequestErrorCode, kInterfaceIndex, {said});
    const auto set = uvc::set_control(cable_, kUnit, uvc::kGain, Bytes{1, 0});
    EXPECT_FALSE(set);
    return set.error().code;
  };
  EXPECT_EQ(refusal(1), ErrorCode::kUnavailable);
  EXPECT_EQ(refusal(2), ErrorCode::kConflict);
  EXPECT_EQ(refusal(3), ErrorCode::kUnavailable);
  EXPECT_EQ(refusal(4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(8), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(7), ErrorCode::kUnsupported);
}

TEST_F(ControlsTest, KeepTheCodeOfTroubleWithTheCable) {
  for (const ErrorCode code : {ErrorCode::kDisconnected, ErrorCode::kTimeout, ErrorCode::kIo}) {
    cable_.fail(uvc::kGetCur, uvc::kGain, kIndex, Error{code, "trouble"});
    const Error got = read_error();
    EXPECT_EQ(got.code, code);
    EXPECT_THAT(got.message, HasSubstr("trouble"));
  }
  cable_.fail(uvc::kGetCur, uvc::kGain, kIndex, ScriptedTransport::stall());
  cable_.fail(uvc::kGetCur, kRequestErrorCode, kInterfaceIndex, ScriptedTransport::gone());
  EXPECT_EQ(read_error().code, ErrorCode::kDisconnected);
}

TEST_F(ControlsTest, OfAnotherSizeThanExpectedAreAProtocolError) {
  cable_.answer(uvc::kGetCur, uvc::kGain, kIndex, {1});
  EXPECT_EQ(read_error(2).code, ErrorCode::kProtocol);
  cable_.answer(uvc::kGetCur, uvc::kGain, kIndex, {});
  EXPECT_EQ(read_error(2).code, ErrorCode::kProtocol);
}

}  // namespace
}  // namespace cusp
