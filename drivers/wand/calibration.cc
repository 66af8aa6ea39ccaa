#include "drivers/wand/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "drivers/bytes.h"
#include "drivers/crc32.h"

namespace cusp::wand {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 4> kMagic{'W', 'C', 'A', 'L'};
constexpr std::size_t kSizeAt = 8, kDateAt = 12, kDateBytes = 10, kSidesAt = 24;
constexpr std::size_t kCameraAt = 32, kCameraDistortionAt = 64, kProjectorAt = 104,
                      kProjectorDistortionAt = 136, kRotationAt = 176, kTranslationAt = 248,
                      kTemperatureAt = 272, kReprojectionAt = 276, kCrcBytes = 4;
constexpr double kMaxFocal_px = 1e6, kMaxDistortion = 100, kMaxBaseline_mm = 1000,
                 kMinBaseline_mm = 0.1;
// A rotation that went through single precision is orthonormal to about 1e-7.
constexpr double kOrthonormal = 1e-5;

void write_double(std::span<std::uint8_t> bytes, std::size_t at, double value) {
  write_le(bytes, at, std::bit_cast<std::uint64_t>(value));
}
double read_double(Bytes bytes, std::size_t at) {
  return std::bit_cast<double>(read_le<std::uint64_t>(bytes, at));
}

Error wrong(std::string_view what) {
  return error(ErrorCode::kCorrupt, "wand calibration table: {}", what);
}

void write_optics(std::span<std::uint8_t> bytes, std::size_t at, const Intrinsics& optics) {
  write_double(bytes, at, optics.fx_px);
  write_double(bytes, at + 8, optics.fy_px);
  write_double(bytes, at + 16, optics.cx_px);
  write_double(bytes, at + 24, optics.cy_px);
}

Result<Intrinsics> read_optics(Bytes bytes, std::size_t sides_at, std::size_t at,
                               std::string_view what) {
  const Intrinsics optics{.width_px = read_le<std::uint16_t>(bytes, sides_at),
                          .height_px = read_le<std::uint16_t>(bytes, sides_at + 2),
                          .fx_px = read_double(bytes, at),
                          .fy_px = read_double(bytes, at + 8),
                          .cx_px = read_double(bytes, at + 16),
                          .cy_px = read_double(bytes, at + 24)};
  const auto side = [](int px) { return px >= kMinSide_px && px <= kMaxSide_px; };
  const auto focal = [](double px) { return px > 0 && px <= kMaxFocal_px; };
  // A tilted or shifted lens may have its axis outside of the picture, but not far.
  const auto centre = [](double px, int side_px) { return std::abs(px) <= 4.0 * side_px; };
  if (!side(optics.width_px) || !side(optics.height_px) || !focal(optics.fx_px) ||
      !focal(optics.fy_px) || !centre(optics.cx_px, optics.width_px) ||
      !centre(optics.cy_px, optics.height_px))
    return wrong(fmt::format("the {}'s optics are impossible", what));
  return optics;
}

void write_distortion(std::span<std::uint8_t> bytes, std::size_t at, const LensDistortion& lens) {
  const std::array values{lens.k1, lens.k2, lens.p1, lens.p2, lens.k3};
  for (std::size_t i = 0; i < values.size(); ++i) write_double(bytes, at + 8 * i, values[i]);
}

Result<LensDistortion> read_distortion(Bytes bytes, std::size_t at, std::string_view what) {
  std::array<double, 5> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = read_double(bytes, at + 8 * i);
  if (!std::all_of(values.begin(), values.end(),
                   [](double value) { return std::abs(value) <= kMaxDistortion; }))
    return wrong(fmt::format("the {}'s distortion is impossible", what));
  return LensDistortion{
      .k1 = values[0], .k2 = values[1], .p1 = values[2], .p2 = values[3], .k3 = values[4]};
}

Result<RigidTransform> read_placement(Bytes bytes) {
  Eigen::Matrix3d rotation;
  Eigen::Vector3d translation;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      rotation(row, column) =
          read_double(bytes, kRotationAt + 8 * static_cast<std::size_t>(3 * row + column));
    translation(row) = read_double(bytes, kTranslationAt + 8 * static_cast<std::size_t>(row));
  }
  const double error_of_rotation =
      (rotation * rotation.transpose() - Eigen::Matrix3d::Identity()).cwiseAbs().maxCoeff();
  if (!rotation.allFinite() || !(error_of_rotation <= kOrthonormal) || rotation.determinant() < 0)
    return wrong("the projector's rotation is none");
  const double baseline_mm = translation.norm();
  if (!(baseline_mm >= kMinBaseline_mm && baseline_mm <= kMaxBaseline_mm))
    return wrong("the projector's place is impossible");
  RigidTransform placement = RigidTransform::Identity();
  placement.linear() = rotation;
  placement.translation() = translation;
  return placement;
}

// "2026-03-14"
bool is_date(std::string_view text) {
  if (text.size() != kDateBytes || text[4] != '-' || text[7] != '-') return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (i != 4 && i != 7 && (text[i] < '0' || text[i] > '9')) return false;
  const int month = (text[5] - '0') * 10 + text[6] - '0',
            day = (text[8] - '0') * 10 + text[9] - '0';
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

}  // namespace

