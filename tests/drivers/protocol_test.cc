// The D400's own protocol, checked against bytes written by hand from its layout.
#include "drivers/realsense_d400/protocol.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "drivers/bytes.h"
#include "drivers/driver.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/realsense_d400/error_words.h"
#include "drivers/uvc/stream_control.h"
#include "tests/drivers/test_scene.h"

namespace cusp::realsense_d400 {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::chrono::milliseconds kTimeout{100};

TEST(Protocol, ACommandHasTheLayoutOfTheHardwareMonitor) {
  const Bytes command = encode_command(Opcode::kReadCalibration, 25);
  ASSERT_EQ(command.size(), 1024u);
  EXPECT_THAT(Bytes(command.begin(), command.begin() + 12),
              testing::ElementsAre(20, 0, 0xAB, 0xCD, 0x15, 0, 0, 0, 25, 0, 0, 0));
}

TEST(Protocol, AnAnswerIsCutToTheSizeThatItStates) {
  Bytes block(1024);
  block[0] = 0x10;
  block[4] = 7;
  block[1020] = 3;
  const auto data = decode_answer(Opcode::kDeviceDetails, block);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_THAT(*data, testing::ElementsAre(7, 0, 0));
}

TEST(Protocol, AnAnswerThatLiesIsRefused) {
  Bytes block(1024);
  block[0] = 0x10;
  write_le<std::uint32_t>(block, 1020, 1017);
  EXPECT_EQ(decode_answer(Opcode::kDeviceDetails, block).error().code, ErrorCode::kProtocol);
  write_le<std::uint32_t>(block, 1020, 0xFFFFFFFF);
  EXPECT_EQ(decode_answer(Opcode::kDeviceDetails, block).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(decode_answer(Opcode::kReadCalibration, Bytes(1024)).error().code,
            ErrorCode::kProtocol);
  EXPECT_EQ(decode_answer(Opcode::kDeviceDetails, Bytes(1023)).error().code, ErrorCode::kProtocol);
}

TEST(Protocol, ANegativeAnswerIsToldInWords) {
  Bytes block(1024);
  write_le<std::uint32_t>(block, 0, static_cast<std::uint32_t>(-7));
  const auto data = decode_answer(Opcode::kDeviceDetails, block);
  EXPECT_THAT(data.error().message, testing::HasSubstr("-7 (hardware not ready)"));
}

TEST(Protocol, ARefusalTellsWhetherTheCommandIsUnknownOrMustWait) {
  for (const auto& [number, code] :
       {std::pair{-1, ErrorCode::kUnsupported}, std::pair{-58, ErrorCode::kUnsupported},
        std::pair{-7, ErrorCode::kUnavailable}, std::pair{-41, ErrorCode::kUnavailable},
        std::pair{-32, ErrorCode::kUnavailable}, std::pair{-28, ErrorCode::kNotFound},
        std::pair{-25, ErrorCode::kNotFound}, std::pair{-19, ErrorCode::kCorrupt},
        std::pair{-64, ErrorCode::kProtocol}, std::pair{-10000, ErrorCode::kProtocol}}) {
    Bytes block(1024);
    write_le<std::uint32_t>(block, 0, static_cast<std::uint32_t>(number));
    EXPECT_EQ(decode_answer(Opcode::kIsAdvanced, block).error().code, code) << number;
  }
}

TEST(Protocol, DeviceDetailsHoldTheVersionBackwards) {
  Bytes data(80);
  data[12] = 100;
  data[13] = 1;
  data[14] = 15;
  data[15] = 5;
  for (std::size_t i = 0; i < 6; ++i) data[48 + i] = static_cast<std::uint8_t>(0x10 + i);
  const auto details = decode_device_details(data);
  ASSERT_TRUE(details) << details.error().message;
  EXPECT_EQ(details->firmware, "5.15.1.100");
  EXPECT_EQ(details->serial, "101112131415");
  EXPECT_EQ(decode_device_details(std::span(data).first(53)).error().code, ErrorCode::kProtocol);
}

TEST(Protocol, TemperaturesAreOnlyThoseThatTheCameraCallsValid) {
  const auto both = decode_temperatures(Bytes{1, 1, 31, static_cast<std::uint8_t>(-4)});
  ASSERT_TRUE(both);
  EXPECT_EQ(both->projector_c, 31);
  EXPECT_EQ(both->asic_c, -4);
  const auto asic = decode_temperatures(Bytes{0, 1, 31, 40});
  EXPECT_EQ(asic->projector_c, std::nullopt);
  EXPECT_EQ(asic->asic_c, 40);
  EXPECT_EQ(decode_temperatures(Bytes(3)).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(decode_temperatures(Bytes(5)).error().code, ErrorCode::kProtocol);
}

TEST(Protocol, TheDepthTableBeginsWithOneCountInMicrometres) {
  Bytes table(20);
  write_le<std::uint32_t>(table, 0, 100);
  EXPECT_DOUBLE_EQ(*decode_depth_unit_mm(table), 0.1);
  EXPECT_EQ(decode_depth_unit_mm(Bytes(20)).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_depth_unit_mm(Bytes(19)).error().code, ErrorCode::kProtocol);
}

TEST(Protocol, EveryErrorWordHasASentence) {
  EXPECT_EQ(problem_of(0), std::nullopt);
  for (int word = 1; word < 256; ++word) {
    const auto problem = problem_of(static_cast<std::uint8_t>(word));
    ASSERT_TRUE(problem) << word;
    EXPECT_GT(problem->size(), 10u) << word;
  }
  EXPECT_THAT(*problem_of(2), testing::HasSubstr("projector was too hot"));
  EXPECT_THAT(*problem_of(30), testing::HasSubstr("30"));
}

TEST(StreamControl, HasTheSizeOfItsVersion) {
  const uvc::StreamControl control{1, 7, 333'333, 814'080, 814'092, 48'000'000};
  for (const auto& [version, size] :
       {std::pair{0x0100, 26}, std::pair{0x0110, 34}, std::pair{0x0150, 48}}) {
    const Bytes bytes = uvc::encode(control, static_cast<std::uint16_t>(version));
    EXPECT_EQ(bytes.size(), static_cast<std::size_t>(size));
    auto expected = control;
    if (version == 0x0100) expected.clock_hz = 0;
    EXPECT_EQ(*uvc::decode_stream_control(bytes), expected);
    EXPECT_EQ(uvc::decode_stream_control(std::span(bytes).first(bytes.size() - 1)).error().code,
              ErrorCode::kProtocol);
  }
}

// The firmware double, asked as a careless host would.
class DoubleTest : public testing::Test {
 protected:
  static constexpr ControlSetup kMonitorSet{uvc::kToInterface, uvc::kSetCur, 0x0100, 0x0300};
  static constexpr ControlSetup kMonitorGet{uvc::kFromInterface, uvc::kGetCur, 0x0100, 0x0300};
  static constexpr ControlSetup kProbeSet{uvc::kToInterface, uvc::kSetCur, 0x0100, 1};
  static constexpr ControlSetup kCommitSet{uvc::kToInterface, uvc::kSetCur, 0x0200, 1};

  std::int32_t answer_to(std::uint32_t opcode, std::uint32_t parameter = 0) {
    EXPECT_TRUE(transport_->control_out(
        kMonitorSet, encode_command(static_cast<Opcode>(opcode), parameter), kTimeout));
    Bytes block(1024);
    EXPECT_TRUE(transport_->control_in(kMonitorGet, block, kTimeout));
    return static_cast<std::int32_t>(read_le<std::uint32_t>(block, 0));
  }
  bool accepts(const ControlSetup& setup, const Bytes& data) {
    return transport_->control_out(setup, data, kTimeout).ok();
  }

  Emulator emulator_ = make_emulator(quick_camera(), fill_frame);
  std::unique_ptr<UsbTransport> transport_ = make_in_process_transport(*emulator_.function);
};

TEST_F(DoubleTest, RefusesCommandsThatWouldHarmAScanner) {
  for (const std::uint32_t opcode : {0x0A, 0x0B, 0x0C, 0x0E, 0x1E})
    EXPECT_EQ(answer_to(opcode), -27);
  for (const std::uint32_t opcode : {0x16, 0x20, 0x2B, 0x2D, 0x51, 0x61, 0x62, 0x77})
    EXPECT_EQ(answer_to(opcode), -1);
  EXPECT_EQ(answer_to(0x15, 31), -28);
  EXPECT_EQ(answer_to(0x2C, 9), -7);  // it is not in advanced mode
  EXPECT_EQ(answer_to(0x15, 25), 0x15);
}

TEST_F(DoubleTest, StallsWhatItDoesNotKnow) {
  EXPECT_FALSE(accepts({0x21, 0x01, 0x0900, 0x0300}, Bytes(4)));     // another selector
  EXPECT_FALSE(accepts({0x21, 0x01, 0x0100, 0x0500}, Bytes(1024)));  // another unit
  EXPECT_FALSE(accepts({0x40, 0x01, 0x0100, 0x0300}, Bytes(1024)));  // a vendor request
  EXPECT_FALSE(accepts(kMonitorSet, Bytes(1024)));                   // no magic
  EXPECT_FALSE(accepts(kMonitorSet, Bytes(12)));
  Bytes block(1024);
  EXPECT_FALSE(transport_->control_in(kMonitorGet, block, kTimeout));  // nothing was asked
}

TEST_F(DoubleTest, StallsAStreamThatItDoesNotOffer) {
  const auto request = [](std::uint8_t format, std::uint8_t frame, std::uint32_t interval) {
    return uvc::encode({.format_index = format, .frame_index = frame, .interval_100ns = interval},
                       0x0150);
  };
  EXPECT_TRUE(accepts(kProbeSet, request(1, 7, 333'333)));
  EXPECT_TRUE(accepts(kProbeSet, request(1, 7, 300'000)));  // a probe is rounded
  EXPECT_FALSE(accepts(kCommitSet, request(1, 7, 300'000)));
  EXPECT_FALSE(accepts(kProbeSet, request(2, 7, 333'333)));
  EXPECT_FALSE(accepts(kProbeSet, request(1, 77, 333'333)));
  EXPECT_FALSE(accepts(kProbeSet, Bytes(47)));
  EXPECT_FALSE(emulator_.control->streaming());
}

TEST(Registry, KnowsTheD400Family) {
  for (const int product : {0x0B5B, 0x0AD3, 0x0B07}) {
    const Driver* const driver =
        find_driver(UsbIdentity{0x8086, static_cast<std::uint16_t>(product)});
    ASSERT_NE(driver, nullptr);
    EXPECT_EQ(driver->name, "realsense_d400");
  }
  EXPECT_EQ(find_driver(UsbIdentity{0x8086, 0x0001}), nullptr);
  EXPECT_EQ(find_driver(UsbIdentity{0x0001, 0x0B5B}), nullptr);
}

TEST(UdevRule, NamesEveryModel) {
  std::ifstream file(CUSP_UDEV_RULE);
  const std::string rule{std::istreambuf_iterator<char>(file), {}};
  for (const Model& model : models())
    EXPECT_THAT(rule, testing::HasSubstr(fmt::format("{:04x}", model.product_id))) << model.name;
}

}  // namespace
}  // namespace cusp::realsense_d400
