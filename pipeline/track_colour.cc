#include "pipeline/track_colour.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <optional>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
constexpr std::uint8_t kSaturated = 250;  // a highlight: its brightness is not the surface's
// Of the view's width are a highlight's halo and a tile; of a tile not all points are needed.
constexpr int kHalosAcross = 32, kTilesAcross = 16, kSamplesAcross = 12;
constexpr Eigen::Index kMinSamplesATile = 32;
constexpr std::size_t kMinTiles = 12;
// Half the side of the square that the first steps take the mean of, in pixels of the view.
constexpr int kCoarseBlur = 3;
constexpr double kKernelSigmas = 3, kSigmasOfMedian = 1.4826;
constexpr int kExposureRounds = 3;
constexpr double kRoundingVariance = 0.1;  // of two brightnesses that were rounded
// Frame and model correlate by more than this, or what they show is not the same.
constexpr double kMinLikeness = 0.7;
constexpr double kDamping = 1e-3;         // share of the mean of the diagonal
constexpr double kNearlyNothing = 1e-12;  // counts^2 / mm^2
constexpr float kNoPlane = 1e-3F;         // samples in a row have no slope across it
constexpr float kUnknown = -1, kHighlight = -2;

int share_of(int all, int parts) { return (all + parts - 1) / parts; }

// An image of brightness; negative where it is not known.
struct Grey {
  int width = 0, height = 0;
  std::vector<float> value{};

  [[nodiscard]] std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
};

float brightness(const std::uint8_t* rgb) {
  if ((rgb[0] | rgb[1] | rgb[2]) == 0) return kUnknown;
  if (std::max({rgb[0], rgb[1], rgb[2]}) >= kSaturated) return kHighlight;
  return 0.25F * static_cast<float>(rgb[0] + 2 * rgb[1] + rgb[2]);
}

template <typename Row>
void for_rows(WorkerPool& pool, int height, Row work) {
  pool.for_chunks(static_cast<std::size_t>(height), kRowsAChunk,
                  [&](std::size_t begin, std::size_t end) {
                    for (std::size_t y = begin; y < end; ++y) work(static_cast<int>(y));
                  });
}

Grey frame_brightness(const MeasuredSurface& surface) {
  Grey grey{.width = surface.intrinsics.width_px, .height = surface.intrinsics.height_px};
  grey.value.assign(surface.planes.size(), kUnknown);
  for (std::size_t i = 0; i < grey.value.size(); ++i)
    if (surface.planes[i].w() != 0) grey.value[i] = brightness(&surface.rgb[3 * i]);
  return grey;
}

Grey model_brightness(const ModelView& view) {
  Grey grey{.width = view.intrinsics.width_px, .height = view.intrinsics.height_px};
  for (const auto& rgb : colours_of(view)) grey.value.push_back(brightness(rgb.data()));
  return grey;
}

// Puts made(pixel, first, last, step) in place of each pixel: with those within `radius` of it in
// its row, then in its column.
template <typename Make>
Grey made_around(Grey grey, int radius, WorkerPool& pool, Make made) {
  const Grey& from = grey;
  Grey to = grey;
  for_rows(pool, grey.height, [&](int y) {
    for (int x = 0; x < from.width; ++x)
      to.value[to.at(x, y)] =
          made(from.value[from.at(x, y)], &from.value[from.at(std::max(x - radius, 0), y)],
               &from.value[from.at(std::min(x + radius, from.width - 1), y)], 1);
  });
  std::swap(grey, to);
  for_rows(pool, grey.height, [&](int y) {
    for (int x = 0; x < from.width; ++x)
      to.value[to.at(x, y)] =
          made(from.value[from.at(x, y)], &from.value[from.at(x, std::max(y - radius, 0))],
               &from.value[from.at(x, std::min(y + radius, from.height - 1))], from.width);
  });
  return to;
}

// The mean of what is known.
Grey mean_around(const Grey& grey, int radius, WorkerPool& pool) {
  return made_around(grey, radius, pool,
                     [](float here, const float* first, const float* last, int step) {
                       float sum = 0, count = 0;
                       for (const float* value = first; value <= last; value += step) {
                         if (*value < 0) continue;
                         sum += *value;
                         count += 1;
                       }
                       return count > 0 ? sum / count : here;
                     });
}

