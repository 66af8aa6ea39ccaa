#include "drivers/realsense_d400/device.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/firmware.h"
#include "drivers/realsense_d400/frame_maker.h"
#include "drivers/realsense_d400/protocol.h"
#include "drivers/realsense_d400/settings.h"
#include "drivers/realsense_d400/streams.h"
#include "drivers/uvc/video_capture.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::size_t kDeviceDescriptorBytes = 18, kProductIdAt = 10;
constexpr std::chrono::milliseconds kHealthPeriod{5000};
constexpr std::size_t kDepthStream = 0;  // it leads; the other is colour
// Restarts without a colour picture between them, after which depth goes on alone.
constexpr std::uint64_t kColourRestarts = 2;
constexpr std::string_view kColourSetting = "colour";
// Trouble that leaving out the colour stream may end. Depth's own silence (kTimeout) is none.
bool may_be_colour(const Error& e) {
  return e.code == ErrorCode::kProtocol || e.code == ErrorCode::kIo ||
         e.code == ErrorCode::kUnsupported || e.code == ErrorCode::kNoSpace ||
         e.code == ErrorCode::kNotFound;
}

bool is_about_cable(const Error& e) {
  return e.code == ErrorCode::kDisconnected || e.code == ErrorCode::kTimeout ||
         e.code == ErrorCode::kIo;
}

class D400Device final : public Device {
 public:
  D400Device(std::unique_ptr<UsbTransport> transport, const Model& model, DepthStream depth,
             std::optional<ColourStream> colour)
      : transport_(std::move(transport)),
        model_(model),
        depth_(std::move(depth)),
        colour_(std::move(colour)),
        firmware_(*transport_, depth_.unit),
        offered_(uvc::offered_modes(depth_.stream, is_depth_format)) {}

  // The verbs of open() that need the cable.
  Result<void> start() {
    CUSP_TRY(claim(depth_.function.control_interface, depth_.stream));
    CUSP_ASSIGN(const DeviceDetails details, firmware_.details());
    info_ = {.driver = "realsense_d400",
             .maker = "Intel",
             .model = std::string(model_.name),
             .serial = details.serial,
             .firmware = details.firmware};
    if (colour_) {
      if (const auto claimed = claim(colour_->function.control_interface, colour_->stream);
          !claimed)
        give_colour_up(claimed.error());
    }
    static_cast<void>(read_coefficients());  // what is wrong with them is told by health()
    refresh_health();
    return {};
  }

  const DeviceInfo& info() const override { return info_; }

  std::vector<StreamMode> modes() const override {
    std::vector<StreamMode> modes;
    for (const uvc::OfferedMode& offer : offered_) modes.push_back(offer.mode);
    return modes;
  }

  Result<void> configure(const StreamMode& wish) override {
    CUSP_ASSIGN(const uvc::OfferedMode mode, uvc::choose_mode(offered_, wish, name()));
    auto agreed = uvc::agree(*transport_, depth_.function, depth_.stream, mode.format_index,
                             mode.frame_index, mode.interval_100ns);
    if (!agreed) return named(agreed.error());
    depth_agreed_ = std::move(*agreed);
    return agree_on_colour();
  }

  Result<Calibration> read_calibration() override {
    CUSP_TRY(need_mode());
    const auto coefficients = read_coefficients();
    if (!coefficients) return named(coefficients.error());
    const uvc::FrameDescriptor& frame = depth_agreed_->frame();
    const auto optics = firmware_.rectified(*coefficients, frame.width_px, frame.height_px);
    if (!optics) return named(optics.error());
    const auto unit_mm = firmware_.depth_unit_mm(model_);
    if (!unit_mm) return named(unit_mm.error());
    depth_unit_mm_ = *unit_mm;
    Calibration calibration{.id = calibration_id(*coefficients),
                            .depth_unit_mm = *unit_mm,
                            .baseline_mm = coefficients->baseline_mm,
                            .depth = *optics};
    if (!colour_agreed_) return calibration;
    const auto colour = firmware_.colour_coefficients();
    if (colour)
      calibration.colour = colour_optics(*colour);
    else if (is_about_cable(colour.error()))
      return named(colour.error());
    tell_problem(colour_problem_, colour ? "" : no_colour(colour.error().message));
    return calibration;
  }

