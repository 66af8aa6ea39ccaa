#include "drivers/realsense_d400/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <optional>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/protocol.h"
#include "drivers/uvc/frame_assembler.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::size_t kDeviceDescriptorBytes = 18, kProductIdAt = 10;
constexpr std::chrono::milliseconds kMonitorTimeout{5000};
constexpr double kIntervalUnitsPerSecond = 1e7;
// Silence is judged after ten frame periods (as librealsense does), but a camera may need this long
// to start.
constexpr int kWatchdogFrames = 10;
constexpr std::chrono::milliseconds kLeastWatchdog{2000};
// The ladder of a stopped stream: the endpoint is cleared, then the device reset, then the operator
// is asked.
constexpr int kClears = 1, kResets = 1;
constexpr std::uint64_t kMaxBrokenInARow = 30;

struct Mode {
  StreamMode stream;
  std::uint8_t frame_index = 0;
  std::uint32_t interval_100ns = 0;
};

bool is_depth_format(const uvc::FormatDescriptor& format) {
  return format.guid == kZ16Guid && !format.frames.empty();
}

// Turns the device's 32-bit ticks into a time that does not wrap (at 48 MHz they do every 89 s).
class DeviceClock {
 public:
  explicit DeviceClock(std::uint32_t hz) : hz_(hz) {}
  std::chrono::nanoseconds operator()(std::uint32_t ticks) {
    total_ticks_ += started_ ? static_cast<std::uint32_t>(ticks - last_) : ticks;
    started_ = true;
    last_ = ticks;
    const std::uint64_t seconds = total_ticks_ / hz_;
    const std::uint64_t rest = total_ticks_ % hz_;
    return std::chrono::seconds(seconds) + std::chrono::nanoseconds(rest * 1'000'000'000 / hz_);
  }

 private:
  std::uint64_t hz_;
  bool started_ = false;
  std::uint32_t last_ = 0;
  std::uint64_t total_ticks_ = 0;
};

class D400Device final : public Device {
 public:
  D400Device(std::unique_ptr<UsbTransport> transport, const Model& model,
             uvc::VideoFunction function, uvc::StreamingInterface stream, std::uint8_t depth_unit)
      : transport_(std::move(transport)),
        model_(model),
        function_(std::move(function)),
        stream_(std::move(stream)),
        depth_unit_(depth_unit) {}

  // The verbs of open() that need the cable.
  Result<void> start() {
    CUSP_TRY(transport_->claim_interface(function_.control_interface));
    CUSP_TRY(transport_->claim_interface(stream_.number));
    // An earlier host may have been killed in mid-stream.
    CUSP_TRY(transport_->clear_halt(stream_.endpoint()));
    CUSP_ASSIGN(const auto answer, monitor(Opcode::kDeviceDetails));
    CUSP_ASSIGN(const DeviceDetails details, decode_device_details(answer));
    info_ = {.driver = "realsense_d400",
             .maker = "Intel",
             .model = std::string(model_.name),
             .serial = details.serial,
             .firmware = details.firmware};
    const auto format =
        std::find_if(stream_.formats.begin(), stream_.formats.end(), is_depth_format);
    format_index_ = format->index;
    for (const auto& frame : format->frames)
      for (const std::uint32_t interval : frame.intervals_100ns)
        modes_.push_back(
            {.stream = {frame.width_px, frame.height_px, kIntervalUnitsPerSecond / interval},
             .frame_index = frame.index,
             .interval_100ns = interval});
    return {};
  }

  const DeviceInfo& info() const override { return info_; }

  std::vector<StreamMode> modes() const override {
    std::vector<StreamMode> modes;
    for (const Mode& mode : modes_) modes.push_back(mode.stream);
    return modes;
  }

  Result<void> configure(const StreamMode& wish) override {
    const auto found = std::find_if(modes_.begin(), modes_.end(), [&](const Mode& mode) {
      return mode.stream.width_px == wish.width_px && mode.stream.height_px == wish.height_px &&
             std::abs(mode.stream.rate_hz - wish.rate_hz) < 0.01 * mode.stream.rate_hz;
    });
    if (found == modes_.end())
      return error(ErrorCode::kInvalidArgument,
                   "device {}: no depth stream of {}x{} at {:.4g} Hz; it offers {}", info_.serial,
                   wish.width_px, wish.height_px, wish.rate_hz, list_modes());
    const auto offer = uvc::probe(*transport_, stream_.number, function_.uvc_version_bcd,
                                  {.format_index = format_index_,
                                   .frame_index = found->frame_index,
                                   .interval_100ns = found->interval_100ns});
    if (!offer) return named(offer.error());
    const uvc::StreamControl& agreed = *offer;
    if (agreed.interval_100ns != found->interval_100ns)
      return error(ErrorCode::kProtocol, "device {}: asked for {:.4g} Hz, it offers {:.4g} Hz",
                   info_.serial, found->stream.rate_hz,
                   kIntervalUnitsPerSecond / agreed.interval_100ns);
    const auto frame_bytes = static_cast<std::size_t>(found->stream.width_px) *
                             static_cast<std::size_t>(found->stream.height_px) * 2;
    if (agreed.max_frame_bytes != frame_bytes)
      return error(ErrorCode::kProtocol, "device {}: a Z16 frame of {}x{} has {} bytes, not {}",
                   info_.serial, found->stream.width_px, found->stream.height_px, frame_bytes,
                   agreed.max_frame_bytes);
    if (agreed.clock_hz == 0 && function_.clock_hz == 0)
      return error(ErrorCode::kProtocol, "device {}: it states no clock for its time stamps",
                   info_.serial);
    if (agreed.max_payload_bytes < 16)
      return error(ErrorCode::kProtocol, "device {}: its payloads have {} bytes", info_.serial,
                   agreed.max_payload_bytes);
    mode_ = *found;
    agreed_ = agreed;
    return {};
  }

