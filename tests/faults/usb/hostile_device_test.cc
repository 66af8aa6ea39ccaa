// Devices that answer what no device should: descriptors and requests. Runs under umockdev's
// preload.
#include <gmock/gmock.h>

#include <deque>
#include <random>
#include <tuple>

#include "tests/faults/usb/fault_rig.h"

namespace cusp {
namespace {

constexpr std::uint64_t kEndless = 1'000'000'000;

class HostileDeviceTest : public testing::TestWithParam<std::tuple<Family, Cable>> {
 protected:
  Family family() const { return std::get<0>(GetParam()); }
  // Plugging in takes libusb some time.
  bool quick() const { return std::get<1>(GetParam()) == Cable::kInProcess; }

  // Everything up to three frames. What it comes to is the scanner's affair; that it ends is ours.
  void use(const Scanner& scanner) {
    auto device = socket_->open(*scanner.function);
    if (!device) return expect_sentence(device.error());
    const std::string name = "device " + (*device)->info().serial;
    if (const auto configured = (*device)->configure(scanner.mode); !configured)
      return expect_sentence(configured.error(), name);
    if (const auto calibration = (*device)->read_calibration(); !calibration)
      expect_sentence(calibration.error(), name);
    if (const auto captured = capture(**device, 3); !captured.result)
      expect_sentence(captured.result.error(), name);
  }
  void try_to_open(const Scanner& scanner) {
    const auto device = socket_->open(*scanner.function);
    if (!device) expect_sentence(device.error());
  }
  // `name`: what an opened device is called.
  static void expect_sentence(const Error& error, const std::string& name = "") {
    EXPECT_GT(error.message.size(), 10u);
    EXPECT_THAT(error.message, testing::HasSubstr(name));
    EXPECT_NE(error.code, ErrorCode::kInvalidArgument) << error.message;
  }

  std::deque<Scanner> scanners_;  // outlive the socket, as functions outlive their bus
  std::unique_ptr<Socket> socket_ = Socket::make(std::get<1>(GetParam()));
};

INSTANTIATE_TEST_SUITE_P(Scanners, HostileDeviceTest,
                         testing::Combine(testing::Values(Family::kD400, Family::kWand),
                                          testing::Values(Cable::kLibusb, Cable::kInProcess)),
                         [](const auto& tested) {
                           return to_string(std::get<0>(tested.param)) +
                                  to_string(std::get<1>(tested.param));
                         });

TEST_P(HostileDeviceTest, SurvivesDescriptorsThatBreakOff) {
  const std::size_t whole = make_scanner(family(), kEndless).function->config_descriptor().size();
  for (std::size_t size = 0; size < whole; size += quick() ? 1 : whole / 12) {
    SCOPED_TRACE(size);
    Scanner& scanner = scanners_.emplace_back(make_scanner(family(), kEndless));
    auto config = scanner.function->config_descriptor();
    config.resize(size);
    scanner.function->replace_config_descriptor(config);
    socket_->plug_suspect(*scanner.function);
    try_to_open(scanner);
    socket_->unplug(*scanner.function);
    if (quick()) scanners_.clear();
  }
}

TEST_P(HostileDeviceTest, SurvivesDescriptorsWithWrongBytes) {
  std::minstd_rand random(7);
  for (int round = 0; round < (quick() ? 300 : 15); ++round) {
    SCOPED_TRACE(round);
    Scanner& scanner = scanners_.emplace_back(make_scanner(family(), kEndless));
    auto config = scanner.function->config_descriptor();
    for (int i = 0; i < 3; ++i)
      config[random() % config.size()] = static_cast<std::uint8_t>(random());
    scanner.function->replace_config_descriptor(config);
    socket_->plug_suspect(*scanner.function);
    try_to_open(scanner);
    socket_->unplug(*scanner.function);
    if (quick()) scanners_.clear();
  }
}

// Each request in turn is refused, answered with nothing or with too much, or garbled on the bus.
TEST_P(HostileDeviceTest, SurvivesAnyRequestThatFails) {
  std::vector<FaultKind> kinds{FaultKind::kStall};
  if (quick())
    kinds.insert(kinds.end(), {FaultKind::kEmpty, FaultKind::kBabble, FaultKind::kDamage});
  for (const FaultKind kind : kinds) {
    bool struck = true;
    for (std::uint64_t request = 0; struck; ++request) {
      SCOPED_TRACE(testing::Message() << "kind " << static_cast<int>(kind) << " at " << request);
      ASSERT_LT(request, 200u) << "a scanner asks for less than that";
      Scanner& scanner = scanners_.emplace_back(make_scanner(family(), kEndless));
      scanner.function->arm(
          {.of = Fault::Of::kRequest, .kind = kind, .at = request, .bytes = {1, 2, 3, 4}});
      socket_->plug(*scanner.function);
      use(scanner);
      socket_->unplug(*scanner.function);
      struck = scanner.function->struck() > 0;
      if (quick()) scanners_.clear();
    }
  }
}

}  // namespace
}  // namespace cusp