std::vector<std::uint8_t> encode(const CalibrationTable& table) {
  std::vector<std::uint8_t> bytes(kTableBytes);
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  bytes[4] = kMajor;
  bytes[5] = kMinor;
  write_le(bytes, kSizeAt, static_cast<std::uint32_t>(kTableBytes));
  std::copy_n(table.made_on.begin(), std::min(kDateBytes, table.made_on.size()),
              bytes.begin() + kDateAt);
  const std::array sides{table.camera.width_px, table.camera.height_px, table.projector.width_px,
                         table.projector.height_px};
  for (std::size_t i = 0; i < sides.size(); ++i)
    write_le(bytes, kSidesAt + 2 * i, static_cast<std::uint16_t>(sides[i]));
  write_optics(bytes, kCameraAt, table.camera);
  write_distortion(bytes, kCameraDistortionAt, table.camera_distortion);
  write_optics(bytes, kProjectorAt, table.projector);
  write_distortion(bytes, kProjectorDistortionAt, table.projector_distortion);
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      write_double(bytes, kRotationAt + 8 * static_cast<std::size_t>(3 * row + column),
                   table.projector_from_camera.linear()(row, column));
    write_double(bytes, kTranslationAt + 8 * static_cast<std::size_t>(row),
                 table.projector_from_camera.translation()(row));
  }
  write_le_float(bytes, kTemperatureAt, static_cast<float>(table.projector_c));
  write_le_float(bytes, kReprojectionAt, static_cast<float>(table.reprojection_error_px));
  const std::size_t crc_at = bytes.size() - kCrcBytes;
  write_le(bytes, crc_at, crc32(Bytes(bytes).first(crc_at)));
  return bytes;
}

Result<CalibrationTable> decode_calibration_table(Bytes bytes) {
  if (bytes.size() < kTableBytes)
    return wrong(fmt::format("{} bytes, expected at least {}", bytes.size(), kTableBytes));
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin()))
    return wrong("it does not begin with \"WCAL\"");
  if (const auto stated = read_le<std::uint32_t>(bytes, kSizeAt); stated != bytes.size())
    return wrong(fmt::format("it states {} bytes, {} came", stated, bytes.size()));
  const std::size_t crc_at = bytes.size() - kCrcBytes;
  const auto stored = read_le<std::uint32_t>(bytes, crc_at);
  if (const std::uint32_t computed = crc32(bytes.first(crc_at)); computed != stored)
    return wrong(fmt::format("its CRC is {:08x}, should be {:08x}", computed, stored));
  if (bytes[4] != kMajor)
    return error(ErrorCode::kUnsupported, "wand calibration table: version {}.{}", bytes[4],
                 bytes[5]);
  CalibrationTable table;
  table.made_on.assign(bytes.begin() + kDateAt, bytes.begin() + kDateAt + kDateBytes);
  if (!is_date(table.made_on)) return wrong("its date is none");
  CUSP_ASSIGN(table.camera, read_optics(bytes, kSidesAt, kCameraAt, "camera"));
  CUSP_ASSIGN(table.camera_distortion, read_distortion(bytes, kCameraDistortionAt, "camera"));
  CUSP_ASSIGN(table.projector, read_optics(bytes, kSidesAt + 4, kProjectorAt, "projector"));
  CUSP_ASSIGN(table.projector_distortion,
              read_distortion(bytes, kProjectorDistortionAt, "projector"));
  CUSP_ASSIGN(table.projector_from_camera, read_placement(bytes));
  table.projector_c = read_le_float(bytes, kTemperatureAt);
  table.reprojection_error_px = read_le_float(bytes, kReprojectionAt);
  if (!(std::abs(table.projector_c) < 200)) return wrong("its temperature is impossible");
  if (!(table.reprojection_error_px >= 0 && std::isfinite(table.reprojection_error_px)))
    return wrong("its reprojection error is impossible");
  return table;
}

std::string calibration_id(std::uint32_t crc32) { return fmt::format("wand-{:08x}", crc32); }

Result<Calibration> make_calibration(const CalibrationTable& table, std::uint32_t crc32,
                                     const Capabilities& capabilities) {
  if (table.camera.width_px != capabilities.width_px ||
      table.camera.height_px != capabilities.height_px)
    return wrong(fmt::format("it is for frames of {}x{}, the wand sends {}x{}",
                             table.camera.width_px, table.camera.height_px, capabilities.width_px,
                             capabilities.height_px));
  if (table.projector.width_px != capabilities.projector_width_px ||
      table.projector.height_px != capabilities.projector_height_px)
    return wrong(fmt::format("it is for a projector of {}x{}, the wand has one of {}x{}",
                             table.projector.width_px, table.projector.height_px,
                             capabilities.projector_width_px, capabilities.projector_height_px));
  return Calibration{.id = calibration_id(crc32),
                     .baseline_mm = table.projector_from_camera.translation().norm(),
                     .depth = table.camera,
                     .made_on = table.made_on,
                     .fringe = FringeOptics{.camera_distortion = table.camera_distortion,
                                            .projector = table.projector,
                                            .projector_distortion = table.projector_distortion,
                                            .projector_from_camera = table.projector_from_camera,
                                            .patterns = capabilities.patterns,
                                            .min_depth_mm = capabilities.min_depth_mm,
                                            .max_depth_mm = capabilities.max_depth_mm}};
}

}  // namespace cusp::wand
