#include "pipeline/preprocess.h"

#include <cmath>
#include <cstddef>

#include "pipeline/preprocess_kernel.h"

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
constexpr int kFineStep = 2, kCoarseStep = 4;  // pixels of the sensor
constexpr std::size_t kLanes = 8;  // of a processor that works on eight samples at a time

// An image with a border of zeros.
struct Padded {
  std::size_t width, height;

  [[nodiscard]] std::size_t stride() const { return width + 2 * kImagePadPx; }
  [[nodiscard]] std::size_t size() const { return stride() * (height + 2 * kImagePadPx); }
  [[nodiscard]] std::size_t row(std::size_t y) const {
    return (y + kImagePadPx) * stride() + kImagePadPx;
  }
};

Intrinsics binned(const Intrinsics& sensor, int binning) {
  return {.width_px = sensor.width_px / binning,
          .height_px = sensor.height_px / binning,
          .fx_px = sensor.fx_px / binning,
          .fy_px = sensor.fy_px / binning,
          .cx_px = (sensor.cx_px - 0.5 * (binning - 1)) / binning,
          .cy_px = (sensor.cy_px - 0.5 * (binning - 1)) / binning};
}

PreprocessGeometry geometry_of(const Intrinsics& in, const NoiseModel& model) {
  return {.width = static_cast<std::size_t>(in.width_px),
          .pixel_x_at_1mm = static_cast<float>(1.0 / in.fx_px),
          .pixel_y_at_1mm = static_cast<float>(1.0 / in.fy_px),
          .matching_variance = model.matching_variance_at_1mm(),
          .quantisation_variance = model.quantisation_variance_mm2(),
          .usual_sigma_mm = model.usual_sigma_mm()};
}

// Calls work(y) for every row.
template <typename Row>
void for_rows(WorkerPool& pool, std::size_t height, Row work) {
  pool.for_chunks(height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t y = begin; y < end; ++y) work(y);
  });
}

void lay_out(SampleGrid& grid, const Intrinsics& in, int step) {
  grid.step = step;
  grid.width = (in.width_px + step - 1) / step;
  grid.height = (in.height_px + step - 1) / step;
  grid.stride = (static_cast<std::size_t>(grid.width) + kLanes - 1) / kLanes * kLanes;
  grid.ray_x.assign(grid.stride, 0.0F);
  for (int x = 0; x < grid.width; ++x)
    grid.ray_x[static_cast<std::size_t>(x)] = static_cast<float>((step * x - in.cx_px) / in.fx_px);
  grid.ray_y.resize(static_cast<std::size_t>(grid.height));
  for (int y = 0; y < grid.height; ++y)
    grid.ray_y[static_cast<std::size_t>(y)] = static_cast<float>((step * y - in.cy_px) / in.fy_px);
  const std::size_t size = grid.stride * static_cast<std::size_t>(grid.height);
  for (std::vector<float>* quantity : {&grid.z_mm, &grid.nx, &grid.ny, &grid.nz, &grid.weight})
    quantity->resize(size, 0.0F);
}

// Everything has the surface's size, the borders are 0; what the rows write need not be.
void lay_out(MeasuredSurface& surface, const Intrinsics& in, int binning) {
  if (surface.intrinsics == in && surface.binning == binning && !surface.planes.empty()) return;
  surface = MeasuredSurface{};
  surface.intrinsics = in;
  surface.binning = binning;
  const Padded image{static_cast<std::size_t>(in.width_px), static_cast<std::size_t>(in.height_px)};
  surface.planes.resize(image.width * image.height);
  surface.weights.resize(image.width * image.height);
  surface.sigma_mm_.resize(binning == 1 ? 0 : image.width * image.height);
  for (auto* padded : {&surface.kept_mm_, &surface.half_smooth_mm_, &surface.smooth_mm_})
    padded->assign(image.size(), 0.0F);
  lay_out(surface.fine, in, kFineStep / binning);
  lay_out(surface.coarse, in, kCoarseStep / binning);
}

