#include "pipeline/screen.h"

#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
// Neighbouring samples are one surface when their depths differ by no more than this many of their
// distances: 75 degrees.
constexpr float kSlope = 3.7F;
constexpr double kMostInFront = 0.25;  // of a frame that is fused
// Frames in a row: half a second of new surface on its own, and a second and a half against the
// model, at 30 a second.
constexpr int kNewPatience = 15, kInFrontPatience = 45;

enum class Kind : std::uint8_t { kNothing, kAgrees, kBehind, kNew, kInFront };

struct Cell {
  Kind kind = Kind::kNothing;
  bool sound = false;
  float model_z_mm = 0;
};

class Comparison {
 public:
  Comparison(const ModelView& view, const RigidTransform& model_from_sensor,
             const ScreenLimits& limits, const SampleGrid& grid)
      : view_(view),
        grid_(grid),
        in_front_mm_(static_cast<float>(limits.in_front_mm)),
        step_at_1mm_(grid.ray_x.size() > 1 ? grid.ray_x[1] - grid.ray_x[0] : 0),
        cells_(grid.weight.size()) {
    const RigidTransform view_from_sensor = view.model_from_view.inverse() * model_from_sensor;
    rotation_ = view_from_sensor.linear().cast<float>();
    shift_ = view_from_sensor.translation().cast<float>();
  }

  void classify(std::size_t first_row, std::size_t last_row) {
    const Intrinsics& in = view_.intrinsics;
    const auto fx = static_cast<float>(in.fx_px), fy = static_cast<float>(in.fy_px);
    const auto cx = static_cast<float>(in.cx_px) + 0.5F, cy = static_cast<float>(in.cy_px) + 0.5F;
    for (std::size_t i = first_row * grid_.stride; i < last_row * grid_.stride; ++i) {
      if (grid_.weight[i] == 0) continue;
      Cell& cell = cells_[i];
      cell.kind = Kind::kNew;
      const Eigen::Vector3f p = rotation_ * grid_.point_mm(i) + shift_;
      if (!(p.z() > 0)) continue;
      const float u = p.x() / p.z() * fx + cx, v = p.y() / p.z() * fy + cy;
      if (!(u >= 0 && v >= 0 && u < static_cast<float>(in.width_px) &&
            v < static_cast<float>(in.height_px)))
        continue;
      const ModelPoint& m = view_.points[static_cast<std::size_t>(
          static_cast<int>(v) * in.width_px + static_cast<int>(u))];
      if (m.seen == 0) continue;
      cell.model_z_mm = m.z;
      const float off =
          m.nx * (p.x() - m.x) + m.ny * (p.y() - m.y) + m.nz * (p.z() - m.z);  // outwards
      cell.kind = Kind::kAgrees;
      if (off > in_front_mm_ && m.z - p.z() > in_front_mm_) cell.kind = Kind::kInFront;
      if (off < -in_front_mm_) cell.kind = Kind::kBehind;
    }
  }

  void spread() {
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (cells_[i].kind != Kind::kAgrees) continue;
      cells_[i].sound = true;
      front.push_back(i);
    }
    const auto width = static_cast<std::size_t>(grid_.width);
    while (!front.empty()) {
      const std::size_t i = front.back();
      front.pop_back();
      const std::size_t x = i % grid_.stride;
      if (x > 0) reach(i, i - 1, front);
      if (x + 1 < width) reach(i, i + 1, front);
      if (i >= grid_.stride) reach(i, i - grid_.stride, front);
      if (i + grid_.stride < cells_.size()) reach(i, i + grid_.stride, front);
    }
  }

  [[nodiscard]] const Cell& cell(std::size_t i) const { return cells_[i]; }
  [[nodiscard]] std::size_t size() const { return cells_.size(); }
  [[nodiscard]] bool unsound(std::size_t i) const {
    return !cells_[i].sound && (cells_[i].kind == Kind::kNew || cells_[i].kind == Kind::kInFront);
  }

 private:
  void reach(std::size_t from, std::size_t to, std::vector<std::size_t>& front) {
    Cell& next = cells_[to];
    if (next.sound || (next.kind != Kind::kNew && next.kind != Kind::kInFront)) return;
    const float z = grid_.z_mm[from];
    const float jump = kSlope * step_at_1mm_ * z + in_front_mm_;
    if (std::abs(grid_.z_mm[to] - z) > jump) return;
    // Onto what stands in front of the model only over an edge of the model.
    const Cell& here = cells_[from];
    if (next.kind == Kind::kInFront && here.kind == Kind::kAgrees &&
        std::abs(next.model_z_mm - here.model_z_mm) <= jump)
      return;
    next.sound = true;
    front.push_back(to);
  }

  const ModelView& view_;
  const SampleGrid& grid_;
  float in_front_mm_;
  float step_at_1mm_;         // distance of two samples
  Eigen::Matrix3f rotation_;  // view_from_sensor
  Eigen::Vector3f shift_;
  std::vector<Cell> cells_;
};

