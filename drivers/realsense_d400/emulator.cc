#include "drivers/realsense_d400/emulator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/realsense_d400/calibration_tables.h"
#include "drivers/realsense_d400/emulator_descriptors.h"
#include "drivers/realsense_d400/frame_metadata.h"
#include "drivers/uvc/controls.h"

namespace cusp::realsense_d400 {
namespace {

static_assert(std::endian::native == std::endian::little, "Z16 is copied as it stands in memory");

constexpr std::int32_t kUnknownCommand = -1, kNotReady = -7, kCommandLocked = -27,
                       kWrongTableId = -28;
constexpr std::uint16_t kD405 = 0x0B5B;

// FWB, FES, FEF, FPLOCK, DFU: they write flash, lock it for ever, or leave the firmware.
bool is_dangerous(std::uint32_t opcode) {
  return opcode == 0x0A || opcode == 0x0B || opcode == 0x0C || opcode == 0x0E || opcode == 0x1E;
}

bool is_serial(const std::string& text) {
  return text.size() == 12 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// A number that the host may set, little-endian on the wire.
struct Knob {
  std::uint8_t entity;
  std::uint8_t selector;
  std::size_t size_bytes;
  std::uint32_t min, max, step, initial;
};
constexpr std::uint8_t number(Selector selector) { return static_cast<std::uint8_t>(selector); }

constexpr Knob kExposure{kEmulatorDepthUnit, number(Selector::kExposure), 4, 1, 165000, 1, 33000};
constexpr Knob kGain{kEmulatorProcessingUnit, uvc::kGain, 2, 16, 248, 1, 16};
constexpr Knob kLaserPower{kEmulatorDepthUnit, number(Selector::kLaserPower), 2, 0, 360, 30, 150};
constexpr std::array kCommonKnobs{
    kExposure, kGain, Knob{kEmulatorDepthUnit, number(Selector::kAutoExposure), 1, 0, 1, 1, 1},
    Knob{kEmulatorDepthUnit, number(Selector::kPreset), 1, 0, 6, 1, 0}};
constexpr std::array kProjectorKnobs{
    kLaserPower, Knob{kEmulatorDepthUnit, number(Selector::kEmitter), 1, 0, 2, 1, 1}};

std::vector<std::uint8_t> little_endian(std::uint32_t value, std::size_t size_bytes) {
  std::vector<std::uint8_t> bytes(size_bytes);
  for (std::size_t i = 0; i < std::min(size_bytes, sizeof value); ++i)
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  return bytes;
}

// The firmware's state, behind its controls.
class Camera final : public EmulatedCamera {
 public:
  explicit Camera(const EmulatorOptions& options)
      : options_(options),
        depth_table_(
            encode(Coefficients{.baseline_mm = options.baseline_mm, .rectified = {options.depth}})),
        modes_table_(encode_rectified_modes(std::span(&options.depth, 1))) {
    if (options.colour) colour_table_ = encode(colour_coefficients(*options.colour));
    for (const Knob& knob : kCommonKnobs) knobs_.push_back(knob);
    if (has_projector())
      for (const Knob& knob : kProjectorKnobs) knobs_.push_back(knob);
    if (has_projector()) temperatures_.projector_c = 31;
    forget_settings();
  }

  void corrupt_calibration() override {
    const std::lock_guard lock(mutex_);
    depth_table_.back() ^= 0x01;
  }
  void corrupt_colour_calibration() override {
    const std::lock_guard lock(mutex_);
    if (!colour_table_.empty()) colour_table_.back() ^= 0x01;
  }
  void set_temperatures(const ChipTemperatures& temperatures) override {
    const std::lock_guard lock(mutex_);
    temperatures_ = temperatures;
  }
  void report_error(std::uint8_t error_word) override {
    const std::lock_guard lock(mutex_);
    error_word_ = error_word;
  }
  void set_advanced_depth_unit(std::optional<std::uint32_t> micrometres) override {
    const std::lock_guard lock(mutex_);
    advanced_unit_um_ = micrometres;
  }
  void refuse_commands(std::int32_t error_number, int count) override {
    const std::lock_guard lock(mutex_);
    refusal_ = error_number;
    refusals_left_ = count;
  }
  void lose_frames(std::uint32_t count) override {
    const std::lock_guard lock(mutex_);
    lost_ += count;
  }
  void forget_settings() override {
    const std::lock_guard lock(mutex_);
    for (const Knob& knob : knobs_) values_[{knob.entity, knob.selector}] = knob.initial;
  }

  FrameMetadata metadata(std::uint64_t index) const {
    const std::lock_guard lock(mutex_);
    return {.frame_counter = static_cast<std::uint32_t>(index + lost_),
            .exposure = std::chrono::microseconds(value_of(kExposure))};
  }

  // What GET_CUR and SET_CUR of the units come to.
  static std::vector<EmulatedControl> controls(const std::shared_ptr<Camera>& camera) {
    const auto read_only = [&](Selector selector, std::size_t size_bytes, auto get) {
      return EmulatedControl{.entity = kEmulatorDepthUnit,
                             .selector = number(selector),
                             .size_bytes = size_bytes,
                             .get = get,
                             .set = {}};
    };
    std::vector<EmulatedControl> controls{
        {.entity = kEmulatorDepthUnit,
         .selector = number(Selector::kMonitor),
         .size_bytes = kMonitorBytes,
         .get = [camera] { return camera->answer(); },
         .set = [camera](auto block) { return camera->take_command(block); }},
        read_only(Selector::kErrorWord, 1,
                  [camera]() -> std::optional<std::vector<std::uint8_t>> {
                    const std::lock_guard lock(camera->mutex_);
                    return std::vector<std::uint8_t>{camera->error_word_};
                  }),
        read_only(Selector::kTemperatures, kTemperaturesBytes,
                  [camera]() -> std::optional<std::vector<std::uint8_t>> {
                    const std::lock_guard lock(camera->mutex_);
                    return encode(camera->temperatures_);
                  })};
    for (const Knob& knob : camera->knobs_)
      controls.push_back({.entity = knob.entity,
                          .selector = knob.selector,
                          .size_bytes = knob.size_bytes,
                          .get = [camera, knob] { return camera->read(knob); },
                          .set = [camera, knob](auto value) { return camera->write(knob, value); },
                          .min = little_endian(knob.min, knob.size_bytes),
                          .max = little_endian(knob.max, knob.size_bytes),
                          .step = little_endian(knob.step, knob.size_bytes),
                          .initial = little_endian(knob.initial, knob.size_bytes)});
    return controls;
  }

 private:
  bool has_projector() const { return options_.product_id != kD405; }

  std::uint32_t value_of(const Knob& knob) const {
    return values_.at({knob.entity, knob.selector});
  }

  std::optional<std::vector<std::uint8_t>> read(const Knob& knob) const {
    const std::lock_guard lock(mutex_);
    return little_endian(value_of(knob), knob.size_bytes);
  }

  bool write(const Knob& knob, std::span<const std::uint8_t> bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
    if (value < knob.min || value > knob.max || (value - knob.min) % knob.step != 0) return false;
    const std::lock_guard lock(mutex_);
    values_[{knob.entity, knob.selector}] = value;
    return true;
  }

  std::optional<std::vector<std::uint8_t>> answer() const {
    const std::lock_guard lock(mutex_);
    if (answer_.empty()) return std::nullopt;  // nothing was asked
    return answer_;
  }

  bool take_command(std::span<const std::uint8_t> block) {
    if (read_le<std::uint16_t>(block, 2) != kMonitorMagic ||
        read_le<std::uint16_t>(block, 0) < kMonitorHeaderBytes - 4)
      return false;
    const std::lock_guard lock(mutex_);
    const auto opcode = read_le<std::uint32_t>(block, 4);
    const auto parameter = read_le<std::uint32_t>(block, 8);
    if (refusals_left_ > 0) {
      --refusals_left_;
      refuse(refusal_);
      return true;
    }
    switch (static_cast<Opcode>(opcode)) {
      case Opcode::kDeviceDetails:
        set_answer(opcode, encode(DeviceDetails{options_.firmware, options_.serial}));
        break;
      case Opcode::kReadCalibration:
        answer_with_table(opcode, parameter);
        break;
      case Opcode::kReadRectifiedModes:
        set_answer(opcode, modes_table_);
        break;
      case Opcode::kIsAdvanced:
        set_answer(opcode, std::array{static_cast<std::uint8_t>(advanced_unit_um_ ? 1 : 0)});
        break;
      case Opcode::kReadAdvancedTable:
        if (!advanced_unit_um_)
          refuse(kNotReady);
        else if (parameter != kDepthTableId)
          refuse(kWrongTableId);
        else
          set_answer(opcode, little_endian(*advanced_unit_um_, kDepthTableBytes));
        break;
      default:
        refuse(is_dangerous(opcode) ? kCommandLocked : kUnknownCommand);
    }
    return true;
  }

  void answer_with_table(std::uint32_t opcode, std::uint32_t table_id) {
    if (table_id == kCoefficientsTableId)
      set_answer(opcode, depth_table_);
    else if (table_id == kColourTableId && !colour_table_.empty())
      set_answer(opcode, colour_table_);
    else
      refuse(kWrongTableId);
  }

  void set_answer(std::uint32_t opcode, std::span<const std::uint8_t> data) {
    answer_.assign(kMonitorBytes, 0);
    write_le(answer_, 0, opcode);
    std::copy(data.begin(), data.end(), answer_.begin() + 4);
    write_le(answer_, kMonitorSizeAt, static_cast<std::uint32_t>(data.size()));
  }
  void refuse(std::int32_t code) { set_answer(static_cast<std::uint32_t>(code), {}); }

  const EmulatorOptions options_;
  std::vector<Knob> knobs_;
  mutable std::mutex mutex_;                                            // of what follows
  std::vector<std::uint8_t> depth_table_, colour_table_, modes_table_;  // as they are sent
  std::vector<std::uint8_t> answer_;                                    // of the last command
  ChipTemperatures temperatures_{.projector_c = {}, .asic_c = 36};
  std::uint8_t error_word_ = 0;
  std::optional<std::uint32_t> advanced_unit_um_;
  std::int32_t refusal_ = 0;
  int refusals_left_ = 0;
  std::uint64_t lost_ = 0;
  std::map<std::pair<std::uint8_t, std::uint8_t>, std::uint32_t> values_;
};

std::size_t pixels_of(const EmulatedMode& mode) {
  return static_cast<std::size_t>(mode.width_px) * static_cast<std::size_t>(mode.height_px);
}

EmulatedSource depth_source(FrameSource source, std::shared_ptr<Camera> camera,
                            bool sends_metadata) {
  return [source = std::move(source), camera = std::move(camera), sends_metadata](
             std::uint64_t index, const EmulatedMode& mode, EmulatedFrame& frame) {
    std::vector<std::uint16_t> z16(pixels_of(mode));
    if (!source(index, z16)) return false;
    frame.pixels.resize(z16.size() * 2);
    std::memcpy(frame.pixels.data(), z16.data(), frame.pixels.size());
    if (sends_metadata) frame.metadata = encode(camera->metadata(index));
    return true;
  };
}

EmulatedSource colour_source(ColourSource source) {
  return [source = std::move(source)](std::uint64_t index, const EmulatedMode& mode,
                                      EmulatedFrame& frame) {
    frame.pixels.resize(pixels_of(mode) * 2);
    return source(index, mode.width_px, mode.height_px, frame.pixels);
  };
}

}  // namespace

Emulator make_emulator(EmulatorOptions options, FrameSource source, ColourSource colour) {
  const Model* const model = find_model(options.product_id);
  CUSP_CHECK(model != nullptr, "a product id of the D400 family");
  CUSP_CHECK(is_serial(options.serial), "a serial number has 12 lower-case hex digits");
  CUSP_CHECK(options.depth.width_px > 0 && options.depth.height_px > 0 && options.max_rate_hz > 0,
             "the double needs a size and a rate");
  CUSP_CHECK(source != nullptr, "the double needs a source of frames");
  const auto camera = std::make_shared<Camera>(options);
  EmulatedUvcDevice device{.vendor_id = kVendorId,
                           .product_id = options.product_id,
                           .device_bcd = 0x50E0,
                           .maker = "Intel(R) RealSense(TM)",
                           .product = std::string(model->name),
                           .serial = options.serial,
                           .speed = options.speed,
                           .functions = {emulator_depth_function(options)},
                           .real_time = options.real_time,
                           .max_power_ma = 180};
  EmulatedVideoFunction& depth = device.functions.front();
  depth.streams.front().source = depth_source(std::move(source), camera, options.sends_metadata);
  depth.controls = Camera::controls(camera);
  if (options.colour && colour != nullptr) {
    EmulatedStream stream = emulator_colour_stream(options, model->has_colour_camera ? 3 : 2);
    stream.source = colour_source(std::move(colour));
    if (model->has_colour_camera) {
      device.functions.push_back(emulator_colour_function());
      device.functions.back().streams.push_back(std::move(stream));
    } else {
      depth.streams.push_back(std::move(stream));
    }
  }
  UvcDouble made = make_uvc_function(std::move(device));
  return {std::move(made.function), made.control, camera};
}

}  // namespace cusp::realsense_d400
