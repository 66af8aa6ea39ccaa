#include "drivers/emulation/structured_light_scan.h"

#include <png.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <numbers>
#include <sstream>

namespace cusp {
namespace {

constexpr int kSteps = 3;

struct GreyPicture {
  int width_px = 0;
  int height_px = 0;
  std::vector<std::uint8_t> pixels;
};

Result<GreyPicture> read_png(const std::filesystem::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0)
    return error(ErrorCode::kNotFound, "{}: {}", path.string(), image.message);
  if (image.format != PNG_FORMAT_GRAY) {
    png_image_free(&image);
    return error(ErrorCode::kCorrupt, "{}: no 8-bit grey picture", path.string());
  }
  GreyPicture picture{.width_px = static_cast<int>(image.width),
                      .height_px = static_cast<int>(image.height),
                      .pixels = std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
  if (png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) == 0)
    return error(ErrorCode::kCorrupt, "{}: {}", path.string(), image.message);
  return picture;
}

// The numbers of <name ...><data>...</data></name> or of <name>...</name>.
Result<std::vector<double>> numbers_of(const std::string& xml, const std::string& name,
                                       std::size_t count) {
  const std::size_t begin = xml.find("<" + name);
  const std::size_t end = xml.find("</" + name + ">");
  std::vector<double> numbers;
  if (begin != std::string::npos && end != std::string::npos) {
    std::string body = xml.substr(begin, end - begin);
    const std::string data = "<data>";
    const std::size_t at = body.find(data);
    body =
        at == std::string::npos ? body.substr(body.find('>') + 1) : body.substr(at + data.size());
    std::istringstream words(body.substr(0, body.find('<')));
    for (double number = 0; words >> number;) numbers.push_back(number);
  }
  if (numbers.size() != count)
    return error(ErrorCode::kCorrupt, "calibration.xml: {} numbers in {}, expected {}",
                 numbers.size(), name, count);
  return numbers;
}

Result<LensDistortion> distortion_of(const std::string& xml, const std::string& name) {
  CUSP_ASSIGN(const auto k, numbers_of(xml, name, 5));
  return LensDistortion{.k1 = k[0], .k2 = k[1], .p1 = k[2], .p2 = k[3], .k3 = k[4]};
}

Result<Intrinsics> optics_of(const std::string& xml, const std::string& matrix,
                             const std::string& width, const std::string& height) {
  CUSP_ASSIGN(const auto k, numbers_of(xml, matrix, 9));
  CUSP_ASSIGN(const auto columns, numbers_of(xml, width, 1));
  CUSP_ASSIGN(const auto rows, numbers_of(xml, height, 1));
  return Intrinsics{.width_px = static_cast<int>(columns[0]),
                    .height_px = static_cast<int>(rows[0]),
                    .fx_px = k[0],
                    .fy_px = k[4],
                    .cx_px = k[2],
                    .cy_px = k[5]};
}

// UTC.
Result<std::string> day_of(const std::filesystem::path& path) {
  std::error_code failure;
  const auto written = std::filesystem::last_write_time(path, failure);
  if (failure) return error(ErrorCode::kNotFound, "{}: {}", path.string(), failure.message());
  const auto time = std::chrono::file_clock::to_sys(written);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
  std::tm day{};
  gmtime_r(&seconds, &day);
  return fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

Result<Calibration> read_calibration(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return error(ErrorCode::kNotFound, "{}: it is not there", path.string());
  const std::string xml{std::istreambuf_iterator<char>(file), {}};
  Calibration calibration;
  CUSP_ASSIGN(calibration.made_on, day_of(path));
  FringeOptics fringe;
  CUSP_ASSIGN(calibration.depth, optics_of(xml, "Kc", "frameWidth", "frameHeight"));
  CUSP_ASSIGN(fringe.camera_distortion, distortion_of(xml, "kc"));
  CUSP_ASSIGN(fringe.projector, optics_of(xml, "Kp", "screenResX", "screenResY"));
  CUSP_ASSIGN(fringe.projector_distortion, distortion_of(xml, "kp"));
  CUSP_ASSIGN(const auto rotation, numbers_of(xml, "Rp", 9));
  CUSP_ASSIGN(const auto translation, numbers_of(xml, "Tp", 3));
  fringe.projector_from_camera.linear() =
      Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(rotation.data());
  fringe.projector_from_camera.translation() =
      Eigen::Map<const Eigen::Vector3d>(translation.data());
  calibration.baseline_mm = fringe.projector_from_camera.translation().norm();
  calibration.fringe = std::move(fringe);
  return calibration;
}

}  // namespace

Result<StructuredLightScan> read_structured_light_scan(const StructuredLightFiles& files) {
  StructuredLightScan scan;
  CUSP_ASSIGN(scan.calibration, read_calibration(files.calibration));
  FringeOptics& fringe = *scan.calibration.fringe;
  fringe.min_depth_mm = files.min_depth_mm;
  fringe.max_depth_mm = files.max_depth_mm;
  for (const double pitch_px : files.pitches_px)
    for (int step = 0; step < kSteps; ++step)
      // The wand states its phases in single precision.
      fringe.patterns.push_back({pitch_px, static_cast<double>(static_cast<float>(
                                               step * 2 * std::numbers::pi / kSteps))});

  std::vector<std::filesystem::path> pictures;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(files.pictures, failure))
    if (entry.path().extension() == ".png") pictures.push_back(entry.path());
  if (failure)
    return error(ErrorCode::kNotFound, "{}: {}", files.pictures.string(), failure.message());
  std::sort(pictures.begin(), pictures.end());
  if (pictures.size() < fringe.patterns.size())
    return error(ErrorCode::kInvalidArgument, "{}: {} PNG pictures, {} are of {} pitches",
                 files.pictures.string(), pictures.size(), fringe.patterns.size(),
                 files.pitches_px.size());
  pictures.resize(fringe.patterns.size());
  const Intrinsics& camera = scan.calibration.depth;
  for (const auto& path : pictures) {
    CUSP_ASSIGN(GreyPicture picture, read_png(path));
    if (picture.width_px != camera.width_px || picture.height_px != camera.height_px)
      return error(ErrorCode::kInvalidArgument, "{}: {}x{}, the calibration is for {}x{}",
                   path.string(), picture.width_px, picture.height_px, camera.width_px,
                   camera.height_px);
    scan.pictures.push_back(std::move(picture.pixels));
  }
  return scan;
}

}  // namespace cusp
