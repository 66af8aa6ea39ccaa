// Encode and decode of everything that a wand says, and what hostile bytes do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "drivers/bytes.h"
#include "drivers/wand/calibration.h"
#include "drivers/wand/protocol.h"

namespace cusp::wand {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

Capabilities some_capabilities() {
  return {.width_px = 640,
          .height_px = 480,
          .projector_width_px = 912,
          .projector_height_px = 1140,
          .patterns = {{24, 0}, {24, 1.5}, {24, 3}, {912, 0}},
          .colour_every = 3,
          .has_imu = true,
          .has_heater = true,
          .has_tip_id = true,
          .min_depth_mm = 5,
          .max_depth_mm = 20,
          .min_exposure = std::chrono::microseconds(50),
          .max_exposure = std::chrono::microseconds(8000),
          .heater_usual_c = 36.5,
          .heater_max_c = 41};
}

FrameMetadata some_metadata() {
  return {.kind = FrameKind::kFringe,
          .index = {.sequence = 4'000'000'000u, .pattern = 5, .patterns = 6},
          .frame = 4'294'967'295u,
          .time = std::chrono::nanoseconds(123'456'789'012'345),
          .exposure = std::chrono::microseconds(3500),
          .projector_c = 41.25,
          .tip_c = -3.5,
          .imu = ImuSample{{1.5f, -9.75f, 0.25f}, {0.5f, -0.125f, 2}},
          .button_held = true,
          .faults = fault::kWarmingUp};
}

CalibrationTable some_table() {
  CalibrationTable table{
      .made_on = "2026-03-14",
      .camera = {.width_px = 640,
                 .height_px = 480,
                 .fx_px = 800.1,
                 .fy_px = 801.2,
                 .cx_px = 319.3,
                 .cy_px = 241.4},
      .camera_distortion = {.k1 = -0.1, .k2 = 0.02, .p1 = 1e-4, .p2 = -2e-4, .k3 = 0.003},
      .projector = {.width_px = 912,
                    .height_px = 1140,
                    .fx_px = 1200,
                    .fy_px = 1201,
                    .cx_px = 456,
                    .cy_px = -300},
      .projector_distortion = {.k1 = 0.05},
      .projector_c = 41.5,
      .reprojection_error_px = 0.25};
  table.projector_from_camera.linear() =
      Eigen::AngleAxisd(0.3, Eigen::Vector3d(1, 2, 3).normalized()).toRotationMatrix();
  table.projector_from_camera.translation() = Eigen::Vector3d(-12.5, 0.5, 1.25);
  return table;
}

TEST(WandProtocol, TellsItsIdentity) {
  const auto read =
      decode_identity(encode(Identity{.hardware = 700, .firmware = "2.1-rc3 (a1b2)"}));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->major, 1);
  EXPECT_EQ(read->hardware, 700);
  EXPECT_EQ(read->firmware, "2.1-rc3 (a1b2)");
}

TEST(WandProtocol, RefusesAnotherMajorVersionAndTakesAnotherMinorOne) {
  Bytes bytes = encode(Identity{.major = 2});
  EXPECT_EQ(decode_identity(bytes).error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(decode_identity(bytes).error().message, HasSubstr("version 2.0"));
  EXPECT_TRUE(decode_identity(encode(Identity{.minor = 9})));
}

TEST(WandProtocol, RefusesAnIdentityThatIsNone) {
  Bytes bytes = encode(Identity{});
  bytes[0] = 'X';
  EXPECT_EQ(decode_identity(bytes).error().code, ErrorCode::kProtocol);
  bytes = encode(Identity{.firmware = "1.0\x1B[2J"});
  EXPECT_EQ(decode_identity(bytes).error().code, ErrorCode::kProtocol);
}

TEST(WandProtocol, TellsItsCapabilities) {
  const Capabilities written = some_capabilities();
  const auto read = decode_capabilities(encode(written));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->width_px, 640);
  EXPECT_EQ(read->height_px, 480);
  EXPECT_EQ(read->projector_width_px, 912);
  EXPECT_EQ(read->projector_height_px, 1140);
  EXPECT_EQ(read->patterns, written.patterns);
  EXPECT_EQ(read->colour_every, 3);
  EXPECT_TRUE(read->has_imu && read->has_heater && read->has_tip_id);
  EXPECT_EQ(read->min_depth_mm, 5);
  EXPECT_EQ(read->max_depth_mm, 20);
  EXPECT_EQ(read->min_exposure.count(), 50);
  EXPECT_EQ(read->max_exposure.count(), 8000);
  EXPECT_EQ(read->heater_usual_c, 36.5);
  EXPECT_EQ(read->heater_max_c, 41);
}

TEST(WandProtocol, TakesAnyEvenFrameUpTo4096) {
  Capabilities wand = some_capabilities();
  for (const auto& [width, height] : {std::pair{1688, 1352}, {4096, 4096}, {64, 65}}) {
    wand.width_px = width;
    wand.height_px = height;
    EXPECT_TRUE(decode_capabilities(encode(wand))) << width << "x" << height;
  }
  for (const auto& [width, height] : {std::pair{641, 480}, {4098, 480}, {640, 63}, {0, 0}}) {
    wand.width_px = width;
    wand.height_px = height;
    EXPECT_FALSE(decode_capabilities(encode(wand))) << width << "x" << height;
  }
}

TEST(WandProtocol, RefusesCapabilitiesThatCannotBe) {
  const auto refused = [](const std::function<void(Capabilities&)>& spoil) {
    Capabilities wand = some_capabilities();
    spoil(wand);
    const auto read = decode_capabilities(encode(wand));
    return !read && read.error().code == ErrorCode::kProtocol;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(refused([](auto& wand) { wand.patterns.resize(2); }));
  EXPECT_TRUE(refused([](auto& wand) { wand.patterns[1].pitch_px = 0; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.patterns[1].pitch_px = nan; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.patterns[1].pitch_px = infinity; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.patterns[3].phase_rad = nan; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.patterns[3].phase_rad = -infinity; }));
  EXPECT_TRUE(refused([](auto& wand) { wand.min_depth_mm = 30; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.min_depth_mm = nan; }));
  EXPECT_TRUE(refused([&](auto& wand) { wand.max_depth_mm = infinity; }));
  EXPECT_TRUE(refused([](auto& wand) { wand.max_exposure = {}; }));
  EXPECT_TRUE(refused([](auto& wand) { wand.projector_width_px = 0; }));
  EXPECT_TRUE(refused([](auto& wand) { wand.heater_usual_c = 60; }));
  Bytes bytes = encode(some_capabilities());
  bytes[8] = 33;
  EXPECT_FALSE(decode_capabilities(bytes));
}

TEST(WandProtocol, TellsOfCalibrationTipHeaterAndStatus) {
  const auto info = decode_calibration_info(
      encode(CalibrationInfo{.size_bytes = 288, .crc32 = 0xFFFFFFFF, .made_on = "2026-03-14"}));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size_bytes, 288u);
  EXPECT_EQ(info->crc32, 0xFFFFFFFFu);
  EXPECT_EQ(info->made_on, "2026-03-14");
  EXPECT_FALSE(decode_calibration_info(encode(CalibrationInfo{.size_bytes = 65537})));

  const auto tip = decode_tip(encode(
      Tip{.present = true, .id = "0123456789ABCDEF", .uses = 4'000'000'000u, .uses_allowed = 150}));
  ASSERT_TRUE(tip);
  EXPECT_TRUE(tip->present);
  EXPECT_EQ(tip->id, "0123456789ABCDEF");
  EXPECT_EQ(tip->uses, 4'000'000'000u);
  EXPECT_EQ(tip->uses_allowed, 150u);

  const auto heater = decode_heater(encode(Heater{.now_c = 31.25, .state = HeaterState::kReady}));
  ASSERT_TRUE(heater);
  EXPECT_FALSE(heater->target_c);
  EXPECT_EQ(heater->now_c, 31.25);
  EXPECT_EQ(heater->state, HeaterState::kReady);
  EXPECT_FALSE(decode_heater(Bytes{0, 0, 0, 0, 4, 0, 0, 0}));

  const auto status = decode_status(encode(Status{.faults = 0x80000001,
                                                  .projector_c = 40.01,
                                                  .tip_c = -20,
                                                  .awake_s = 7,
                                                  .frames_captured = 8,
                                                  .frames_dropped = 9}));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->faults, 0x80000001u);
  EXPECT_EQ(status->projector_c, 40.01);
  EXPECT_FALSE(status->sensor_c);
  EXPECT_EQ(status->tip_c, -20);
  EXPECT_FALSE(status->board_c);
  EXPECT_EQ(status->awake_s, 7u);
  EXPECT_EQ(status->frames_captured, 8u);
  EXPECT_EQ(status->frames_dropped, 9u);
}

TEST(WandProtocol, ClampsTemperaturesThatDoNotFit) {
  EXPECT_EQ(decode_heater(encode(Heater{.now_c = 1e9}))->now_c, 327.67);
  EXPECT_EQ(decode_heater(encode(Heater{.now_c = -1e9}))->now_c, -327.67);
}

TEST(WandProtocol, SaysFaultsInSentences) {
  EXPECT_TRUE(sentences(0, "").empty());
  EXPECT_THAT(sentences(fault::kTipWorn | fault::kProjectorHot, ""),
              ElementsAre(HasSubstr("projector is too hot"), HasSubstr("allowed uses")));
  EXPECT_THAT(sentences(fault::kMakersOwn, "lens cover open"),
              ElementsAre(HasSubstr("lens cover open")));
  EXPECT_THAT(sentences(fault::kMakersOwn, ""), ElementsAre(HasSubstr("ask its maker")));
  EXPECT_THAT(sentences(1u << 5 | 1u << 30, ""),
              ElementsAre(HasSubstr("fault 5"), HasSubstr("fault 30")));
  EXPECT_EQ(sentences(0xFFFFFFFF, "x").size(), 32u);
}

TEST(WandProtocol, TakesTheMakersTextWithoutItsControlCharacters) {
  EXPECT_EQ(*decode_fault_text(encode_fault_text("Spiegel fehlt: ö")), "Spiegel fehlt: ö");
  EXPECT_EQ(*decode_fault_text(encode_fault_text("a\x1B[31m\n")), "a [31m ");
  EXPECT_FALSE(decode_fault_text(encode_fault_text("\xC3")));
  EXPECT_EQ(decode_fault_text(encode_fault_text(std::string(64, 'x')))->size(), 64u);
}

TEST(WandProtocol, HearsTheButtonAndNothingElse) {
  EXPECT_EQ(decode_button_packet(2, encode_button_packet(2, ButtonPress::kShort)),
            ButtonPress::kShort);
  EXPECT_EQ(decode_button_packet(2, encode_button_packet(2, ButtonPress::kLong)),
            ButtonPress::kLong);
  const Bytes packet = encode_button_packet(2, ButtonPress::kLong);
  EXPECT_FALSE(decode_button_packet(3, packet)) << "another unit";
  for (std::size_t size = 0; size < packet.size(); ++size)
    EXPECT_FALSE(decode_button_packet(2, std::span(packet).first(size)));
  for (std::size_t at = 0; at < packet.size(); ++at) {
    Bytes other = packet;
    other[at] ^= 0x0C;
    EXPECT_FALSE(decode_button_packet(2, other)) << "byte " << at;
  }
}

TEST(WandProtocol, TellsOfAFrame) {
  const FrameMetadata written = some_metadata();
  const auto read = decode_metadata(encode(written));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->kind, written.kind);
  EXPECT_EQ(read->index, written.index);
  EXPECT_EQ(read->frame, written.frame);
  EXPECT_EQ(read->time, written.time);
  EXPECT_EQ(read->exposure, written.exposure);
  EXPECT_EQ(read->projector_c, 41.25);
  EXPECT_FALSE(read->sensor_c);
  EXPECT_EQ(read->tip_c, -3.5);
  EXPECT_EQ(read->imu, written.imu);
  EXPECT_TRUE(read->button_held);
  EXPECT_EQ(read->faults, written.faults);
}

TEST(WandProtocol, ReadsTheMetadataOfANewerMinorVersion) {
  Bytes bytes = encode(some_metadata());
  bytes[4] = 80;
  bytes[9] = 1;
  bytes.resize(80, 0xEE);
  const auto read = decode_metadata(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->index, some_metadata().index);
}

TEST(WandProtocol, RefusesMetadataThatCannotBe) {
  const auto refused = [](const std::function<void(Bytes&)>& spoil) {
    Bytes bytes = encode(some_metadata());
    spoil(bytes);
    return !decode_metadata(bytes).ok();
  };
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes.pop_back(); }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes.clear(); }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[0] ^= 1; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[4] = 71; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[7] = 0xFF; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[8] = 2; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[10] = 4; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[11] = 6; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[10] = 1; })) << "red with a pattern";
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[12] = 2; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[12] = 33; }));
  EXPECT_TRUE(refused([](Bytes& bytes) { bytes[31] = 0x80; }));
  EXPECT_TRUE(refused(
      [](Bytes& bytes) { write_le_float(bytes, 44, std::numeric_limits<float>::quiet_NaN()); }));
  EXPECT_TRUE(refused(
      [](Bytes& bytes) { write_le_float(bytes, 64, std::numeric_limits<float>::infinity()); }));
}

