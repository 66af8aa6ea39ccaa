#include "drivers/uvc_camera/settings.h"

#include <array>
#include <cmath>
#include <optional>

#include "drivers/uvc/controls.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::uvc_camera {
namespace {

constexpr std::uint8_t kGetRes = 0x84;
// Automatic exposure modes, UVC 1.5 section 4.2.2.1.2: what the camera may choose. Of those that
// choose the exposure time, a camera has one or both.
constexpr std::uint8_t kManual = 1, kAuto = 2, kAperturePriority = 8;
constexpr std::string_view kAutoExposure = "auto_exposure", kExposure = "exposure_us";

struct Control {
  std::string_view name;
  bool of_camera = true;  // of the camera terminal; else of the processing unit
  std::uint32_t bit = 0;  // of its bmControls
  std::uint8_t selector = 0;
  std::size_t size_bytes = 0;
  double unit = 1;
};
constexpr std::array<Control, 3> kControls{{
    {kAutoExposure, true, 1u << 1, uvc::kAutoExposureMode, 1},
    {kExposure, true, 1u << 3, uvc::kExposureTimeAbsolute, 4, 100},
    {"gain", false, 1u << 9, uvc::kGain, 2},
}};

const Control& control_named(std::string_view name) {
  for (const Control& control : kControls)
    if (control.name == name) return control;
  CUSP_CHECK(false, "a setting that was listed has a control");
}

// The terminal or unit that has the control; none: the camera lacks it.
std::optional<uvc::Entity> entity_of(const Control& control, const uvc::VideoFunction& function) {
  const auto find = [&](const auto& entities) -> std::optional<uvc::Entity> {
    for (const auto& entity : entities)
      if ((entity.controls & control.bit) != 0)
        return uvc::Entity{function.control_interface, entity.id};
    return std::nullopt;
  };
  return control.of_camera ? find(function.cameras) : find(function.processing_units);
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
  Setting setting{.name = std::string(control.name)};
  CUSP_ASSIGN(const std::uint32_t value, read_number(transport, control, entity, uvc::kGetCur));
  if (control.name == kAutoExposure) {
    setting.value = value == kManual ? 0 : 1;
    setting.max = setting.step = 1;
    return setting;
  }
  setting.value = value * control.unit;
  CUSP_ASSIGN(const std::uint32_t min, read_number(transport, control, entity, uvc::kGetMin));
  CUSP_ASSIGN(const std::uint32_t max, read_number(transport, control, entity, uvc::kGetMax));
  CUSP_ASSIGN(const std::uint32_t step, read_number(transport, control, entity, kGetRes));
  setting.min = min * control.unit;
  setting.max = max * control.unit;
  setting.step = step * control.unit;
  return setting;
}

// GET_RES of the mode tells which modes there are.
Result<void> set_auto_exposure(UsbTransport& transport, uvc::Entity entity, bool on) {
  const Control& control = control_named(kAutoExposure);
  std::uint32_t mode = kManual;
  if (on) {
    CUSP_ASSIGN(const std::uint32_t modes, read_number(transport, control, entity, kGetRes));
    mode = (modes & kAperturePriority) != 0 ? kAperturePriority : kAuto;
  }
  return write_number(transport, control, entity, mode);
}

}  // namespace

Result<std::vector<Setting>> read_settings(UsbTransport& transport,
                                           const uvc::VideoFunction& function) {
  std::vector<Setting> settings;
  for (const Control& control : kControls) {
    const auto entity = entity_of(control, function);
    if (!entity) continue;
    auto setting = read_setting(transport, control, *entity);
    if (setting)
      settings.push_back(std::move(*setting));
    else if (setting.error().code != ErrorCode::kUnsupported)
      return setting.error();
  }
  return settings;
}

Result<void> apply_setting(UsbTransport& transport, const uvc::VideoFunction& function,
                           std::string_view name, double value) {
  const Control& control = control_named(name);
  const auto entity = entity_of(control, function);
  CUSP_CHECK(entity.has_value(), "a setting that was listed has a control");
  if (control.name == kAutoExposure) return set_auto_exposure(transport, *entity, value != 0);
  if (control.name == kExposure)
    if (const auto mode = entity_of(control_named(kAutoExposure), function))
      CUSP_TRY(set_auto_exposure(transport, *mode, false));
  return write_number(transport, control, *entity,
                      static_cast<std::uint32_t>(std::lround(value / control.unit)));
}

}  // namespace cusp::uvc_camera
