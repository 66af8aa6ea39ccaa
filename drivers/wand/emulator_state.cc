#include "drivers/wand/emulator_state.h"

#include <algorithm>
#include <cmath>

#include "drivers/bytes.h"

namespace cusp::wand {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint64_t kColours = 3;
constexpr double kTipWarmUp_s = 20, kWarmEnough_c = 3, kHeaterReady_c = 1;
constexpr std::chrono::seconds kDropsRemembered{10};
constexpr std::size_t kFlippedByte = 100;

double seconds(nanoseconds time) { return std::chrono::duration<double>(time).count(); }

// Newton's law of cooling, and of warming.
double approach(double from, double to, double elapsed_s, double constant_s) {
  return to + (from - to) * std::exp(-elapsed_s / constant_s);
}

}  // namespace

Shot shot_at(std::uint64_t n, int patterns, int colour_every) {
  const auto sequence_frames = static_cast<std::uint64_t>(patterns);
  const std::uint64_t sequences = colour_every == 0 ? 1 : static_cast<std::uint64_t>(colour_every);
  const std::uint64_t fringes = sequence_frames * sequences;
  const std::uint64_t cycle_frames = fringes + (colour_every == 0 ? 0 : kColours);
  const std::uint64_t at = n % cycle_frames;
  Shot shot;
  shot.index = n;
  shot.fringe.patterns = patterns;
  shot.fringe.sequence = static_cast<std::uint32_t>(n / cycle_frames * sequences +
                                                    std::min(at / sequence_frames, sequences - 1));
  if (at < fringes) {
    shot.fringe.pattern = static_cast<int>(at % sequence_frames);
  } else {
    shot.fringe.pattern = patterns;
    shot.kind = static_cast<FrameKind>(at - fringes + 1);
  }
  return shot;
}

EmulatorState::EmulatorState(EmulatorOptions options)
    : options_(std::move(options)), tip_(options_.tip), tip_then_c_(options_.cold_c) {
  if (options_.calibration) calibration_ = encode(*options_.calibration);
}

void EmulatorState::press_button(ButtonPress press) {
  CUSP_CHECK(options_.button, "this wand has no button");
  {
    const std::lock_guard lock(mutex_);
    last_press_ = press == ButtonPress::kShort ? 1 : 2;
  }
  stream_->send_status(0, encode_button_packet(kUnitId, press));
}

void EmulatorState::set_faults(std::uint32_t faults, std::string makers_text) {
  {
    const std::lock_guard lock(mutex_);
    set_faults_ = faults;
    makers_text_ = std::move(makers_text);
    fault_told_ = false;
  }
  stream_->flush();
}

void EmulatorState::set_tip(Tip tip) {
  {
    const std::lock_guard lock(mutex_);
    tip_ = std::move(tip);
    tip_is_new_ = true;
    fault_told_ = false;
  }
  stream_->flush();
}

void EmulatorState::corrupt_calibration() {
  const std::lock_guard lock(mutex_);
  CUSP_CHECK(calibration_.size() > kFlippedByte, "this wand was never calibrated");
  calibration_[kFlippedByte] ^= 0x10;
}

void EmulatorState::lose_frames(std::uint64_t frames, std::uint32_t lost) {
  {
    const std::lock_guard lock(mutex_);
    losses_.emplace_back(stream_->frames_sent() + frames, lost);
  }
  stream_->flush();
}

bool EmulatorState::in_standby() const {
  const std::lock_guard lock(mutex_);
  return standby_;
}

Heater EmulatorState::heater() const {
  const std::lock_guard lock(mutex_);
  return heater_now();
}

