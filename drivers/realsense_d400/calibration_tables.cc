#include "drivers/realsense_d400/calibration_tables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "drivers/bytes.h"
#include "drivers/crc32.h"

namespace cusp::realsense_d400 {
namespace {

constexpr std::size_t kTypeAt = 2, kSizeAt = 4, kCrcAt = 12;

// Offsets in table 25, the header included.
constexpr std::size_t kBaselineAt = 160, kRectifiedAt = 256;
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

// Offsets in table 32, the header included. Matrices are stored row by row. The rotation vector and
// projection between the distortion and the calibrated size repeat what the last two fields say.
constexpr std::size_t kMatrixAt = 16, kDistortionAt = 52, kCalibratedWidthAt = 144,
                      kCalibratedHeightAt = 146, kRotationAt = 184, kTranslationAt = 220;
constexpr std::size_t kFxAt = kMatrixAt, kCxAt = kMatrixAt + 8, kFyAt = kMatrixAt + 16,
                      kCyAt = kMatrixAt + 20, kOneAt = kMatrixAt + 32;
// What a rotation may be off by, for the floats of the table.
constexpr double kRotationTolerance = 1e-3;

constexpr std::size_t kItemBytes = 20;  // of a rectified mode

std::optional<std::size_t> slot_of(int width_px, int height_px) {
  for (std::size_t i = 0; i < kSlots.size(); ++i)
    if (kSlots[i].width_px == width_px && kSlots[i].height_px == height_px) return i;
  return std::nullopt;
}

bool makes_sense(const Intrinsics& optics) {
  return optics.width_px > 0 && optics.height_px > 0 && std::isfinite(optics.cx_px) &&
         std::isfinite(optics.cy_px) && optics.fx_px > 0 && std::isfinite(optics.fx_px) &&
         optics.fy_px > 0 && std::isfinite(optics.fy_px);
}

// Four floats: fx, fy, cx, cy.
Intrinsics read_optics(std::span<const std::uint8_t> bytes, std::size_t at, Size size) {
  return {.width_px = size.width_px,
          .height_px = size.height_px,
          .fx_px = read_le_float(bytes, at),
          .fy_px = read_le_float(bytes, at + 4),
          .cx_px = read_le_float(bytes, at + 8),
          .cy_px = read_le_float(bytes, at + 12)};
}

void write_optics(std::span<std::uint8_t> bytes, std::size_t at, const Intrinsics& optics) {
  write_le_float(bytes, at, static_cast<float>(optics.fx_px));
  write_le_float(bytes, at + 4, static_cast<float>(optics.fy_px));
  write_le_float(bytes, at + 8, static_cast<float>(optics.cx_px));
  write_le_float(bytes, at + 12, static_cast<float>(optics.cy_px));
}

void finish_table(std::span<std::uint8_t> table, std::uint32_t table_id) {
  table[0] = 0x02;  // version 2.0, big-endian
  write_le(table, kTypeAt, static_cast<std::uint16_t>(table_id));
  write_le(table, kSizeAt, static_cast<std::uint32_t>(table.size() - kTableHeaderBytes));
  write_le(table, kCrcAt, crc32(table.subspan(kTableHeaderBytes)));
}

// Type, size and CRC; answers the CRC.
Result<std::uint32_t> check_table(std::span<const std::uint8_t> table, std::uint32_t table_id,
                                  std::size_t least_bytes) {
  if (table.size() < least_bytes)
    return error(ErrorCode::kCorrupt, "calibration table {}: {} bytes, expected at least {}",
                 table_id, table.size(), least_bytes);
  if (const auto type = read_le<std::uint16_t>(table, kTypeAt); type != table_id)
    return error(ErrorCode::kCorrupt, "calibration table {}: the device sent table {}", table_id,
                 type);
  // Firmwares differ in whether the size counts the header.
  const auto size = read_le<std::uint32_t>(table, kSizeAt);
  if (size != table.size() && size != table.size() - kTableHeaderBytes)
    return error(ErrorCode::kCorrupt, "calibration table {}: its header says {} bytes, {} came",
                 table_id, size, table.size());
  const auto expected = read_le<std::uint32_t>(table, kCrcAt);
  const std::uint32_t computed = crc32(table.subspan(kTableHeaderBytes));
  if (computed != expected)
    return error(ErrorCode::kCorrupt, "calibration table {}: CRC is {:08x}, should be {:08x}",
                 table_id, computed, expected);
  return expected;
}

// A matrix in pixels of a picture of `size`, from the normalised one.
Intrinsics to_pixels(const ColourCoefficients& k, Size size) {
  return {.width_px = size.width_px,
          .height_px = size.height_px,
          .fx_px = k.fx * size.width_px / 2,
          .fy_px = k.fy * size.height_px / 2,
          .cx_px = (1 + k.cx) * size.width_px / 2,
          .cy_px = (1 + k.cy) * size.height_px / 2};
}

// Scaled until it covers `size`, then cut to it around the middle.
Intrinsics scale_and_crop(const Intrinsics& k, Size size) {
  const double scale = std::max(static_cast<double>(size.width_px) / k.width_px,
                                static_cast<double>(size.height_px) / k.height_px);
  return {.width_px = size.width_px,
          .height_px = size.height_px,
          .fx_px = k.fx_px * scale,
          .fy_px = k.fy_px * scale,
          .cx_px = k.cx_px * scale - (k.width_px * scale - size.width_px) / 2,
          .cy_px = k.cy_px * scale - (k.height_px * scale - size.height_px) / 2};
}

}  // namespace

std::vector<std::uint8_t> encode(const Coefficients& coefficients) {
  std::vector<std::uint8_t> table(kCoefficientsBytes);
  write_le_float(table, kBaselineAt, static_cast<float>(coefficients.baseline_mm));
  for (const Intrinsics& optics : coefficients.rectified)
    if (const auto slot = slot_of(optics.width_px, optics.height_px))
      write_optics(table, kRectifiedAt + *slot * kRectifiedBytes, optics);
  finish_table(table, kCoefficientsTableId);
  return table;
}

Result<Coefficients> decode_coefficients(std::span<const std::uint8_t> table) {
  Coefficients coefficients;
  CUSP_ASSIGN(coefficients.crc32, check_table(table, kCoefficientsTableId, kCoefficientsBytes));
  coefficients.baseline_mm = std::abs(read_le_float(table, kBaselineAt));
  if (!std::isfinite(coefficients.baseline_mm))
    return error(ErrorCode::kCorrupt, "calibration table {}: the baseline is not a number",
                 kCoefficientsTableId);
  for (std::size_t slot = 0; slot < kSlots.size(); ++slot) {
    const auto optics = read_optics(table, kRectifiedAt + slot * kRectifiedBytes, kSlots[slot]);
    if (makes_sense(optics)) coefficients.rectified.push_back(optics);
  }
  return coefficients;
}

Result<Intrinsics> rectified_at(const Coefficients& coefficients, int width_px, int height_px) {
  for (const Intrinsics& optics : coefficients.rectified)
    if (optics.width_px == width_px && optics.height_px == height_px) return optics;
  return error(ErrorCode::kNotFound, "calibration table {}: it holds nothing for {}x{}",
               kCoefficientsTableId, width_px, height_px);
}

// The table holds the transform of the colour camera's picture back to depth with the translation's
// sign turned: p_depth = R' p_colour - t, R the stored matrix. Hence p_colour = R (p_depth + t).
std::vector<std::uint8_t> encode(const ColourCoefficients& coefficients) {
  std::vector<std::uint8_t> table(kColourTableBytes);
  const auto put = [&](std::size_t at, double value) {
    write_le_float(table, at, static_cast<float>(value));
  };
  put(kFxAt, coefficients.fx);
  put(kFyAt, coefficients.fy);
  put(kCxAt, coefficients.cx);
  put(kCyAt, coefficients.cy);
  put(kOneAt, 1);
  const LensDistortion& lens = coefficients.distortion;
  const std::array<double, 5> bend{lens.k1, lens.k2, lens.p1, lens.p2, lens.k3};
  for (std::size_t i = 0; i < bend.size(); ++i) put(kDistortionAt + 4 * i, bend[i]);
  write_le(table, kCalibratedWidthAt, static_cast<std::uint16_t>(coefficients.calibrated_width_px));
  write_le(table, kCalibratedHeightAt,
           static_cast<std::uint16_t>(coefficients.calibrated_height_px));
  const Eigen::Matrix3d rotation = coefficients.colour_from_depth.rotation();
  const Eigen::Vector3d shift = rotation.transpose() * coefficients.colour_from_depth.translation();
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      put(kRotationAt + 4 * static_cast<std::size_t>(3 * row + column), rotation(row, column));
    put(kTranslationAt + 4 * static_cast<std::size_t>(row), shift(row));
  }
  finish_table(table, kColourTableId);
  return table;
}

