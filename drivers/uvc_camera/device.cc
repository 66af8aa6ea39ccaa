#include "drivers/uvc_camera/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/uvc/descriptors.h"
#include "drivers/uvc/still_capture.h"
#include "drivers/uvc/video_capture.h"
#include "drivers/uvc_camera/jpeg.h"
#include "drivers/uvc_camera/settings.h"

namespace cusp::uvc_camera {
namespace {

constexpr std::uint8_t kVideoClass = 14, kControlSubclass = 1;
constexpr std::size_t kDeviceDescriptorBytes = 18, kVendorAt = 8, kProductAt = 10, kVersionAt = 12,
                      kMakerAt = 14, kModelAt = 15, kSerialAt = 16;
// Pictures that pass before one is kept, so that the camera finds its exposure.
constexpr int kSettleFrames = 10;
constexpr int kAttempts = 3;            // at a photo that comes broken
constexpr int kMaxUnusableInARow = 30;  // frames that hold no whole picture
// A status packet that tells of a button: of a streaming interface, event 0, 1 when it is pressed
// (UVC 1.5 section 2.4.2.2).
constexpr std::size_t kButtonPacketBytes = 4;
constexpr std::uint8_t kOriginMask = 0x0F, kFromStreaming = 2, kButtonEvent = 0, kPressed = 1;

bool is_readable(const uvc::FormatDescriptor& format) {
  const auto pixels = uvc::pixel_format(format);
  return pixels == PixelFormat::kMjpeg || pixels == PixelFormat::kYuy2 ||
         pixels == PixelFormat::kGrey8;
}

std::int64_t area(int width_px, int height_px) { return std::int64_t{width_px} * height_px; }

// Motion JPEG first: over high speed it alone has full size at full rate.
std::vector<uvc::OfferedMode> order_modes(const uvc::StreamingInterface& stream) {
  auto modes = uvc::offered_modes(stream, is_readable);
  std::stable_partition(modes.begin(), modes.end(), [&](const uvc::OfferedMode& mode) {
    return std::any_of(stream.formats.begin(), stream.formats.end(), [&](const auto& format) {
      return format.index == mode.format_index && format.kind == uvc::FormatKind::kMjpeg;
    });
  });
  return modes;
}

// Printable ASCII without spaces at the ends: strings of cheap cameras have all sorts of bytes.
std::string printable(const std::string& text) {
  std::string clean;
  for (const char c : text)
    if (c >= ' ' && c <= '~') clean += c;
  while (!clean.empty() && clean.back() == ' ') clean.pop_back();
  clean.erase(0, clean.find_first_not_of(' '));
  return clean;
}

// A still picture that the camera offers.
struct StillOffer {
  std::uint8_t format_index = 0;
  std::uint8_t size_index = 0;
  std::int64_t area_px = 0;
};

class CameraDevice final : public Device {
 public:
  CameraDevice(std::unique_ptr<UsbTransport> transport, uvc::VideoFunction function,
               uvc::StreamingInterface stream, DeviceInfo info)
      : transport_(std::move(transport)),
        function_(std::move(function)),
        stream_(std::move(stream)),
        info_(std::move(info)),
        offered_(order_modes(stream_)) {}

  const DeviceInfo& info() const override { return info_; }

  std::vector<StreamMode> modes() const override {
    std::vector<StreamMode> modes;
    for (const uvc::OfferedMode& offer : offered_) {
      const auto same = [&](const StreamMode& mode) {
        return mode.width_px == offer.mode.width_px && mode.height_px == offer.mode.height_px &&
               mode.rate_hz == offer.mode.rate_hz;
      };
      if (std::none_of(modes.begin(), modes.end(), same)) modes.push_back(offer.mode);
    }
    return modes;
  }

  Result<void> configure(const StreamMode& wish) override {
    CUSP_ASSIGN(const uvc::OfferedMode mode, uvc::choose_mode(offered_, wish, name()));
    CUSP_ASSIGN(agreed_, agree(mode));
    return {};
  }

  Result<Calibration> read_calibration() override {
    return error(ErrorCode::kUnsupported,
                 "{}: it is a camera for photos, which measures nothing and has no calibration",
                 name());
  }

  Result<std::vector<Setting>> settings() override {
    CUSP_TRY(claim());
    auto settings = read_settings(*transport_, function_);
    if (!settings) return named(settings.error());
    return settings;
  }

