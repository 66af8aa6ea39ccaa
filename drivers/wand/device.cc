#include "drivers/wand/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <set>

#include "drivers/uvc/video_capture.h"
#include "drivers/wand/picture_maker.h"
#include "drivers/wand/unit.h"

namespace cusp::wand {
namespace {

constexpr std::chrono::seconds kHealthPeriod{5}, kStandbyHealthPeriod{2};
constexpr int kStandbyRestarts = 3;  // without a packet or a quiet period between them
constexpr std::size_t kMakerAt = 14, kProductAt = 15, kSerialAt = 16, kDeviceDescriptorBytes = 18;
constexpr std::uint8_t kClassInterface = 0x24, kExtensionUnit = 0x06;

// Numbers that Device::settings() offers; README.md says what they are.
constexpr std::string_view kExposureSetting = "exposure_us",
                           kProjectorSetting = "projector_percent", kLedSetting = "led_percent",
                           kHeaterSetting = "heater_c";

class WandDevice final : public Device {
 public:
  WandDevice(std::unique_ptr<UsbTransport> transport, const uvc::VideoFunction& function,
             uvc::StreamingInterface stream, std::uint8_t unit, DeviceInfo info)
      : transport_(std::move(transport)),
        function_(function),
        stream_(std::move(stream)),
        name_(fmt::format("device {}", info.serial)),
        unit_(*transport_, {.control_interface = function.control_interface, .id = unit}, name_),
        info_(std::move(info)) {}

  // The part of opening that needs the cable.
  Result<void> start() {
    CUSP_TRY(transport_->claim_interface(function_.control_interface));
    CUSP_TRY(transport_->claim_interface(stream_.number));
    CUSP_ASSIGN(const Identity identity, unit_.identity());
    CUSP_ASSIGN(wand_, unit_.capabilities());
    info_.firmware = identity.firmware;
    // An earlier host may have been killed in mid-stream.
    if (stream_.bulk()) CUSP_TRY(transport_->clear_halt(stream_.endpoint()));
    CUSP_TRY(unit_.set_number(Control::kStandby, 1));
    heater_target_c_ = wand_.heater_usual_c;
    offered_ = uvc::offered_modes(stream_, [](const uvc::FormatDescriptor& format) {
      return uvc::pixel_format(format) == PixelFormat::kGrey8;
    });
    std::erase_if(offered_, [&](const uvc::OfferedMode& offer) {
      return offer.mode.width_px != wand_.width_px || offer.mode.height_px != wand_.height_px;
    });
    if (offered_.empty())
      return error(ErrorCode::kProtocol,
                   "{}: it says that its frames are {}x{}, its descriptors have no grey ones of "
                   "that size",
                   name_, wand_.width_px, wand_.height_px);
    pictures_.emplace(wand_.width_px, wand_.height_px, static_cast<int>(wand_.patterns.size()));
    read_calibration_health();
    read_health();
    return {};
  }

  const DeviceInfo& info() const override { return info_; }

  std::vector<StreamMode> modes() const override {
    std::vector<StreamMode> modes;
    for (const uvc::OfferedMode& offer : offered_) modes.push_back(offer.mode);
    return modes;
  }

  Result<void> configure(const StreamMode& wish) override {
    CUSP_ASSIGN(const uvc::OfferedMode chosen, uvc::choose_mode(offered_, wish, name_));
    auto agreed = uvc::agree(*transport_, function_, stream_, chosen.format_index,
                             chosen.frame_index, chosen.interval_100ns);
    if (!agreed) return unit_.named(agreed.error());
    auto capture = std::make_unique<uvc::VideoCapture>(*transport_, name_,
                                                       std::vector{std::move(agreed).value()});
    if (info_.has_button) capture->listen(function_, [this](auto packet) { hear(packet); });
    capture->every(kHealthPeriod, [this] { read_health(); });
    capture->before_recovery([this] { return check_fit(); });
    const std::lock_guard lock(mutex_);
    if (capture_) earlier_ += capture_->counts();
    capture_ = std::move(capture);
    return {};
  }

