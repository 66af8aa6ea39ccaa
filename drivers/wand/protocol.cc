#include "drivers/wand/protocol.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/text.h"
#include "drivers/bytes.h"

namespace cusp::wand {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 4> kIdentityMagic{'W', 'A', 'N', 'D'};
constexpr std::size_t kFirmwareAt = 8, kFirmwareBytes = 24;
constexpr std::size_t kPatternsAt = 64, kPatternBytes = 8;
constexpr std::uint16_t kHasImu = 1u << 0, kHasHeater = 1u << 1, kHasTipId = 1u << 2;
constexpr std::size_t kDateAt = 8, kDateBytes = 10;
constexpr std::size_t kTipIdAt = 4, kTipIdBytes = 16;
// Metadata: the id of Microsoft's item header doubles as our magic, "WND" and 0x80.
constexpr std::uint32_t kMetadataId = 0x80444E57;
constexpr std::size_t kAccelerationAt = 44, kAngularVelocityAt = 56;
constexpr std::uint16_t kImuValid = 1u << 0, kButtonHeld = 1u << 1;
// Status packets of a control interface (UVC 1.5 section 2.4.2.2).
constexpr std::uint8_t kFromVideoControl = 1, kOriginatorMask = 0x0F, kControlChange = 0,
                       kValueChange = 0;

constexpr std::int16_t kNotMeasured = std::numeric_limits<std::int16_t>::min();

void write_temperature(std::span<std::uint8_t> bytes, std::size_t at,
                       std::optional<double> celsius) {
  const double hundredths = celsius ? std::clamp(std::round(*celsius * 100), -32767.0, 32767.0)
                                    : static_cast<double>(kNotMeasured);
  write_le(bytes, at, static_cast<std::uint16_t>(static_cast<std::int16_t>(hundredths)));
}

std::optional<double> read_temperature(Bytes bytes, std::size_t at) {
  const auto hundredths = static_cast<std::int16_t>(read_le<std::uint16_t>(bytes, at));
  if (hundredths == kNotMeasured) return std::nullopt;
  return hundredths / 100.0;
}

void write_text(std::span<std::uint8_t> field, std::string_view text) {
  const std::size_t size = std::min(text.size(), field.size());
  std::copy_n(text.begin(), size, field.begin());
}

std::string read_text(Bytes field) {
  const auto end = std::find(field.begin(), field.end(), std::uint8_t{0});
  return {field.begin(), end};
}

Result<std::string> read_ascii(std::string_view what, Bytes field) {
  std::string text = read_text(field);
  if (std::any_of(text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7E; }))
    return error(ErrorCode::kProtocol, "wand {}: its text has characters other than ASCII", what);
  return text;
}

Result<void> expect_size(Control control, Bytes bytes) {
  if (bytes.size() == size_bytes(control)) return {};
  return error(ErrorCode::kProtocol, "wand {}: {} bytes, expected {}", to_string(control),
               bytes.size(), size_bytes(control));
}

bool is_side_pair(int width_px, int height_px) {
  return width_px >= kMinSide_px && width_px <= kMaxSide_px && height_px >= kMinSide_px &&
         height_px <= kMaxSide_px;
}