// Highlights have no sharp border.
Grey without_halos(const Grey& grey, WorkerPool& pool) {
  const int radius = share_of(grey.width, kHalosAcross);
  return made_around(grey, radius, pool,
                     [](float here, const float* first, const float* last, int step) {
                       for (const float* value = first; value <= last; value += step)
                         if (*value == kHighlight) return kHighlight;
                       return here;
                     });
}

// Values with the central differences of `smooth`, where `seen` is known: the smooth one has filled
// its holes.
BrightnessPicture with_slopes(const Grey& seen, const Grey& values, const Grey& smooth,
                              WorkerPool& pool) {
  BrightnessPicture pixels(seen.value.size(), Eigen::Vector4f::Zero());
  for_rows(pool, seen.height, [&](int y) {
    if (y == 0 || y == seen.height - 1) return;
    for (int x = 1; x + 1 < seen.width; ++x) {
      const std::size_t here = seen.at(x, y);
      const float left = smooth.value[here - 1], right = smooth.value[here + 1];
      const float above = smooth.value[seen.at(x, y - 1)], below = smooth.value[seen.at(x, y + 1)];
      if (std::min({seen.value[here], left, right, above, below}) >= 0)
        pixels[here] = {values.value[here], (right - left) / 2, (below - above) / 2, 1};
    }
  });
  return pixels;
}

// Between four pixels; nothing where one of them is not known.
std::optional<Eigen::Vector4f> between(const BrightnessPicture& picture, const Intrinsics& in,
                                       double u, double v) {
  if (!(u >= 0 && v >= 0 && u < in.width_px - 1 && v < in.height_px - 1)) return std::nullopt;
  const auto x = static_cast<std::size_t>(u), y = static_cast<std::size_t>(v);
  const auto right = static_cast<float>(u - static_cast<double>(x));
  const auto down = static_cast<float>(v - static_cast<double>(y));
  const Eigen::Vector4f* const above = &picture[y * static_cast<std::size_t>(in.width_px) + x];
  const Eigen::Vector4f* const below = above + in.width_px;
  if (above[0].w() * above[1].w() * below[0].w() * below[1].w() == 0) return std::nullopt;
  return (1 - down) * ((1 - right) * above[0] + right * above[1]) +
         down * ((1 - right) * below[0] + right * below[1]);
}

// What a pixel's brightness changes by when the point at `at`, in the camera's frame, goes `way`.
float slope_along(const Eigen::Vector4f& pixel, const Intrinsics& camera, const Eigen::Vector3d& at,
                  const Eigen::Vector3d& way) {
  const Eigen::Vector2d goes_px =
      Eigen::Vector2d(camera.fx_px, camera.fy_px)
          .cwiseProduct(way.head<2>() - at.head<2>() / at.z() * way.z()) /
      at.z();
  return pixel.segment<2>(1).dot(goes_px.cast<float>());
}

// A point of the model in both: brightness, and what it changes by along each asked direction.
struct Sample {
  float frame = 0, model = 0;
  Eigen::Vector3f frame_slope = Eigen::Vector3f::Zero(), model_slope = Eigen::Vector3f::Zero();
};
using Tile = std::vector<Sample>;
using Asked = Eigen::Matrix<double, kMostAsked, 1>;
using AskedMatrix = Eigen::Matrix<double, kMostAsked, kMostAsked>;

// Samples of the points of a view in the picture of a frame that was taken somewhere.
class Looker {
 public:
  Looker(const MeasuredSurface& surface, const ModelView& view, const BrightnessPicture& frame,
         const BrightnessPicture& model, double reach_mm, const RigidTransform& view_from_sensor,
         const Directions& asked)
      : surface_(surface),
        view_(view),
        frame_(frame),
        model_(model),
        reach_mm_(reach_mm),
        sensor_from_view_(view_from_sensor.inverse()),
        middle_(view_from_sensor * surface.middle_mm),
        asked_(asked),
        side_(share_of(view.intrinsics.width_px, kTilesAcross)),
        stride_(share_of(side_, kSamplesAcross)),
        across_(share_of(view.intrinsics.width_px, side_)) {}

