// The open wand protocol, version 1: what a wand adds to the USB Video Class. Driver and firmware
// double share it; docs/wand-protocol.md is its specification, with the byte tables.
//
// Units: mm, degrees Celsius, pixels, radians. On the wire: little-endian, IEEE 754 floats, texts
// UTF-8 and filled up with zeros, temperatures in hundredths of a degree.
// Threads: values and functions. Errors: every decode answers kProtocol for a wrong size or a value
// that the specification forbids, whatever the bytes are; kUnsupported for another major version.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/calibration.h"
#include "core/result.h"
#include "drivers/driver.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::wand {

inline constexpr std::uint8_t kMajor = 1, kMinor = 0;

// {2E810769-4371-4D10-A6C3-13CBD528E2DF}, as on the wire: a device with this extension unit is a
// wand.
inline constexpr uvc::Guid kUnitGuid{0x69, 0x07, 0x81, 0x2E, 0x71, 0x43, 0x10, 0x4D,
                                     0xA6, 0xC3, 0x13, 0xCB, 0xD5, 0x28, 0xE2, 0xDF};

inline constexpr int kMinSide_px = 64, kMaxSide_px = 4096;
inline constexpr int kMinPatterns = 3, kMaxPatterns = 32;

// Selectors of the unit.
enum class Control : std::uint8_t {
  kIdentity = 1,
  kCapabilities = 2,
  kCalibrationInfo = 3,
  kCalibrationAddress = 4,
  kCalibrationPage = 5,
  kTip = 6,
  kLedBrightness = 7,
  kProjectorPower = 8,
  kExposure = 9,
  kHeater = 10,
  kStandby = 11,
  kStatus = 12,
  kFaultText = 13,
  kButton = 14,
};
inline constexpr std::uint8_t kControls = 14;
std::size_t size_bytes(Control control);
std::string_view to_string(Control control);

struct Identity {
  std::uint8_t major = kMajor;
  std::uint8_t minor = kMinor;
  std::uint16_t hardware = 0;
  std::string firmware{};  // at most 24 bytes
};
std::vector<std::uint8_t> encode(const Identity& identity);
Result<Identity> decode_identity(std::span<const std::uint8_t> bytes);

// What the wand projects and what it can.
struct Capabilities {
  int width_px = 0;  // of every frame
  int height_px = 0;
  int projector_width_px = 0;
  int projector_height_px = 0;
  std::vector<FringeOptics::Pattern> patterns{};  // of a sequence, in the order of projection
  int colour_every = 0;  // red, green and blue follow each n-th sequence; 0: never
  bool has_imu = false;
  bool has_heater = false;
  bool has_tip_id = false;
  double min_depth_mm = 0;
  double max_depth_mm = 0;
  std::chrono::microseconds min_exposure{0};
  std::chrono::microseconds max_exposure{0};
  double heater_usual_c = 0;
  double heater_max_c = 0;
};
std::vector<std::uint8_t> encode(const Capabilities& capabilities);
Result<Capabilities> decode_capabilities(std::span<const std::uint8_t> bytes);

struct CalibrationInfo {
  std::uint32_t size_bytes = 0;  // 0: the wand was never calibrated
  std::uint32_t crc32 = 0;       // the last four bytes of the table
  std::string made_on{};         // ISO 8601 date
};
std::vector<std::uint8_t> encode(const CalibrationInfo& info);
Result<CalibrationInfo> decode_calibration_info(std::span<const std::uint8_t> bytes);
inline constexpr std::size_t kPageBytes = 256;
inline constexpr std::size_t kMaxCalibrationBytes = 64 * 1024;

struct Tip {
  bool present = false;
  std::string id{};  // at most 16 bytes; empty: the tip has none
  std::uint32_t uses = 0;
  std::uint32_t uses_allowed = 0;  // 0: no limit
};
std::vector<std::uint8_t> encode(const Tip& tip);
Result<Tip> decode_tip(std::span<const std::uint8_t> bytes);

