#include "pipeline/align_colour.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include "pipeline/lens.h"
#include "pipeline/yuy2.h"

namespace cusp {
namespace {

constexpr double kCellDepthPixels = 2;
constexpr int kMaxCellShift = 6;
// A point this much farther than the nearest of its cell is behind it: a part of the depth, for a
// slanted surface crosses a cell too.
constexpr float kBehind = 0.03F;
constexpr int kNowhere = -1;

// Depth image to colour picture.
class Projection {
 public:
  Projection(const Intrinsics& depth, const ColourOptics& colour)
      : colour_(colour), shift_(colour.colour_from_depth.translation()) {
    const Eigen::Matrix3d turn = colour.colour_from_depth.rotation();
    column_ = turn.col(0) / depth.fx_px;
    row_ = turn.col(1) / depth.fy_px;
    corner_ = turn.col(2) - column_ * depth.cx_px - row_ * depth.cy_px;
  }

  // The colour pixel that sees depth pixel (u, v) at z_mm, and its distance from the colour camera.
  struct Seen {
    int u = kNowhere;
    int v = kNowhere;
    float z_mm = 0;
  };
  Seen operator()(int u, int v, float z_mm) const {
    const Eigen::Vector3d p = (corner_ + column_ * u + row_ * v) * z_mm + shift_;
    if (p.z() <= 0) return {};
    const Eigen::Vector2d at = p.head<2>() / p.z();
    // Beyond this radius the polynomial turns back into the picture.
    const LensDistortion& lens = colour_.distortion;
    const double r2 = at.squaredNorm();
    if (1 + r2 * (3 * lens.k1 + r2 * (5 * lens.k2 + r2 * 7 * lens.k3)) <= 0) return {};
    const Eigen::Vector2d bent = distort(lens, at);
    const Intrinsics& k = colour_.intrinsics;
    const double x = bent.x() * k.fx_px + k.cx_px + 0.5;
    const double y = bent.y() * k.fy_px + k.cy_px + 0.5;
    if (!(x >= 0 && x < k.width_px && y >= 0 && y < k.height_px)) return {};
    return {static_cast<int>(x), static_cast<int>(y), static_cast<float>(p.z())};
  }

 private:
  const ColourOptics& colour_;
  Eigen::Vector3d shift_;
  Eigen::Vector3d column_, row_, corner_;  // of the rays at z = 1
};

// The nearest depth in each cell of the colour picture. Cells have a power of two as their side.
class NearestInCells {
 public:
  NearestInCells(const Intrinsics& depth, const Intrinsics& colour)
      : shift_(cell_shift(kCellDepthPixels * colour.fx_px / depth.fx_px)),
        columns_((colour.width_px >> shift_) + 1),
        nearest_mm_(static_cast<std::size_t>(columns_) *
                        static_cast<std::size_t>((colour.height_px >> shift_) + 1),
                    std::numeric_limits<float>::infinity()) {}

  void add(const Projection::Seen& seen) {
    float& nearest = nearest_mm_[index(seen)];
    nearest = std::min(nearest, seen.z_mm);
  }
  [[nodiscard]] bool hide(const Projection::Seen& seen) const {
    return seen.z_mm > nearest_mm_[index(seen)] * (1 + kBehind);
  }

 private:
  // Of the smallest cell that has at least this side.
  static int cell_shift(double side_px) {
    int shift = 0;
    while (shift < kMaxCellShift && (1 << shift) < side_px) ++shift;
    return shift;
  }
  [[nodiscard]] std::size_t index(const Projection::Seen& seen) const {
    return static_cast<std::size_t>((seen.v >> shift_) * columns_ + (seen.u >> shift_));
  }
  int shift_;
  int columns_;
  std::vector<float> nearest_mm_;
};

void write_rgb(const ColourPicture& picture, const Projection::Seen& seen, std::uint8_t* rgb) {
  const auto row =
      static_cast<std::size_t>(seen.v) * static_cast<std::size_t>(picture.width_px) * 2;
  const std::uint8_t* pair = picture.bytes.data() + row + static_cast<std::size_t>(seen.u / 2) * 4;
  yuy2_to_rgb(pair, seen.u % 2 != 0, rgb);
}

}  // namespace

Result<void> check_colour(const ColourPicture& picture, const Intrinsics& colour,
                          std::uint64_t sequence) {
  if (picture.width_px != colour.width_px || picture.height_px != colour.height_px)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: its colour picture has {}x{} px, but the calibration is for {}x{} px",
                 sequence, picture.width_px, picture.height_px, colour.width_px, colour.height_px);
  const bool positive = colour.width_px > 0 && colour.height_px > 0 && colour.width_px % 2 == 0;
  const std::size_t expected = positive
                                   ? std::size_t{2} * static_cast<std::size_t>(colour.width_px) *
                                         static_cast<std::size_t>(colour.height_px)
                                   : 0;
  if (expected == 0 || picture.bytes.size() != expected)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: its colour picture of {}x{} px has {} bytes instead of {}", sequence,
                 colour.width_px, colour.height_px, picture.bytes.size(), expected);
  return {};
}

Result<void> align_colour(DepthFrame& depth, const ColourPicture& picture,
                          const ColourOptics& optics) {
  depth.rgb.clear();
  if (picture.format != PixelFormat::kYuy2) return {};
  CUSP_TRY(check_colour(picture, optics.intrinsics, depth.sequence));

  const Intrinsics& k = depth.intrinsics;
  const Projection project(k, optics);
  NearestInCells cells(k, optics.intrinsics);
  std::vector<Projection::Seen> seen(depth.depth_mm.size());
  std::size_t i = 0;
  for (int v = 0; v < k.height_px; ++v)
    for (int u = 0; u < k.width_px; ++u, ++i) {
      if (depth.depth_mm[i] <= 0) continue;
      seen[i] = project(u, v, depth.depth_mm[i]);
      if (seen[i].u != kNowhere) cells.add(seen[i]);
    }
  depth.rgb.resize(3 * depth.depth_mm.size());
  for (i = 0; i < seen.size(); ++i)
    if (seen[i].u != kNowhere && !cells.hide(seen[i]))
      write_rgb(picture, seen[i], &depth.rgb[3 * i]);
  return {};
}

Result<void> align_colour(DepthFrame& depth, const RawFrame& frame,
                          const Calibration& calibration) {
  depth.rgb.clear();
  if (!frame.colour || !calibration.colour) return {};
  return align_colour(depth, *frame.colour, *calibration.colour);
}

}  // namespace cusp