  Result<void> apply(std::string_view setting, double value) override {
    CUSP_ASSIGN(const auto offered, settings());
    if (const auto fits = check_setting(offered, setting, value); !fits) return named(fits.error());
    if (const auto set = apply_setting(*transport_, function_, setting, value); !set)
      return named(set.error());
    std::erase_if(applied_, [&](const auto& each) { return each.first == setting; });
    applied_.emplace_back(setting, value);
    return {};
  }

  Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) override {
    if (!agreed_) return error(ErrorCode::kConflict, "{}: no stream is configured", name());
    uvc::VideoCapture& video = begin_video(*agreed_);
    const uvc::FrameDescriptor& size = agreed_->frame();
    Clock clock = clock_of(*agreed_);
    std::uint64_t restarts = 0;
    int unusable = 0;  // in a row
    std::optional<Error> why_unusable;
    const Result<void> ran = video.run(stop, [&](std::size_t, uvc::AssembledFrame&& frame) {
      // The camera may have been reset: it forgot what was set. Its time goes on from where it was.
      if (const std::uint64_t now = video.counts().restarts; now != restarts) {
        restarts = now;
        restore();
      }
      auto raw = picture_of(std::move(frame), *agreed_, size.width_px, size.height_px, clock);
      if (!raw) {  // counted
        why_unusable = raw.error();
        return ++unusable < kMaxUnusableInARow;
      }
      unusable = 0;
      if (!queue.push(std::move(*raw))) return false;
      frames_.fetch_add(1, std::memory_order_relaxed);
      return true;
    });
    end_video();
    if (ran && unusable == kMaxUnusableInARow)
      return error(ErrorCode::kProtocol, "{}: {} pictures in a row can't be used: {}", name(),
                   unusable, why_unusable->message);
    return ran;
  }

  Result<void> standby(std::stop_token stop) override {
    if (!info_.has_button) return Device::standby(stop);
    CUSP_TRY(claim());
    const StreamOptions button{.endpoint = function_.status_endpoint,
                               .type = TransferType::kInterrupt,
                               .transfer_count = 1,
                               .transfer_size_bytes = function_.status_packet_bytes,
                               .watchdog = std::chrono::milliseconds(0)};
    const Result<void> heard =
        transport_->stream(std::span(&button, 1), stop, [&](const StreamChunk& chunk) {
          hear(chunk.bytes);
          return true;
        });
    if (heard || heard.error().code == ErrorCode::kDisconnected) return heard;
    return Device::standby(stop);  // it goes on without its button
  }

  Result<RawFrame> photo(std::stop_token stop) override {
    if (const auto still = best_still()) {
      auto picture = take(largest_mode(still->format_index), still, stop);
      if (picture || picture.error().code == ErrorCode::kDisconnected ||
          picture.error().code == ErrorCode::kCancelled)
        return picture;
    }
    return take(largest_mode(std::nullopt), std::nullopt, stop);
  }

  CaptureCounts counts() const override {
    const std::lock_guard lock(mutex_);
    CaptureCounts counts = past_;
    if (video_) counts += video_->counts();
    counts.frames = frames_.load(std::memory_order_relaxed);
    counts.broken_size += broken_pictures_.load(std::memory_order_relaxed);
    return counts;
  }

  DeviceHealth health() const override {
    const std::lock_guard lock(mutex_);
    return health_;
  }

 private:
  using Clock = std::optional<uvc::DeviceClock>;  // none: the device has none

  // Takes the camera from whoever has it, until it is closed.
  Result<void> claim() {
    if (claimed_) return {};
    for (const int interface : {function_.control_interface, stream_.number})
      if (const auto had = transport_->claim_interface(interface); !had) return named(had.error());
    claimed_ = true;
    return {};
  }

  Result<uvc::AgreedStream> agree(const uvc::OfferedMode& mode) {
    CUSP_TRY(claim());
    auto agreed = uvc::agree(*transport_, function_, stream_, mode.format_index, mode.frame_index,
                             mode.interval_100ns);
    if (!agreed) return named(agreed.error());
    return agreed;
  }

  // The largest still picture, if it is no smaller than the largest frame of the stream.
  std::optional<StillOffer> best_still() const {
    const uvc::OfferedMode frame = largest_mode(std::nullopt);
    StillOffer best{.area_px = area(frame.mode.width_px, frame.mode.height_px) - 1};
    if (stream_.still_method < 2) return std::nullopt;
    for (const uvc::OfferedMode& mode : offered_) {
      const auto& still = format(mode.format_index).still;
      for (std::size_t i = 0; still && i < still->sizes.size(); ++i)
        if (const auto px = area(still->sizes[i].width_px, still->sizes[i].height_px);
            px > best.area_px)
          best = {.format_index = mode.format_index,
                  .size_index = static_cast<std::uint8_t>(i + 1),
                  .area_px = px};
    }
    return best.format_index != 0 ? std::optional(best) : std::nullopt;
  }