  // Those that show something, row by row.
  [[nodiscard]] std::vector<Tile> tiles(WorkerPool& pool) const {
    const int down = share_of(view_.intrinsics.height_px, side_);
    std::vector<Tile> tiles(static_cast<std::size_t>(across_ * down));
    pool.for_chunks(tiles.size(), static_cast<std::size_t>(across_),
                    [&](std::size_t begin, std::size_t end) {
                      Rows rows;
                      for (std::size_t i = begin; i < end; ++i)
                        tiles[i] = tile(static_cast<int>(i), rows);
                    });
    std::erase_if(tiles, [](const Tile& tile) { return tile.empty(); });
    return tiles;
  }

 private:
  // A row a sample: (1, x, y) in the tile, and what a Sample holds.
  struct Rows {
    Eigen::Matrix<float, Eigen::Dynamic, 3> places;
    Eigen::Matrix<float, Eigen::Dynamic, 2 + 2 * kMostAsked> values;
  };

  [[nodiscard]] Tile tile(int number, Rows& rows) const {
    const Intrinsics& in = view_.intrinsics;
    const int left = number % across_ * side_, top = number / across_ * side_;
    rows.places.resize(side_ * side_, 3);
    rows.values.resize(side_ * side_, rows.values.cols());
    Eigen::Index count = 0;
    for (int y = top; y < std::min(top + side_, in.height_px); y += stride_)
      for (int x = left; x < std::min(left + side_, in.width_px); x += stride_) {
        const std::optional<Sample> sample = look_up(x, y);
        if (!sample) continue;
        rows.places.row(count) << 1, static_cast<float>(x - left), static_cast<float>(y - top);
        rows.values.row(count++) << sample->frame, sample->model, sample->frame_slope.transpose(),
            sample->model_slope.transpose();
      }
    if (count < kMinSamplesATile) return {};
    // The plane that fits best is the light's.
    const auto places = rows.places.topRows(count);
    auto values = rows.values.topRows(count);
    Eigen::Matrix3f square = places.transpose() * places;
    square.diagonal().array() += kNoPlane;
    const Eigen::Matrix<float, 3, 2 + 2 * kMostAsked> planes =
        square.ldlt().solve(places.transpose() * values);
    values -= places * planes;
    Tile tile;
    tile.reserve(static_cast<std::size_t>(count));
    for (Eigen::Index i = 0; i < count; ++i)
      tile.push_back({.frame = values(i, 0),
                      .model = values(i, 1),
                      .frame_slope = values.row(i).segment<kMostAsked>(2),
                      .model_slope = values.row(i).tail<kMostAsked>()});
    return tile;
  }

  [[nodiscard]] std::optional<Sample> look_up(int x, int y) const {
    const std::size_t i =
        static_cast<std::size_t>(y) * static_cast<std::size_t>(view_.intrinsics.width_px) +
        static_cast<std::size_t>(x);
    const Eigen::Vector4f& model = model_[i];
    if (model.w() == 0) return std::nullopt;
    const ModelPoint& point = view_.points[i];
    const Eigen::Vector3d in_view(point.x, point.y, point.z);
    const Eigen::Vector3d p = sensor_from_view_ * in_view;
    if (!(p.z() > 0)) return std::nullopt;
    const Intrinsics& in = surface_.intrinsics;
    const double u = p.x() / p.z() * in.fx_px + in.cx_px;
    const double v = p.y() / p.z() * in.fy_px + in.cy_px;
    const auto frame = between(frame_, in, u, v);
    if (!frame) return std::nullopt;
    const Eigen::Vector4d plane =
        surface_
            .planes[static_cast<std::size_t>(v + 0.5) * static_cast<std::size_t>(in.width_px) +
                    static_cast<std::size_t>(u + 0.5)]
            .cast<double>();
    if (std::abs(plane.head<3>().dot(p) - plane.w()) > reach_mm_) return std::nullopt;

    Sample sample{.frame = frame->x(), .model = model.x()};
    for (Eigen::Index k = 0; k < asked_.cols(); ++k) {
      const Eigen::Vector3d turn = asked_.col(k).head<3>() / surface_.radius_mm;
      // What stands still moves the other way past a sensor that moves.
      const Eigen::Vector3d way = -(turn.cross(in_view - middle_) + asked_.col(k).tail<3>());
      sample.frame_slope[k] = slope_along(*frame, in, p, sensor_from_view_.linear() * way);
      sample.model_slope[k] = slope_along(model, view_.intrinsics, in_view, way);
    }
    return sample;
  }

