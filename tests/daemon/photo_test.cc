// Photos through the control API: an intraoral camera's double on the bus of a station.
#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/control_api.h"
#include "drivers/emulation/faulty_function.h"
#include "drivers/uvc_camera/emulator.h"
#include "drivers/uvc_camera/picture_formats.h"
#include "tests/daemon/station_fixture.h"
#include "tests/drivers/double_host.h"
#include "tests/drivers/jpeg_decode.h"

namespace cusp::daemon {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCamera = "camera-7";
constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

class PhotoTest : public StationFixture {
 protected:
  using Answer = std::shared_ptr<std::optional<http::Response>>;

  void SetUp() override {
    StationFixture::SetUp();
    start_station();
    router_ = make_control_router(*station_);
    uvc_camera::EmulatorOptions options;
    options.serial = kCamera;
    options.real_time = false;
    options.leaves_out_huffman_tables = false;
    camera_ = uvc_camera::make_emulator(
        options, [this](auto index, int width_px, int height_px, std::span<std::uint8_t> rgb) {
          if (++pictures_ == gate_at_) gate_.get_future().wait();
          return uvc_camera::test_pictures()(index, width_px, height_px, rgb);
        });
  }
  void TearDown() override {
    open_gate();
    StationFixture::TearDown();
  }

  void plug_camera() {
    bus_.plug(*camera_.function, 2);
    ASSERT_TRUE(eventually([&] { return device_is(kCamera, DeviceStatus::kAvailable); }));
  }
  // The camera's next photo stays in the middle until the gate opens.
  void hold_in_the_middle() { gate_at_ = pictures_ + 5; }
  bool is_held() const { return gate_at_ != 0 && pictures_ >= gate_at_; }
  void open_gate() {
    if (gate_open_) return;
    gate_open_ = true;
    gate_.set_value();
  }

  Answer ask(const std::string& serial) {
    http::Request request;
    request.method = "POST";
    request.path = "/api/v1/devices/" + serial + "/photo";
    const http::Response response = router_.route(std::move(request));
    auto answer = std::make_shared<std::optional<http::Response>>();
    CUSP_CHECK(response.later != nullptr, response.body);
    response.later([answer](http::Response late) {
      EXPECT_FALSE(answer->has_value()) << "answered twice";
      *answer = std::move(late);
    });
    return answer;
  }
  http::Response wait_for(const Answer& answer) {
    EXPECT_TRUE(eventually([&] { return answer->has_value(); }));
    return answer->value_or(http::Response{.status = 0});
  }
  http::Response photo(const std::string& serial = kCamera) { return wait_for(ask(serial)); }
  static std::string detail(const http::Response& response) {
    EXPECT_EQ(response.content_type, "application/problem+json");
    const json problem = json::parse(response.body, nullptr, false);
    EXPECT_TRUE(problem.is_object()) << response.body;
    return problem.is_object() ? problem["detail"].get<std::string>() : "";
  }
  void expect_photo(const http::Response& response) {
    ASSERT_EQ(response.status, 200u) << response.body;
    EXPECT_EQ(response.content_type, "image/jpeg");
    const std::vector<std::uint8_t> bytes(response.body.begin(), response.body.end());
    const auto decoded = decode_jpeg(bytes);
    ASSERT_TRUE(decoded) << "any program can read it";
    EXPECT_EQ(decoded->width_px, 1600);
    EXPECT_EQ(decoded->height_px, 1200);
  }

