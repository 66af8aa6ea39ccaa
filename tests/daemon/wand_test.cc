// A wand at the station: the real driver, decoding and pipeline over an in-process cable, in front
// of a bumpy surface; and its button.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numbers>
#include <optional>

#include "drivers/wand/emulator.h"
#include "tests/daemon/station_fixture.h"

namespace cusp::daemon {
namespace {

using std::numbers::pi;

Calibration small_wand() {
  Calibration device{.depth = {.width_px = 160,
                               .height_px = 120,
                               .fx_px = 150,
                               .fy_px = 150,
                               .cx_px = 79.5,
                               .cy_px = 59.5}};
  device.made_on = "2026-01-15";
  FringeOptics fringe;
  fringe.projector = {.width_px = 456,
                      .height_px = 570,
                      .fx_px = 400,
                      .fy_px = 400,
                      .cx_px = 227.5,
                      .cy_px = 284.5};
  fringe.projector_from_camera.linear() =
      Eigen::AngleAxisd(0.3, Eigen::Vector3d::UnitY()).toRotationMatrix();
  fringe.projector_from_camera.translation() =
      fringe.projector_from_camera.linear() * Eigen::Vector3d(-5, 0.2, 0.4);
  for (int k = 0; k < 3; ++k) fringe.patterns.push_back({100, 2 * pi * k / 3});
  fringe.min_depth_mm = 11;
  fringe.max_depth_mm = 19;
  device.fringe = fringe;
  return device;
}

// One picture of a surface about 15 mm away, 0.05 mm farther along x with every sequence.
std::vector<std::uint8_t> photograph(const Calibration& device, double shift_mm, int pattern) {
  const FringeOptics& optics = *device.fringe;
  const auto& fringes = optics.patterns[static_cast<std::size_t>(pattern)];
  std::vector<std::uint8_t> picture;
  for (int row = 0; row < device.depth.height_px; ++row)
    for (int column = 0; column < device.depth.width_px; ++column) {
      const Eigen::Vector3d ray((column - device.depth.cx_px) / device.depth.fx_px,
                                (row - device.depth.cy_px) / device.depth.fy_px, 1);
      double z_mm = 15;
      for (int step = 0; step < 4; ++step) {
        const double x_mm = ray.x() * z_mm + shift_mm;
        const double y_mm = ray.y() * z_mm;
        z_mm = 15 + 0.5 * std::sin(x_mm / 0.9) + 0.5 * std::cos(y_mm / 1.1) +
               0.3 * std::sin((x_mm + y_mm) / 2);
      }
      const Eigen::Vector3d lit = optics.projector_from_camera * (z_mm * ray);
      const double u = lit.x() / lit.z() * optics.projector.fx_px + optics.projector.cx_px;
      const double shine = 0.5 * (1 + std::cos(2 * pi * u / fringes.pitch_px - fringes.phase_rad));
      picture.push_back(static_cast<std::uint8_t>(std::lround(40 + 150 * shine)));
    }
  return picture;
}

bool wand_picture(const FringeIndex& index, std::span<std::uint8_t> out) {
  static std::mutex mutex;
  static std::map<std::pair<std::uint32_t, int>, std::vector<std::uint8_t>> taken;
  if (index.pattern == index.patterns) {
    std::fill(out.begin(), out.end(), std::uint8_t{128});
    return true;
  }
  constexpr std::uint32_t kHalf = 40;  // sequences there, and the same way back
  const std::uint32_t turn = index.sequence % (2 * kHalf);
  const std::uint32_t at = std::min(turn, 2 * kHalf - turn);
  const std::lock_guard lock(mutex);
  auto& picture = taken[{at, index.pattern}];
  if (picture.empty()) picture = photograph(small_wand(), 0.05 * at, index.pattern);
  std::copy(picture.begin(), picture.end(), out.begin());
  return true;
}

class WandStationTest : public StationFixture {
 protected:
  void SetUp() override {
    StationFixture::SetUp();
    options_.profiles["wand"] = wand_profile();
    auto options = wand::options_for(small_wand());
    options.serial = kSerial;
    wand_ = wand::make_emulator(
        options, wand::from_scene([](std::uint64_t, const FringeIndex& index, auto out) {
          return wand_picture(index, out);
        }));
    start_station();
    bus_.plug(*wand_.function, 1);
    ASSERT_TRUE(eventually([&] { return device_is(kSerial, DeviceStatus::kAvailable); }));
  }

  static constexpr const char* kSerial = "wand-0042";
  wand::Emulator wand_;
};

TEST_F(WandStationTest, FringePicturesBecomeAModel) {
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(20); }));
  const ScanCounts counts = station_->scan()->counts;
  EXPECT_EQ(counts.broken, 0u);
  EXPECT_EQ(counts.missing, 0u);
  EXPECT_LT(counts.residual_mm, 0.05);
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) != StageState::kProcessing; }));
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kDone) << journal_;
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 1u);
  EXPECT_GT(models->front().statement.triangles, 5000u);
}

