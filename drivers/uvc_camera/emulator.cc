#include "drivers/uvc_camera/emulator.h"

#include <atomic>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/uvc/controls.h"
#include "drivers/uvc_camera/picture_formats.h"

namespace cusp::uvc_camera {
namespace {

constexpr std::uint16_t kGadgetVendor = 0x1D6B, kGadgetWebcam = 0x0102;
constexpr std::uint8_t kVideoEndpoint = 0x81, kStillEndpoint = 0x82, kStatusEndpoint = 0x83;
constexpr std::uint8_t kStreamingInterface = 1;
constexpr std::uint8_t kMjpeg = 1, kYuy2 = 2;  // format indices
constexpr std::uint8_t kCamera = 1, kProcessing = 2;
constexpr std::uint32_t k30Hz = 333'333, k15Hz = 666'666, k10Hz = 1'000'000, k5Hz = 2'000'000;
constexpr std::uint32_t kBulkPayloadBytes = 16 * 1024;
// Bits of a camera terminal's and a processing unit's bmControls.
constexpr std::uint32_t kHasExposureMode = 1u << 1, kHasExposureTime = 1u << 3, kHasGain = 1u << 9;
// The status packet of a button: of a streaming interface, event 0 (UVC 1.5 table 2-1).
constexpr std::uint8_t kFromStreaming = 2, kButtonEvent = 0;
constexpr std::uint8_t kManual = 1, kAperturePriority = 8;  // exposure modes

template <std::unsigned_integral T>
std::vector<std::uint8_t> le(T value) {
  std::vector<std::uint8_t> bytes(sizeof(T));
  write_le(bytes, 0, value);
  return bytes;
}

// A number within its bounds.
template <std::unsigned_integral T>
EmulatedControl knob(std::uint8_t entity, std::uint8_t selector,
                     std::shared_ptr<std::atomic<T>> value, T min, T max) {
  return {.entity = entity,
          .selector = selector,
          .size_bytes = sizeof(T),
          .get = [value] { return std::optional(le(value->load())); },
          .set =
              [value, min, max](std::span<const std::uint8_t> bytes) {
                const T wish = read_le<T>(bytes, 0);
                if (wish < min || wish > max) return false;
                *value = wish;
                return true;
              },
          .min = le(min),
          .max = le(max),
          .step = le(T{1}),
          .initial = le(value->load())};
}

uvc::FrameDescriptor frame(std::uint8_t index, int width_px, int height_px,
                           std::vector<std::uint32_t> intervals) {
  return {.index = index,
          .width_px = width_px,
          .height_px = height_px,
          .intervals_100ns = std::move(intervals)};
}

// The sizes and settings of a two-megapixel camera.
uvc::StreamingInterface describe_stream(const EmulatorOptions& options) {
  uvc::StreamingInterface stream{.number = kStreamingInterface};
  stream.still_method = options.still_method;
  if (options.bulk)
    stream.alternates = {{.number = 0, .endpoint = kVideoEndpoint, .type = TransferType::kBulk}};
  else
    for (const int bytes : {128, 512, 1024, 1536, 2048, 2688, 3072})
      stream.alternates.push_back({.number = static_cast<int>(stream.alternates.size()) + 1,
                                   .endpoint = kVideoEndpoint,
                                   .type = TransferType::kIsochronous,
                                   .interval_bytes = bytes});
  uvc::FormatDescriptor mjpeg{
      .index = kMjpeg,
      .kind = uvc::FormatKind::kMjpeg,
      .default_frame = 1,
      .frames = {frame(1, 640, 480, {k30Hz, k15Hz}), frame(2, 1280, 720, {k30Hz, k15Hz})}};
  uvc::FormatDescriptor yuy2{
      .index = kYuy2,
      .kind = uvc::FormatKind::kUncompressed,
      .guid = uvc::fourcc_guid("YUY2"),
      .bits_per_pixel = 16,
      .default_frame = 1,
      .frames = {frame(1, 640, 480, {k30Hz, k15Hz}), frame(2, 320, 240, {k30Hz}),
                 frame(3, 1280, 720, {k10Hz, k5Hz})}};
  if (options.still_method != 0) {
    const uvc::StillDescriptor still{
        .endpoint = options.still_method == 3 ? kStillEndpoint : std::uint8_t{0},
        .sizes = {{1600, 1200}, {1280, 720}, {640, 480}}};
    mjpeg.still = still;
    yuy2.still = still;
  }
  stream.formats = {std::move(mjpeg), std::move(yuy2)};
  return stream;
}

EmulatedSource in_format(PictureSource source, bool with_tables) {
  return [source = std::move(source), with_tables](std::uint64_t index, const EmulatedMode& mode,
                                                   EmulatedFrame& to) {
    std::vector<std::uint8_t> rgb(std::size_t{3} * static_cast<std::size_t>(mode.width_px) *
                                  static_cast<std::size_t>(mode.height_px));
    if (!source(index, mode.width_px, mode.height_px, rgb)) return false;
    if (mode.format_index == kMjpeg)
      encode_jpeg(rgb, mode.width_px, mode.height_px, with_tables, to.pixels);
    else
      encode_yuy2(rgb, to.pixels);
    return true;
  };
}

class Camera final : public CameraControl {
 public:
  void press_button() override {
    stream->send_status(0, {kFromStreaming, kStreamingInterface, kButtonEvent, 1});
    stream->send_status(0, {kFromStreaming, kStreamingInterface, kButtonEvent, 0});
  }
  std::uint32_t exposure_100us() const override { return exposure; }
  std::uint16_t gain() const override { return amplification; }

