// The D400's own protocol, checked against bytes written by hand from its layout.
#include "drivers/realsense_d400/protocol.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <limits>

#include "drivers/bytes.h"
#include "drivers/crc32.h"
#include "drivers/driver.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/calibration_tables.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/uvc/stream_control.h"
#include "tests/drivers/test_scene.h"

namespace cusp::realsense_d400 {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::chrono::milliseconds kTimeout{100};

TEST(Protocol, Crc32IsTheOneOfTheStandard) {
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()}),
            0xCBF43926u);
}

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
  EXPECT_EQ(data.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(data.error().message, testing::HasSubstr("-7 (hardware not ready)"));
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

// Table 25 by hand: 640x480 is slot 2.
Bytes table_by_hand() {
  Bytes table(512);
  table[0] = 2;
  write_le<std::uint16_t>(table, 2, 25);
  write_le<std::uint32_t>(table, 4, 496);
  write_le_float(table, 160, -50.5F);
  write_le_float(table, 256 + 2 * 16, 600.5F);
  write_le_float(table, 256 + 2 * 16 + 4, 601.25F);
  write_le_float(table, 256 + 2 * 16 + 8, 320.0F);
  write_le_float(table, 256 + 2 * 16 + 12, 240.5F);
  write_le<std::uint32_t>(table, 12, crc32(std::span(table).subspan(16)));
  return table;
}

TEST(Protocol, TheCoefficientsTableHasTheLayoutOfTheCamera) {
  const auto coefficients = decode_coefficients(table_by_hand());
  ASSERT_TRUE(coefficients) << coefficients.error().message;
  EXPECT_EQ(coefficients->baseline_mm, 50.5);  // the camera stores it with a sign
  const auto optics = rectified_at(*coefficients, 640, 480);
  ASSERT_TRUE(optics);
  EXPECT_EQ(*optics, (Intrinsics{640, 480, 600.5, 601.25, 320.0, 240.5}));
  EXPECT_EQ(rectified_at(*coefficients, 848, 480).error().code, ErrorCode::kNotFound);
}

TEST(Protocol, ATableThatIsWrittenReadsBack) {
  const Coefficients written{.baseline_mm = 18, .rectified = {kSmall, {848, 480, 1.5, 2.5, 3, 4}}};
  const auto read = decode_coefficients(encode(written));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->rectified, testing::UnorderedElementsAreArray(written.rectified));
}

TEST(Protocol, ATableWithAnyBitChangedIsCorruptOrSaysTheSame) {
  const Bytes table = table_by_hand();
  for (std::size_t at = 0; at < table.size(); ++at) {
    Bytes broken = table;
    broken[at] ^= 0x10;
    const auto coefficients = decode_coefficients(broken);
    // Version and parameter of the header are outside of the CRC and of what we use.
    const bool unused = at < 2 || (at >= 8 && at < 12);
    if (coefficients)
      EXPECT_TRUE(unused) << at;
    else
      EXPECT_EQ(coefficients.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Protocol, ATableThatIsCutOffIsCorrupt) {
  const Bytes table = table_by_hand();
  for (std::size_t size = 0; size < table.size(); ++size)
    EXPECT_EQ(decode_coefficients(std::span(table).first(size)).error().code, ErrorCode::kCorrupt);
}

TEST(Protocol, OpticsThatAreNoNumbersAreMissing) {
  Bytes table = table_by_hand();
  write_le_float(table, 256 + 2 * 16, std::numeric_limits<float>::quiet_NaN());
  write_le<std::uint32_t>(table, 12, crc32(std::span(table).subspan(16)));
  const auto coefficients = decode_coefficients(table);
  ASSERT_TRUE(coefficients);
  EXPECT_EQ(rectified_at(*coefficients, 640, 480).error().code, ErrorCode::kNotFound);
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
  EXPECT_EQ(answer_to(0x77), -1);
  EXPECT_EQ(answer_to(0x15, 31), -28);
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