TEST(WandProtocol, RefusesEveryOtherSize) {
  for (std::size_t size = 0; size < 400; ++size) {
    const Bytes bytes(size, 0);
    if (size != 32) {
      EXPECT_FALSE(decode_identity(bytes));
      EXPECT_FALSE(decode_calibration_info(bytes));
      EXPECT_FALSE(decode_tip(bytes));
      EXPECT_FALSE(decode_status(bytes));
    }
    EXPECT_FALSE(decode_capabilities(bytes));
    if (size != 8) {
      EXPECT_FALSE(decode_heater(bytes));
    }
    if (size != 64) {
      EXPECT_FALSE(decode_fault_text(bytes));
    }
    EXPECT_FALSE(decode_metadata(bytes));
    EXPECT_FALSE(decode_calibration_table(bytes));
  }
}

// Whatever comes is read or refused; sanitizers tell when it does more.
TEST(WandProtocol, SurvivesNoise) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int round = 0; round < 3000; ++round) {
    for (Bytes bytes : {encode(some_capabilities()), encode(some_metadata()), encode(some_table()),
                        encode(Identity{}), encode(Heater{}), encode_fault_text("text")}) {
      for (int i = 0; i < 3; ++i)
        bytes[static_cast<std::size_t>(random()) % bytes.size()] =
            static_cast<std::uint8_t>(byte(random));
      if (const auto read = decode_capabilities(bytes)) {
        EXPECT_LE(read->patterns.size(), 32u);
      }
      if (const auto read = decode_metadata(bytes)) {
        EXPECT_LE(read->index.pattern, 32);
      }
      static_cast<void>(decode_identity(bytes));
      static_cast<void>(decode_calibration_info(bytes));
      static_cast<void>(decode_tip(bytes));
      static_cast<void>(decode_heater(bytes));
      static_cast<void>(decode_status(bytes));
      static_cast<void>(decode_fault_text(bytes));
      static_cast<void>(decode_button_packet(2, bytes));
    }
  }
}