  Result<Calibration> read_calibration() override {
    CUSP_ASSIGN(const Unit::StoredCalibration stored, unit_.calibration());
    auto calibration = make_calibration(stored.table, stored.crc32, wand_);
    if (!calibration) return unit_.named(calibration.error());
    return calibration;
  }

  Result<std::vector<Setting>> settings() override {
    const auto max_us = static_cast<double>(wand_.max_exposure.count());
    std::vector<Setting> list{{.name = std::string(kExposureSetting), .max = max_us, .step = 1},
                              {.name = std::string(kProjectorSetting), .max = 100, .step = 1},
                              {.name = std::string(kLedSetting), .max = 100, .step = 1}};
    constexpr std::array kControls{Control::kExposure, Control::kProjectorPower,
                                   Control::kLedBrightness};
    for (std::size_t i = 0; i < list.size(); ++i) {
      CUSP_ASSIGN(list[i].value, unit_.number(kControls[i]));
    }
    if (wand_.has_heater)
      list.push_back({.name = std::string(kHeaterSetting),
                      .value = heater_target_c_,
                      .max = wand_.heater_max_c});
    return list;
  }

  Result<void> apply(std::string_view name, double value) override {
    CUSP_ASSIGN(const auto offered, settings());
    if (const auto checked = check_setting(offered, name, value); !checked)
      return unit_.named(checked.error());
    const auto number = static_cast<std::uint32_t>(value);
    if (name == kExposureSetting) return unit_.set_number(Control::kExposure, number);
    if (name == kProjectorSetting) return unit_.set_number(Control::kProjectorPower, number);
    if (name == kLedSetting) return unit_.set_number(Control::kLedBrightness, number);
    heater_target_c_ = value;
    return unit_.set_heater(value);
  }

  Result<void> capture(BoundedQueue<RawFrame>& queue, std::stop_token stop) override {
    if (!capture_) return error(ErrorCode::kConflict, "{}: no stream is configured", name_);
    unanswered_.clear();
    CUSP_TRY(check_fit());
    // Without its heater a wand still scans.
    if (wand_.has_heater) static_cast<void>(unit_.set_heater(heater_target_c_));
    pictures_->begin();
    std::uint32_t stopped_by = 0;
    Result<void> usable;
    const Result<void> ran = capture_->run(stop, [&](std::size_t, uvc::AssembledFrame&& frame) {
      Result<PictureMaker::Taken> taken = pictures_->take(std::move(frame));
      lost_.store(pictures_->lost(), std::memory_order_relaxed);
      without_metadata_.store(pictures_->without_metadata(), std::memory_order_relaxed);
      if (!taken) usable = unit_.named(taken.error());
      if (!usable) return false;
      stopped_by = taken->faults & fault::kStops;
      if (stopped_by != 0) return false;
      if (!taken->picture) return true;
      const bool wanted = queue.push(std::move(*taken->picture));
      if (wanted) frames_.fetch_add(1, std::memory_order_relaxed);
      return wanted;
    });
    if (!ran && ran.error().code == ErrorCode::kDisconnected) return ran;
    // The light goes out. If the wand is gone by now, that is no fault of this capture.
    static_cast<void>(unit_.set_number(Control::kStandby, 1));
    read_health();
    if (stopped_by != 0) return stopped(stopped_by);
    return usable ? ran : usable;
  }

  Result<void> standby(std::stop_token stop) override {
    CUSP_TRY(unit_.set_number(Control::kStandby, 1));
    unanswered_.clear();
    read_health();
    const Result<void> ended =
        info_.has_button ? hear_in_standby(stop) : Device::standby(std::move(stop));
    if (ended || ended.error().code != ErrorCode::kDisconnected) read_health();
    return ended;
  }

  CaptureCounts counts() const override {
    const std::lock_guard lock(mutex_);
    CaptureCounts counts = earlier_;
    if (capture_) counts += capture_->counts();
    counts.frames = frames_.load(std::memory_order_relaxed);
    counts.lost = lost_.load(std::memory_order_relaxed);
    counts.broken_header += without_metadata_.load(std::memory_order_relaxed);
    return counts;
  }