// The cell of the model's space that a point lies in; coordinates wrap round far away.
std::uint64_t place_of(const Eigen::Vector3d& p_in_model, double cell_mm) {
  std::uint64_t place = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const auto index = static_cast<std::int64_t>(std::floor(p_in_model[axis] / cell_mm));
    place = place << 21 | (static_cast<std::uint64_t>(index) & ((1U << 21) - 1));
  }
  return place;
}

// Calls take(pixel) for the pixels around a sample.
template <typename Take>
void around(const MeasuredSurface& surface, std::size_t sample, Take take) {
  const int step = surface.coarse.step;
  const int x = static_cast<int>(sample % surface.coarse.stride) * step;
  const int y = static_cast<int>(sample / surface.coarse.stride) * step;
  const Intrinsics& in = surface.intrinsics;
  for (int v = std::max(0, y - step + 1); v < std::min(in.height_px, y + step); ++v)
    for (int u = std::max(0, x - step + 1); u < std::min(in.width_px, x + step); ++u)
      take(static_cast<std::size_t>(v) * static_cast<std::size_t>(in.width_px) +
           static_cast<std::size_t>(u));
}

}  // namespace

Screened Screen::cut(const ModelView& view, const RigidTransform& model_from_sensor,
                     const ScreenLimits& limits, MeasuredSurface& surface, WorkerPool& pool) {
  const SampleGrid& grid = surface.coarse;
  Comparison comparison(view, model_from_sensor, limits, grid);
  pool.for_chunks(static_cast<std::size_t>(grid.height), kRowsAChunk,
                  [&](std::size_t begin, std::size_t end) { comparison.classify(begin, end); });
  comparison.spread();

  std::vector<std::pair<Place, std::size_t>> unsound;  // and which sample
  for (std::size_t i = 0; i < comparison.size(); ++i)
    if (comparison.unsound(i))
      unsound.emplace_back(
          place_of(model_from_sensor * grid.point_mm(i).cast<double>(), limits.cell_mm), i);
  std::sort(unsound.begin(), unsound.end());

  std::vector<std::pair<Place, int>> waiting;
  std::vector<std::size_t> cut;
  std::size_t in_front = 0;
  auto known = waiting_.cbegin();
  for (const auto& [place, sample] : unsound) {
    if (waiting.empty() || waiting.back().first != place) {
      while (known != waiting_.cend() && known->first < place) ++known;
      const bool waited = known != waiting_.cend() && known->first == place;
      waiting.emplace_back(place, 1 + (waited ? known->second : 0));
    }
    const bool contradicts = comparison.cell(sample).kind == Kind::kInFront;
    if (waiting.back().second > (contradicts ? kInFrontPatience : kNewPatience)) continue;
    around(surface, sample, [&](std::size_t pixel) {
      surface.planes[pixel].setZero();
      surface.weights[pixel] = 0;
    });
    cut.push_back(sample);
    in_front += contradicts ? 1U : 0U;
  }
  waiting_ = std::move(waiting);

  const double samples = static_cast<double>(std::max<std::size_t>(grid.count, 1));
  Screened screened{.in_front = static_cast<double>(in_front) / samples,
                    .unsound = static_cast<double>(cut.size()) / samples};
  screened.samples = std::move(cut);
  screened.fusable = screened.in_front <= kMostInFront;
  return screened;
}

void cut_out(const Screened& screened, const MeasuredSurface& surface, DepthFrame& depth) {
  const auto width = static_cast<std::size_t>(surface.intrinsics.width_px);
  const auto side = static_cast<std::size_t>(surface.binning);
  for (const std::size_t sample : screened.samples)
    around(surface, sample, [&](std::size_t pixel) {
      const std::size_t first = pixel / width * side * side * width + pixel % width * side;
      for (std::size_t y = 0; y < side; ++y)
        for (std::size_t x = 0; x < side; ++x) depth.depth_mm[first + y * side * width + x] = 0;
    });
}

}  // namespace cusp