  EmulatorControl* stream = nullptr;
  std::atomic<std::uint8_t> exposure_mode{kAperturePriority};
  std::atomic<std::uint32_t> exposure{156};
  std::atomic<std::uint16_t> amplification{16};
};

}  // namespace

PictureSource test_pictures() {
  return [](std::uint64_t index, int width_px, int height_px, std::span<std::uint8_t> rgb) {
    constexpr int kBars = 8;
    const int moving_px = static_cast<int>(index * 8 % static_cast<std::uint64_t>(width_px));
    std::size_t at = 0;
    for (int y = 0; y < height_px; ++y)
      for (int x = 0; x < width_px; ++x) {
        const int bar = x * kBars / width_px;
        const bool moving = x >= moving_px && x < moving_px + 16;
        for (const int bit : {2, 1, 4})
          rgb[at++] = static_cast<std::uint8_t>(moving ? 128 : (bar & bit) != 0 ? 40 : 220);
      }
    return true;
  };
}

Emulator make_emulator(const EmulatorOptions& options, PictureSource source) {
  CUSP_CHECK(source != nullptr, "the double needs pictures");
  const auto camera = std::make_shared<Camera>();  // the function's controls keep it
  EmulatedVideoFunction video;
  video.function = {
      .uvc_version_bcd = 0x0110,
      .status_endpoint = options.has_button ? kStatusEndpoint : std::uint8_t{0},
      .clock_hz = 27'000'000,
      .cameras = {{.id = kCamera, .controls = kHasExposureMode | kHasExposureTime}},
      .processing_units = {{.id = kProcessing, .source = kCamera, .controls = kHasGain}}};
  video.streams.push_back(
      {.interface = describe_stream(options),
       .source = in_format(std::move(source), !options.leaves_out_huffman_tables),
       .max_payload_bytes = options.bulk ? kBulkPayloadBytes : 0});
  const auto part = [&](auto& number) {
    return std::shared_ptr<std::decay_t<decltype(number)>>(camera, &number);
  };
  EmulatedControl mode =
      knob<std::uint8_t>(kCamera, uvc::kAutoExposureMode, part(camera->exposure_mode), 1, 8);
  mode.step = {kManual | kAperturePriority};  // of this control: the modes that there are
  video.controls = {
      std::move(mode),
      knob<std::uint32_t>(kCamera, uvc::kExposureTimeAbsolute, part(camera->exposure), 1, 10'000),
      knob<std::uint16_t>(kProcessing, uvc::kGain, part(camera->amplification), 0, 255)};
  EmulatedUvcDevice device;
  device.vendor_id = kGadgetVendor;
  device.product_id = kGadgetWebcam;
  device.maker = "Cusp";
  device.product = "Intraoral Camera";
  device.serial = options.serial;
  device.speed = UsbSpeed::kHigh;
  device.real_time = options.real_time;
  device.functions.push_back(std::move(video));
  UvcDouble made = make_uvc_function(std::move(device));
  camera->stream = made.control;
  return {.function = std::move(made.function), .stream = made.control, .camera = camera.get()};
}

}  // namespace cusp::uvc_camera
