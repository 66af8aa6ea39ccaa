#include "tools/sim/head_shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "core/check.h"

namespace cusp::sim {
namespace {

// Half axes of the head.
constexpr double kHalfWidthMm = 75, kHalfHeightMm = 110, kHalfDepthMm = 95;
// How far round and up the front half goes.
constexpr double kAcrossRad = 80 * std::numbers::pi / 180, kUpRad = 65 * std::numbers::pi / 180;

struct Bump {
  double x_mm, y_mm;  // of its top, seen from in front
  double half_width_mm, half_height_mm;
  double out_mm;
};
constexpr std::array<Bump, 10> kNeutral{{
    {0, 8, 7, 18, 10},       // bridge of the nose
    {0, -8, 11, 10, 16},     // its tip
    {-32, 20, 14, 9, -7},    // eyes
    {32, 20, 14, 9, -7},     //
    {0, 36, 48, 9, 4},       // brow
    {0, -33, 20, 4.5, 4.5},  // lips
    {0, -43, 17, 5, 4},      //
    {0, -38, 22, 2, -3},     // between them
    {0, -66, 17, 11, 8},     // chin
    {0, -55, 24, 4, -3},     // above it
}};
// What a smile adds: wider lips, their corners drawn in, cheeks raised.
constexpr std::array<Bump, 5> kSmile{{
    {0, -38, 30, 5, 2.5},
    {-29, -33, 5, 5, -4},
    {29, -33, 5, 5, -4},
    {-40, -8, 15, 13, 5},
    {40, -8, 15, 13, 5},
}};

// --- hair ---

constexpr double kHairMm = 9, kBeardMm = 5;  // of the coats
constexpr double kRootsMm = 6;               // from bare skin to the whole coat
constexpr double kClumpShare = 0.2;          // of the coat, by which its clumps stand out
constexpr double kHairlineMm = 68, kTemplesMm = 60;
constexpr double kBeardWidthMm = 60, kBeardTopMm = -52, kBeardBottomMm = -86;

// How far inside the hair or the beard a place of the ellipsoid is, seen from in front; negative
// outside.
double inside_hair_mm(const Eigen::Vector3d& p) {
  const double aside = std::pow(std::abs(p.x()) / kHalfWidthMm, 4);
  return p.y() - (kHairlineMm - kTemplesMm * aside);
}
double inside_beard_mm(const Eigen::Vector3d& p) {
  return std::min({kBeardTopMm - p.y(), p.y() - kBeardBottomMm, kBeardWidthMm - std::abs(p.x())});
}

// -1 to 1: waves of a few lengths in a few directions, which repeat nowhere near.
double clumps(const Eigen::Vector3d& p) {
  struct Wave {
    double length_mm, direction_rad, phase_rad;
  };
  constexpr std::array<Wave, 5> kWaves{
      {{4.3, 0.2, 0.0}, {5.9, 1.3, 1.1}, {7.7, 2.2, 4.0}, {9.1, 0.9, 2.5}, {5.1, 2.9, 5.2}}};
  double sum = 0;
  for (const Wave& wave : kWaves) {
    const double along = std::cos(wave.direction_rad) * (p.x() + 0.5 * p.z()) +
                         std::sin(wave.direction_rad) * (p.y() - 0.5 * p.z());
    sum += std::sin(2 * std::numbers::pi * along / wave.length_mm + wave.phase_rad);
  }
  return sum / static_cast<double>(kWaves.size());
}

double coat_mm(double inside_mm, double full_mm, const Eigen::Vector3d& p) {
  if (inside_mm <= 0) return 0;
  const double share = std::min(1.0, inside_mm / kRootsMm);
  return full_mm * share * share * (3 - 2 * share) * (1 + kClumpShare * clumps(p));
}

struct Place {
  Eigen::Vector3f mm;
  bool hairy = false;
};

Place place(double across_rad, double up_rad, const HeadOptions& options) {
  const Eigen::Vector3d out(std::sin(across_rad) * std::cos(up_rad), std::sin(up_rad),
                            std::cos(across_rad) * std::cos(up_rad));
  const Eigen::Vector3d on_ellipsoid =
      out.cwiseProduct(Eigen::Vector3d(kHalfWidthMm, kHalfHeightMm, kHalfDepthMm));
  double height_mm = 0;
  const auto add = [&](std::span<const Bump> bumps) {
    for (const Bump& bump : bumps) {
      const double x = (on_ellipsoid.x() - bump.x_mm) / bump.half_width_mm;
      const double y = (on_ellipsoid.y() - bump.y_mm) / bump.half_height_mm;
      height_mm += bump.out_mm * std::exp(-0.5 * (x * x + y * y));
    }
  };
  add(kNeutral);
  if (options.expression == Expression::kSmile) add(kSmile);
  double coat = 0;
  if (options.hair) coat = coat_mm(inside_hair_mm(on_ellipsoid), kHairMm, on_ellipsoid);
  if (options.beard) coat += coat_mm(inside_beard_mm(on_ellipsoid), kBeardMm, on_ellipsoid);
  return {.mm = (on_ellipsoid + (height_mm + coat) * out).cast<float>(), .hairy = coat > 0};
}

constexpr double kNeckRadiusMm = 55, kNeckBackMm = -25;  // its axis stands behind the face's middle
constexpr double kNeckTopMm = -60, kNeckBottomMm = -140;

Place place_on_neck(double across_rad, double down) {
  const Eigen::Vector3d p(kNeckRadiusMm * std::sin(across_rad),
                          kNeckTopMm + down * (kNeckBottomMm - kNeckTopMm),
                          kNeckBackMm + kNeckRadiusMm * std::cos(across_rad));
  return {.mm = p.cast<float>()};
}

// Adds a grid of places, at(0..1 to the person's left, 0..1 up), two triangles a square; those with
// a hairy corner go to `hairy_triangles`.
struct Grid {
  std::uint32_t columns, rows;
};
template <typename At>
void add_grid(const Grid& grid, const At& at, Mesh& mesh,
              std::vector<std::array<std::uint32_t, 3>>& hairy_triangles) {
  const auto first = static_cast<std::uint32_t>(mesh.vertices_mm.size());
  std::vector<bool> hairy;
  for (std::uint32_t row = 0; row <= grid.rows; ++row)
    for (std::uint32_t column = 0; column <= grid.columns; ++column) {
      const Place here = at(1.0 * column / grid.columns, 1.0 * row / grid.rows);
      mesh.vertices_mm.push_back(here.mm);
      hairy.push_back(here.hairy);
    }
  const auto add = [&](std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    auto& triangles = hairy[a] || hairy[b] || hairy[c] ? hairy_triangles : mesh.triangles;
    triangles.push_back({first + a, first + b, first + c});
  };
  for (std::uint32_t row = 0; row < grid.rows; ++row)
    for (std::uint32_t column = 0; column < grid.columns; ++column) {
      const std::uint32_t a = row * (grid.columns + 1) + column, c = a + grid.columns + 1;
      add(a, a + 1, c + 1);
      add(a, c + 1, c);
    }
}

}  // namespace

Head make_head(const HeadOptions& options) {
  CUSP_CHECK(options.resolution_mm > 0, "a resolution is positive");
  const auto steps = [&](double length_mm) {
    return static_cast<std::uint32_t>(length_mm / options.resolution_mm);
  };
  Head head;
  std::vector<std::array<std::uint32_t, 3>> hairy;
  add_grid(
      {.columns = steps(2 * kAcrossRad * kHalfDepthMm), .rows = steps(2 * kUpRad * kHalfHeightMm)},
      [&](double across, double up) {
        return place(kAcrossRad * (2 * across - 1), kUpRad * (2 * up - 1), options);
      },
      head.mesh, hairy);
  if (options.neck)
    add_grid(
        {.columns = steps(2 * kAcrossRad * kNeckRadiusMm),
         .rows = steps(kNeckTopMm - kNeckBottomMm)},
        [](double across, double up) {
          return place_on_neck(kAcrossRad * (2 * across - 1), 1 - up);
        },
        head.mesh, hairy);
  auto& triangles = head.mesh.triangles;
  head.first_hairy = static_cast<std::uint32_t>(triangles.size());
  triangles.insert(triangles.end(), hairy.begin(), hairy.end());
  compute_normals(head.mesh);
  return head;
}

}  // namespace cusp::sim
