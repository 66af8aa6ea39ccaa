// The calibration tables of a D400, checked against bytes written by hand from their layout.
#include "drivers/realsense_d400/calibration_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string_view>

#include "drivers/bytes.h"
#include "drivers/crc32.h"
#include "tests/drivers/test_scene.h"

namespace cusp::realsense_d400 {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(CalibrationTables, TheirCrc32IsTheOneOfTheStandard) {
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()}),
            0xCBF43926u);
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

TEST(CalibrationTables, TheCoefficientsTableHasTheLayoutOfTheCamera) {
  const auto coefficients = decode_coefficients(table_by_hand());
  ASSERT_TRUE(coefficients) << coefficients.error().message;
  EXPECT_EQ(coefficients->baseline_mm, 50.5);  // the camera stores it with a sign
  const auto optics = rectified_at(*coefficients, 640, 480);
  ASSERT_TRUE(optics);
  EXPECT_EQ(*optics, (Intrinsics{640, 480, 600.5, 601.25, 320.0, 240.5}));
  EXPECT_EQ(rectified_at(*coefficients, 848, 480).error().code, ErrorCode::kNotFound);
}

TEST(CalibrationTables, ATableThatIsWrittenReadsBack) {
  const Coefficients written{.baseline_mm = 18, .rectified = {kSmall, {848, 480, 1.5, 2.5, 3, 4}}};
  const auto read = decode_coefficients(encode(written));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->rectified, testing::UnorderedElementsAreArray(written.rectified));
}

TEST(CalibrationTables, ATableWithAnyBitChangedIsCorruptOrSaysTheSame) {
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

TEST(CalibrationTables, ATableThatIsCutOffIsCorrupt) {
  const Bytes table = table_by_hand();
  for (std::size_t size = 0; size < table.size(); ++size)
    EXPECT_EQ(decode_coefficients(std::span(table).first(size)).error().code, ErrorCode::kCorrupt);
}

TEST(CalibrationTables, OpticsThatAreNoNumbersAreMissing) {
  Bytes table = table_by_hand();
  write_le_float(table, 256 + 2 * 16, std::numeric_limits<float>::quiet_NaN());
  write_le<std::uint32_t>(table, 12, crc32(std::span(table).subspan(16)));
  const auto coefficients = decode_coefficients(table);
  ASSERT_TRUE(coefficients);
  EXPECT_EQ(rectified_at(*coefficients, 640, 480).error().code, ErrorCode::kNotFound);
}

// Table 32 by hand: calibrated at 1920x1080.
Bytes colour_table_by_hand() {
  Bytes table(256);
  table[0] = 2;
  write_le<std::uint16_t>(table, 2, 32);
  write_le<std::uint32_t>(table, 4, 240);
  // Row by row; the first row is fx 0 cx.
  write_le_float(table, 16, 1.5F);
  write_le_float(table, 24, -0.25F);
  write_le_float(table, 32, 2.0F);
  write_le_float(table, 36, 0.125F);
  write_le_float(table, 48, 1.0F);
  for (std::size_t i = 0; i < 5; ++i) write_le_float(table, 52 + 4 * i, 0.5F * (i + 1.0F));
  write_le<std::uint16_t>(table, 144, 1920);
  write_le<std::uint16_t>(table, 146, 1080);
  // A quarter turn about z, and 15 mm along x before it.
  write_le_float(table, 188, -1.0F);
  write_le_float(table, 196, 1.0F);
  write_le_float(table, 216, 1.0F);
  write_le_float(table, 220, 15.0F);
  write_le<std::uint32_t>(table, 12, crc32(std::span(table).subspan(16)));
  return table;
}

void seal(Bytes& table) { write_le<std::uint32_t>(table, 12, crc32(std::span(table).subspan(16))); }

TEST(CalibrationTables, TheColourTableHasTheLayoutOfTheCamera) {
  const auto colour = decode_colour_coefficients(colour_table_by_hand());
  ASSERT_TRUE(colour) << colour.error().message;
  EXPECT_EQ(colour->distortion, (LensDistortion{0.5, 1.0, 1.5, 2.0, 2.5}));
  // p_colour = R (p_depth + t)
  const Eigen::Vector3d seen = colour->colour_from_depth * Eigen::Vector3d(1, 2, 3);
  EXPECT_TRUE(seen.isApprox(Eigen::Vector3d(-2, 16, 3))) << seen.transpose();
  EXPECT_EQ(colour_intrinsics(*colour, 1920, 1080),
            (Intrinsics{1920, 1080, 1440, 1080, 720, 607.5}));
}

TEST(CalibrationTables, ColourOpticsFollowTheScaleAndTheCropOfThePicture) {
  const auto colour = decode_colour_coefficients(colour_table_by_hand());
  ASSERT_TRUE(colour);
  EXPECT_EQ(colour_intrinsics(*colour, 960, 540), (Intrinsics{960, 540, 720, 540, 360, 303.75}));
  // 4:3 out of 16:9: scaled to 853.3x480, 106.7 columns cut on each side.
  const Intrinsics narrow = colour_intrinsics(*colour, 640, 480);
  EXPECT_DOUBLE_EQ(narrow.fx_px, 640);
  EXPECT_DOUBLE_EQ(narrow.fy_px, 480);
  EXPECT_NEAR(narrow.cx_px, 720 * 480.0 / 1080 - (1920 * 480.0 / 1080 - 640) / 2, 1e-9);
  EXPECT_DOUBLE_EQ(narrow.cy_px, 270);
}

TEST(CalibrationTables, TheD405CutsItsColourInItsOwnWay) {
  const ColourCoefficients colour{.fx = 1,
                                  .fy = 1.5,
                                  .cx = 0,
                                  .cy = 0.125,
                                  .distortion = {},
                                  .calibrated_width_px = 1280,
                                  .calibrated_height_px = 720};
  EXPECT_EQ(d405_colour_intrinsics(colour, 1280, 720), (Intrinsics{1280, 720, 640, 540, 640, 405}));
  // 1280x800, of which the calibrated picture is the middle, scaled to 770x480.
  const double scale = 770.0 / 1280;
  const Intrinsics k = d405_colour_intrinsics(colour, 640, 480);
  EXPECT_EQ(k.width_px, 640);
  EXPECT_EQ(k.height_px, 480);
  EXPECT_NEAR(k.fx_px, 640 * scale, 1e-9);
  EXPECT_NEAR(k.fy_px, 540 * scale, 1e-9);
  EXPECT_NEAR(k.cx_px, 640 * scale - 65, 1e-9);
  EXPECT_NEAR(k.cy_px, 445 * scale - (800 * scale - 480) / 2, 1e-9);
  EXPECT_EQ(d405_colour_intrinsics(colour, 848, 480), colour_intrinsics(colour, 848, 480));
}

TEST(CalibrationTables, AColourTableThatIsWrittenReadsBack) {
  ColourOptics optics{.intrinsics = {640, 480, 600.5, 601.5, 320.25, 239.75},
                      .distortion = {0.125, -0.25, 0.5, 0.0625, 0.03125}};
  optics.colour_from_depth.linear() =
      Eigen::AngleAxisd(0.02, Eigen::Vector3d(1, 2, 3).normalized()).toRotationMatrix();
  optics.colour_from_depth.translation() = Eigen::Vector3d(14.75, 0.25, -0.5);
  const auto read = decode_colour_coefficients(encode(colour_coefficients(optics)));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->distortion, optics.distortion);
  EXPECT_TRUE(read->colour_from_depth.isApprox(optics.colour_from_depth, 1e-6));
  const Intrinsics k = colour_intrinsics(*read, 640, 480);
  EXPECT_NEAR(k.fx_px, 600.5, 1e-4);
  EXPECT_NEAR(k.fy_px, 601.5, 1e-4);
  EXPECT_NEAR(k.cx_px, 320.25, 1e-4);
  EXPECT_NEAR(k.cy_px, 239.75, 1e-4);
}