std::uint32_t as_us(std::chrono::microseconds time) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(time.count(), 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

std::size_t size_bytes(Control control) {
  switch (control) {
    case Control::kIdentity:
    case Control::kCalibrationInfo:
    case Control::kTip:
    case Control::kStatus:
      return 32;
    case Control::kCapabilities:
      return kPatternsAt + kMaxPatterns * kPatternBytes;
    case Control::kCalibrationPage:
      return kPageBytes;
    case Control::kCalibrationAddress:
    case Control::kExposure:
      return 4;
    case Control::kLedBrightness:
    case Control::kProjectorPower:
    case Control::kStandby:
    case Control::kButton:
      return 1;
    case Control::kHeater:
      return 8;
    case Control::kFaultText:
      return 64;
  }
  return 0;
}

std::string_view to_string(Control control) {
  switch (control) {
    case Control::kIdentity:
      return "identity";
    case Control::kCapabilities:
      return "capabilities";
    case Control::kCalibrationInfo:
      return "calibration info";
    case Control::kCalibrationAddress:
      return "calibration address";
    case Control::kCalibrationPage:
      return "calibration page";
    case Control::kTip:
      return "tip";
    case Control::kLedBrightness:
      return "LED brightness";
    case Control::kProjectorPower:
      return "projector power";
    case Control::kExposure:
      return "exposure";
    case Control::kHeater:
      return "heater";
    case Control::kStandby:
      return "standby";
    case Control::kStatus:
      return "status";
    case Control::kFaultText:
      return "fault text";
    case Control::kButton:
      return "button";
  }
  return "?";
}

std::vector<std::uint8_t> encode(const Identity& identity) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kIdentity));
  std::copy(kIdentityMagic.begin(), kIdentityMagic.end(), bytes.begin());
  bytes[4] = identity.major;
  bytes[5] = identity.minor;
  write_le(bytes, 6, identity.hardware);
  write_text(std::span(bytes).subspan(kFirmwareAt, kFirmwareBytes), identity.firmware);
  return bytes;
}

Result<Identity> decode_identity(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kIdentity, bytes));
  if (!std::equal(kIdentityMagic.begin(), kIdentityMagic.end(), bytes.begin()))
    return error(ErrorCode::kProtocol, "wand identity: it does not begin with \"WAND\"");
  if (bytes[4] != kMajor)
    return error(ErrorCode::kUnsupported, "wand identity: it speaks version {}.{}, we speak {}.{}",
                 bytes[4], bytes[5], kMajor, kMinor);
  CUSP_ASSIGN(auto firmware, read_ascii("identity", bytes.subspan(kFirmwareAt, kFirmwareBytes)));
  return Identity{.major = bytes[4],
                  .minor = bytes[5],
                  .hardware = read_le<std::uint16_t>(bytes, 6),
                  .firmware = std::move(firmware)};
}

std::vector<std::uint8_t> encode(const Capabilities& wand) {
  CUSP_CHECK(wand.patterns.size() <= kMaxPatterns, "a sequence has at most 32 patterns");
  std::vector<std::uint8_t> bytes(size_bytes(Control::kCapabilities));
  write_le(bytes, 0, static_cast<std::uint16_t>(wand.width_px));
  write_le(bytes, 2, static_cast<std::uint16_t>(wand.height_px));
  write_le(bytes, 4, static_cast<std::uint16_t>(wand.projector_width_px));
  write_le(bytes, 6, static_cast<std::uint16_t>(wand.projector_height_px));
  bytes[8] = static_cast<std::uint8_t>(wand.patterns.size());
  bytes[9] = static_cast<std::uint8_t>(wand.colour_every);
  write_le(
      bytes, 10,
      static_cast<std::uint16_t>((wand.has_imu ? kHasImu : 0) | (wand.has_heater ? kHasHeater : 0) |
                                 (wand.has_tip_id ? kHasTipId : 0)));
  write_le_float(bytes, 12, static_cast<float>(wand.min_depth_mm));
  write_le_float(bytes, 16, static_cast<float>(wand.max_depth_mm));
  write_le(bytes, 20, as_us(wand.min_exposure));
  write_le(bytes, 24, as_us(wand.max_exposure));
  write_temperature(bytes, 28, wand.heater_usual_c);
  write_temperature(bytes, 30, wand.heater_max_c);
  for (std::size_t i = 0; i < wand.patterns.size(); ++i) {
    const std::size_t at = kPatternsAt + i * kPatternBytes;
    write_le_float(bytes, at, static_cast<float>(wand.patterns[i].pitch_px));
    write_le_float(bytes, at + 4, static_cast<float>(wand.patterns[i].phase_rad));
  }
  return bytes;
}