  const MeasuredSurface& surface_;
  const ModelView& view_;
  const BrightnessPicture &frame_, &model_;
  double reach_mm_;
  RigidTransform sensor_from_view_;
  Eigen::Vector3d middle_;  // that directions turn about
  const Directions& asked_;
  int side_, stride_, across_;  // pixels; tiles
};

// How the model's brightness becomes the frame's, and how far off that leaves a sample.
struct Contrast {
  double frame = 0, model = 0, both = 0;  // sums of squares

  Contrast& operator+=(const Contrast& other) {
    frame += other.frame;
    model += other.model;
    both += other.both;
    return *this;
  }
};
struct Exposure {
  float gain = 0;
  double sigma = 0;
  double likeness = 0;  // correlation

  [[nodiscard]] double rest(const Sample& sample) const {
    return static_cast<double>(sample.frame - gain * sample.model);
  }
  // Geman and McClure; all alike while nothing is known.
  [[nodiscard]] double weight(const Sample& sample) const {
    if (sigma == 0) return 1;
    const double ratio = rest(sample) / (kKernelSigmas * sigma);
    const double root = 1 / (1 + ratio * ratio);
    return root * root;
  }
};

Exposure exposure_of(const std::vector<Tile>& tiles, WorkerPool& pool) {
  Exposure exposure;
  std::vector<double> off;
  for (int round = 0; round < kExposureRounds; ++round) {
    const Contrast sum = sum_chunks(
        pool, tiles.size(), kTilesAcross, Contrast{}, [&](std::size_t begin, std::size_t end) {
          Contrast part;
          for (std::size_t i = begin; i < end; ++i)
            for (const Sample& sample : tiles[i]) {
              const double weight = exposure.weight(sample);
              part += {.frame = weight * static_cast<double>(sample.frame * sample.frame),
                       .model = weight * static_cast<double>(sample.model * sample.model),
                       .both = weight * static_cast<double>(sample.frame * sample.model)};
            }
          return part;
        });
    if (sum.frame == 0 || sum.model == 0) return {};
    exposure.likeness = sum.both / std::sqrt(sum.frame * sum.model);
    exposure.gain = static_cast<float>(std::sqrt(sum.frame / sum.model));
    off.clear();
    for (const Tile& tile : tiles)
      for (const Sample& sample : tile) off.push_back(std::abs(exposure.rest(sample)));
    const auto middle = off.begin() + static_cast<std::ptrdiff_t>(off.size() / 2);
    std::nth_element(off.begin(), middle, off.end());
    exposure.sigma = std::max(kSigmasOfMedian * *middle, std::sqrt(kRoundingVariance));
  }
  return exposure;
}

}  // namespace

// What the samples say together.
struct ColourTerm::Sums {
  std::size_t tiles = 0;
  double likeness = 0;
  Asked right = Asked::Zero();
  AskedMatrix own = AskedMatrix::Zero();     // frame's slopes squared
  AskedMatrix common = AskedMatrix::Zero();  // frame's by model's
  AskedMatrix noise = AskedMatrix::Zero();   // covariance of `right`

  Sums& operator+=(const Sums& other) {
    right += other.right;
    own += other.own;
    common += other.common;
    noise += other.noise;
    return *this;
  }
};

ColourTerm::ColourTerm(const MeasuredSurface& surface, const ModelView& view, double reach_mm,
                       WorkerPool& pool)
    : surface_(surface), view_(view), reach_mm_(reach_mm), pool_(pool) {
  if (surface.rgb.empty() || view.nearest_.empty()) return;
  const Grey model = without_halos(model_brightness(view), pool);
  if (std::ranges::all_of(model.value, [](float value) { return value < 0; })) return;
  tells_ = true;
  const Grey frame = without_halos(frame_brightness(surface), pool);
  const Grey fine = mean_around(frame, 1, pool);
  const Grey coarse = mean_around(frame, kCoarseBlur * surface.fine.step, pool);
  const Grey coarse_model = mean_around(model, kCoarseBlur, pool);
  frame_ = {with_slopes(frame, coarse, coarse, pool), with_slopes(frame, fine, fine, pool)};
  // A vertex has the mean colour of a voxel already; differences take in its neighbours.
  model_ = {with_slopes(model, coarse_model, coarse_model, pool),
            with_slopes(model, model, mean_around(model, 1, pool), pool)};
}

