// A small software renderer: a z-buffer, a key light, a sky, and the shade that crevices lie in.
// Pictures are made larger and scaled down; everything is computed alike on every machine of one
// kind, so the same mesh gives the same PNG.
#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "core/check.h"
#include "pipeline/export.h"
#include "pipeline/png.h"

namespace cusp {
namespace {

constexpr int kOversample = 3;
constexpr int kMaxSidePx = 4096;
constexpr float kMargin = 0.08F;  // of the picture, around the model
// A jaw is smaller than this, a head larger: heads stay as the sensor saw them (y down), jaws are
// turned.
constexpr float kJawLimitMm = 105.0F;
constexpr float kShadeReachShare = 0.06F;  // of the model's size: how far a crevice's walls matter

const Eigen::Vector3f kBackground(0.945F, 0.953F, 0.961F);
const Eigen::Vector3f kSurface(0.91F, 0.87F, 0.80F);

struct Camera {
  Eigen::Matrix3f view_from_model;  // rows: right, up, towards the viewer
  Eigen::Vector3f middle;           // of the model, in the view
  float pixels_a_mm = 1;
  int width = 0;
  int height = 0;

  // x, y in pixels, z in mm towards the viewer.
  [[nodiscard]] Eigen::Vector3f project(const Eigen::Vector3f& p) const {
    const Eigen::Vector3f v = view_from_model * p - middle;
    return {0.5F * static_cast<float>(width) + v.x() * pixels_a_mm,
            0.5F * static_cast<float>(height) - v.y() * pixels_a_mm, v.z()};
  }
};

struct Area {
  Eigen::Vector3d normal_sum = Eigen::Vector3d::Zero();  // times area
  Eigen::Vector3d middle = Eigen::Vector3d::Zero();
  double area = 0;
};

Area weigh(const Mesh& mesh) {
  Area sum;
  for (const auto& t : mesh.triangles) {
    const Eigen::Vector3d a = mesh.vertices_mm[t[0]].cast<double>();
    const Eigen::Vector3d b = mesh.vertices_mm[t[1]].cast<double>();
    const Eigen::Vector3d c = mesh.vertices_mm[t[2]].cast<double>();
    const Eigen::Vector3d normal = 0.5 * (b - a).cross(c - a);
    sum.normal_sum += normal;
    sum.middle += normal.norm() * (a + b + c) / 3;
    sum.area += normal.norm();
  }
  if (sum.area > 0) sum.middle /= sum.area;
  return sum;
}

// Longest direction of the surface as the viewer sees it, within the picture's plane.
Eigen::Vector3d longest_across(const Mesh& mesh, const Area& area, const Eigen::Vector3d& towards) {
  Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    Eigen::Vector3d p = vertex.cast<double>() - area.middle;
    p -= towards * towards.dot(p);
    spread += p * p.transpose();
  }
  Eigen::Vector3d axis =
      Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(spread).eigenvectors().col(2);
  axis -= towards * towards.dot(axis);
  return axis.normalized();
}

std::array<Eigen::Vector3d, 2> bounds(const Mesh& mesh) {
  Eigen::Vector3f low = mesh.vertices_mm.front();
  Eigen::Vector3f high = low;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    low = low.cwiseMin(vertex);
    high = high.cwiseMax(vertex);
  }
  return {low.cast<double>(), high.cast<double>()};
}

// An arch's front has more surface than its open end: its weight lies off the middle of its extent,
// towards the front, and the front goes up, as in a dental chart.
Eigen::Vector3d upright(const Mesh& mesh, const Area& area, const Eigen::Vector3d& towards) {
  const auto [low, high] = bounds(mesh);
  if ((high - low).maxCoeff() > kJawLimitMm) {
    const Eigen::Vector3d up = -Eigen::Vector3d::UnitY();
    const Eigen::Vector3d across = up - towards * towards.dot(up);
    if (across.norm() > 0.2) return across.normalized();
  }
  const Eigen::Vector3d up = towards.cross(longest_across(mesh, area, towards));
  double lowest = std::numeric_limits<double>::max();
  double highest = std::numeric_limits<double>::lowest();
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    const double height = up.dot(vertex.cast<double>());
    lowest = std::min(lowest, height);
    highest = std::max(highest, height);
  }
  return up.dot(area.middle) >= 0.5 * (lowest + highest) ? up : Eigen::Vector3d(-up);
}