Result<Capabilities> decode_capabilities(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kCapabilities, bytes));
  const auto wrong = [](std::string_view what) {
    return error(ErrorCode::kProtocol, "wand capabilities: {}", what);
  };
  const auto features = read_le<std::uint16_t>(bytes, 10);
  Capabilities wand{.width_px = read_le<std::uint16_t>(bytes, 0),
                    .height_px = read_le<std::uint16_t>(bytes, 2),
                    .projector_width_px = read_le<std::uint16_t>(bytes, 4),
                    .projector_height_px = read_le<std::uint16_t>(bytes, 6),
                    .colour_every = bytes[9],
                    .has_imu = (features & kHasImu) != 0,
                    .has_heater = (features & kHasHeater) != 0,
                    .has_tip_id = (features & kHasTipId) != 0,
                    .min_depth_mm = read_le_float(bytes, 12),
                    .max_depth_mm = read_le_float(bytes, 16),
                    .min_exposure = std::chrono::microseconds(read_le<std::uint32_t>(bytes, 20)),
                    .max_exposure = std::chrono::microseconds(read_le<std::uint32_t>(bytes, 24)),
                    .heater_usual_c = read_temperature(bytes, 28).value_or(0),
                    .heater_max_c = read_temperature(bytes, 30).value_or(0)};
  if (!is_side_pair(wand.width_px, wand.height_px) || wand.width_px % 2 != 0)
    return wrong("the frame is not between 64 and 4096 pixels a side, or its width is odd");
  if (!is_side_pair(wand.projector_width_px, wand.projector_height_px))
    return wrong("the projector is not between 64 and 4096 pixels a side");
  if (bytes[8] < kMinPatterns || bytes[8] > kMaxPatterns)
    return wrong("a sequence must have 3 to 32 patterns");
  if (!(wand.min_depth_mm > 0 && wand.max_depth_mm > wand.min_depth_mm &&
        std::isfinite(wand.max_depth_mm)))
    return wrong("the working range is empty or no number");
  if (wand.min_exposure.count() == 0 || wand.max_exposure < wand.min_exposure)
    return wrong("the range of exposures is empty");
  if (wand.has_heater && wand.heater_usual_c > wand.heater_max_c)
    return wrong("the heater's usual target is above its highest");
  for (std::size_t i = 0; i < bytes[8]; ++i) {
    const std::size_t at = kPatternsAt + i * kPatternBytes;
    const FringeOptics::Pattern pattern{.pitch_px = read_le_float(bytes, at),
                                        .phase_rad = read_le_float(bytes, at + 4)};
    if (!(pattern.pitch_px >= 2 && std::isfinite(pattern.pitch_px)))
      return wrong("a pitch is below two pixels or no number");
    if (!(std::abs(pattern.phase_rad) <= 1000)) return wrong("a phase is no number");
    wand.patterns.push_back(pattern);
  }
  return wand;
}

std::vector<std::uint8_t> encode(const CalibrationInfo& info) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kCalibrationInfo));
  write_le(bytes, 0, info.size_bytes);
  write_le(bytes, 4, info.crc32);
  write_text(std::span(bytes).subspan(kDateAt, kDateBytes), info.made_on);
  return bytes;
}

Result<CalibrationInfo> decode_calibration_info(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kCalibrationInfo, bytes));
  CUSP_ASSIGN(auto date, read_ascii("calibration info", bytes.subspan(kDateAt, kDateBytes)));
  CalibrationInfo info{.size_bytes = read_le<std::uint32_t>(bytes, 0),
                       .crc32 = read_le<std::uint32_t>(bytes, 4),
                       .made_on = std::move(date)};
  if (info.size_bytes > kMaxCalibrationBytes)
    return error(ErrorCode::kProtocol, "wand calibration info: a table of {} bytes, {} are allowed",
                 info.size_bytes, kMaxCalibrationBytes);
  return info;
}

std::vector<std::uint8_t> encode(const Tip& tip) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kTip));
  bytes[0] = tip.present ? 1 : 0;
  write_text(std::span(bytes).subspan(kTipIdAt, kTipIdBytes), tip.id);
  write_le(bytes, 20, tip.uses);
  write_le(bytes, 24, tip.uses_allowed);
  return bytes;
}