ColourTerm::Sums ColourTerm::look(const RigidTransform& view_from_sensor, const Directions& asked,
                                  Sharpness sharpness) const {
  const auto which = static_cast<std::size_t>(sharpness);
  const std::vector<Tile> tiles =
      Looker(surface_, view_, frame_[which], model_[which], reach_mm_, view_from_sensor, asked)
          .tiles(pool_);
  const Exposure exposure = exposure_of(tiles, pool_);
  Sums sums = sum_chunks(
      pool_, tiles.size(), kTilesAcross, Sums{}, [&](std::size_t begin, std::size_t end) {
        Sums part;
        for (std::size_t i = begin; i < end; ++i) {
          Asked pull = Asked::Zero();
          AskedMatrix squares = AskedMatrix::Zero();
          for (const Sample& sample : tiles[i]) {
            const double weight = exposure.weight(sample);
            const Asked frame = sample.frame_slope.cast<double>();
            const Asked model = (exposure.gain * sample.model_slope).cast<double>();
            pull -= weight * exposure.rest(sample) * frame;
            part.own += weight * frame * frame.transpose();
            part.common += weight * frame * model.transpose();
            squares += weight * weight * frame * frame.transpose();
          }
          part.right += pull;
          // Neighbours err alike, in a tile; a few tiles alone could agree by chance.
          part.noise += pull * pull.transpose() + exposure.sigma * exposure.sigma * squares;
        }
        return part;
      });
  sums.tiles = tiles.size();
  sums.likeness = exposure.likeness;
  return sums;
}

ColourTerm::Step ColourTerm::step(const RigidTransform& view_from_sensor, const Directions& asked,
                                  Sharpness sharpness) const {
  const Sums sums = look(view_from_sensor, asked, sharpness);
  AskedMatrix matrix = sums.own;
  matrix.diagonal().array() += kDamping * sums.own.trace() / kMostAsked + kNearlyNothing;
  const Asked along = matrix.ldlt().solve(sums.right);
  return {.motion = asked * along.head(asked.cols()), .are_alike = sums.likeness >= kMinLikeness};
}

ColourTerm::Verdict ColourTerm::judge(const RigidTransform& view_from_sensor,
                                      const Directions& asked, double sigma_mm) const {
  const Sums sums = look(view_from_sensor, asked, Sharpness::kFine);
  if (sums.tiles < kMinTiles || sums.likeness < kMinLikeness)
    return {.held = Directions(6, 0), .open = asked};
  const Eigen::Index count = asked.cols();
  const Eigen::MatrixXd common =
      0.5 * (sums.common + sums.common.transpose()).topLeftCorner(count, count);
  Eigen::MatrixXd noise = sums.noise.topLeftCorner(count, count);
  noise.diagonal().array() += kNearlyNothing;
  // The inverse of the pose's covariance; the same times the way that is still to go.
  const Eigen::MatrixXd firmness = common.transpose() * noise.ldlt().solve(common);
  const Eigen::VectorXd right = common.transpose() * noise.ldlt().solve(sums.right.head(count));
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(firmness);
  Verdict verdict{.held = Directions(6, 0), .open = Directions(6, 0)};
  for (Eigen::Index k = 0; k < count; ++k) {
    const Eigen::VectorXd direction = eigen.eigenvectors().col(k);
    const double its_firmness = eigen.eigenvalues()[k];
    const bool is_held = its_firmness * sigma_mm * sigma_mm >= 1 &&
                         std::abs(direction.dot(right)) <= its_firmness * sigma_mm;
    Directions& to = is_held ? verdict.held : verdict.open;
    to.conservativeResize(6, to.cols() + 1);
    to.rightCols(1) = asked * direction;
  }
  return verdict;
}

}  // namespace cusp
