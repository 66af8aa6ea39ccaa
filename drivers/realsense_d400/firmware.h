// Firmware: what a D400 camera answers over the controls of its depth unit and its hardware
// monitor.
//
// Every verb is some control transfers; each may take some milliseconds. A camera that is busy or
// not ready yet is asked again for half a second: kUnavailable means that it still was. Nothing
// here writes anything that outlives a power cycle. Threads: as UsbTransport. Errors: as protocol.h
// and calibration_tables.h; trouble with the cable keeps its code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/realsense_d400/calibration_tables.h"
#include "drivers/realsense_d400/protocol.h"
#include "drivers/uvc/controls.h"

namespace cusp::realsense_d400 {

class Firmware {
 public:
  Firmware(UsbTransport& transport, uvc::Entity depth_unit)
      : transport_(transport), depth_unit_(depth_unit) {}

  Result<DeviceDetails> details();
  Result<Coefficients> coefficients();
  Result<ColourCoefficients> colour_coefficients();
  // Rectified intrinsics of a depth mode: from the coefficients, or, for sizes that they lack, from
  // the list that newer firmware has. kNotFound: neither holds the size.
  Result<Intrinsics> rectified(const Coefficients& coefficients, int width_px, int height_px);
  // One count of depth. Somebody may have changed it in advanced mode, a state that lasts over
  // power cycles; otherwise, and with firmware that knows no such mode, it is the model's own.
  Result<double> depth_unit_mm(const Model& model);
  Result<ChipTemperatures> temperatures();
  // The operator's sentence; none: all is well.
  Result<std::optional<std::string>> problem();

 private:
  Result<std::vector<std::uint8_t>> monitor(Opcode opcode, std::uint32_t parameter = 0);
  Result<std::vector<std::uint8_t>> ask_monitor(Opcode opcode, std::uint32_t parameter);
  Result<std::vector<std::uint8_t>> read(Selector selector, std::size_t size_bytes);

  UsbTransport& transport_;
  uvc::Entity depth_unit_;
};

}  // namespace cusp::realsense_d400
