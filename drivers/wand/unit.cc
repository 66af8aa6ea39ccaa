#include "drivers/wand/unit.h"

#include "drivers/bytes.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::wand {
namespace {

constexpr std::chrono::milliseconds kHealthTimeout{200};  // docs/wand-protocol.md section 5

}  // namespace

Unit::Unit(UsbTransport& transport, uvc::Entity entity, std::string name)
    : transport_(transport), entity_(entity), name_(std::move(name)) {}

Result<Identity> Unit::identity() { return read(Control::kIdentity, decode_identity); }
Result<Capabilities> Unit::capabilities() {
  return read(Control::kCapabilities, decode_capabilities);
}
Result<Tip> Unit::tip() { return read(Control::kTip, decode_tip, kHealthTimeout); }
Result<Status> Unit::status() { return read(Control::kStatus, decode_status, kHealthTimeout); }
Result<std::string> Unit::fault_text() {
  return read(Control::kFaultText, decode_fault_text, kHealthTimeout);
}
Result<CalibrationInfo> Unit::calibration_info() {
  return read(Control::kCalibrationInfo, decode_calibration_info);
}

Result<Unit::StoredCalibration> Unit::calibration() {
  CUSP_ASSIGN(const CalibrationInfo info, calibration_info());
  if (info.size_bytes == 0)
    return error(ErrorCode::kNotFound, "{}: it was never calibrated", name_);
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < info.size_bytes) {
    CUSP_TRY(set_number(Control::kCalibrationAddress, static_cast<std::uint32_t>(bytes.size())));
    CUSP_ASSIGN(const auto page, get(Control::kCalibrationPage));
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  bytes.resize(info.size_bytes);
  auto table = decode_calibration_table(bytes);
  if (!table) return named(table.error());
  const auto crc = read_le<std::uint32_t>(bytes, bytes.size() - sizeof(std::uint32_t));
  if (crc != info.crc32)
    return error(ErrorCode::kCorrupt,
                 "{}: its calibration table has the CRC {:08x}, it announced {:08x}", name_, crc,
                 info.crc32);
  return StoredCalibration{.table = std::move(table).value(), .crc32 = crc};
}

Result<std::uint32_t> Unit::number(Control control) {
  auto value = uvc::get_number(transport_, entity_, static_cast<std::uint8_t>(control),
                               uvc::kGetCur, size_bytes(control));
  if (!value) return refused(control, "read", value.error());
  return value;
}

Result<void> Unit::set_number(Control control, std::uint32_t value) {
  const auto done = uvc::set_number(transport_, entity_, static_cast<std::uint8_t>(control), value,
                                    size_bytes(control));
  if (!done) return refused(control, "set", done.error());
  return {};
}

Result<void> Unit::set_heater(std::optional<double> target_c) {
  return set(Control::kHeater, encode(Heater{.target_c = target_c}));
}

Error Unit::named(const Error& e) const { return error(e.code, "{}: {}", name_, e.message); }

Result<std::vector<std::uint8_t>> Unit::get(Control control, std::chrono::milliseconds timeout) {
  auto bytes = uvc::get_control(transport_, entity_, static_cast<std::uint8_t>(control),
                                uvc::kGetCur, size_bytes(control), timeout);
  if (!bytes) return refused(control, "read", bytes.error());
  return bytes;
}

Result<void> Unit::set(Control control, std::span<const std::uint8_t> value) {
  const auto done =
      uvc::set_control(transport_, entity_, static_cast<std::uint8_t>(control), value);
  if (!done) return refused(control, "set", done.error());
  return {};
}

Error Unit::refused(Control control, std::string_view verb, const Error& e) const {
  return error(e.code, "{}: its {} can't be {}: {}", name_, to_string(control), verb, e.message);
}

}  // namespace cusp::wand