  DeviceHealth health() const override {
    const std::lock_guard lock(mutex_);
    return health_;
  }

 private:
  void hear(std::span<const std::uint8_t> packet) {
    if (const auto pressed = decode_button_packet(unit_.id(), packet)) press(*pressed);
  }

  // Presses, and in each quiet period a look at tip and faults.
  Result<void> hear_in_standby(const std::stop_token& stop) {
    const StreamOptions status{.endpoint = function_.status_endpoint,
                               .type = TransferType::kInterrupt,
                               .transfer_count = 2,
                               .transfer_size_bytes = function_.status_packet_bytes,
                               .watchdog = kStandbyHealthPeriod};
    for (int failures = 0;;) {
      const Result<void> heard =
          transport_->stream(std::span(&status, 1), stop, [&](const StreamChunk& chunk) {
            failures = 0;
            if (!chunk.damaged) hear(chunk.bytes);
            return true;
          });
      if (heard) return {};
      const ErrorCode code = heard.error().code;
      if (code == ErrorCode::kTimeout) {
        failures = 0;
        read_health();
      } else if (code == ErrorCode::kDisconnected || ++failures > kStandbyRestarts ||
                 !transport_->clear_halt(function_.status_endpoint)) {
        return unit_.named(heard.error());
      }
    }
  }

  // A wand that has stopped itself says why. One that can't say it may well work.
  Result<void> check_fit() {
    const auto status = unit_.status();
    if (!status)
      return status.error().code == ErrorCode::kDisconnected ? status.error() : Result<void>();
    const std::uint32_t stops = status->faults & fault::kStops;
    return stops == 0 ? Result<void>() : stopped(stops);
  }
  [[nodiscard]] Error stopped(std::uint32_t faults) const {
    return error(ErrorCode::kUnavailable, "{}: {}", name_, sentences(faults, "").front());
  }

  void read_calibration_health() {
    if (const auto stored = unit_.calibration()) {
      const std::lock_guard lock(mutex_);
      health_.calibration_id = calibration_id(stored->crc32);
      health_.calibrated_on = stored->table.made_on;
    } else {
      calibration_problem_ = stored.error().code == ErrorCode::kNotFound
                                 ? "the wand was never calibrated"
                                 : "the calibration can't be read; the wand needs service";
    }
  }

  // What a control says of the wand; nothing when it can't be read. A question that it leaves open
  // is not asked again during this capture or standby, for each holds frames up.
  template <typename T>
  std::optional<T> ask(Control control, Result<T> (Unit::*question)()) {
    if (unanswered_.contains(control)) return std::nullopt;
    Result<T> answer = (unit_.*question)();
    if (answer) return std::move(answer).value();
    if (answer.error().code == ErrorCode::kTimeout) unanswered_.insert(control);
    return std::nullopt;
  }

  // What can't be read is left out.
  void read_health() {
    DeviceHealth now;
    now.calibration_id = health_.calibration_id;
    now.calibrated_on = health_.calibrated_on;
    if (!calibration_problem_.empty()) now.problems.push_back(calibration_problem_);
    if (const auto status = ask(Control::kStatus, &Unit::status)) {
      const auto add = [&](std::string where, std::optional<double> celsius) {
        if (celsius) now.temperatures.push_back({std::move(where), *celsius});
      };
      add("projector", status->projector_c);
      add("sensor", status->sensor_c);
      add("tip", status->tip_c);
      add("board", status->board_c);
      std::string text;
      if ((status->faults & fault::kMakersOwn) != 0)
        text = ask(Control::kFaultText, &Unit::fault_text).value_or("");
      for (std::string& sentence : sentences(status->faults, text))
        now.problems.push_back(std::move(sentence));
    }
    if (wand_.has_tip_id) {
      if (const auto tip = ask(Control::kTip, &Unit::tip); tip && tip->present) {
        now.tip_id = tip->id;
        now.tip_uses = tip->uses;
        if (tip->uses_allowed != 0) now.tip_uses_allowed = tip->uses_allowed;
      }
    }
    const std::lock_guard lock(mutex_);
    health_ = std::move(now);
  }

