#include "drivers/realsense_d400/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "drivers/bytes.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::array<Model, 5> kModels{{
    {0x0B5B, "RealSense D405", 0.1, false},
    {0x0AD3, "RealSense D415", 1.0, true},
    {0x0B07, "RealSense D435", 1.0, true},
    {0x0B3A, "RealSense D435i", 1.0, true},
    {0x0B5C, "RealSense D455", 1.0, true},
}};

constexpr std::size_t kFirmwareAt = 12, kSerialAt = 48, kSerialBytes = 6;
constexpr std::size_t kProjectorValidAt = 0, kAsicValidAt = 1, kProjectorAt = 2, kAsicAt = 3;
constexpr double kMmPerMicrometre = 0.001;

// A refusal of the hardware monitor.
struct Refusal {
  std::int32_t number;
  ErrorCode code;
  std::string_view words;
};
constexpr std::array kRefusals{
    Refusal{-1, ErrorCode::kUnsupported, "unknown command"},
    Refusal{-6, ErrorCode::kInvalidArgument, "wrong parameter"},
    Refusal{-7, ErrorCode::kUnavailable, "hardware not ready"},
    Refusal{-16, ErrorCode::kCorrupt, "the table is not valid"},
    Refusal{-17, ErrorCode::kNotFound, "no table of that id"},
    Refusal{-18, ErrorCode::kCorrupt, "the table has a wrong size"},
    Refusal{-19, ErrorCode::kCorrupt, "wrong CRC"},
    Refusal{-21, ErrorCode::kNotFound, "no data to return"},
    Refusal{-25, ErrorCode::kNotFound, "the table is empty"},
    Refusal{-27, ErrorCode::kPermission, "the command is locked"},
    Refusal{-28, ErrorCode::kNotFound, "wrong table id"},
    Refusal{-32, ErrorCode::kUnavailable, "time-out inside the device"},
    Refusal{-35, ErrorCode::kUnavailable, "time-out of its events"},
    Refusal{-38, ErrorCode::kUnavailable, "not in its present state"},
    Refusal{-41, ErrorCode::kUnavailable, "busy"},
    Refusal{-58, ErrorCode::kUnsupported, "not supported by this firmware"},
};
// What is not in the list says nothing of whether the firmware knows the command.
Refusal refusal(std::int32_t number) {
  const auto* const found = std::find_if(kRefusals.begin(), kRefusals.end(),
                                         [&](const Refusal& r) { return r.number == number; });
  if (found != kRefusals.end()) return *found;
  return {number, ErrorCode::kProtocol, "see the device's manual"};
}

std::optional<int> signed_byte(std::uint8_t valid, std::uint8_t value) {
  if (valid == 0) return std::nullopt;
  return static_cast<std::int8_t>(value);
}

}  // namespace

std::span<const Model> models() { return kModels; }

const Model* find_model(std::uint16_t product_id) {
  const auto* found = std::find_if(kModels.begin(), kModels.end(), [&](const Model& model) {
    return model.product_id == product_id;
  });
  return found == kModels.end() ? nullptr : found;
}

std::vector<std::uint8_t> encode_command(Opcode opcode, std::uint32_t parameter) {
  std::vector<std::uint8_t> block(kMonitorBytes);
  write_le<std::uint16_t>(block, 0, kMonitorHeaderBytes - 4);  // what follows the first four bytes
  write_le(block, 2, kMonitorMagic);
  write_le(block, 4, static_cast<std::uint32_t>(opcode));
  write_le(block, 8, parameter);
  return block;
}

