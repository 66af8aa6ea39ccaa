#include "drivers/wand/emulator.h"

#include <array>
#include <cmath>

#include "drivers/wand/colour.h"
#include "drivers/wand/emulator_state.h"

namespace cusp::wand {
namespace {

constexpr std::uint8_t kCameraId = 1, kVideoEndpoint = 0x81, kStatusEndpoint = 0x82;
constexpr int kStreamingInterface = 1;
constexpr std::uint16_t kUvc15 = 0x0150;
constexpr std::uint8_t kAutoupdate = 0x08;
constexpr std::uint32_t kClock_hz = 10'000'000;
constexpr double kIntervalUnitsPerSecond = 1e7;
// Bytes of a service interval: up to what the bus can (USB 2.0 table 9-13, USB 3.2 section 9.6.7).
constexpr std::array kHighSpeedIntervals{1024, 2048, 3072};
constexpr std::array kSuperSpeedIntervals{8 * 1024, 16 * 1024, 48 * 1024};

std::vector<uvc::AlternateSetting> alternates(const EmulatorOptions& options) {
  if (!options.isochronous) return {{.endpoint = kVideoEndpoint}};
  std::vector<uvc::AlternateSetting> list;
  for (const int bytes :
       options.speed == UsbSpeed::kHigh ? kHighSpeedIntervals : kSuperSpeedIntervals)
    list.push_back({.number = static_cast<int>(list.size()) + 1,
                    .endpoint = kVideoEndpoint,
                    .type = TransferType::kIsochronous,
                    .interval_bytes = bytes});
  return list;
}

uvc::StreamingInterface streaming_interface(const EmulatorOptions& options) {
  const Capabilities& wand = options.capabilities;
  uvc::FrameDescriptor frame{
      .index = 1,
      .width_px = wand.width_px,
      .height_px = wand.height_px,
      .max_frame_bytes = static_cast<std::uint32_t>(wand.width_px * wand.height_px)};
  for (const double rate_hz : options.rates_hz)
    frame.intervals_100ns.push_back(
        static_cast<std::uint32_t>(std::lround(kIntervalUnitsPerSecond / rate_hz)));
  return {.number = kStreamingInterface,
          .alternates = alternates(options),
          .formats = {{.index = 1,
                       .guid = uvc::fourcc_guid("Y800"),
                       .bits_per_pixel = 8,
                       .default_frame = 1,
                       .frames = {std::move(frame)}}}};
}

// Those that SET_CUR may reach; the others are read alone.
bool may_be_set(Control control) {
  switch (control) {
    case Control::kCalibrationAddress:
    case Control::kLedBrightness:
    case Control::kProjectorPower:
    case Control::kExposure:
    case Control::kHeater:
    case Control::kStandby:
      return true;
    default:
      return false;
  }
}

std::vector<EmulatedControl> controls(const std::shared_ptr<EmulatorState>& state) {
  std::vector<EmulatedControl> list;
  for (std::uint8_t selector = 1; selector <= kControls; ++selector) {
    const auto control = static_cast<Control>(selector);
    EmulatedControl emulated;
    emulated.entity = kUnitId;
    emulated.selector = selector;
    emulated.size_bytes = size_bytes(control);
    emulated.get = [state, control] { return state->get(control); };
    if (may_be_set(control))
      emulated.set = [state, control](std::span<const std::uint8_t> value) {
        return state->set(control, value);
      };
    list.push_back(std::move(emulated));
  }
  return list;
}

// The UVC double, with an ear on the commit and a word on the button.
class WandFunction final : public UsbFunction {
 public:
  WandFunction(std::unique_ptr<UsbFunction> uvc, std::shared_ptr<EmulatorState> state)
      : uvc_(std::move(uvc)), state_(std::move(state)) {}

  std::vector<std::uint8_t> device_descriptor() const override { return uvc_->device_descriptor(); }
  std::vector<std::uint8_t> config_descriptor() const override { return uvc_->config_descriptor(); }
  std::string string_descriptor(std::uint8_t index) const override {
    return uvc_->string_descriptor(index);
  }
  UsbSpeed speed() const override { return uvc_->speed(); }
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override {
    const bool commits = setup.request_type == uvc::kToInterface && setup.request == uvc::kSetCur &&
                         setup.index == kStreamingInterface &&
                         setup.value == uvc::kCommitSelector << 8;
    if (commits) state_->commit();
    const UsbOutcome outcome = uvc_->control(setup, data);
    // The button's value changes by itself (UVC 1.5 section 4.2.2, GET_INFO).
    const bool asks_of_button = setup.request == uvc::kGetInfo && setup.index >> 8 == kUnitId &&
                                setup.value >> 8 == static_cast<int>(Control::kButton);
    if (asks_of_button && outcome.kind == UsbOutcome::Kind::kData && outcome.size == 1)
      data[0] |= kAutoupdate;
    return outcome;
  }
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override {
    return uvc_->in(endpoint, data);
  }
  void set_alternate(int interface_number, int alternate) override {
    uvc_->set_alternate(interface_number, alternate);
  }
  void clear_halt(std::uint8_t endpoint) override { uvc_->clear_halt(endpoint); }
  void reset() override { uvc_->reset(); }
  void set_wake(std::function<void()> wake) override { uvc_->set_wake(std::move(wake)); }

