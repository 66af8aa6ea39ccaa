#include "drivers/realsense_d400/firmware.h"

#include <chrono>
#include <thread>

#include "drivers/realsense_d400/error_words.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::chrono::milliseconds kMonitorTimeout{5000};
// A camera that has just begun, or was reset, is not ready for some tenths of a second.
constexpr int kTries = 6;
constexpr std::chrono::milliseconds kBetweenTries{100};

}  // namespace

Result<DeviceDetails> Firmware::details() {
  CUSP_ASSIGN(const auto answer, monitor(Opcode::kDeviceDetails));
  return decode_device_details(answer);
}

Result<Coefficients> Firmware::coefficients() {
  CUSP_ASSIGN(const auto table, monitor(Opcode::kReadCalibration, kCoefficientsTableId));
  return decode_coefficients(table);
}

Result<ColourCoefficients> Firmware::colour_coefficients() {
  CUSP_ASSIGN(const auto table, monitor(Opcode::kReadCalibration, kColourTableId));
  return decode_colour_coefficients(table);
}

Result<Intrinsics> Firmware::rectified(const Coefficients& coefficients, int width_px,
                                       int height_px) {
  auto optics = rectified_at(coefficients, width_px, height_px);
  if (optics) return optics;
  const auto answer = monitor(Opcode::kReadRectifiedModes);
  if (!answer) {
    if (answer.error().code == ErrorCode::kUnsupported) return optics;
    return answer.error();
  }
  for (const Intrinsics& mode : decode_rectified_modes(*answer))
    if (mode.width_px == width_px && mode.height_px == height_px) return mode;
  return optics;
}

Result<double> Firmware::depth_unit_mm(const Model& model) {
  const auto advanced = monitor(Opcode::kIsAdvanced);
  if (!advanced && advanced.error().code != ErrorCode::kUnsupported) return advanced.error();
  if (advanced && advanced->empty())
    return error(ErrorCode::kProtocol, "it does not say whether it is in advanced mode");
  if (!advanced || advanced->front() == 0) return model.depth_unit_mm;
  CUSP_ASSIGN(const auto table, monitor(Opcode::kReadAdvancedTable, kDepthTableId));
  return decode_depth_unit_mm(table);
}

Result<ChipTemperatures> Firmware::temperatures() {
  CUSP_ASSIGN(const auto data, read(Selector::kTemperatures, kTemperaturesBytes));
  return decode_temperatures(data);
}

Result<std::optional<std::string>> Firmware::problem() {
  CUSP_ASSIGN(const auto word, read(Selector::kErrorWord, 1));
  return problem_of(word.front());
}

Result<std::vector<std::uint8_t>> Firmware::monitor(Opcode opcode, std::uint32_t parameter) {
  auto answer = ask_monitor(opcode, parameter);
  for (int i = 1; i < kTries && !answer && answer.error().code == ErrorCode::kUnavailable; ++i) {
    std::this_thread::sleep_for(kBetweenTries);
    answer = ask_monitor(opcode, parameter);
  }
  return answer;
}

Result<std::vector<std::uint8_t>> Firmware::ask_monitor(Opcode opcode, std::uint32_t parameter) {
  const auto value = static_cast<std::uint16_t>(static_cast<int>(Selector::kMonitor) << 8);
  const auto index =
      static_cast<std::uint16_t>(depth_unit_.id << 8 | depth_unit_.control_interface);
  CUSP_TRY(transport_.control_out({uvc::kToInterface, uvc::kSetCur, value, index},
                                  encode_command(opcode, parameter), kMonitorTimeout));
  std::vector<std::uint8_t> block(kMonitorBytes);
  CUSP_ASSIGN(const std::size_t size,
              transport_.control_in({uvc::kFromInterface, uvc::kGetCur, value, index}, block,
                                    kMonitorTimeout));
  return decode_answer(opcode, std::span(block).first(size));
}

Result<std::vector<std::uint8_t>> Firmware::read(Selector selector, std::size_t size_bytes) {
  return uvc::get_control(transport_, depth_unit_, static_cast<std::uint8_t>(selector),
                          uvc::kGetCur, size_bytes);
}

}  // namespace cusp::realsense_d400