Result<ColourCoefficients> decode_colour_coefficients(std::span<const std::uint8_t> table) {
  CUSP_ASSIGN(const std::uint32_t crc, check_table(table, kColourTableId, kColourTableBytes));
  const auto number = [&](std::size_t at) -> double { return read_le_float(table, at); };
  ColourCoefficients k{.crc32 = crc,
                       .fx = number(kFxAt),
                       .fy = number(kFyAt),
                       .cx = number(kCxAt),
                       .cy = number(kCyAt),
                       .distortion = {.k1 = number(kDistortionAt),
                                      .k2 = number(kDistortionAt + 4),
                                      .p1 = number(kDistortionAt + 8),
                                      .p2 = number(kDistortionAt + 12),
                                      .k3 = number(kDistortionAt + 16)},
                       .calibrated_width_px = read_le<std::uint16_t>(table, kCalibratedWidthAt),
                       .calibrated_height_px = read_le<std::uint16_t>(table, kCalibratedHeightAt)};
  if (k.calibrated_width_px == 0 || k.calibrated_height_px == 0)
    return error(ErrorCode::kCorrupt, "calibration table {}: it is for a picture of {}x{}",
                 kColourTableId, k.calibrated_width_px, k.calibrated_height_px);
  const double sum = k.cx + k.cy + k.distortion.k1 + k.distortion.k2 + k.distortion.p1 +
                     k.distortion.p2 + k.distortion.k3;
  if (!std::isfinite(k.fx) || !std::isfinite(k.fy) || k.fx <= 0 || k.fy <= 0 || !std::isfinite(sum))
    return error(ErrorCode::kCorrupt, "calibration table {}: its matrix makes no sense",
                 kColourTableId);
  Eigen::Matrix3d rotation;
  Eigen::Vector3d shift;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      rotation(row, column) = number(kRotationAt + 4 * static_cast<std::size_t>(3 * row + column));
    shift(row) = number(kTranslationAt + 4 * static_cast<std::size_t>(row));
  }
  const bool rigid = rotation.allFinite() && shift.allFinite() &&
                     (rotation * rotation.transpose()).isIdentity(kRotationTolerance) &&
                     rotation.determinant() > 0;
  if (!rigid)
    return error(ErrorCode::kCorrupt, "calibration table {}: its rotation is none", kColourTableId);
  k.colour_from_depth.linear() = Eigen::Quaterniond(rotation).normalized().toRotationMatrix();
  k.colour_from_depth.translation() = k.colour_from_depth.linear() * shift;
  return k;
}