Result<Tip> decode_tip(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kTip, bytes));
  CUSP_ASSIGN(auto id, read_ascii("tip", bytes.subspan(kTipIdAt, kTipIdBytes)));
  return Tip{.present = bytes[0] != 0,
             .id = std::move(id),
             .uses = read_le<std::uint32_t>(bytes, 20),
             .uses_allowed = read_le<std::uint32_t>(bytes, 24)};
}

std::vector<std::uint8_t> encode(const Heater& heater) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kHeater));
  write_temperature(bytes, 0, heater.target_c);
  write_temperature(bytes, 2, heater.now_c);
  bytes[4] = static_cast<std::uint8_t>(heater.state);
  return bytes;
}

Result<Heater> decode_heater(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kHeater, bytes));
  if (bytes[4] > static_cast<std::uint8_t>(HeaterState::kFault))
    return error(ErrorCode::kProtocol, "wand heater: there is no state {}", bytes[4]);
  return Heater{.target_c = read_temperature(bytes, 0),
                .now_c = read_temperature(bytes, 2),
                .state = static_cast<HeaterState>(bytes[4])};
}

std::vector<std::uint8_t> encode(const Status& status) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kStatus));
  write_le(bytes, 0, status.faults);
  write_temperature(bytes, 4, status.projector_c);
  write_temperature(bytes, 6, status.sensor_c);
  write_temperature(bytes, 8, status.tip_c);
  write_temperature(bytes, 10, status.board_c);
  write_le(bytes, 12, status.awake_s);
  write_le(bytes, 16, status.frames_captured);
  write_le(bytes, 20, status.frames_dropped);
  return bytes;
}

Result<Status> decode_status(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kStatus, bytes));
  return Status{.faults = read_le<std::uint32_t>(bytes, 0),
                .projector_c = read_temperature(bytes, 4),
                .sensor_c = read_temperature(bytes, 6),
                .tip_c = read_temperature(bytes, 8),
                .board_c = read_temperature(bytes, 10),
                .awake_s = read_le<std::uint32_t>(bytes, 12),
                .frames_captured = read_le<std::uint32_t>(bytes, 16),
                .frames_dropped = read_le<std::uint32_t>(bytes, 20)};
}

std::vector<std::uint8_t> encode_fault_text(std::string_view text) {
  std::vector<std::uint8_t> bytes(size_bytes(Control::kFaultText));
  write_text(bytes, text);
  return bytes;
}

Result<std::string> decode_fault_text(Bytes bytes) {
  CUSP_TRY(expect_size(Control::kFaultText, bytes));
  std::string text = read_text(bytes);
  if (!is_utf8(text)) return error(ErrorCode::kProtocol, "wand fault text: it is no UTF-8");
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return text;
}

std::vector<std::uint8_t> encode_button_packet(std::uint8_t unit, ButtonPress press) {
  return {kFromVideoControl, unit,
          kControlChange,    static_cast<std::uint8_t>(Control::kButton),
          kValueChange,      static_cast<std::uint8_t>(press == ButtonPress::kShort ? 1 : 2)};
}

std::optional<ButtonPress> decode_button_packet(std::uint8_t unit, Bytes packet) {
  if (packet.size() < 6 || (packet[0] & kOriginatorMask) != kFromVideoControl ||
      packet[1] != unit || packet[2] != kControlChange ||
      packet[3] != static_cast<std::uint8_t>(Control::kButton) || packet[4] != kValueChange)
    return std::nullopt;
  if (packet[5] == 1) return ButtonPress::kShort;
  if (packet[5] == 2) return ButtonPress::kLong;
  return std::nullopt;
}