Result<std::vector<std::uint8_t>> decode_answer(Opcode opcode,
                                                std::span<const std::uint8_t> block) {
  const auto sent = static_cast<std::uint32_t>(opcode);
  if (block.size() != kMonitorBytes)
    return error(ErrorCode::kProtocol,
                 "hardware monitor command {:#x}: the answer has {} bytes, expected {}", sent,
                 block.size(), kMonitorBytes);
  const auto echoed = static_cast<std::int32_t>(read_le<std::uint32_t>(block, 0));
  if (echoed < 0) {
    const Refusal why = refusal(echoed);
    return error(why.code, "hardware monitor command {:#x}: refused with {} ({})", sent, echoed,
                 why.words);
  }
  if (static_cast<std::uint32_t>(echoed) != sent)
    return error(ErrorCode::kProtocol, "hardware monitor command {:#x}: the answer is for {:#x}",
                 sent, echoed);
  const auto size = read_le<std::uint32_t>(block, kMonitorSizeAt);
  if (size > kMonitorSizeAt - 4)
    return error(ErrorCode::kProtocol,
                 "hardware monitor command {:#x}: the answer claims {} bytes of data", sent, size);
  return std::vector<std::uint8_t>(block.begin() + 4, block.begin() + 4 + size);
}

std::vector<std::uint8_t> encode(const DeviceDetails& details) {
  std::vector<std::uint8_t> data(kDeviceDetailsBytes);
  // The version is stored with its last number first.
  const char* at = details.firmware.data();
  const char* const end = at + details.firmware.size();
  for (std::size_t i = 4; i-- > 0 && at < end;) {
    at = std::from_chars(at, end, data[kFirmwareAt + i]).ptr + 1;
  }
  for (std::size_t i = 0; i < kSerialBytes && 2 * i + 2 <= details.serial.size(); ++i) {
    const char* digits = details.serial.data() + 2 * i;
    std::from_chars(digits, digits + 2, data[kSerialAt + i], 16);
  }
  return data;
}

Result<DeviceDetails> decode_device_details(std::span<const std::uint8_t> data) {
  if (data.size() < kSerialAt + kSerialBytes)
    return error(ErrorCode::kProtocol, "device details: {} bytes, expected at least {}",
                 data.size(), kSerialAt + kSerialBytes);
  const auto version = data.subspan(kFirmwareAt, 4);
  return DeviceDetails{
      .firmware = fmt::format("{}.{}.{}.{}", version[3], version[2], version[1], version[0]),
      .serial = fmt::format("{:02x}", fmt::join(data.subspan(kSerialAt, kSerialBytes), ""))};
}

std::vector<std::uint8_t> encode(const ChipTemperatures& temperatures) {
  std::vector<std::uint8_t> data(kTemperaturesBytes);
  data[kProjectorValidAt] = temperatures.projector_c ? 1 : 0;
  data[kAsicValidAt] = temperatures.asic_c ? 1 : 0;
  data[kProjectorAt] = static_cast<std::uint8_t>(temperatures.projector_c.value_or(0));
  data[kAsicAt] = static_cast<std::uint8_t>(temperatures.asic_c.value_or(0));
  return data;
}

Result<ChipTemperatures> decode_temperatures(std::span<const std::uint8_t> data) {
  if (data.size() != kTemperaturesBytes)
    return error(ErrorCode::kProtocol, "temperatures: {} bytes, expected {}", data.size(),
                 kTemperaturesBytes);
  return ChipTemperatures{.projector_c = signed_byte(data[kProjectorValidAt], data[kProjectorAt]),
                          .asic_c = signed_byte(data[kAsicValidAt], data[kAsicAt])};
}

Result<double> decode_depth_unit_mm(std::span<const std::uint8_t> table) {
  if (table.size() < kDepthTableBytes)
    return error(ErrorCode::kProtocol, "depth table: {} bytes, expected {}", table.size(),
                 kDepthTableBytes);
  const auto micrometres = read_le<std::uint32_t>(table, 0);
  if (micrometres == 0)
    return error(ErrorCode::kCorrupt, "depth table: one count of depth is 0 mm");
  return micrometres * kMmPerMicrometre;
}

}  // namespace cusp::realsense_d400
