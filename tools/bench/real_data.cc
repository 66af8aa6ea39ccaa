#include "tools/bench/real_data.h"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "pipeline/decode.h"
#include "pipeline/reconstruction.h"
#include "tools/bench/statistics.h"
#include "tools/sim/png_file.h"
#include "tools/sim/trajectory.h"
#include "tools/verify/replay.h"
#include "tools/verify/trajectory_error.h"

namespace cusp::bench {
namespace {

constexpr Intrinsics kPrimeSense{
    .width_px = 640, .height_px = 480, .fx_px = 525, .fy_px = 525, .cx_px = 319.5, .cy_px = 239.5};

// "(436.77, 0.0, 321.6)" -> its numbers.
Result<std::array<double, 3>> row_of(const nlohmann::json& camera, const char* key,
                                     const std::filesystem::path& path) {
  std::array<double, 3> row{};
  const std::string text = camera.value(key, "");
  if (std::sscanf(text.c_str(), "(%lf, %lf, %lf)", &row[0], &row[1], &row[2]) != 3)
    return error(ErrorCode::kCorrupt, "{}: \"{}\" is no row of a matrix", path.string(), key);
  return row;
}

Result<Intrinsics> read_camera(const std::filesystem::path& path) {
  std::ifstream file(path);
  const nlohmann::json document = nlohmann::json::parse(file, nullptr, false);
  if (!document.is_array() || document.empty() || !document[0].is_object())
    return error(ErrorCode::kCorrupt, "{}: it describes no camera", path.string());
  CUSP_ASSIGN(const auto first, row_of(document[0], "IntrinsicMatrix.0", path));
  CUSP_ASSIGN(const auto second, row_of(document[0], "IntrinsicMatrix.1", path));
  return Intrinsics{.width_px = document[0].value("Width", 0),
                    .height_px = document[0].value("Height", 0),
                    .fx_px = first[0],
                    .fy_px = second[1],
                    .cx_px = first[2],
                    .cy_px = second[2]};
}

std::vector<Eigen::Vector3d> points_of(const DepthFrame& frame) {
  std::vector<Eigen::Vector3d> points;
  const Intrinsics& camera = frame.intrinsics;
  for (int y = 0; y < camera.height_px; ++y)
    for (int x = 0; x < camera.width_px; ++x) {
      const double z = frame.depth_mm[static_cast<std::size_t>(y * camera.width_px + x)];
      if (z > 0)
        points.emplace_back((x - camera.cx_px) / camera.fx_px * z,
                            (y - camera.cy_px) / camera.fy_px * z, z);
    }
  return points;
}

Result<void> measure_board(const std::filesystem::path& folder, int threads, Figures& figures) {
  Calibration phone{.id = "truedepth", .depth_unit_mm = 0.1};
  CUSP_ASSIGN(phone.depth, read_camera(folder / "DepthMetadata.json"));
  ReconstructionOptions options{
      .voxel_mm = 0.5, .min_depth_mm = 100, .max_depth_mm = 400, .threads = threads};
  Reconstruction reconstruction(options, phone);
  std::vector<double> frames_um;
  CUSP_ASSIGN(const auto files, sim::list_pngs(folder));
  for (const auto& path : files) {
    if (!path.filename().string().starts_with("depth_")) continue;
    CUSP_ASSIGN(const sim::GreyImage16 image, sim::read_png16(path));
    RawFrame raw{.sequence = frames_um.size(),
                 .format = PixelFormat::kZ16,
                 .width_px = image.width_px,
                 .height_px = image.height_px};
    raw.bytes.resize(image.pixels.size() * sizeof(std::uint16_t));
    std::memcpy(raw.bytes.data(), image.pixels.data(), raw.bytes.size());
    CUSP_ASSIGN(const DepthFrame depth,
                decode(raw, phone, options.min_depth_mm, options.max_depth_mm));
    CUSP_ASSIGN(const PlaneFit plane, fit_plane(points_of(depth)));
    frames_um.push_back(1000 * plane.rms_mm);
    figures.add({fmt::format("board, {}: distance to its plane, rms", path.stem().string()),
                 1000 * plane.rms_mm, "um"});
    CUSP_TRY(reconstruction.add(std::move(raw)));
  }
  if (frames_um.empty()) return error(ErrorCode::kNotFound, "{}: no depth_*.png", folder.string());
  std::vector<Eigen::Vector3d> vertices;
  for (const Eigen::Vector3f& vertex : reconstruction.mesh().vertices_mm)
    vertices.push_back(vertex.cast<double>());
  CUSP_ASSIGN(const PlaneFit model, fit_plane(vertices));
  figures.add(
      {"board, its model of all frames: distance to its plane, rms", 1000 * model.rms_mm, "um"});
  figures.add(
      {"board, the model over the median frame", 1000 * model.rms_mm / median(frames_um), "x"});
  figures.add({"board: frames fused", static_cast<double>(reconstruction.counts().tracked), ""});
  return {};
}

Result<void> measure_room(const std::filesystem::path& folder, int threads, Figures& figures) {
  const verify::ReplayOptions options{
      .frames = folder / "depth",
      .intrinsics = kPrimeSense,
      .most_frames = 1'000'000,
      .reconstruction = {
          .voxel_mm = 10, .min_depth_mm = 300, .max_depth_mm = 6000, .threads = threads}};
  CUSP_ASSIGN(const auto truth, sim::read_trajectory(folder / "trajectory.log", 1000));
  CUSP_ASSIGN(const verify::Replay replayed,
              verify::replay(options, [](std::size_t, const Pose&) {}));
  std::vector<Eigen::Vector3d> estimated_mm, true_mm;
  for (std::size_t i = 0; i < std::min(replayed.poses.size(), truth.size()); ++i) {
    if (!replayed.poses[i].usable()) continue;
    estimated_mm.emplace_back(replayed.poses[i].model_from_sensor.translation());
    true_mm.emplace_back(truth[i].world_from_camera.translation());
  }
  CUSP_ASSIGN(const verify::TrajectoryError off,
              verify::absolute_trajectory_error(estimated_mm, true_mm));
  figures.add({"room: frames", static_cast<double>(replayed.counts.frames), ""});
  figures.add({"room: lost", static_cast<double>(replayed.counts.lost), "frames"});
  figures.add({"room: absolute trajectory error, rmse", off.rmse_mm, "mm"});
  figures.add(
      {"room: the same, share of the path", 100 * off.rmse_mm / off.length_mm, "%", Bar{1, 1}});
  return {};
}

}  // namespace

Result<PlaneFit> fit_plane(const std::vector<Eigen::Vector3d>& points_mm) {
  constexpr int kRounds = 8;
  if (points_mm.size() < 3)
    return error(ErrorCode::kInvalidArgument, "{} points make no plane", points_mm.size());
  std::vector<double> distances(points_mm.size(), 0.0);
  double limit = 0;
  PlaneFit fit;
  for (int round = 0; round < kRounds; ++round) {
    Eigen::Vector3d middle = Eigen::Vector3d::Zero();
    std::size_t inliers = 0;
    for (std::size_t i = 0; i < points_mm.size(); ++i)
      if (distances[i] <= limit) {
        middle += points_mm[i];
        ++inliers;
      }
    if (inliers < 3) break;
    middle /= static_cast<double>(inliers);
    Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
    double squares = 0;
    for (std::size_t i = 0; i < points_mm.size(); ++i)
      if (distances[i] <= limit) {
        const Eigen::Vector3d offset = points_mm[i] - middle;
        spread += offset * offset.transpose();
      }
    const Eigen::Vector3d normal =
        Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(spread).eigenvectors().col(0);
    for (std::size_t i = 0; i < points_mm.size(); ++i) {
      const double distance = std::abs(normal.dot(points_mm[i] - middle));
      if (distances[i] <= limit) squares += distance * distance;
      distances[i] = distance;
    }
    fit = {.rms_mm = std::sqrt(squares / static_cast<double>(inliers)),
           .inlier_share = static_cast<double>(inliers) / static_cast<double>(points_mm.size())};
    limit = 3 * median(distances);
  }
  return fit;
}

Result<void> measure_real_data(const std::filesystem::path& folder, int threads, Figures& figures) {
  const std::pair<const char*, Result<void> (*)(const std::filesystem::path&, int, Figures&)>
      sets[] = {{"truedepth-charuco", measure_board}, {"rgbd-livingroom", measure_room}};
  for (const auto& [name, measure] : sets) {
    if (std::filesystem::is_directory(folder / name))
      CUSP_TRY(measure(folder / name, threads, figures));
    else
      fmt::print("{}: not there, nothing was measured\n", (folder / name).string());
  }
  return {};
}

}  // namespace cusp::bench
