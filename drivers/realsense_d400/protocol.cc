#include "drivers/realsense_d400/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "drivers/bytes.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::array<Model, 5> kModels{{
    {0x0B5B, "RealSense D405", 0.1},
    {0x0AD3, "RealSense D415", 1.0},
    {0x0B07, "RealSense D435", 1.0},
    {0x0B3A, "RealSense D435i", 1.0},
    {0x0B5C, "RealSense D455", 1.0},
}};

constexpr std::size_t kFirmwareAt = 12, kSerialAt = 48, kSerialBytes = 6;

// Offsets in table 25, the header included.
constexpr std::size_t kSizeAt = 4, kCrcAt = 12, kBaselineAt = 160, kRectifiedAt = 256;
constexpr std::size_t kRectifiedBytes = 16;  // fx, fy, cx, cy as floats

struct Size {
  int width_px, height_px;
};
// The order of the table's slots; {0, 0} is reserved.
constexpr std::array<Size, 16> kSlots{{{1920, 1080},
                                       {1280, 720},
                                       {640, 480},
                                       {848, 480},
                                       {640, 360},
                                       {424, 240},
                                       {320, 240},
                                       {480, 270},
                                       {1280, 800},
                                       {960, 540},
                                       {0, 0},
                                       {0, 0},
                                       {640, 400},
                                       {576, 576},
                                       {720, 720},
                                       {1152, 1152}}};
static_assert(kRectifiedAt + kSlots.size() * kRectifiedBytes == kCoefficientsBytes);

std::optional<std::size_t> slot_of(int width_px, int height_px) {
  for (std::size_t i = 0; i < kSlots.size(); ++i)
    if (kSlots[i].width_px == width_px && kSlots[i].height_px == height_px) return i;
  return std::nullopt;
}

std::string_view firmware_error(std::int32_t code) {
  switch (code) {
    case -1:
      return "unknown command";
    case -6:
      return "wrong parameter";
    case -7:
      return "hardware not ready";
    case -19:
      return "wrong CRC";
    case -21:
      return "no data to return";
    case -25:
      return "the table is empty";
    case -27:
      return "the command is locked";
    case -28:
      return "wrong table id";
    case -32:
      return "time-out inside the device";
    case -41:
      return "busy";
    case -58:
      return "not supported by this firmware";
    default:
      return "see the device's manual";
  }
}

}  // namespace

std::span<const Model> models() { return kModels; }

const Model* find_model(std::uint16_t product_id) {
  const auto* found = std::find_if(kModels.begin(), kModels.end(), [&](const Model& model) {
    return model.product_id == product_id;
  });
  return found == kModels.end() ? nullptr : found;
}

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
  }
  return ~crc;
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
  if (echoed < 0)
    return error(ErrorCode::kUnsupported, "hardware monitor command {:#x}: refused with {} ({})",
                 sent, echoed, firmware_error(echoed));
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

std::vector<std::uint8_t> encode(const Coefficients& coefficients) {
  std::vector<std::uint8_t> table(kCoefficientsBytes);
  table[0] = 0x02;  // version 2.0, big-endian
  write_le<std::uint16_t>(table, 2, kCoefficientsTableId);
  write_le<std::uint32_t>(table, kSizeAt, kCoefficientsBytes - kTableHeaderBytes);
  write_le_float(table, kBaselineAt, static_cast<float>(coefficients.baseline_mm));
  for (const Intrinsics& optics : coefficients.rectified) {
    const auto slot = slot_of(optics.width_px, optics.height_px);
    if (!slot) continue;
    const std::size_t at = kRectifiedAt + *slot * kRectifiedBytes;
    write_le_float(table, at, static_cast<float>(optics.fx_px));
    write_le_float(table, at + 4, static_cast<float>(optics.fy_px));
    write_le_float(table, at + 8, static_cast<float>(optics.cx_px));
    write_le_float(table, at + 12, static_cast<float>(optics.cy_px));
  }
  write_le(table, kCrcAt, crc32(std::span(table).subspan(kTableHeaderBytes)));
  return table;
}

Result<Coefficients> decode_coefficients(std::span<const std::uint8_t> table) {
  if (table.size() < kCoefficientsBytes)
    return error(ErrorCode::kCorrupt, "calibration table {}: {} bytes, expected at least {}",
                 kCoefficientsTableId, table.size(), kCoefficientsBytes);
  if (const auto type = read_le<std::uint16_t>(table, 2); type != kCoefficientsTableId)
    return error(ErrorCode::kCorrupt, "calibration table {}: the device sent table {}",
                 kCoefficientsTableId, type);
  if (table[0] == 0)
    return error(ErrorCode::kCorrupt, "calibration table {}: version {}.{} is not known",
                 kCoefficientsTableId, table[0], table[1]);
  // Firmwares differ in whether the size counts the header.
  const auto size = read_le<std::uint32_t>(table, kSizeAt);
  if (size != table.size() && size != table.size() - kTableHeaderBytes)
    return error(ErrorCode::kCorrupt, "calibration table {}: its header says {} bytes, {} came",
                 kCoefficientsTableId, size, table.size());
  Coefficients coefficients;
  coefficients.crc32 = read_le<std::uint32_t>(table, kCrcAt);
  const std::uint32_t computed = crc32(table.subspan(kTableHeaderBytes));
  if (computed != coefficients.crc32)
    return error(ErrorCode::kCorrupt, "calibration table {}: CRC is {:08x}, should be {:08x}",
                 kCoefficientsTableId, computed, coefficients.crc32);
  coefficients.baseline_mm = std::abs(read_le_float(table, kBaselineAt));
  if (!std::isfinite(coefficients.baseline_mm))
    return error(ErrorCode::kCorrupt, "calibration table {}: the baseline is not a number",
                 kCoefficientsTableId);
  for (std::size_t slot = 0; slot < kSlots.size(); ++slot) {
    const std::size_t at = kRectifiedAt + slot * kRectifiedBytes;
    const Intrinsics optics{.width_px = kSlots[slot].width_px,
                            .height_px = kSlots[slot].height_px,
                            .fx_px = read_le_float(table, at),
                            .fy_px = read_le_float(table, at + 4),
                            .cx_px = read_le_float(table, at + 8),
                            .cy_px = read_le_float(table, at + 12)};
    const bool sane = std::isfinite(optics.cx_px) && std::isfinite(optics.cy_px) &&
                      optics.fx_px > 0 && std::isfinite(optics.fx_px) && optics.fy_px > 0 &&
                      std::isfinite(optics.fy_px);
    if (optics.width_px > 0 && sane) coefficients.rectified.push_back(optics);
  }
  return coefficients;
}

Result<Intrinsics> rectified_at(const Coefficients& coefficients, int width_px, int height_px) {
  for (const Intrinsics& optics : coefficients.rectified)
    if (optics.width_px == width_px && optics.height_px == height_px) return optics;
  return error(ErrorCode::kNotFound, "calibration table {}: it holds nothing for {}x{}",
               kCoefficientsTableId, width_px, height_px);
}

}  // namespace cusp::realsense_d400
