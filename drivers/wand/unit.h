// Unit: a wand's extension unit over the cable; one verb a control.
//
// Threads: as UsbTransport. Errors: those of uvc/controls.h and of the decoders of protocol.h, with
// the wand's name in front. Writing a calibration has no verb here, so that no code can do it.
#pragma once

#include <string>

#include "drivers/uvc/controls.h"
#include "drivers/wand/calibration.h"
#include "drivers/wand/protocol.h"

namespace cusp::wand {

class Unit {
 public:
  Unit(UsbTransport& transport, uvc::Entity entity, std::string name);

  [[nodiscard]] std::uint8_t id() const { return entity_.id; }

  Result<Identity> identity();
  Result<Capabilities> capabilities();
  // Asked while frames come, so these three do not wait long for an answer.
  Result<Tip> tip();
  Result<Status> status();
  Result<std::string> fault_text();
  Result<CalibrationInfo> calibration_info();
  // All pages, checked. kNotFound: the wand was never calibrated.
  struct StoredCalibration {
    CalibrationTable table;
    std::uint32_t crc32 = 0;
  };
  Result<StoredCalibration> calibration();

  // A control of one number: percentages, exposure in us, standby.
  Result<std::uint32_t> number(Control control);
  Result<void> set_number(Control control, std::uint32_t value);
  Result<void> set_heater(std::optional<double> target_c);

  [[nodiscard]] Error named(const Error& e) const;

 private:
  Result<std::vector<std::uint8_t>> get(Control control,
                                        std::chrono::milliseconds timeout = uvc::kControlTimeout);
  [[nodiscard]] Error refused(Control control, std::string_view verb, const Error& e) const;
  Result<void> set(Control control, std::span<const std::uint8_t> value);
  template <typename T>
  Result<T> read(Control control, Result<T> (*decode)(std::span<const std::uint8_t>),
                 std::chrono::milliseconds timeout = uvc::kControlTimeout) {
    CUSP_ASSIGN(const auto bytes, get(control, timeout));
    Result<T> value = decode(bytes);
    return value ? std::move(value) : Result<T>(named(value.error()));
  }

  UsbTransport& transport_;
  const uvc::Entity entity_;
  const std::string name_;
};

}  // namespace cusp::wand