  Result<std::vector<Setting>> settings() override {
    auto settings = read_settings(*transport_, depth_);
    if (!settings) return named(settings.error());
    if (colour_)
      settings->push_back({std::string(kColourSetting), wants_colour_ ? 1.0 : 0.0, 0, 1, 1});
    return settings;
  }

  Result<void> apply(std::string_view name, double value) override {
    CUSP_ASSIGN(const auto offered, settings());
    if (const auto fits = check_setting(offered, name, value); !fits) return named(fits.error());
    if (name == kColourSetting) {
      wants_colour_ = value != 0;
      return agree_on_colour();
    }
    if (const auto set = apply_setting(*transport_, depth_, name, value); !set)
      return named(set.error());
    std::erase_if(applied_, [&](const auto& setting) { return setting.first == name; });
    applied_.emplace_back(name, value);
    return {};
  }

  Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) override {
    CUSP_TRY(need_mode());
    if (colour_agreed_) {
      CUSP_ASSIGN(const auto failed, capture_streams(queue, stop, true));
      if (!failed) return {};
      tell_problem(colour_problem_, no_colour(*failed));
    }
    const std::uint64_t frames_before = frames_.load(std::memory_order_relaxed);
    const auto alone = capture_streams(queue, stop, false);
    if (alone) return {};
    // Depth has the same trouble without colour: colour was not to blame.
    if (colour_agreed_ && frames_.load(std::memory_order_relaxed) == frames_before)
      tell_problem(colour_problem_, "");
    return alone.error();
  }

  CaptureCounts counts() const override {
    const std::lock_guard lock(mutex_);
    CaptureCounts counts = past_;
    if (video_) counts += video_->counts();
    counts.frames = frames_.load(std::memory_order_relaxed);
    counts.lost = lost_.load(std::memory_order_relaxed);
    return counts;
  }

  DeviceHealth health() const override {
    const std::lock_guard lock(mutex_);
    DeviceHealth health = health_;
    for (const std::string& problem :
         {error_word_, calibration_problem_, colour_problem_, colour_silence_, settings_problem_})
      if (!problem.empty()) health.problems.push_back(problem);
    return health;
  }

 private:
  Result<void> claim(int control_interface, const uvc::StreamingInterface& stream) {
    CUSP_TRY(transport_->claim_interface(control_interface));
    CUSP_TRY(transport_->claim_interface(stream.number));
    // An earlier host may have been killed in mid-stream.
    if (stream.bulk()) CUSP_TRY(transport_->clear_halt(stream.endpoint()));
    return {};
  }

  static std::string no_colour(std::string_view why) { return fmt::format("no colour: {}", why); }

  void give_colour_up(const Error& why) {
    colour_.reset();
    tell_problem(colour_problem_, no_colour(why.message));
  }

  // Colour is a gift: without a mode that fits, depth goes alone.
  Result<void> agree_on_colour() {
    colour_agreed_.reset();
    if (!colour_) return {};
    tell_problem(colour_problem_, "");
    if (!depth_agreed_ || !wants_colour_) return {};
    const uvc::FrameDescriptor& frame = depth_agreed_->frame();
    const auto mode = colour_mode_for(uvc::offered_modes(colour_->stream, is_colour_format),
                                      {frame.width_px, frame.height_px, depth_agreed_->rate_hz()});
    if (!mode) {
      tell_problem(colour_problem_, no_colour(fmt::format("it has no colour mode of {:.0f} Hz",
                                                          depth_agreed_->rate_hz())));
      return {};
    }
    auto agreed = uvc::agree(*transport_, colour_->function, colour_->stream, mode->format_index,
                             mode->frame_index, mode->interval_100ns);
    if (agreed)
      colour_agreed_ = std::move(*agreed);
    else if (agreed.error().code == ErrorCode::kDisconnected)
      return named(agreed.error());
    else
      tell_problem(colour_problem_, no_colour(agreed.error().message));
    return {};
  }

  Result<Coefficients> read_coefficients() {
    auto coefficients = firmware_.coefficients();
    const std::lock_guard lock(mutex_);
    health_.calibration_id = coefficients ? calibration_id(*coefficients) : "";
    calibration_problem_ = coefficients ? "" : coefficients.error().message;
    return coefficients;
  }

  static std::string calibration_id(const Coefficients& coefficients) {
    return fmt::format("d400-coefficients-{:08x}", coefficients.crc32);
  }

  ColourOptics colour_optics(const ColourCoefficients& coefficients) const {
    const uvc::FrameDescriptor& frame = colour_agreed_->frame();
    const auto matrix = model_.has_colour_camera ? colour_intrinsics : d405_colour_intrinsics;
    return {.intrinsics = matrix(coefficients, frame.width_px, frame.height_px),
            .distortion = coefficients.distortion,
            .colour_from_depth = coefficients.colour_from_depth};
  }

  // Nothing: `stop` was asked or the queue closed. Words: colour failed like this, and depth may go
  // on without it.
  Result<std::optional<std::string>> capture_streams(BoundedQueue<RawFrame>& queue,
                                                     const std::stop_token& stop,
                                                     bool with_colour) {
    bool queue_open = true;
    FrameMaker maker(*depth_agreed_, with_colour ? &*colour_agreed_ : nullptr, next_number_,
                     [&](RawFrame&& frame) {
                       queue_open = queue_open && queue.push(std::move(frame));
                       if (queue_open) frames_.fetch_add(1, std::memory_order_relaxed);
                     });
    uvc::VideoCapture& video = begin_video(with_colour);
    const std::uint64_t lost_before = lost_.load(std::memory_order_relaxed);
    std::uint64_t restarts = 0, restarts_at_colour = 0;
    int frames_without_colour = 0;
    bool colour_failed = false;
    Result<void> restored;
    const Result<void> ran = video.run(stop, [&](std::size_t stream, uvc::AssembledFrame&& frame) {
      if (stream != kDepthStream) {
        restarts_at_colour = restarts;
        if (std::exchange(frames_without_colour, 0) > depth_agreed_->rate_hz())
          tell_problem(colour_silence_, "");
        maker.colour(std::move(frame));
        return queue_open;
      }
      if (const std::uint64_t now = video.counts().restarts; now != restarts) {
        restarts = now;
        maker.device_restarted();
        restored = restore();
        colour_failed = with_colour && restarts - restarts_at_colour >= kColourRestarts;
        if (!restored || colour_failed) return false;
      }
      // For a second.
      if (with_colour && ++frames_without_colour > depth_agreed_->rate_hz())
        tell_problem(colour_silence_, no_colour("its stream has fallen silent"));
      maker.depth(std::move(frame), temperature_c_);
      lost_.store(lost_before + maker.numbers().lost(), std::memory_order_relaxed);
      return queue_open;
    });
    maker.flush();
    next_number_ = maker.numbers().next();
    end_video();
    if (stop.stop_requested() || !queue_open) return std::optional<std::string>();
    if (!restored) return named(restored.error());
    if (!colour_failed && !(with_colour && may_be_colour(ran.error()))) return ran.error();
    const bool stopped = colour_failed || ran.error().code == ErrorCode::kProtocol ||
                         ran.error().code == ErrorCode::kIo;
    return std::optional(stopped ? "its stream stopped and did not come back"
                                 : ran.error().message);
  }

  uvc::VideoCapture& begin_video(bool with_colour) {
    std::vector<uvc::AgreedStream> streams{*depth_agreed_};
    if (with_colour) streams.push_back(*colour_agreed_);
    auto video = std::make_unique<uvc::VideoCapture>(*transport_, name(), std::move(streams));
    answers_ = true;
    tell_problem(colour_silence_, "");
    video->every(kHealthPeriod, [this] { refresh_health(); });
    const std::lock_guard lock(mutex_);
    video_ = std::move(video);
    return *video_;
  }

  void end_video() {
    const std::lock_guard lock(mutex_);
    past_ += video_->counts();
    video_.reset();
  }

  // After a restart of the stream, which may have reset the camera. A scan goes on without its
  // settings, but never with another count of depth.
  Result<void> restore() {
    Result<void> set;
    for (const auto& [name, value] : applied_)
      if (set) set = apply_setting(*transport_, depth_, name, value);
    if (!set && set.error().code == ErrorCode::kDisconnected) return set;
    tell_problem(settings_problem_,
                 set ? "" : "its settings were lost in a restart: " + set.error().message);
    // A reset leads to the model's own.
    if (!depth_unit_mm_ || *depth_unit_mm_ == model_.depth_unit_mm) return {};
    CUSP_ASSIGN(const double unit_mm, firmware_.depth_unit_mm(model_));
    if (unit_mm == *depth_unit_mm_) return {};
    return error(
        ErrorCode::kConflict,
        "it was reset and counts depth in {} mm now instead of {} mm; begin the scan again",
        unit_mm, *depth_unit_mm_);
  }

  // What the camera does not answer stays as it was; the stream finds out what is wrong with it. A
  // question that it leaves open is not asked again during this capture, for each holds frames up.
  void refresh_health() {
    if (!answers_) return;
    const auto temperatures = firmware_.temperatures();
    answers_ = temperatures || temperatures.error().code != ErrorCode::kTimeout;
    if (!answers_) return;
    const auto problem = firmware_.problem();
    answers_ = problem || problem.error().code != ErrorCode::kTimeout;
    const std::lock_guard lock(mutex_);
    if (problem) error_word_ = problem->value_or("");
    if (!temperatures) return;
    health_.temperatures.clear();
    temperature_c_.reset();
    for (const auto& [where, celsius] : {std::pair{"processor", temperatures->asic_c},
                                         std::pair{"projector", temperatures->projector_c}}) {
      if (!celsius) continue;
      health_.temperatures.push_back({where, static_cast<double>(*celsius)});
      temperature_c_ = *celsius;
    }
  }

  void tell_problem(std::string& problem, std::string words) {
    const std::lock_guard lock(mutex_);
    problem = std::move(words);
  }

  Result<void> need_mode() const {
    if (depth_agreed_) return {};
    return error(ErrorCode::kConflict, "device {}: no depth stream is configured", info_.serial);
  }
  std::string name() const { return fmt::format("device {}", info_.serial); }
  Error named(const Error& e) const { return error(e.code, "{}: {}", name(), e.message); }

  const std::unique_ptr<UsbTransport> transport_;
  const Model& model_;
  const DepthStream depth_;
  std::optional<ColourStream> colour_;  // none: the camera has none, or somebody else uses it
  Firmware firmware_;
  const std::vector<uvc::OfferedMode> offered_;

  DeviceInfo info_;
  std::optional<uvc::AgreedStream> depth_agreed_;   // the configured mode
  std::optional<uvc::AgreedStream> colour_agreed_;  // and the colour that goes with it
  bool wants_colour_ = true;
  std::optional<double> depth_unit_mm_;                  // as read_calibration() told it
  std::vector<std::pair<std::string, double>> applied_;  // in that order
  std::uint64_t next_number_ = 0;
  bool answers_ = true;                  // the questions of refresh_health()
  std::optional<double> temperature_c_;  // the projector's, or else the processor's

  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> lost_{0};
  mutable std::mutex mutex_;                  // of what follows
  std::unique_ptr<uvc::VideoCapture> video_;  // while it captures
  CaptureCounts past_;                        // of captures that have ended
  DeviceHealth health_;                       // without problems, which are:
  std::string error_word_, calibration_problem_, colour_problem_, colour_silence_,
      settings_problem_;
};

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
  const auto named = [&](const Error& e) {
    return error(e.code, "{}: {}", model->name, e.message);
  };
  const auto functions = uvc::parse_video_functions(transport->config_descriptor());
  if (!functions) return named(functions.error());
  auto depth = find_depth_stream(*functions);
  if (!depth) return named(depth.error());
  auto colour = find_colour_stream(*functions, *depth, *model);
  auto device = std::make_unique<D400Device>(std::move(transport), *model, std::move(*depth),
                                             std::move(colour));
  if (auto started = device->start(); !started) return named(started.error());
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
