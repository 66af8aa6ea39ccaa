// What the RealSense D400 family adds to the USB Video Class: ids, the depth extension unit, its
// hardware monitor, and the calibration table. Driver and firmware double share it.
//
// Units: mm, pixels. All numbers are little-endian unless said.
// Facts: librealsense (Apache-2.0), src/ds/ds-private.h, src/ds/d400/d400-private.h,
// src/hw-monitor.h, and the USB descriptors of a D435. Threads: values and functions. Errors:
// kProtocol for a broken answer, kUnsupported for a refused command, kCorrupt for a damaged table,
// kNotFound for a resolution that the table does not hold.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/frame.h"
#include "core/result.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::realsense_d400 {

inline constexpr std::uint16_t kVendorId = 0x8086;

struct Model {
  std::uint16_t product_id = 0;
  std::string_view name;
  double depth_unit_mm = 0;  // one count of a Z16 pixel, as the firmware starts with
};
std::span<const Model> models();
const Model* find_model(std::uint16_t product_id);  // null: not one of ours

// {C9606CCB-594C-4D25-AF47-CCC496435995} and {2036315A-0000-0010-8000-00AA00389B71}, as on the
// wire.
inline constexpr uvc::Guid kDepthUnitGuid{0xCB, 0x6C, 0x60, 0xC9, 0x4C, 0x59, 0x25, 0x4D,
                                          0xAF, 0x47, 0xCC, 0xC4, 0x96, 0x43, 0x59, 0x95};
inline constexpr uvc::Guid kZ16Guid{'Z',  '1',  '6',  ' ',  0x00, 0x00, 0x10, 0x00,
                                    0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

// Hardware monitor: a command is written to selector 1 of the depth unit and its answer read back.
// Both are blocks of 1024 bytes; the answer's last four bytes say how much data follows the echoed
// opcode.
inline constexpr std::uint8_t kMonitorSelector = 1;
inline constexpr std::size_t kMonitorBytes = 1024;
inline constexpr std::size_t kMonitorHeaderBytes = 24;
inline constexpr std::size_t kMonitorSizeAt = 1020;
inline constexpr std::uint16_t kMonitorMagic = 0xCDAB;

// The commands that we send. Those that write flash or enter the boot loader have no name here, so
// that no code can send them.
enum class Opcode : std::uint32_t { kDeviceDetails = 0x10, kReadCalibration = 0x15 };

std::vector<std::uint8_t> encode_command(Opcode opcode, std::uint32_t parameter = 0);
// The data of an answer; kUnsupported carries the firmware's own error number.
Result<std::vector<std::uint8_t>> decode_answer(Opcode opcode, std::span<const std::uint8_t> block);

struct DeviceDetails {
  std::string firmware;  // "5.15.1.0"
  std::string serial;    // 12 hex digits
};
inline constexpr std::size_t kDeviceDetailsBytes = 240;
std::vector<std::uint8_t> encode(const DeviceDetails& details);
Result<DeviceDetails> decode_device_details(std::span<const std::uint8_t> data);

// Table 25: a 16-byte header (version u16 big-endian, type u16, size u32, parameter u32, CRC-32 of
// what follows), both imagers' matrices, and the rectified parameters of each resolution that the
// ASIC can make.
inline constexpr std::uint32_t kCoefficientsTableId = 25;
inline constexpr std::size_t kTableHeaderBytes = 16;
inline constexpr std::size_t kCoefficientsBytes = 512;

struct Coefficients {
  std::uint32_t crc32 = 0;
  double baseline_mm = 0;
  std::vector<Intrinsics> rectified;  // the resolutions that are filled in
};
// The table's CRC is computed; `crc32` is ignored. Only sizes that have a place in the table are
// written.
std::vector<std::uint8_t> encode(const Coefficients& coefficients);
Result<Coefficients> decode_coefficients(std::span<const std::uint8_t> table);
// kNotFound when the table has no such resolution: optics are never guessed.
Result<Intrinsics> rectified_at(const Coefficients& coefficients, int width_px, int height_px);

// CRC-32 of ISO 3309, as in zip.
std::uint32_t crc32(std::span<const std::uint8_t> bytes);

}  // namespace cusp::realsense_d400