  std::atomic<std::uint64_t> pictures_ = 0;
  std::atomic<std::uint64_t> gate_at_ = 0;
  std::promise<void> gate_;
  bool gate_open_ = false;
  uvc_camera::Emulator camera_;
  http::Router router_;
};

TEST_F(PhotoTest, IsTheLargestPictureWithTheBytesThatTheCameraSent) {
  plug_camera();
  const auto answer = photo();
  expect_photo(answer);
  // Its still was one of the pictures that the double drew.
  bool found = false;
  std::vector<std::uint8_t> rgb(std::size_t{3} * 1600 * 1200), sent;
  for (std::uint64_t index = 0; index < pictures_ && !found; ++index) {
    uvc_camera::test_pictures()(index, 1600, 1200, rgb);
    uvc_camera::encode_jpeg(rgb, 1600, 1200, true, sent);
    found = std::string(sent.begin(), sent.end()) == answer.body;
  }
  EXPECT_TRUE(found);
  EXPECT_THAT(journal_, HasSubstr("event=photo_taken device=\"camera-7\" type=image/jpeg"));
  EXPECT_TRUE(device_is(kCamera, DeviceStatus::kAvailable));
}

TEST_F(PhotoTest, OfACameraThatSendsRawPixelsIsPng) {
  const UvcDouble raw = make_uvc_function(bulk_camera(numbered_frames()));
  bus_.plug(*raw.function, 3);
  ASSERT_TRUE(eventually([&] { return device_is("0001", DeviceStatus::kAvailable); }));
  const auto answer = photo("0001");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(answer.content_type, "image/png");
  ASSERT_GT(answer.body.size(), 24u);
  EXPECT_EQ(answer.body.substr(0, 8), kPngSignature);
  EXPECT_EQ(answer.body.substr(16, 8), std::string("\0\0\0\x10\0\0\0\x08", 8)) << "16 by 8 pixels";
  station_.reset();  // before the camera
}

TEST_F(PhotoTest, TwiceInARowWorks) {
  plug_camera();
  expect_photo(photo());
  expect_photo(photo());
}

TEST_F(PhotoTest, UnknownSerialIsNotFound) {
  plug_camera();
  const auto answer = photo("camera-8");
  EXPECT_EQ(answer.status, 404u);
  EXPECT_EQ(detail(answer), "device camera-8: not plugged in");
}

TEST_F(PhotoTest, DepthCameraIsRefusedByWords) {
  plug_in();
  const auto depth = photo("000000000001");
  EXPECT_EQ(depth.status, 400u);
  EXPECT_EQ(detail(depth), "device 000000000001: RealSense D405 is a scanner, it takes no photos");
}

TEST_F(PhotoTest, CameraThatIsTakingOneIsBusy) {
  plug_camera();
  hold_in_the_middle();
  const Answer first = ask(kCamera);
  const auto second = photo();
  EXPECT_EQ(second.status, 409u);
  EXPECT_THAT(detail(second), HasSubstr("a photo is being taken"));
  ASSERT_TRUE(eventually([&] { return is_held(); }));
  EXPECT_TRUE(device_is(kCamera, DeviceStatus::kInUse));
  EXPECT_EQ(station_->devices().front().user, "a photo");
  EXPECT_FALSE(first->has_value());
  open_gate();
  expect_photo(wait_for(first));
  expect_photo(photo());
}

TEST_F(PhotoTest, CamerasWithTheSameSerialNumberAreNotMixedUp) {
  plug_camera();
  auto twin = uvc_camera::make_emulator({.serial = kCamera}, uvc_camera::test_pictures());
  bus_.plug(*twin.function, 3);
  ASSERT_TRUE(eventually([&] {
    const auto devices = station_->devices();
    return std::count_if(devices.begin(), devices.end(), [](const DeviceEntry& entry) {
             return entry.info.serial == kCamera;
           }) == 2;
  }));
  const auto answer = photo();
  EXPECT_EQ(answer.status, 409u);
  EXPECT_THAT(detail(answer), HasSubstr("2 devices say that this is their serial number"));
  bus_.unplug(*twin.function);
  expect_photo(photo());
  station_.reset();  // before the twin
}

TEST_F(PhotoTest, CameraThatMayNotBeOpenedSaysWhatToDo) {
  plug_camera();
  bus_.deny(true);
  const auto answer = photo();
  EXPECT_EQ(answer.status, 403u);
  EXPECT_THAT(detail(answer), HasSubstr("install the udev rule"));
  bus_.deny(false);
  expect_photo(photo());
}

TEST_F(PhotoTest, CameraThatIsPulledOutInTheMiddleIsAnError) {
  plug_camera();
  hold_in_the_middle();
  const Answer asked = ask(kCamera);
  ASSERT_TRUE(eventually([&] { return is_held(); }));
  bus_.unplug(*camera_.function);
  open_gate();
  const auto answer = wait_for(asked);
  EXPECT_EQ(answer.status, 503u);
  EXPECT_THAT(detail(answer), HasSubstr("not plugged in any more"));
  EXPECT_THAT(journal_, HasSubstr("event=photo_failed"));
  EXPECT_EQ(photo().status, 404u) << "it is gone";
  plug_camera();
  expect_photo(photo());
}

TEST_F(PhotoTest, CameraThatRefusesIsAnErrorInItsOwnWords) {
  FaultyFunction stubborn(make_uvc_function(bulk_camera(numbered_frames())).function);
  bus_.plug(stubborn, 3);
  ASSERT_TRUE(eventually([&] { return device_is("0001", DeviceStatus::kAvailable); }));
  stubborn.arm(
      {.of = Fault::Of::kRequest,
       .kind = FaultKind::kStall,
       .count = Fault::kForEver,
       .request = [](const ControlSetup& setup) { return setup.request == uvc::kSetCur; }});
  const auto answer = photo("0001");
  EXPECT_EQ(answer.status, 500u) << "it is not the request that is wrong";
  EXPECT_THAT(detail(answer), testing::StartsWith("device 0001: "));
  EXPECT_GT(stubborn.struck(), 0u);
  EXPECT_TRUE(device_is("0001", DeviceStatus::kAvailable)) << "it may be asked again";
  station_.reset();  // before the camera
}

TEST_F(PhotoTest, ScanOfAnotherDeviceGoesOnMeanwhile) {
  plug_in();
  plug_camera();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  hold_in_the_middle();
  const Answer asked = ask(kCamera);
  ASSERT_TRUE(eventually([&] { return is_held(); }));
  const std::uint64_t before = station_->scan()->counts.tracked;
  EXPECT_TRUE(eventually([&] { return has_frames(before + 20); }));
  open_gate();
  expect_photo(wait_for(asked));
  EXPECT_EQ(state_of(id), TicketState::kScanning);
  EXPECT_EQ(photo("000000000001").status, 400u) << "nor is the scanner opened for it";
  EXPECT_THAT(journal_, Not(HasSubstr("event=scan_interrupted")));
}

TEST_F(PhotoTest, StationThatStopsInTheMiddleGivesNoAnswer) {
  plug_camera();
  hold_in_the_middle();
  const Answer asked = ask(kCamera);
  ASSERT_TRUE(eventually([&] { return is_held(); }));
  open_gate();
  station_.reset();
  turn();
  EXPECT_FALSE(asked->has_value());
}

}  // namespace
}  // namespace cusp::daemon