  // The largest frame, of one format or of all, at its highest rate.
  uvc::OfferedMode largest_mode(std::optional<std::uint8_t> format_index) const {
    const uvc::OfferedMode* best = nullptr;
    for (const uvc::OfferedMode& offer : offered_) {
      if (format_index && offer.format_index != *format_index) continue;
      const auto rank = [](const uvc::OfferedMode& mode) {
        return std::pair(area(mode.mode.width_px, mode.mode.height_px), mode.mode.rate_hz);
      };
      if (best == nullptr || rank(offer) > rank(*best)) best = &offer;
    }
    CUSP_CHECK(best != nullptr, "a camera was opened for the modes that it offers");
    return *best;
  }

  const uvc::FormatDescriptor& format(std::uint8_t index) const {
    return *std::find_if(stream_.formats.begin(), stream_.formats.end(),
                         [&](const auto& each) { return each.index == index; });
  }

  // One picture: a still, or a frame.
  Result<RawFrame> take(const uvc::OfferedMode& mode, const std::optional<StillOffer>& offer,
                        const std::stop_token& stop) {
    CUSP_ASSIGN(uvc::AgreedStream stream, agree(mode));
    std::optional<uvc::AgreedStill> still;
    if (offer) {
      auto agreed = uvc::agree_still(*transport_, stream_, stream, offer->size_index);
      if (!agreed) return named(agreed.error());
      still = *agreed;
    }
    const int width_px = still ? still->size.width_px : mode.mode.width_px;
    const int height_px = still ? still->size.height_px : mode.mode.height_px;
    Result<RawFrame> picture = error(ErrorCode::kTimeout, "{}: the photo did not come", name());
    for (int attempt = 0; attempt < kAttempts && !picture; ++attempt) {
      uvc::VideoCapture& video = begin_video(stream);
      auto frame =
          uvc::take_picture(*transport_, video, still ? &*still : nullptr, kSettleFrames, stop);
      end_video();
      if (!frame) return named(frame.error());
      Clock clock = clock_of(stream);
      picture = picture_of(std::move(*frame), stream, width_px, height_px, clock);
      if (!picture) picture = named(picture.error());
    }
    if (picture) frames_.fetch_add(1, std::memory_order_relaxed);
    return picture;
  }

  Result<RawFrame> picture_of(uvc::AssembledFrame&& frame, const uvc::AgreedStream& stream,
                              int width_px, int height_px, Clock& clock) {
    next_sequence_ = first_sequence_ + frame.sequence + 1;
    RawFrame raw{.sequence = first_sequence_ + frame.sequence,
                 .format = *uvc::pixel_format(stream.format),
                 .width_px = width_px,
                 .height_px = height_px,
                 .host_time = frame.arrival,
                 .bytes = std::move(frame.bytes)};
    if (frame.pts_ticks && clock) raw.device_time = (*clock)(*frame.pts_ticks);
    if (raw.format != PixelFormat::kMjpeg) return raw;
    auto jpeg = complete_jpeg(std::move(raw.bytes));
    if (!jpeg) {
      broken_pictures_.fetch_add(1, std::memory_order_relaxed);
      return jpeg.error();
    }
    raw.width_px = jpeg->width_px;
    raw.height_px = jpeg->height_px;
    raw.bytes = std::move(jpeg->bytes);
    return raw;
  }

  static Clock clock_of(const uvc::AgreedStream& stream) {
    if (stream.clock_hz == 0) return std::nullopt;
    return uvc::DeviceClock(stream.clock_hz);
  }

  // What was set is set again, as far as the camera takes it: a picture comes either way.
  void restore() {
    std::vector<std::string> problems;
    for (const auto& [setting, value] : applied_)
      if (const auto set = apply_setting(*transport_, function_, setting, value); !set)
        problems.push_back(
            fmt::format("its {} was lost in a restart: {}", setting, set.error().message));
    const std::lock_guard lock(mutex_);
    health_.problems = std::move(problems);
  }

  void hear(std::span<const std::uint8_t> packet) {
    if (packet.size() >= kButtonPacketBytes && (packet[0] & kOriginMask) == kFromStreaming &&
        packet[1] == stream_.number && packet[2] == kButtonEvent && packet[3] == kPressed)
      press(ButtonPress::kShort);
  }