std::optional<std::vector<std::uint8_t>> EmulatorState::get(Control control) const {
  const std::lock_guard lock(mutex_);
  switch (control) {
    case Control::kIdentity:
      return encode(Identity{.firmware = options_.firmware});
    case Control::kCapabilities:
      return encode(options_.capabilities);
    case Control::kCalibrationInfo: {
      CalibrationInfo info{.size_bytes = static_cast<std::uint32_t>(calibration_.size())};
      if (options_.calibration) {
        info.crc32 = read_le<std::uint32_t>(calibration_, calibration_.size() - 4);
        info.made_on = options_.calibration->made_on;
      }
      return encode(info);
    }
    case Control::kCalibrationAddress: {
      std::vector<std::uint8_t> bytes(size_bytes(control));
      write_le(bytes, 0, page_address_);
      return bytes;
    }
    case Control::kCalibrationPage:
      return page();
    case Control::kTip:
      return encode(tip_);
    case Control::kLedBrightness:
      return std::vector{led_percent_};
    case Control::kProjectorPower:
      return std::vector{projector_percent_};
    case Control::kExposure: {
      std::vector<std::uint8_t> bytes(size_bytes(control));
      write_le(bytes, 0, exposure_us_);
      return bytes;
    }
    case Control::kHeater:
      return encode(heater_now());
    case Control::kStandby:
      return std::vector<std::uint8_t>{standby_ ? std::uint8_t{1} : std::uint8_t{0}};
    case Control::kStatus:
      return encode(status_now());
    case Control::kFaultText:
      return encode_fault_text((faults_now() & fault::kMakersOwn) != 0 ? makers_text_ : "");
    case Control::kButton:
      return std::vector{last_press_};
  }
  return std::nullopt;
}

bool EmulatorState::set(Control control, std::span<const std::uint8_t> value) {
  if (control == Control::kStandby) return set_standby(value[0]);
  const std::lock_guard lock(mutex_);
  switch (control) {
    case Control::kCalibrationAddress: {
      const auto address = read_le<std::uint32_t>(value, 0);
      if (address % kPageBytes != 0 || address >= kMaxCalibrationBytes) return false;
      page_address_ = address;
      return true;
    }
    case Control::kLedBrightness:
      return set_percent(led_percent_, value[0]);
    case Control::kProjectorPower:
      return set_percent(projector_percent_, value[0]);
    case Control::kExposure: {
      const auto us = read_le<std::uint32_t>(value, 0);
      const auto& wand = options_.capabilities;
      if (us != 0 && (us < wand.min_exposure.count() || us > wand.max_exposure.count()))
        return false;
      exposure_us_ = us;
      return true;
    }
    case Control::kHeater:
      return set_heater(value);
    default:
      return false;  // the others are read, and calibrations are not written over the cable
  }
}

bool EmulatorState::set_percent(std::uint8_t& setting, std::uint8_t value) const {
  if (value > 100) return false;
  setting = value;
  return true;
}

bool EmulatorState::set_heater(std::span<const std::uint8_t> value) {
  std::vector<std::uint8_t> wish(value.begin(), value.begin() + 2);
  wish.resize(value.size());
  const auto heater = decode_heater(wish);
  if (!heater || !options_.capabilities.has_heater) return false;
  if (heater->target_c &&
      (*heater->target_c > options_.capabilities.heater_max_c || *heater->target_c < 0))
    return false;
  tip_then_c_ = tip_c();
  heater_set_ = now_;
  heater_target_c_ = heater->target_c;
  return true;
}

bool EmulatorState::set_standby(std::uint8_t value) {
  if (value > 1) return false;
  {
    const std::lock_guard lock(mutex_);
    standby_ = value == 1;
    ended_ = ended_ || standby_;
  }
  if (value == 1) stream_->flush();
  return true;
}

std::optional<std::vector<std::uint8_t>> EmulatorState::page() const {
  if (page_address_ >= calibration_.size()) return std::nullopt;
  const auto begin = calibration_.begin() + page_address_;
  const auto size = std::min<std::size_t>(kPageBytes, calibration_.size() - page_address_);
  std::vector<std::uint8_t> bytes(begin, begin + static_cast<std::ptrdiff_t>(size));
  bytes.resize(kPageBytes);
  return bytes;
}

std::uint64_t EmulatorState::taken_at(std::uint64_t index) const {
  std::uint64_t taken = index;
  for (const auto& [before, lost] : losses_)
    if (index >= before) taken += lost;
  return taken;
}

void EmulatorState::run_clock(std::uint64_t taken, Nanoseconds interval) {
  const auto frames = [&](std::uint64_t from, std::uint64_t to) {
    return static_cast<std::int64_t>(to - from);
  };
  if (interval != interval_) {
    base_time_ += interval_ * frames(base_, taken);
    base_ = taken;
    interval_ = interval;
  }
  taken_ = taken;
  now_ = base_time_ + interval_ * frames(base_, taken);
}

