// How a wand is recognised, and what becomes of one that does not keep the protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "drivers/uvc/stream_control.h"
#include "drivers/wand/device.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::wand {
namespace {

using testing::HasSubstr;

// Stands between the cable and an honest wand.
class BetweenFunction : public UsbFunction {
 public:
  explicit BetweenFunction(UsbFunction& honest) : honest_(honest) {}
  std::vector<std::uint8_t> device_descriptor() const override {
    return honest_.device_descriptor();
  }
  std::vector<std::uint8_t> config_descriptor() const override {
    return honest_.config_descriptor();
  }
  std::string string_descriptor(std::uint8_t index) const override {
    return honest_.string_descriptor(index);
  }
  UsbSpeed speed() const override { return honest_.speed(); }
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    return honest_.control(setup, data);
  }
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    return honest_.in(endpoint, data);
  }
  void set_alternate(int number, int alternate) override {
    honest_.set_alternate(number, alternate);
  }
  void clear_halt(std::uint8_t endpoint) override { honest_.clear_halt(endpoint); }
  void reset() override { honest_.reset(); }
  void set_wake(std::function<void()> wake) override { honest_.set_wake(std::move(wake)); }

 protected:
  static bool is_about(const ControlSetup& setup, Control control) {
    return setup.index >> 8 != 0 && setup.value >> 8 == static_cast<int>(control);
  }

 private:
  UsbFunction& honest_;
};

// Stalls one control.
class DeafFunction final : public BetweenFunction {
 public:
  DeafFunction(UsbFunction& honest, Control control) : BetweenFunction(honest), control_(control) {}
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    if (is_about(setup, control_)) return {.kind = UsbOutcome::Kind::kStall};
    return BetweenFunction::control(setup, data);
  }

 private:
  const Control control_;
};

// Answers one byte of one control wrongly.
class LyingFunction final : public BetweenFunction {
 public:
  LyingFunction(UsbFunction& honest, Control control, std::size_t at)
      : BetweenFunction(honest), control_(control), at_(at) {}
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const UsbOutcome outcome = BetweenFunction::control(setup, data);
    if (setup.request == uvc::kGetCur && is_about(setup, control_) && at_ < data.size())
      data[at_] ^= 0x81;
    return outcome;
  }

 private:
  const Control control_;
  const std::size_t at_;
};

TEST(WandRecognition, IsKnownByItsExtensionUnitAlone) {
  auto options = small_wand();
  options.vendor_id = 0xABCD;
  options.product_id = 0x4242;
  const Emulator wand = make_emulator(options, paint);
  const auto identity =
      identity_of(wand.function->device_descriptor(), wand.function->config_descriptor());
  ASSERT_TRUE(identity);
  const Driver* const found = find_driver(*identity);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "wand");
}

TEST(WandRecognition, IsNotEveryDeviceWithAnExtensionUnit) {
  const Emulator wand = make_emulator(small_wand(), paint);
  auto config = wand.function->config_descriptor();
  const auto at = std::search(config.begin(), config.end(), kUnitGuid.begin(), kUnitGuid.end());
  ASSERT_NE(at, config.end());
  *at ^= 1;
  const auto identity = identity_of(wand.function->device_descriptor(), config);
  ASSERT_TRUE(identity);
  EXPECT_FALSE(driver().knows(*identity));
  EXPECT_FALSE(driver().knows(
      {.interfaces = {{.extra = {0x24}}, {.extra = {0, 0x24, 6}}, {.extra = {20, 0x24, 6}}}}));
}

TEST(WandRecognition, GoesOnWithoutTheControlsThatItCanDoWithout) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  for (const Control control : {Control::kStatus, Control::kTip, Control::kHeater}) {
    DeafFunction deaf(*emulator.function, control);
    const auto device = driver().open(make_in_process_transport(deaf));
    ASSERT_TRUE(device) << device.error().message;
    ASSERT_TRUE((*device)->configure(kSmallMode));
    EXPECT_EQ(capture(**device, 3).pictures.size(), 3u) << to_string(control);
  }
  for (const Control control : {Control::kIdentity, Control::kCapabilities, Control::kStandby}) {
    DeafFunction deaf(*emulator.function, control);
    const auto device = driver().open(make_in_process_transport(deaf));
    ASSERT_FALSE(device);
    EXPECT_THAT(device.error().message, HasSubstr(to_string(control)));
    EXPECT_THAT(device.error().message, HasSubstr("device wand-0001"));
  }
}

// It is refused or works; it must not bring us down.
TEST(WandRecognition, SurvivesAWandThatLies) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  int opened = 0, refused = 0;
  for (std::uint8_t selector = 1; selector <= kControls; ++selector) {
    const auto control = static_cast<Control>(selector);
    for (std::size_t at = 0; at < std::min<std::size_t>(size_bytes(control), 72); ++at) {
      LyingFunction liar(*emulator.function, control, at);
      auto device = driver().open(make_in_process_transport(liar));
      ++(device.ok() ? opened : refused);
      if (!device) continue;
      static_cast<void>((*device)->read_calibration());
      static_cast<void>((*device)->settings());
    }
  }
  EXPECT_GT(opened, 100);
  EXPECT_GT(refused, 20);
}

TEST(WandRecognition, SaysWhichControlsCanBeReadAndSet) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  const auto info_of = [&](Control control) {
    std::array<std::uint8_t, 1> info{};
    const ControlSetup setup{.request_type = uvc::kFromInterface,
                             .request = uvc::kGetInfo,
                             .value = static_cast<std::uint16_t>(static_cast<int>(control) << 8),
                             .index = 2 << 8};
    EXPECT_EQ(emulator.function->control(setup, info).kind, UsbOutcome::Kind::kData);
    return info[0];
  };
  EXPECT_EQ(info_of(Control::kStatus), 0x01);
  EXPECT_EQ(info_of(Control::kExposure), 0x03);
  EXPECT_EQ(info_of(Control::kCalibrationPage), 0x01);
  EXPECT_EQ(info_of(Control::kButton), 0x09);
}

TEST(WandRecognition, NeverWritesACalibration) {
  const Emulator emulator = make_emulator(small_wand(), paint);
  std::vector<std::uint8_t> page(kPageBytes);
  for (const Control control : {Control::kCalibrationInfo, Control::kCalibrationPage}) {
    page.resize(size_bytes(control));
    const ControlSetup setup{.request_type = uvc::kToInterface,
                             .request = uvc::kSetCur,
                             .value = static_cast<std::uint16_t>(static_cast<int>(control) << 8),
                             .index = 2 << 8};
    EXPECT_EQ(emulator.function->control(setup, page).kind, UsbOutcome::Kind::kStall);
  }
}

}  // namespace
}  // namespace cusp::wand