enum class HeaterState : std::uint8_t { kOff, kWarming, kReady, kFault };
struct Heater {
  std::optional<double> target_c{};  // none: off
  std::optional<double> now_c{};     // none: not measured
  HeaterState state = HeaterState::kOff;
};
std::vector<std::uint8_t> encode(const Heater& heater);
Result<Heater> decode_heater(std::span<const std::uint8_t> bytes);

// Bits of the fault word.
namespace fault {
inline constexpr std::uint32_t kProjectorHot = 1u << 0;
inline constexpr std::uint32_t kProjectorFailed = 1u << 1;
inline constexpr std::uint32_t kSensorFailed = 1u << 2;
inline constexpr std::uint32_t kNoTip = 1u << 3;
inline constexpr std::uint32_t kMemoryFailed = 1u << 4;
inline constexpr std::uint32_t kTipWorn = 1u << 8;
inline constexpr std::uint32_t kTipUnreadable = 1u << 9;
inline constexpr std::uint32_t kHeaterFailed = 1u << 10;
inline constexpr std::uint32_t kImuFailed = 1u << 11;
inline constexpr std::uint32_t kButtonStuck = 1u << 12;
inline constexpr std::uint32_t kSupplyLow = 1u << 13;
inline constexpr std::uint32_t kWarmingUp = 1u << 14;
inline constexpr std::uint32_t kFramesDropped = 1u << 15;
inline constexpr std::uint32_t kMakersOwn = 1u << 31;
// With one of these the light is off and no frame comes.
inline constexpr std::uint32_t kStops = 0x000000FF;
}  // namespace fault
// A sentence for each bit that is set, those that stop a scan first. `makers_text` is that of
// kMakersOwn.
std::vector<std::string> sentences(std::uint32_t faults, std::string_view makers_text);

struct Status {
  std::uint32_t faults = 0;
  std::optional<double> projector_c{}, sensor_c{}, tip_c{}, board_c{};
  std::uint32_t awake_s = 0;  // since power came
  std::uint32_t frames_captured = 0;
  std::uint32_t frames_dropped = 0;  // captured, but the host did not fetch them in time
};
std::vector<std::uint8_t> encode(const Status& status);
Result<Status> decode_status(std::span<const std::uint8_t> bytes);

// FAULT_TEXT: words of the maker's own for fault::kMakersOwn. Control characters become spaces.
std::vector<std::uint8_t> encode_fault_text(std::string_view text);
Result<std::string> decode_fault_text(std::span<const std::uint8_t> bytes);

// The status packet of a press (UVC 1.5 section 2.4.2.2: control change of BUTTON), 6 bytes.
std::vector<std::uint8_t> encode_button_packet(std::uint8_t unit, ButtonPress press);
// None: the packet tells of something else. Hosts skip what they don't know.
std::optional<ButtonPress> decode_button_packet(std::uint8_t unit,
                                                std::span<const std::uint8_t> packet);

// What a frame's light was.
enum class FrameKind : std::uint8_t { kFringe, kRed, kGreen, kBlue };

// What the payload header of a frame carries behind the standard's 12 bytes.
struct FrameMetadata {
  FrameKind kind = FrameKind::kFringe;
  FringeIndex index{};               // of a colour frame: pattern == patterns
  std::uint32_t frame = 0;           // counts what the sensor took since power came
  std::chrono::nanoseconds time{0};  // the wand's clock at the middle of the exposure
  std::chrono::microseconds exposure{0};
  std::optional<double> projector_c{}, sensor_c{}, tip_c{};
  std::optional<ImuSample> imu{};
  bool button_held = false;
  std::uint32_t faults = 0;
};
inline constexpr std::size_t kMetadataBytes = 72;
std::vector<std::uint8_t> encode(const FrameMetadata& metadata);
// Longer blocks are newer minor versions: their first 72 bytes are read.
Result<FrameMetadata> decode_metadata(std::span<const std::uint8_t> bytes);

}  // namespace cusp::wand