  const std::unique_ptr<UsbTransport> transport_;
  const uvc::VideoFunction function_;
  const uvc::StreamingInterface stream_;
  const std::string name_;
  Unit unit_;
  DeviceInfo info_;
  Capabilities wand_;
  std::vector<uvc::OfferedMode> offered_;
  std::optional<PictureMaker> pictures_;
  double heater_target_c_ = 0;
  std::set<Control> unanswered_;  // what the wand did not answer in time
  std::string calibration_problem_;

  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> without_metadata_{0};
  mutable std::mutex mutex_;                    // of what other threads may read, below
  std::unique_ptr<uvc::VideoCapture> capture_;  // of the configured stream
  CaptureCounts earlier_;                       // of streams that were configured before
  DeviceHealth health_;
};

// Printable ASCII alone: these are shown and become names.
std::string clean(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

Result<DeviceInfo> read_info(UsbTransport& transport) {
  const auto descriptor = transport.device_descriptor();
  if (descriptor.size() < kDeviceDescriptorBytes)
    return error(ErrorCode::kProtocol, "USB device descriptor: {} bytes, expected {}",
                 descriptor.size(), kDeviceDescriptorBytes);
  DeviceInfo info;
  info.driver = "wand";
  info.kind = DeviceKind::kFringe;
  const auto read = [&](std::size_t at, std::string& text) -> Result<void> {
    if (descriptor[at] == 0) return {};
    CUSP_ASSIGN(text, transport.string_descriptor(descriptor[at]));
    text = clean(std::move(text));
    return {};
  };
  CUSP_TRY(read(kMakerAt, info.maker));
  CUSP_TRY(read(kProductAt, info.model));
  CUSP_TRY(read(kSerialAt, info.serial));
  if (info.serial.empty()) info.serial = transport.location();
  return info;
}

Result<std::unique_ptr<Device>> open(std::unique_ptr<UsbTransport> transport) {
  CUSP_ASSIGN(const auto functions, uvc::parse_video_functions(transport->config_descriptor()));
  CUSP_ASSIGN(DeviceInfo info, read_info(*transport));
  for (const uvc::VideoFunction& function : functions) {
    const uvc::ExtensionUnit* const unit = function.find_unit(kUnitGuid);
    if (unit == nullptr) continue;
    if (function.streams.empty())
      return error(ErrorCode::kProtocol, "device {}: it has no video stream", info.serial);
    info.has_button = function.status_endpoint != 0;
    auto device = std::make_unique<WandDevice>(std::move(transport), function,
                                               function.streams.front(), unit->id, std::move(info));
    CUSP_TRY(device->start());
    return std::unique_ptr<Device>(std::move(device));
  }
  return error(ErrorCode::kUnsupported, "device {}: it has no wand's extension unit", info.serial);
}

// Looks for the unit among the class-specific descriptors of an interface.
bool has_unit(std::span<const std::uint8_t> extra) {
  while (extra.size() >= 2 && extra[0] >= 2 && extra[0] <= extra.size()) {
    const auto item = extra.first(extra[0]);
    if (item.size() >= 4 + kUnitGuid.size() && item[1] == kClassInterface &&
        item[2] == kExtensionUnit &&
        std::equal(kUnitGuid.begin(), kUnitGuid.end(), item.begin() + 4))
      return true;
    extra = extra.subspan(item.size());
  }
  return false;
}

}  // namespace

Driver driver() {
  return {.name = "wand",
          .knows =
              [](const UsbIdentity& identity) {
                return std::any_of(
                    identity.interfaces.begin(), identity.interfaces.end(),
                    [](const UsbInterface& interface) { return has_unit(interface.extra); });
              },
          .open = open};
}

}  // namespace cusp::wand