// Row y of the means of the colours of squares; black is none.
void halve_colours(const DepthFrame& frame, std::size_t y, MeasuredSurface& surface) {
  const auto width = static_cast<std::size_t>(surface.intrinsics.width_px);
  const std::size_t row = 3 * 2 * width;
  for (std::size_t x = 0; x < width; ++x) {
    const std::uint8_t* const first = &frame.rgb[2 * y * row + 6 * x];
    int sum[3] = {}, count = 0;
    for (const std::uint8_t* rgb : {first, first + 3, first + row, first + row + 3}) {
      count += (rgb[0] | rgb[1] | rgb[2]) != 0 ? 1 : 0;
      for (int c = 0; c < 3; ++c) sum[c] += rgb[c];
    }
    for (std::size_t c = 0; c < 3; ++c)
      surface.rgb[3 * (y * width + x) + c] =
          static_cast<std::uint8_t>((sum[c] + count / 2) / std::max(count, 1));
  }
}

// Takes row y of the samples from a row of the frame; how many there are.
std::size_t sample_row(const Eigen::Vector4f* planes, const float* weights, const float* z_mm,
                       std::size_t y, SampleGrid& grid) {
  const std::size_t first = y * grid.stride;
  std::size_t count = 0;
  for (std::size_t x = 0; x < static_cast<std::size_t>(grid.width); ++x) {
    const std::size_t from = x * static_cast<std::size_t>(grid.step);
    const std::size_t to = first + x;
    grid.z_mm[to] = z_mm[from];
    grid.nx[to] = planes[from].x();
    grid.ny[to] = planes[from].y();
    grid.nz[to] = planes[from].z();
    grid.weight[to] = weights[from];
    count += weights[from] > 0 ? 1U : 0U;
  }
  return count;
}

// Of a row of samples: sums of the points and of their squares.
struct Moments {
  Eigen::Vector3d sum = Eigen::Vector3d::Zero();
  double squares = 0;
  std::size_t fine = 0, coarse = 0;

  Moments& operator+=(const Moments& other) {
    sum += other.sum;
    squares += other.squares;
    fine += other.fine;
    coarse += other.coarse;
    return *this;
  }
};

void add_moments(const SampleGrid& grid, std::size_t y, Moments& moments) {
  float x_sum = 0, z_sum = 0, x_squares = 0, z_squares = 0;
  for (std::size_t x = 0; x < static_cast<std::size_t>(grid.width); ++x) {
    const std::size_t i = y * grid.stride + x;
    const float z = grid.weight[i] > 0 ? grid.z_mm[i] : 0.0F;
    const float along = grid.ray_x[x] * z;
    x_sum += along;
    z_sum += z;
    x_squares += along * along;
    z_squares += z * z;
  }
  const double ray_y = grid.ray_y[y];
  moments.sum += Eigen::Vector3d(x_sum, ray_y * static_cast<double>(z_sum), z_sum);
  moments.squares +=
      static_cast<double>(x_squares) + (ray_y * ray_y + 1) * static_cast<double>(z_squares);
}

}  // namespace