 private:
  const std::unique_ptr<UsbFunction> uvc_;
  const std::shared_ptr<EmulatorState> state_;
};

}  // namespace

PictureSource from_scene(ScenePicture scene) {
  return [scene = std::move(scene)](const Shot& shot, Picture& picture) {
    if (shot.kind == FrameKind::kFringe) return scene(shot.index, shot.fringe, picture.grey8);
    std::vector<std::uint8_t> yuy2(picture.grey8.size() * 2);
    if (!scene(shot.index, shot.fringe, yuy2)) return false;
    light_of(yuy2, shot.kind, picture.grey8);
    return true;
  };
}

Emulator make_emulator(EmulatorOptions options, PictureSource source) {
  const auto readable = decode_capabilities(encode(options.capabilities));
  CUSP_CHECK(readable.ok(), readable.error().message);
  const auto state = std::make_shared<EmulatorState>(options);
  const auto frame_bytes = static_cast<std::size_t>(options.capabilities.width_px) *
                           static_cast<std::size_t>(options.capabilities.height_px);
  const bool has_imu = options.capabilities.has_imu;

  EmulatedVideoFunction video;
  video.function.uvc_version_bcd = kUvc15;
  video.function.status_endpoint = options.button ? kStatusEndpoint : std::uint8_t{0};
  video.function.clock_hz = kClock_hz;
  video.function.cameras = {{.id = kCameraId}};
  video.function.extension_units = {
      {.id = kUnitId, .guid = kUnitGuid, .controls = {0xFF, (1 << (kControls - 8)) - 1}}};
  video.controls = controls(state);
  EmulatedStream stream;
  stream.interface = streaming_interface(options);
  stream.source = [state, frame_bytes, has_imu, source = std::move(source)](
                      std::uint64_t index, const EmulatedMode& mode, EmulatedFrame& frame) {
    const std::chrono::nanoseconds interval{std::int64_t{mode.interval_100ns} * 100};
    auto exposure = state->expose(index, interval);
    if (!exposure) return false;
    Picture picture{.grey8 = std::move(frame.pixels)};
    picture.grey8.resize(frame_bytes);
    if (!source(exposure->shot, picture)) return false;
    CUSP_CHECK(picture.grey8.size() == frame_bytes, "a picture has the wand's size");
    if (has_imu) exposure->metadata.imu = picture.imu;
    frame.pixels = std::move(picture.grey8);
    frame.metadata = encode(exposure->metadata);
    return true;
  };
  video.streams.push_back(std::move(stream));

  EmulatedUvcDevice device;
  device.vendor_id = options.vendor_id;
  device.product_id = options.product_id;
  device.maker = options.maker;
  device.product = options.model;
  device.serial = options.serial;
  device.speed = options.speed;
  device.functions.push_back(std::move(video));
  device.real_time = options.real_time;
  UvcDouble made = make_uvc_function(std::move(device));
  state->attach(made.control);
  return {.function = std::make_unique<WandFunction>(std::move(made.function), state),
          .stream = made.control,
          .wand = state.get()};
}

EmulatorOptions options_for(const Calibration& calibration) {
  CUSP_CHECK(calibration.fringe.has_value() && !calibration.made_on.empty(),
             "a fringe device's calibration, with its date");
  const FringeOptics& fringe = *calibration.fringe;
  EmulatorOptions options;
  options.capabilities = {.width_px = calibration.depth.width_px,
                          .height_px = calibration.depth.height_px,
                          .projector_width_px = fringe.projector.width_px,
                          .projector_height_px = fringe.projector.height_px,
                          .patterns = fringe.patterns,
                          .colour_every = 8,
                          .has_imu = true,
                          .has_heater = true,
                          .has_tip_id = true,
                          .min_depth_mm = fringe.min_depth_mm,
                          .max_depth_mm = fringe.max_depth_mm,
                          .min_exposure = std::chrono::microseconds(100),
                          .max_exposure = std::chrono::microseconds(8000),
                          .heater_usual_c = 37,
                          .heater_max_c = 41};
  options.calibration = CalibrationTable{.made_on = calibration.made_on,
                                         .camera = calibration.depth,
                                         .camera_distortion = fringe.camera_distortion,
                                         .projector = fringe.projector,
                                         .projector_distortion = fringe.projector_distortion,
                                         .projector_from_camera = fringe.projector_from_camera,
                                         .projector_c = options.warm_c,
                                         .reprojection_error_px = 0.1};
  return options;
}

}  // namespace cusp::wand