TEST_F(WandStationTest, ItsButtonPausesGoesOnAndAdvances) {
  const std::string id = make_ticket({ScanStage::kUpper, ScanStage::kLower});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));

  wand_.wand->press_button(ButtonPress::kShort);
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kPaused; }));
  ASSERT_TRUE(eventually([&] { return wand_.wand->in_standby(); }));
  EXPECT_TRUE(device_is(kSerial, DeviceStatus::kInUse)) << "its button must be heard";

  const std::uint64_t before = station_->scan()->counts.tracked;
  wand_.wand->press_button(ButtonPress::kShort);
  ASSERT_TRUE(
      eventually([&] { return state_of(id) == TicketState::kScanning && has_frames(before + 5); }));
  EXPECT_FALSE(wand_.wand->in_standby());

  wand_.wand->press_button(ButtonPress::kLong);
  ASSERT_TRUE(eventually(
      [&] { return station_->session()->current() == ScanStage::kLower && has_frames(5); }));
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));

  wand_.wand->press_button(ButtonPress::kLong);
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kLower) == StageState::kDone; }));
  EXPECT_THAT(journal_, testing::HasSubstr("event=button_pressed"));
  EXPECT_THAT(journal_, testing::Not(testing::HasSubstr("event=button_refused")));
}

TEST_F(WandStationTest, ItsButtonIsHeardAgainAfterItWasPulledInAPause) {
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  ASSERT_TRUE(station_->pause(id).ok());
  ASSERT_TRUE(eventually([&] { return wand_.wand->in_standby(); }));
  bus_.unplug(*wand_.function);
  ASSERT_TRUE(eventually([&] { return !station_->notice().empty(); }));
  EXPECT_THAT(station_->notice(), testing::HasSubstr("button is not heard"));
  EXPECT_EQ(state_of(id), TicketState::kPaused);

  bus_.plug(*wand_.function, 2);
  ASSERT_TRUE(eventually([&] { return device_is(kSerial, DeviceStatus::kInUse); }));
  EXPECT_TRUE(station_->notice().empty());
  const std::uint64_t before = station_->scan()->counts.tracked;
  // Nobody hears a press while the wand is being opened: then one presses again.
  auto pressed = std::chrono::steady_clock::time_point::min();
  EXPECT_TRUE(eventually([&] {
    if (state_of(id) == TicketState::kScanning) return has_frames(before + 3);
    if (const auto now = std::chrono::steady_clock::now();
        now > pressed + std::chrono::seconds(2)) {
      wand_.wand->press_button(ButtonPress::kShort);
      pressed = now;
    }
    return false;
  }));
}

TEST_F(WandStationTest, ALongPressGoesForwardAlone) {
  const std::string id = make_ticket({ScanStage::kUpper, ScanStage::kLower});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kLower, "").ok()) << "upper is left out";
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  wand_.wand->press_button(ButtonPress::kLong);
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kLower) == StageState::kDone; }));
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kPending);
  EXPECT_FALSE(station_->session()->current());
}

TEST_F(WandStationTest, PausedScanGivesTheWandToAnotherTicket) {
  const std::string first = make_ticket();
  const std::string second = make_ticket();
  ASSERT_TRUE(station_->start_scan(first, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  ASSERT_TRUE(station_->pause(first).ok());
  ASSERT_TRUE(station_->start_scan(second, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  ASSERT_TRUE(station_->pause(second).ok());
  ASSERT_TRUE(station_->resume(first).ok());
  EXPECT_TRUE(
      eventually([&] { return state_of(first) == TicketState::kScanning && has_frames(6); }));
}

TEST_F(WandStationTest, TakesNoPhotos) {
  std::optional<Result<Photo>> answer;
  station_->take_photo(kSerial, [&](Result<Photo> photo) { answer = std::move(photo); });
  ASSERT_TRUE(answer) << "refused at once";
  ASSERT_FALSE(answer->ok());
  EXPECT_EQ(answer->error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(answer->error().message,
            "device wand-0042: Open wand is a scanner, it takes no photos");
  EXPECT_TRUE(device_is(kSerial, DeviceStatus::kAvailable));
}

TEST_F(WandStationTest, DeviceViewTellsTipTemperatureAndTheCalibrationsDate) {
  const DeviceEntry wand = station_->devices().at(0);
  EXPECT_EQ(wand.info.kind, DeviceKind::kFringe);
  EXPECT_TRUE(wand.info.has_button);
  EXPECT_EQ(wand.health.tip_id, "T-000017");
  EXPECT_EQ(wand.health.tip_uses_allowed, 100u);
  EXPECT_EQ(wand.health.calibrated_on, "2026-01-15");
  EXPECT_THAT(wand.health.calibration_id, testing::StartsWith("wand-"));
  EXPECT_FALSE(wand.health.temperatures.empty());
}

}  // namespace
}  // namespace cusp::daemon
