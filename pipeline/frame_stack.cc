#include "pipeline/frame_stack.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
// Standard deviations of the difference of two measurements of one surface.
constexpr float kGateSigmas = 3.5F;
// Between the four pixels round a place a surface may fall away by this many pixel widths.
constexpr float kJumpSlope = 5.5F;

struct Looker {
  Eigen::Matrix3f turn;  // layer from frame
  Eigen::Vector3f shift;
  const float* depth;
  const float* sigma;  // or nullptr
};

// Of one pixel: its own, or what the model says.
float variance_of(const float* sigma, std::size_t i, const NoiseModel& noise, float z) {
  return sigma != nullptr ? sigma[i] * sigma[i] : noise.variance_mm2(z);
}

}  // namespace

void FrameStack::push(DepthFrame& frame, const RigidTransform& model_from_sensor) {
  if (used_ == most_)
    std::rotate(layers_.begin(), layers_.begin() + 1,
                layers_.begin() + static_cast<std::ptrdiff_t>(used_));
  else
    ++used_;
  layers_.resize(std::max(layers_.size(), used_));
  Layer& layer = layers_[used_ - 1];
  layer.model_from_sensor = model_from_sensor;
  layer.depth_mm.swap(frame.depth_mm);
  layer.sigma_mm.swap(frame.sigma_mm);
}

void FrameStack::average(DepthFrame& frame, const RigidTransform& model_from_sensor,
                         const NoiseModel& noise, WorkerPool& pool) {
  const auto width = static_cast<std::size_t>(frame.intrinsics.width_px);
  const auto height = static_cast<std::size_t>(frame.intrinsics.height_px);
  std::vector<Looker> lookers;
  for (std::size_t k = 0; k < used_; ++k) {
    const Layer& layer = layers_[k];
    if (layer.depth_mm.size() != frame.depth_mm.size()) continue;
    const RigidTransform layer_from_frame = layer.model_from_sensor.inverse() * model_from_sensor;
    lookers.push_back({.turn = layer_from_frame.linear().cast<float>(),
                       .shift = layer_from_frame.translation().cast<float>(),
                       .depth = layer.depth_mm.data(),
                       .sigma = layer.sigma_mm.empty() ? nullptr : layer.sigma_mm.data()});
  }
  used_ = 0;
  if (lookers.empty()) return;

  const auto fx = static_cast<float>(frame.intrinsics.fx_px);
  const auto fy = static_cast<float>(frame.intrinsics.fy_px);
  const float per_fx = 1 / fx, per_fy = 1 / fy;
  const auto cx = static_cast<float>(frame.intrinsics.cx_px);
  const auto cy = static_cast<float>(frame.intrinsics.cy_px);
  const float slope = kJumpSlope / fx;
  const auto most_u = static_cast<float>(width - 1), most_v = static_cast<float>(height - 1);
  const bool has_sigma = !frame.sigma_mm.empty();
  frame.sigma_mm.resize(frame.depth_mm.size());
  const float* const sigma = has_sigma ? frame.sigma_mm.data() : nullptr;
  pool.for_chunks(height, kRowsAChunk, [&](std::size_t begin, std::size_t end) {
    for (std::size_t y = begin; y < end; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        const std::size_t i = y * width + x;
        const float z = frame.depth_mm[i];
        const float own = variance_of(sigma, i, noise, z);
        if (!(z > 0 && own > 0)) continue;
        const Eigen::Vector3f point((static_cast<float>(x) - cx) * per_fx * z,
                                    (static_cast<float>(y) - cy) * per_fy * z, z);
        float weight = 1 / own;
        float further = 0;  // weighted differences
        for (const Looker& looker : lookers) {
          const Eigen::Vector3f there = looker.turn * point + looker.shift;
          const float scale = 1 / there.z();
          const float u = there.x() * scale * fx + cx;
          const float v = there.y() * scale * fy + cy;
          if (!(there.z() > 0 && u >= 0 && v >= 0 && u < most_u && v < most_v)) continue;
          const auto column = static_cast<std::size_t>(u), row = static_cast<std::size_t>(v);
          const std::size_t at = row * width + column;
          const float a = looker.depth[at], b = looker.depth[at + 1];
          const float c = looker.depth[at + width], d = looker.depth[at + width + 1];
          const float low = std::min(std::min(a, b), std::min(c, d));
          const float high = std::max(std::max(a, b), std::max(c, d));
          const float its = variance_of(looker.sigma, at, noise, there.z());
          const float gate2 = kGateSigmas * kGateSigmas * (own + its);
          const float jump = std::max(0.0F, high - low - slope * low);
          if (!(low > 0 && its > 0 && jump * jump <= gate2)) continue;
          const float right = u - static_cast<float>(column), under = v - static_cast<float>(row);
          const float above = a + right * (b - a), below = c + right * (d - c);
          const float difference = above + under * (below - above) - there.z();
          if (!(difference * difference <= gate2)) continue;
          const float its_weight = 1 / its;
          further += its_weight * difference;
          weight += its_weight;
        }
        frame.depth_mm[i] = z + further / weight;
        frame.sigma_mm[i] = 1 / std::sqrt(weight);
      }
  });
}

}  // namespace cusp
