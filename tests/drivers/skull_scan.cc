#include "tests/drivers/skull_scan.h"

#include <png.h>

#include <fstream>
#include <numbers>
#include <sstream>

namespace cusp {
namespace {

constexpr int kProjectorColumns = 1824;

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

Result<Calibration> read_calibration(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return error(ErrorCode::kNotFound, "{}: it is not there", path.string());
  const std::string xml{std::istreambuf_iterator<char>(file), {}};
  Calibration calibration;
  calibration.made_on = "2026-03-14";  // the file has no date
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
  fringe.min_depth_mm = 300;
  fringe.max_depth_mm = 500;
  calibration.fringe = std::move(fringe);
  return calibration;
}

}  // namespace

Result<SkullScan> read_skull_scan(const std::filesystem::path& folder,
                                  const std::string& sequence) {
  SkullScan scan;
  CUSP_ASSIGN(scan.calibration, read_calibration(folder / "calibration" / "calibration.xml"));
  std::vector<double> pitches_px;
  if (sequence == "2x3") pitches_px.push_back(kProjectorColumns / 16.0);
  pitches_px.push_back(kProjectorColumns);
  for (const double pitch_px : pitches_px)
    for (int step = 0; step < 3; ++step)
      // The wand states its phases in single precision.
      scan.calibration.fringe->patterns.push_back(
          {pitch_px, static_cast<double>(static_cast<float>(step * 2 * std::numbers::pi / 3))});
  for (std::size_t i = 0; i < scan.calibration.fringe->patterns.size(); ++i) {
    CUSP_ASSIGN(GreyPicture picture,
                read_png(folder / sequence / fmt::format("frameSeq_{:02}.png", i)));
    if (picture.width_px != scan.calibration.depth.width_px ||
        picture.height_px != scan.calibration.depth.height_px)
      return error(ErrorCode::kCorrupt, "frame {}: {}x{}, the calibration is for {}x{}", i,
                   picture.width_px, picture.height_px, scan.calibration.depth.width_px,
                   scan.calibration.depth.height_px);
    scan.pictures.push_back(std::move(picture.pixels));
  }
  return scan;
}

}  // namespace cusp
