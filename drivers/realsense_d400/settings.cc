#include "drivers/realsense_d400/settings.h"

#include <array>
#include <optional>

#include "drivers/uvc/stream_control.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::uint8_t kGetRes = 0x84;
constexpr std::uint32_t kGainControl = 1u << 9;  // in bmControls of a processing unit

struct Control {
  std::string_view name;
  std::uint8_t selector = 0;
  std::size_t size_bytes = 0;
  bool in_depth_unit = true;  // else in the processing unit
  // Another control that must have a value for this one to hold.
  std::string_view needs{};
  std::uint32_t needed = 0;
};
constexpr std::uint8_t selector(Selector s) { return static_cast<std::uint8_t>(s); }

// In the order in which they are applied again after a reset.
constexpr std::array<Control, 6> kControls{{
    {"preset", selector(Selector::kPreset), 1},
    {"emitter", selector(Selector::kEmitter), 1},
    {"laser_power_mw", selector(Selector::kLaserPower), 2, true, "emitter", 1},
    {"auto_exposure", selector(Selector::kAutoExposure), 1},
    {"exposure_us", selector(Selector::kExposure), 4, true, "auto_exposure", 0},
    {"gain", uvc::kGain, 2, false, "auto_exposure", 0},
}};

std::optional<uvc::Entity> entity_of(const Control& control, const DepthStream& depth) {
  if (control.in_depth_unit) return depth.unit;
  for (const uvc::ProcessingUnit& unit : depth.function.processing_units)
    if ((unit.controls & kGainControl) != 0)
      return uvc::Entity{depth.function.control_interface, unit.id};
  return std::nullopt;
}

// The camera answered, but no: it lacks the control, or does not show it in its present state.
bool is_refusal(const Error& e) {
  return e.code == ErrorCode::kUnsupported || e.code == ErrorCode::kUnavailable ||
         e.code == ErrorCode::kConflict;
}

const Control& control_named(std::string_view name) {
  for (const Control& control : kControls)
    if (control.name == name) return control;
  CUSP_CHECK(false, "a setting that was listed has a control");
}

Result<std::uint32_t> read_number(UsbTransport& transport, const Control& control,
                                  uvc::Entity entity, std::uint8_t request) {
  return uvc::get_number(transport, entity, control.selector, request, control.size_bytes);
}

Result<void> write_number(UsbTransport& transport, const Control& control, uvc::Entity entity,
                          std::uint32_t number) {
  return uvc::set_number(transport, entity, control.selector, number, control.size_bytes);
}

Result<Setting> read_setting(UsbTransport& transport, const Control& control, uvc::Entity entity) {
  CUSP_ASSIGN(const auto value, read_number(transport, control, entity, uvc::kGetCur));
  CUSP_ASSIGN(const auto min, read_number(transport, control, entity, uvc::kGetMin));
  CUSP_ASSIGN(const auto max, read_number(transport, control, entity, uvc::kGetMax));
  CUSP_ASSIGN(const auto step, read_number(transport, control, entity, kGetRes));
  return Setting{.name = std::string(control.name),
                 .value = static_cast<double>(value),
                 .min = static_cast<double>(min),
                 .max = static_cast<double>(max),
                 .step = static_cast<double>(step)};
}

}  // namespace

Result<std::vector<Setting>> read_settings(UsbTransport& transport, const DepthStream& depth) {
  std::vector<Setting> settings;
  for (const Control& control : kControls) {
    const auto entity = entity_of(control, depth);
    if (!entity) continue;
    const auto setting = read_setting(transport, control, *entity);
    if (setting)
      settings.push_back(*setting);
    else if (!is_refusal(setting.error()))
      return setting.error();
  }
  return settings;
}

Result<void> apply_setting(UsbTransport& transport, const DepthStream& depth, std::string_view name,
                           double value) {
  CUSP_ASSIGN(const auto offered, read_settings(transport, depth));
  CUSP_TRY(check_setting(offered, name, value));
  const Control& control = control_named(name);
  if (!control.needs.empty()) {
    const Control& other = control_named(control.needs);
    for (const Setting& setting : offered)
      if (setting.name == other.name && setting.value != control.needed)
        CUSP_TRY(write_number(transport, other, *entity_of(other, depth), control.needed));
  }
  return write_number(transport, control, *entity_of(control, depth),
                      static_cast<std::uint32_t>(value));
}

}  // namespace cusp::realsense_d400