  Result<Calibration> read_calibration() override {
    CUSP_TRY(need_mode());
    CUSP_ASSIGN(const auto table, monitor(Opcode::kReadCalibration, kCoefficientsTableId));
    auto coefficients = decode_coefficients(table);
    if (!coefficients) return named(coefficients.error());
    auto optics = rectified_at(*coefficients, mode_.stream.width_px, mode_.stream.height_px);
    if (!optics) return named(optics.error());
    return Calibration{.id = fmt::format("d400-coefficients-{:08x}", coefficients->crc32),
                       .depth_unit_mm = model_.depth_unit_mm,
                       .baseline_mm = coefficients->baseline_mm,
                       .depth = *optics};
  }

  Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) override {
    CUSP_TRY(need_mode());
    const std::uint64_t first_sequence = next_sequence_;
    DeviceClock clock(agreed_.clock_hz != 0 ? agreed_.clock_hz : function_.clock_hz);
    bool queue_open = true;
    int failures = 0;  // since the last good frame
    uvc::FrameAssembler assembler(agreed_.max_frame_bytes, agreed_.max_payload_bytes,
                                  [&](uvc::AssembledFrame&& frame) {
                                    failures = 0;
                                    std::optional<std::chrono::nanoseconds> device_time;
                                    if (frame.pts_ticks) device_time = clock(*frame.pts_ticks);
                                    RawFrame raw{.sequence = first_sequence + frame.sequence,
                                                 .format = PixelFormat::kZ16,
                                                 .width_px = mode_.stream.width_px,
                                                 .height_px = mode_.stream.height_px,
                                                 .device_time = device_time,
                                                 .host_time = frame.arrival,
                                                 .bytes = std::move(frame.bytes)};
                                    queue_open = queue.push(std::move(raw));
                                    if (queue_open) frames_.fetch_add(1, std::memory_order_relaxed);
                                  });
    while (true) {
      Result<void> streamed = stream_once(assembler, stop, queue_open);
      if (stop.stop_requested() || !queue_open) {
        next_sequence_ = first_sequence + assembler.begun();
        // Tells the camera to stop; if it is gone by now, that is no fault of this capture.
        static_cast<void>(transport_->clear_halt(stream_.endpoint()));
        return {};
      }
      if (streamed) streamed = too_many_broken();
      const std::uint64_t counted = assembler.broken();
      assembler.interrupt();
      broken_.fetch_add(assembler.broken() - counted, std::memory_order_relaxed);
      next_sequence_ = first_sequence + assembler.begun();
      CUSP_TRY(recover(streamed.error(), ++failures));
      restarts_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  DeviceHealth health() const override { return {}; }

  CaptureCounts counts() const override {
    return {.frames = frames_.load(std::memory_order_relaxed),
            .broken_size = broken_.load(std::memory_order_relaxed),
            .restarts = restarts_.load(std::memory_order_relaxed)};
  }

 private:
  // Commits the stream and feeds it to the assembler until stop, an error, or too many broken
  // frames (ok).
  Result<void> stream_once(uvc::FrameAssembler& assembler, const std::stop_token& stop,
                           const bool& queue_open) {
    CUSP_TRY(uvc::commit(*transport_, stream_.number, function_.uvc_version_bcd, agreed_));
    const auto ten_periods = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::nanoseconds(std::uint64_t{agreed_.interval_100ns} * 100) * kWatchdogFrames);
    const StreamOptions options{.endpoint = stream_.endpoint(),
                                .watchdog = std::max(kLeastWatchdog, ten_periods)};
    std::uint64_t counted = assembler.broken();
    return transport_->stream(std::span(&options, 1), stop, [&](const StreamChunk& chunk) {
      assembler.feed(chunk);
      broken_.fetch_add(assembler.broken() - counted, std::memory_order_relaxed);
      counted = assembler.broken();
      return queue_open && assembler.broken_in_a_row() < kMaxBrokenInARow;
    });
  }

  // Brings the camera back to where a commit makes sense, or says why that is no use.
  Result<void> recover(const Error& why, int failures) {
    const bool may_help = why.code == ErrorCode::kTimeout || why.code == ErrorCode::kProtocol ||
                          why.code == ErrorCode::kIo;
    if (!may_help) return named(why);
    if (failures > kClears + kResets)
      return error(why.code,
                   "device {}: the depth stream stopped ({}) and neither clearing nor resetting it "
                   "helped; unplug the scanner, wait five seconds and plug it in again",
                   info_.serial, why.message);
    const Result<void> result =
        failures <= kClears ? transport_->clear_halt(stream_.endpoint()) : transport_->reset();
    // A step that is refused leads to the next one; only a camera that is gone ends it here.
    if (!result && result.error().code == ErrorCode::kDisconnected) return named(result.error());
    return {};
  }

  Result<std::vector<std::uint8_t>> monitor(Opcode opcode, std::uint32_t parameter = 0) {
    const auto value = static_cast<std::uint16_t>(kMonitorSelector << 8);
    const auto index = static_cast<std::uint16_t>(depth_unit_ << 8 | function_.control_interface);
    CUSP_TRY(transport_->control_out({uvc::kToInterface, uvc::kSetCur, value, index},
                                     encode_command(opcode, parameter), kMonitorTimeout));
    std::vector<std::uint8_t> block(kMonitorBytes);
    CUSP_ASSIGN(const std::size_t size,
                transport_->control_in({uvc::kFromInterface, uvc::kGetCur, value, index}, block,
                                       kMonitorTimeout));
    return decode_answer(opcode, std::span(block).first(size));
  }

  Result<void> need_mode() const {
    if (mode_.interval_100ns != 0) return {};
    return error(ErrorCode::kConflict, "device {}: no depth stream is configured", info_.serial);
  }
  static Error too_many_broken() {
    return error(ErrorCode::kProtocol, "{} broken frames in a row", kMaxBrokenInARow);
  }
  Error named(const Error& e) const {
    return error(e.code, "device {}: {}", info_.serial, e.message);
  }
  std::string list_modes() const {
    std::string list;
    for (const Mode& mode : modes_)
      fmt::format_to(std::back_inserter(list), "{}{}x{} at {:.4g} Hz", list.empty() ? "" : ", ",
                     mode.stream.width_px, mode.stream.height_px, mode.stream.rate_hz);
    return list;
  }

  const std::unique_ptr<UsbTransport> transport_;
  const Model& model_;
  const uvc::VideoFunction function_;
  const uvc::StreamingInterface stream_;
  const std::uint8_t depth_unit_;

  DeviceInfo info_;
  std::uint8_t format_index_ = 0;
  std::vector<Mode> modes_;
  Mode mode_;                  // the configured one
  uvc::StreamControl agreed_;  // what the device made of it
  std::uint64_t next_sequence_ = 0;
  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> broken_{0};
  std::atomic<std::uint64_t> restarts_{0};
};

struct DepthStream {
  uvc::VideoFunction function;
  uvc::StreamingInterface stream;
  std::uint8_t unit = 0;
};

// The video function with the depth unit, and its bulk stream that has Z16.
Result<DepthStream> find_depth_stream(std::span<const std::uint8_t> config) {
  CUSP_ASSIGN(const auto functions, uvc::parse_video_functions(config));
  for (const auto& function : functions) {
    for (const auto& unit : function.extension_units) {
      if (unit.guid != kDepthUnitGuid) continue;
      for (const auto& stream : function.streams)
        for (const auto& format : stream.formats)
          if (is_depth_format(format) && stream.bulk())
            return DepthStream{function, stream, unit.id};
      return error(ErrorCode::kUnsupported,
                   "its depth function has no Z16 stream on a bulk endpoint");
    }
  }
  return error(ErrorCode::kUnsupported, "it has no D400 depth function");
}

}  // namespace