void EmulatorState::commit() {
  const std::lock_guard lock(mutex_);
  standby_ = false;
  ended_ = false;
  restart_ = true;
}

Shot EmulatorState::next_shot() {
  if (restart_ || taken_ < cycle_begin_) {
    restart_ = false;
    cycle_begin_ = taken_;
    first_sequence_ = taken_ == 0 ? 0 : last_sequence_ + 1;
  }
  Shot shot =
      shot_at(taken_ - cycle_begin_, static_cast<int>(options_.capabilities.patterns.size()),
              options_.capabilities.colour_every);
  shot.index = taken_;
  shot.time = now_ + std::chrono::microseconds(exposure_us() / 2);
  shot.fringe.sequence += first_sequence_;
  last_sequence_ = shot.fringe.sequence;
  return shot;
}

std::optional<EmulatorState::Exposure> EmulatorState::expose(std::uint64_t index,
                                                             Nanoseconds interval) {
  const std::lock_guard lock(mutex_);
  if (ended_) return std::nullopt;
  if ((faults_now() & fault::kStops) != 0) {
    if (fault_told_ || !options_.tells_of_stop) {
      standby_ = true;
      return std::nullopt;
    }
    fault_told_ = true;
  }
  if (tip_is_new_ && tip_.present) {
    ++tip_.uses;
    tip_is_new_ = false;
  }
  run_clock(taken_at(index), interval);
  const Shot shot = next_shot();
  const Status status = status_now();
  return Exposure{.shot = shot,
                  .metadata = {.kind = shot.kind,
                               .index = shot.fringe,
                               .frame = static_cast<std::uint32_t>(taken_),
                               .time = shot.time,
                               .exposure = std::chrono::microseconds(exposure_us()),
                               .projector_c = status.projector_c,
                               .sensor_c = status.sensor_c,
                               .tip_c = status.tip_c,
                               .faults = status.faults}};
}

std::uint32_t EmulatorState::exposure_us() const {
  return exposure_us_ != 0 ? exposure_us_ : static_cast<std::uint32_t>(options_.exposure.count());
}

double EmulatorState::projector_c() const {
  return approach(options_.cold_c, options_.warm_c, seconds(now_),
                  static_cast<double>(options_.warm_up.count()));
}

double EmulatorState::tip_c() const {
  return approach(tip_then_c_, heater_target_c_.value_or(options_.cold_c),
                  seconds(now_ - heater_set_), kTipWarmUp_s);
}

Heater EmulatorState::heater_now() const {
  Heater heater{.target_c = heater_target_c_, .now_c = tip_c()};
  if (heater.target_c)
    heater.state = std::abs(*heater.target_c - *heater.now_c) < kHeaterReady_c
                       ? HeaterState::kReady
                       : HeaterState::kWarming;
  return heater;
}

Status EmulatorState::status_now() const {
  Status status{.faults = faults_now(),
                .projector_c = projector_c(),
                .sensor_c = (projector_c() + options_.cold_c) / 2,
                .tip_c = tip_c(),
                .awake_s = static_cast<std::uint32_t>(seconds(now_)),
                .frames_captured = static_cast<std::uint32_t>(taken_ + 1)};
  for (const auto& [before, lost] : losses_)
    if (taken_ >= before) status.frames_dropped += lost;
  return status;
}

// What was set from outside, and what the wand finds by itself.
std::uint32_t EmulatorState::faults_now() const {
  std::uint32_t faults = set_faults_;
  if (options_.warm_c - projector_c() > kWarmEnough_c) faults |= fault::kWarmingUp;
  if (!tip_.present) faults |= fault::kNoTip;
  if (tip_.uses_allowed != 0 && tip_.uses > tip_.uses_allowed) faults |= fault::kTipWorn;
  if (tip_.present && tip_.id.empty() && options_.capabilities.has_tip_id)
    faults |= fault::kTipUnreadable;
  for (const auto& [before, lost] : losses_)
    if (taken_ >= before &&
        interval_ * static_cast<std::int64_t>(taken_ - before) < nanoseconds(kDropsRemembered))
      faults |= fault::kFramesDropped;
  return faults;
}

}  // namespace cusp::wand