TEST(CalibrationTables, AColourTableThatMakesNoSenseIsCorrupt) {
  const auto corrupt = [](std::size_t at, float value) {
    Bytes table = colour_table_by_hand();
    write_le_float(table, at, value);
    seal(table);
    const auto colour = decode_colour_coefficients(table);
    return !colour && colour.error().code == ErrorCode::kCorrupt;
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const std::size_t at : {16, 24, 32, 36, 52, 68, 184, 200, 216, 220, 228})
    EXPECT_TRUE(corrupt(at, kNan)) << at;
  EXPECT_TRUE(corrupt(16, -1.5F));  // focal length
  EXPECT_TRUE(corrupt(188, 2.0F));  // no rotation
  EXPECT_TRUE(corrupt(188, 1.0F));  // a mirror
  Bytes unsized = colour_table_by_hand();
  write_le<std::uint16_t>(unsized, 144, 0);
  seal(unsized);
  EXPECT_EQ(decode_colour_coefficients(unsized).error().code, ErrorCode::kCorrupt);
}

TEST(CalibrationTables, AColourTableWithAByteChangedOrCutOffIsCorrupt) {
  const Bytes table = colour_table_by_hand();
  for (std::size_t at = 16; at < table.size(); ++at) {
    Bytes broken = table;
    broken[at] ^= 0x40;
    EXPECT_EQ(decode_colour_coefficients(broken).error().code, ErrorCode::kCorrupt) << at;
  }
  for (std::size_t size = 0; size < table.size(); ++size)
    EXPECT_EQ(decode_colour_coefficients(std::span(table).first(size)).error().code,
              ErrorCode::kCorrupt);
  EXPECT_EQ(decode_colour_coefficients(table_by_hand()).error().code, ErrorCode::kCorrupt);
}

TEST(CalibrationTables, ListRectifiedModesWithoutThoseThatMakeNoSense) {
  const std::vector<Intrinsics> modes{{256, 144, 100.5, 101.5, 128, 72},
                                      {848, 100, 400, 400, 424, 50}};
  EXPECT_EQ(decode_rectified_modes(encode_rectified_modes(modes)), modes);
  Bytes data = encode_rectified_modes(modes);
  write_le_float(data, 4, 0.0F);
  data.push_back(7);  // half an item
  EXPECT_THAT(decode_rectified_modes(data), testing::ElementsAre(modes[1]));
  EXPECT_TRUE(decode_rectified_modes({}).empty());
}

}  // namespace
}  // namespace cusp::realsense_d400