Camera place_camera(const Mesh& mesh, int width, int height) {
  const Area area = weigh(mesh);
  // A closed surface has no mean normal: then from above.
  Eigen::Vector3d towards = Eigen::Vector3d::UnitZ();
  if (area.normal_sum.norm() > 0.02 * area.area) towards = area.normal_sum.normalized();
  const Eigen::Vector3d up = upright(mesh, area, towards);
  Camera camera;
  camera.width = width;
  camera.height = height;
  camera.view_from_model.row(0) = up.cross(towards).cast<float>().transpose();
  camera.view_from_model.row(1) = up.cast<float>().transpose();
  camera.view_from_model.row(2) = towards.cast<float>().transpose();
  Eigen::Vector3f low = camera.view_from_model * mesh.vertices_mm.front();
  Eigen::Vector3f high = low;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) {
    const Eigen::Vector3f p = camera.view_from_model * vertex;
    low = low.cwiseMin(p);
    high = high.cwiseMax(p);
  }
  camera.middle = 0.5F * (low + high);
  const Eigen::Vector3f size = (high - low).cwiseMax(1e-3F);
  camera.pixels_a_mm = (1 - 2 * kMargin) * std::min(static_cast<float>(width) / size.x(),
                                                    static_cast<float>(height) / size.y());
  return camera;
}

struct Pixel {
  float z = std::numeric_limits<float>::lowest();  // towards the viewer
  Eigen::Vector3f normal = Eigen::Vector3f::Zero();
  Eigen::Vector3f colour = kSurface;
  [[nodiscard]] bool empty() const { return z == std::numeric_limits<float>::lowest(); }
};

class Raster {
 public:
  Raster(int width, int height)
      : width_(width),
        height_(height),
        pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {}

  [[nodiscard]] Pixel& at(int x, int y) {
    return pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                   static_cast<std::size_t>(x)];
  }

  void draw(const std::array<Eigen::Vector3f, 3>& p, const std::array<Eigen::Vector3f, 3>& normals,
            const std::array<Eigen::Vector3f, 3>& colours) {
    const float area = cross(p[0], p[1], p[2]);
    if (!(std::abs(area) > 0)) return;
    const int left = std::max(0, static_cast<int>(std::min({p[0].x(), p[1].x(), p[2].x()})));
    const int right =
        std::min(width_ - 1, static_cast<int>(std::max({p[0].x(), p[1].x(), p[2].x()})));
    const int top = std::max(0, static_cast<int>(std::min({p[0].y(), p[1].y(), p[2].y()})));
    const int bottom =
        std::min(height_ - 1, static_cast<int>(std::max({p[0].y(), p[1].y(), p[2].y()})));
    for (int y = top; y <= bottom; ++y) {
      for (int x = left; x <= right; ++x) {
        const Eigen::Vector3f here(static_cast<float>(x) + 0.5F, static_cast<float>(y) + 0.5F, 0);
        const float a = cross(p[1], p[2], here) / area;
        const float b = cross(p[2], p[0], here) / area;
        const float c = 1 - a - b;
        if (a < 0 || b < 0 || c < 0) continue;
        const float z = a * p[0].z() + b * p[1].z() + c * p[2].z();
        Pixel& pixel = at(x, y);
        if (z <= pixel.z) continue;
        pixel.z = z;
        pixel.normal = a * normals[0] + b * normals[1] + c * normals[2];
        pixel.colour = a * colours[0] + b * colours[1] + c * colours[2];
      }
    }
  }

 private:
  static float cross(const Eigen::Vector3f& a, const Eigen::Vector3f& b, const Eigen::Vector3f& c) {
    return (b.x() - a.x()) * (c.y() - a.y()) - (b.y() - a.y()) * (c.x() - a.x());
  }
  int width_;
  int height_;
  std::vector<Pixel> pixels_;
};

// How open the sky is above a pixel, from the heights around it: 1 on a plain, 0 at the bottom of a
// shaft.
float openness(Raster& raster, const Camera& camera, int x, int y, float reach_px) {
  constexpr int kDirections = 8;
  constexpr int kSteps = 4;
  const float z = raster.at(x, y).z;
  float open = 0;
  for (int d = 0; d < kDirections; ++d) {
    const float angle = (static_cast<float>(d) + 0.5F) * 6.2831853F / kDirections;
    float steepest = 0;
    for (int s = 1; s <= kSteps; ++s) {
      const float far = reach_px * static_cast<float>(s * s) / (kSteps * kSteps);
      const int px = x + static_cast<int>(std::lround(far * std::cos(angle)));
      const int py = y + static_cast<int>(std::lround(far * std::sin(angle)));
      if (px < 0 || py < 0 || px >= camera.width || py >= camera.height) continue;
      const Pixel& other = raster.at(px, py);
      if (other.empty() || far < 1) continue;
      steepest = std::max(steepest, (other.z - z) * camera.pixels_a_mm / far);
    }
    open += 1 - steepest / std::sqrt(1 + steepest * steepest);
  }
  return open / kDirections;
}