std::vector<std::uint8_t> encode(const FrameMetadata& metadata) {
  std::vector<std::uint8_t> bytes(kMetadataBytes);
  write_le(bytes, 0, kMetadataId);
  write_le(bytes, 4, static_cast<std::uint32_t>(kMetadataBytes));
  bytes[8] = kMajor;
  bytes[9] = kMinor;
  bytes[10] = static_cast<std::uint8_t>(metadata.kind);
  bytes[11] = static_cast<std::uint8_t>(metadata.index.pattern);
  bytes[12] = static_cast<std::uint8_t>(metadata.index.patterns);
  write_le(bytes, 14,
           static_cast<std::uint16_t>((metadata.imu ? kImuValid : 0) |
                                      (metadata.button_held ? kButtonHeld : 0)));
  write_le(bytes, 16, metadata.frame);
  write_le(bytes, 20, metadata.index.sequence);
  write_le(bytes, 24, static_cast<std::uint64_t>(metadata.time.count()));
  write_le(bytes, 32, as_us(metadata.exposure));
  write_temperature(bytes, 36, metadata.projector_c);
  write_temperature(bytes, 38, metadata.sensor_c);
  write_temperature(bytes, 40, metadata.tip_c);
  if (metadata.imu) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      write_le_float(bytes, kAccelerationAt + 4 * axis, metadata.imu->acceleration_m_s2[axis]);
      write_le_float(bytes, kAngularVelocityAt + 4 * axis,
                     metadata.imu->angular_velocity_rad_s[axis]);
    }
  }
  write_le(bytes, 68, metadata.faults);
  return bytes;
}

Result<FrameMetadata> decode_metadata(Bytes bytes) {
  const auto wrong = [](std::string_view what) {
    return error(ErrorCode::kProtocol, "wand frame metadata: {}", what);
  };
  if (bytes.size() < kMetadataBytes)
    return error(ErrorCode::kProtocol, "wand frame metadata: {} bytes, expected {}", bytes.size(),
                 kMetadataBytes);
  if (read_le<std::uint32_t>(bytes, 0) != kMetadataId) return wrong("another magic number");
  const auto stated = read_le<std::uint32_t>(bytes, 4);
  if (stated < kMetadataBytes || stated > bytes.size())
    return wrong("its stated size is not its own");
  if (bytes[8] != kMajor)
    return error(ErrorCode::kUnsupported, "wand frame metadata: version {}.{}", bytes[8], bytes[9]);
  if (bytes[10] > static_cast<std::uint8_t>(FrameKind::kBlue)) return wrong("an unknown kind");
  const auto flags = read_le<std::uint16_t>(bytes, 14);
  const auto time_ns = read_le<std::uint64_t>(bytes, 24);
  FrameMetadata metadata{.kind = static_cast<FrameKind>(bytes[10]),
                         .index = {.sequence = read_le<std::uint32_t>(bytes, 20),
                                   .pattern = bytes[11],
                                   .patterns = bytes[12]},
                         .frame = read_le<std::uint32_t>(bytes, 16),
                         .time = std::chrono::nanoseconds(static_cast<std::int64_t>(time_ns)),
                         .exposure = std::chrono::microseconds(read_le<std::uint32_t>(bytes, 32)),
                         .projector_c = read_temperature(bytes, 36),
                         .sensor_c = read_temperature(bytes, 38),
                         .tip_c = read_temperature(bytes, 40),
                         .button_held = (flags & kButtonHeld) != 0,
                         .faults = read_le<std::uint32_t>(bytes, 68)};
  if (time_ns > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return wrong("its time is more than 292 years");
  if (bytes[12] < kMinPatterns || bytes[12] > kMaxPatterns)
    return wrong("a sequence must have 3 to 32 patterns");
  const bool is_fringe = metadata.kind == FrameKind::kFringe;
  if (is_fringe ? bytes[11] >= bytes[12] : bytes[11] != bytes[12])
    return wrong("the pattern does not fit the kind");
  if ((flags & kImuValid) != 0) {
    ImuSample imu;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      imu.acceleration_m_s2[axis] = read_le_float(bytes, kAccelerationAt + 4 * axis);
      imu.angular_velocity_rad_s[axis] = read_le_float(bytes, kAngularVelocityAt + 4 * axis);
      if (!std::isfinite(imu.acceleration_m_s2[axis]) ||
          !std::isfinite(imu.angular_velocity_rad_s[axis]))
        return wrong("an inertial sample is no number");
    }
    metadata.imu = imu;
  }
  return metadata;
}

}  // namespace cusp::wand