  uvc::VideoCapture& begin_video(const uvc::AgreedStream& stream) {
    auto video = std::make_unique<uvc::VideoCapture>(*transport_, name(), std::vector{stream});
    if (info_.has_button)
      video->listen(function_, [this](std::span<const std::uint8_t> packet) { hear(packet); });
    first_sequence_ = next_sequence_;
    const std::lock_guard lock(mutex_);
    video_ = std::move(video);
    return *video_;
  }

  void end_video() {
    const std::lock_guard lock(mutex_);
    past_ += video_->counts();
    video_.reset();
  }

  std::string name() const { return fmt::format("device {}", info_.serial); }
  // Sentences of the transport and of a capture begin with the device already.
  Error named(const Error& e) const {
    return e.message.starts_with(name()) ? e : error(e.code, "{}: {}", name(), e.message);
  }

  const std::unique_ptr<UsbTransport> transport_;
  const uvc::VideoFunction function_;
  const uvc::StreamingInterface stream_;
  const DeviceInfo info_;
  const std::vector<uvc::OfferedMode> offered_;  // in the order in which they are preferred
  bool claimed_ = false;
  std::optional<uvc::AgreedStream> agreed_;              // the configured stream
  std::vector<std::pair<std::string, double>> applied_;  // in that order
  std::uint64_t first_sequence_ = 0;                     // of the present capture
  std::uint64_t next_sequence_ = 0;

  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> broken_pictures_{0};  // whole frames that hold no whole JPEG
  mutable std::mutex mutex_;                       // of what follows
  std::unique_ptr<uvc::VideoCapture> video_;       // while it captures
  CaptureCounts past_;                             // of captures that have ended
  DeviceHealth health_;
};

// A string of the device descriptor; empty when there is none or it can't be read.
std::string string_at(UsbTransport& transport, std::size_t at) {
  const std::uint8_t index = transport.device_descriptor()[at];
  if (index == 0) return {};
  const auto text = transport.string_descriptor(index);
  return text ? printable(*text) : std::string();
}

DeviceInfo describe(UsbTransport& transport, const uvc::VideoFunction& function,
                    const uvc::StreamingInterface& stream) {
  const auto descriptor = transport.device_descriptor();
  const auto vendor = read_le<std::uint16_t>(descriptor, kVendorAt);
  const auto product = read_le<std::uint16_t>(descriptor, kProductAt);
  const auto version = read_le<std::uint16_t>(descriptor, kVersionAt);
  DeviceInfo info{.driver = "uvc_camera",
                  .maker = string_at(transport, kMakerAt),
                  .model = string_at(transport, kModelAt),
                  .serial = string_at(transport, kSerialAt),
                  .firmware = fmt::format("{:x}.{:02x}", version >> 8, version & 0xFF),
                  .kind = DeviceKind::kPhoto,
                  .has_button = function.status_endpoint != 0 && stream.still_method != 0};
  if (info.model.empty()) info.model = fmt::format("USB camera {:04x}:{:04x}", vendor, product);
  if (info.serial.empty())
    info.serial = fmt::format("{:04x}-{:04x}-{}", vendor, product, transport.location());
  return info;
}

}  // namespace

Result<std::unique_ptr<Device>> open(std::unique_ptr<UsbTransport> transport) {
  const std::string where = "USB camera at " + transport->location();
  const std::size_t size = transport->device_descriptor().size();
  if (size < kDeviceDescriptorBytes)
    return error(ErrorCode::kProtocol, "{}: its device descriptor has {} bytes, expected {}", where,
                 size, kDeviceDescriptorBytes);
  const auto functions = uvc::parse_video_functions(transport->config_descriptor());
  if (!functions) return error(functions.error().code, "{}: {}", where, functions.error().message);
  for (const uvc::VideoFunction& function : *functions)
    for (const uvc::StreamingInterface& stream : function.streams) {
      if (uvc::offered_modes(stream, is_readable).empty()) continue;
      DeviceInfo info = describe(*transport, function, stream);
      return std::unique_ptr<Device>(
          std::make_unique<CameraDevice>(std::move(transport), function, stream, std::move(info)));
    }
  return error(ErrorCode::kUnsupported, "{}: it has no pictures of Motion JPEG, YUY2 or 8-bit grey",
               where);
}

Driver driver() {
  return {.name = "uvc_camera",
          .knows =
              [](const UsbIdentity& device) {
                return std::any_of(device.interfaces.begin(), device.interfaces.end(),
                                   [](const UsbInterface& interface) {
                                     return interface.usb_class == kVideoClass &&
                                            interface.subclass == kControlSubclass;
                                   });
              },
          .open = open};
}

}  // namespace cusp::uvc_camera