Intrinsics colour_intrinsics(const ColourCoefficients& coefficients, int width_px, int height_px) {
  const Size calibrated{coefficients.calibrated_width_px, coefficients.calibrated_height_px};
  return scale_and_crop(to_pixels(coefficients, calibrated), {width_px, height_px});
}

Intrinsics d405_colour_intrinsics(const ColourCoefficients& coefficients, int width_px,
                                  int height_px) {
  if (width_px == 1280 && height_px == 720) return to_pixels(coefficients, {1280, 720});
  if (width_px != 640 || height_px != 480)
    return colour_intrinsics(coefficients, width_px, height_px);
  constexpr Size kRaw{1280, 800}, kScaled{770, 480};
  const double stretch = static_cast<double>(coefficients.calibrated_height_px) / kRaw.height_px;
  ColourCoefficients whole = coefficients;
  whole.fy *= stretch;
  whole.cy *= stretch;
  Intrinsics k = scale_and_crop(to_pixels(whole, kRaw), kScaled);
  k.cx_px -= (kScaled.width_px - width_px) / 2;
  k.width_px = width_px;
  return k;
}

ColourCoefficients colour_coefficients(const ColourOptics& optics) {
  const Intrinsics& k = optics.intrinsics;
  return {.fx = 2 * k.fx_px / k.width_px,
          .fy = 2 * k.fy_px / k.height_px,
          .cx = 2 * k.cx_px / k.width_px - 1,
          .cy = 2 * k.cy_px / k.height_px - 1,
          .distortion = optics.distortion,
          .calibrated_width_px = k.width_px,
          .calibrated_height_px = k.height_px,
          .colour_from_depth = optics.colour_from_depth};
}

std::vector<std::uint8_t> encode_rectified_modes(std::span<const Intrinsics> modes) {
  std::vector<std::uint8_t> data(modes.size() * kItemBytes);
  for (std::size_t i = 0; i < modes.size(); ++i) {
    const auto item = std::span(data).subspan(i * kItemBytes, kItemBytes);
    write_le(item, 0, static_cast<std::uint16_t>(modes[i].width_px));
    write_le(item, 2, static_cast<std::uint16_t>(modes[i].height_px));
    write_optics(item, 4, modes[i]);
  }
  return data;
}

std::vector<Intrinsics> decode_rectified_modes(std::span<const std::uint8_t> data) {
  std::vector<Intrinsics> modes;
  for (; data.size() >= kItemBytes; data = data.subspan(kItemBytes)) {
    const Size size{read_le<std::uint16_t>(data, 0), read_le<std::uint16_t>(data, 2)};
    const Intrinsics optics = read_optics(data, 4, size);
    if (makes_sense(optics)) modes.push_back(optics);
  }
  return modes;
}

}  // namespace cusp::realsense_d400