TEST(WandCalibration, ComesBackBitForBit) {
  const CalibrationTable written = some_table();
  const Bytes bytes = encode(written);
  ASSERT_EQ(bytes.size(), kTableBytes);
  const auto read = decode_calibration_table(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->made_on, "2026-03-14");
  EXPECT_EQ(read->camera, written.camera);
  EXPECT_EQ(read->camera_distortion, written.camera_distortion);
  EXPECT_EQ(read->projector, written.projector);
  EXPECT_EQ(read->projector_distortion, written.projector_distortion);
  EXPECT_EQ(read->projector_from_camera.matrix(), written.projector_from_camera.matrix());
  EXPECT_EQ(read->projector_c, 41.5);
  EXPECT_EQ(read->reprojection_error_px, 0.25);
  EXPECT_EQ(encode(*read), bytes);
}

TEST(WandCalibration, NoticesEveryFlippedBit) {
  const Bytes good = encode(some_table());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bytes = good;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1 << bit % 8));
    const auto read = decode_calibration_table(bytes);
    ASSERT_FALSE(read) << "bit " << bit;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  }
}

TEST(WandCalibration, RefusesImpossibleOptics) {
  const auto refused = [](const std::function<void(CalibrationTable&)>& spoil) {
    CalibrationTable table = some_table();
    spoil(table);
    const auto read = decode_calibration_table(encode(table));
    return !read && read.error().code == ErrorCode::kCorrupt;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(refused([](auto& table) { table.camera.fx_px = 0; }));
  EXPECT_TRUE(refused([&](auto& table) { table.camera.cy_px = nan; }));
  EXPECT_TRUE(refused([](auto& table) { table.camera.width_px = 4097; }));
  EXPECT_TRUE(refused([&](auto& table) { table.projector.fy_px = nan; }));
  EXPECT_TRUE(refused([](auto& table) { table.projector.height_px = 0; }));
  EXPECT_TRUE(refused([&](auto& table) { table.camera_distortion.k3 = nan; }));
  EXPECT_TRUE(refused([](auto& table) { table.projector_distortion.p2 = 1e9; }));
  EXPECT_TRUE(refused([](auto& table) { table.projector_from_camera.linear() *= 1.01; }));
  EXPECT_TRUE(refused([](auto& table) { table.projector_from_camera.linear() *= -1; }));
  EXPECT_TRUE(refused([&](auto& table) { table.projector_from_camera.linear()(1, 1) = nan; }));
  EXPECT_TRUE(refused([](auto& table) { table.projector_from_camera.translation().setZero(); }));
  EXPECT_TRUE(refused([&](auto& table) { table.projector_from_camera.translation()(2) = nan; }));
  EXPECT_TRUE(refused([](auto& table) { table.made_on = "14.03.2026"; }));
  EXPECT_TRUE(refused([](auto& table) { table.made_on = ""; }));
  EXPECT_TRUE(refused([&](auto& table) { table.projector_c = nan; }));
  EXPECT_TRUE(refused([&](auto& table) { table.reprojection_error_px = -1; }));
}

TEST(WandCalibration, BecomesTheCalibrationOfThePipeline) {
  const CalibrationTable table = some_table();
  const Capabilities wand = some_capabilities();
  const auto calibration = make_calibration(table, 0x1A2B3C4D, wand);
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_EQ(calibration->id, "wand-1a2b3c4d");
  EXPECT_EQ(calibration->made_on, "2026-03-14");
  EXPECT_EQ(calibration->depth, table.camera);
  EXPECT_EQ(calibration->depth_unit_mm, 0);
  EXPECT_NEAR(calibration->baseline_mm, 12.572, 1e-3);
  ASSERT_TRUE(calibration->fringe);
  EXPECT_EQ(calibration->fringe->projector, table.projector);
  EXPECT_EQ(calibration->fringe->camera_distortion, table.camera_distortion);
  EXPECT_EQ(calibration->fringe->projector_distortion, table.projector_distortion);
  EXPECT_EQ(calibration->fringe->patterns, wand.patterns);
  EXPECT_EQ(calibration->fringe->min_depth_mm, 5);
  EXPECT_EQ(calibration->fringe->max_depth_mm, 20);
}

TEST(WandCalibration, OfAnotherFrameOrProjectorIsRefused) {
  Capabilities wand = some_capabilities();
  wand.width_px = 642;
  EXPECT_EQ(make_calibration(some_table(), 0, wand).error().code, ErrorCode::kCorrupt);
  wand = some_capabilities();
  wand.projector_height_px = 1080;
  EXPECT_EQ(make_calibration(some_table(), 0, wand).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace cusp::wand