MeasuredSurface preprocess(const DepthFrame& frame, const NoiseModel& model, WorkerPool& pool,
                           MeasuredSurface memory) {
  static const PreprocessKernel kernel = preprocess_kernel();
  const Intrinsics& sensor = frame.intrinsics;
  const bool is_even = sensor.width_px % 2 == 0 && sensor.height_px % 2 == 0;
  const int binning = is_even ? model.binning() : 1;
  const Intrinsics in = binned(sensor, binning);
  MeasuredSurface surface = std::move(memory);
  lay_out(surface, in, binning);
  if (binning == 1)
    surface.rgb = frame.rgb;
  else
    surface.rgb.resize(frame.rgb.empty() ? 0 : 3 * surface.planes.size());

  const Padded image{static_cast<std::size_t>(in.width_px), static_cast<std::size_t>(in.height_px)};
  const auto row_step = static_cast<std::ptrdiff_t>(image.stride());
  std::vector<float> ray_x(image.width);
  for (std::size_t x = 0; x < image.width; ++x)
    ray_x[x] = static_cast<float>((static_cast<double>(x) - in.cx_px) / in.fx_px);
  PreprocessGeometry geometry = geometry_of(in, model);
  geometry.ray_x = ray_x.data();
  const PreprocessGeometry sensors = geometry_of(sensor, model);
  // Of a row of the sensor, or of the surface.
  const auto its_sigma = [&](std::size_t y) {
    return frame.sigma_mm.empty() ? nullptr : frame.sigma_mm.data() + y * sensors.width;
  };
  const auto sigma_of = [&](std::size_t y) -> const float* {
    return binning == 1 || frame.sigma_mm.empty() ? its_sigma(y)
                                                  : surface.sigma_mm_.data() + y * image.width;
  };
  const auto read = [&](std::size_t y, float* kept) {
    const float* const row = frame.depth_mm.data() + y * sensors.width;
    kernel.without_jumps(sensors, row - sensors.width, row, row + sensors.width, its_sigma(y),
                         kept);
  };

  // A pixel at the frame's border has no neighbours on one side: it goes.
  pool.for_chunks(image.height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
    std::vector<float> two_rows(2 * sensors.width);
    for (std::size_t y = std::max<std::size_t>(begin, 1); y < std::min(end, image.height - 1);
         ++y) {
      float* const kept = surface.kept_mm_.data() + image.row(y);
      if (binning == 1) {
        read(y, kept);
      } else {
        read(2 * y, two_rows.data());
        read(2 * y + 1, two_rows.data() + sensors.width);
        kernel.halve(image.width, two_rows.data(), its_sigma(2 * y), kept,
                     surface.sigma_mm_.data() + y * image.width);
      }
      kernel.smooth(geometry, kept, 1, sigma_of(y), surface.half_smooth_mm_.data() + image.row(y));
    }
  });
  for_rows(pool, image.height, [&](std::size_t y) {
    kernel.smooth(geometry, surface.half_smooth_mm_.data() + image.row(y), row_step, sigma_of(y),
                  surface.smooth_mm_.data() + image.row(y));
  });

  const auto fine_step = static_cast<std::size_t>(surface.fine.step);
  const auto coarse_step = static_cast<std::size_t>(surface.coarse.step);
  if (binning != 1 && !surface.rgb.empty())
    for_rows(pool, image.height, [&](std::size_t y) { halve_colours(frame, y, surface); });

  const Moments moments = sum_chunks(
      pool, image.height, kRowsAChunk, Moments{}, [&](std::size_t begin, std::size_t end) {
        Moments sums;
        std::vector<float> z_mm(image.width);
        for (std::size_t y = begin; y < end; ++y) {
          Eigen::Vector4f* const planes = surface.planes.data() + y * image.width;
          float* const weights = surface.weights.data() + y * image.width;
          const auto ray_y = static_cast<float>((static_cast<double>(y) - in.cy_px) / in.fy_px);
          kernel.planes(geometry, ray_y, surface.kept_mm_.data() + image.row(y),
                        surface.smooth_mm_.data() + image.row(y), row_step, sigma_of(y),
                        {.planes = planes->data(), .weights = weights, .z_mm = z_mm.data()});
          if (y % fine_step == 0)
            sums.fine += sample_row(planes, weights, z_mm.data(), y / fine_step, surface.fine);
          if (y % coarse_step != 0) continue;
          sums.coarse += sample_row(planes, weights, z_mm.data(), y / coarse_step, surface.coarse);
          add_moments(surface.coarse, y / coarse_step, sums);
        }
        return sums;
      });

  surface.fine.count = moments.fine;
  surface.coarse.count = moments.coarse;
  surface.middle_mm.setZero();
  surface.radius_mm = surface.mean_depth_mm = 0;
  if (moments.coarse == 0) return surface;
  const auto count = static_cast<double>(moments.coarse);
  surface.middle_mm = moments.sum / count;
  surface.mean_depth_mm = surface.middle_mm.z();
  surface.radius_mm =
      std::sqrt(std::max(0.0, moments.squares / count - surface.middle_mm.squaredNorm()));
  return surface;
}

}  // namespace cusp