Result<std::unique_ptr<Device>> open(std::unique_ptr<UsbTransport> transport) {
  const auto descriptor = transport->device_descriptor();
  if (descriptor.size() < kDeviceDescriptorBytes)
    return error(ErrorCode::kProtocol, "USB device descriptor: {} bytes, expected {}",
                 descriptor.size(), kDeviceDescriptorBytes);
  const auto product_id = read_le<std::uint16_t>(descriptor, kProductIdAt);
  const Model* const model = find_model(product_id);
  if (model == nullptr)
    return error(ErrorCode::kUnsupported, "USB product {:04x}: not a known RealSense D400",
                 product_id);
  auto depth = find_depth_stream(transport->config_descriptor());
  if (!depth) return error(depth.error().code, "{}: {}", model->name, depth.error().message);
  auto device =
      std::make_unique<D400Device>(std::move(transport), *model, std::move(depth->function),
                                   std::move(depth->stream), depth->unit);
  if (auto started = device->start(); !started)
    return error(started.error().code, "{}: {}", model->name, started.error().message);
  return std::unique_ptr<Device>(std::move(device));
}

Driver driver() {
  return {.name = "realsense_d400",
          .knows =
              [](const UsbIdentity& device) {
                return device.vendor_id == kVendorId && find_model(device.product_id) != nullptr;
              },
          .open = open};
}

}  // namespace cusp::realsense_d400