Eigen::Vector3f shade(const Pixel& pixel, float open) {
  Eigen::Vector3f normal = pixel.normal.normalized();
  // The inside of an open surface is drawn too, darker.
  const bool back = normal.z() < 0;
  if (back) normal = -normal;
  const Eigen::Vector3f key = Eigen::Vector3f(-0.45F, 0.55F, 0.70F).normalized();
  const Eigen::Vector3f half = (key + Eigen::Vector3f::UnitZ()).normalized();
  const float light = 0.70F * std::max(0.0F, normal.dot(key));
  const float sky = 0.34F + 0.16F * normal.y() + 0.10F * normal.z();
  const float gloss = 0.16F * std::pow(std::max(0.0F, normal.dot(half)), 40.0F);
  Eigen::Vector3f colour = pixel.colour * (light * (0.4F + 0.6F * open) + sky * open) +
                           Eigen::Vector3f::Constant(back ? 0.0F : gloss);
  if (back) colour = 0.55F * colour;
  return colour.cwiseMax(0.0F).cwiseMin(1.0F);
}

Eigen::Vector3f to_vector(const Rgb& rgb) {
  return Eigen::Vector3f(rgb[0], rgb[1], rgb[2]) / 255.0F;
}

// A scanner's light falls off: what makes the picture's mean as bright as a plain surface is.
float to_usual_brightness(std::span<const Rgb> colours) {
  double sum = 0;
  for (const Rgb& rgb : colours) sum += static_cast<double>(to_vector(rgb).mean());
  return sum > 0 ? static_cast<float>(static_cast<double>(kSurface.mean()) *
                                      static_cast<double>(colours.size()) / sum)
                 : 1.0F;
}

}  // namespace

Result<std::vector<std::uint8_t>> render_thumbnail_png(const Mesh& mesh, int width_px,
                                                       int height_px,
                                                       std::span<const Rgb> colours) {
  if (width_px < 1 || height_px < 1 || width_px > kMaxSidePx / kOversample ||
      height_px > kMaxSidePx / kOversample)
    return error(ErrorCode::kInvalidArgument, "thumbnail: {}x{} px cannot be drawn", width_px,
                 height_px);
  CUSP_TRY(validate(mesh));
  if (mesh.empty())
    return error(ErrorCode::kInvalidArgument, "thumbnail: the model has no surface");

  CUSP_CHECK(colours.empty() || colours.size() == mesh.vertices_mm.size(), "a colour a vertex");
  const float brighter = to_usual_brightness(colours);

  Mesh shaded = mesh;
  if (shaded.normals.empty()) compute_normals(shaded);
  const Camera camera = place_camera(shaded, width_px * kOversample, height_px * kOversample);
  Raster raster(camera.width, camera.height);
  for (const auto& t : shaded.triangles) {
    std::array<Eigen::Vector3f, 3> points;
    std::array<Eigen::Vector3f, 3> normals;
    std::array<Eigen::Vector3f, 3> own{kSurface, kSurface, kSurface};
    for (std::size_t k = 0; k < 3; ++k) {
      points[k] = camera.project(shaded.vertices_mm[t[k]]);
      normals[k] = camera.view_from_model * shaded.normals[t[k]];
      if (!colours.empty()) own[k] = brighter * to_vector(colours[t[k]]);
    }
    raster.draw(points, normals, own);
  }

  const float reach_px =
      kShadeReachShare * static_cast<float>(std::min(camera.width, camera.height));
  std::vector<std::uint8_t> rgb;
  rgb.reserve(static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px) * 3);
  for (int y = 0; y < height_px; ++y) {
    for (int x = 0; x < width_px; ++x) {
      Eigen::Vector3f sum = Eigen::Vector3f::Zero();
      // It varies slowly: once a pixel of the picture is enough.
      std::optional<float> open;
      for (int dy = 0; dy < kOversample; ++dy) {
        for (int dx = 0; dx < kOversample; ++dx) {
          const int px = x * kOversample + dx;
          const int py = y * kOversample + dy;
          const Pixel& pixel = raster.at(px, py);
          if (!pixel.empty() && !open) open = openness(raster, camera, px, py, reach_px);
          sum += pixel.empty() ? kBackground : shade(pixel, *open);
        }
      }
      sum *= 255.0F / (kOversample * kOversample);
      for (const float part : sum) rgb.push_back(static_cast<std::uint8_t>(part + 0.5F));
    }
  }
  return to_png(rgb, width_px, height_px, 3);
}

}  // namespace cusp
