// What the RealSense D400 family adds to the USB Video Class: ids, the depth extension unit with
// its controls, and the hardware monitor behind one of them. Driver and firmware double share it.
//
// All numbers are little-endian unless said. Facts: librealsense (Apache-2.0),
// src/ds/ds-private.h, src/ds/d400/d400-private.h, src/ds/ds-options.cpp, src/hw-monitor.h, and the
// USB descriptors of a D435. Threads: values and functions. Errors: kProtocol for a broken answer;
// those of refused commands stand at decode_answer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::realsense_d400 {

inline constexpr std::uint16_t kVendorId = 0x8086;

struct Model {
  std::uint16_t product_id = 0;
  std::string_view name;
  double depth_unit_mm = 0;  // one count of a Z16 pixel, as the firmware starts with
  // Has a colour camera of its own, on a second video function. A D405 takes its colour pictures
  // with the left imager: they are a stream of the depth function.
  bool has_colour_camera = false;
};
std::span<const Model> models();
const Model* find_model(std::uint16_t product_id);  // null: not one of ours

// {C9606CCB-594C-4D25-AF47-CCC496435995} and {2036315A-0000-0010-8000-00AA00389B71}, as on the
// wire.
inline constexpr uvc::Guid kDepthUnitGuid{0xCB, 0x6C, 0x60, 0xC9, 0x4C, 0x59, 0x25, 0x4D,
                                          0xAF, 0x47, 0xCC, 0xC4, 0x96, 0x43, 0x59, 0x95};
inline constexpr uvc::Guid kZ16Guid{'Z',  '1',  '6',  ' ',  0x00, 0x00, 0x10, 0x00,
                                    0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

// Controls of the depth unit.
enum class Selector : std::uint8_t {
  kMonitor = 0x01,
  kEmitter = 0x02,       // 1 byte: 0 off, 1 laser, 2 laser with automatic power
  kExposure = 0x03,      // 4 bytes, microseconds
  kLaserPower = 0x04,    // 2 bytes, milliwatts; holds while the emitter is 1
  kPreset = 0x06,        // 1 byte, the firmware's own sets of parameters
  kErrorWord = 0x07,     // 1 byte, see error_words.h
  kTemperatures = 0x09,  // see decode_temperatures
  kAutoExposure = 0x0B,  // 1 byte: 0 off, 1 on; with it off, gain is manual too
};

// Hardware monitor: a command is written to selector 1 of the depth unit and its answer read back.
// Both are blocks of 1024 bytes; the answer's last four bytes say how much data follows the echoed
// opcode.
inline constexpr std::size_t kMonitorBytes = 1024;
inline constexpr std::size_t kMonitorHeaderBytes = 24;
inline constexpr std::size_t kMonitorSizeAt = 1020;
inline constexpr std::uint16_t kMonitorMagic = 0xCDAB;

// The commands that we send; all of them read. Those that write or erase flash (0x0A to 0x0C), lock
// it for ever (0x0E) or enter the boot loader (0x1E) have no name here, and encode_command, the one
// place that builds a command, takes nothing else: no code can send them.
enum class Opcode : std::uint32_t {
  kDeviceDetails = 0x10,
  kReadCalibration = 0x15,     // parameter: the table's id
  kReadAdvancedTable = 0x2C,   // parameter: the table's id; in advanced mode only
  kIsAdvanced = 0x30,          // one byte: whether the camera is in advanced mode
  kReadRectifiedModes = 0x7E,  // intrinsics of each depth mode; since firmware 5.11.9.5
};

std::vector<std::uint8_t> encode_command(Opcode opcode, std::uint32_t parameter = 0);
// The data of an answer. A refusal carries the firmware's own number: kUnsupported when it does not
// know the command, kUnavailable when it can't answer now (busy, not ready), kNotFound and kCorrupt
// when the table is the trouble.
Result<std::vector<std::uint8_t>> decode_answer(Opcode opcode, std::span<const std::uint8_t> block);

struct DeviceDetails {
  std::string firmware;  // "5.15.1.0"
  std::string serial;    // 12 hex digits
};
inline constexpr std::size_t kDeviceDetailsBytes = 240;
std::vector<std::uint8_t> encode(const DeviceDetails& details);
Result<DeviceDetails> decode_device_details(std::span<const std::uint8_t> data);

// Whole degrees Celsius; none where the firmware marks the value as not valid.
struct ChipTemperatures {
  std::optional<int> projector_c;
  std::optional<int> asic_c;
};
inline constexpr std::size_t kTemperaturesBytes = 4;
std::vector<std::uint8_t> encode(const ChipTemperatures& temperatures);
Result<ChipTemperatures> decode_temperatures(std::span<const std::uint8_t> data);

// Advanced table 9 begins with one count of depth in micrometres; ranges that we do not use follow.
inline constexpr std::uint32_t kDepthTableId = 9;
inline constexpr std::size_t kDepthTableBytes = 20;
Result<double> decode_depth_unit_mm(std::span<const std::uint8_t> table);

}  // namespace cusp::realsense_d400
