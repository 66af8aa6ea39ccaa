#include "pipeline/frame_stack.h"

#include <algorithm>
#include <span>

#include "pipeline/stack_kernel.h"

namespace cusp {
namespace {

constexpr std::size_t kRowsAChunk = 16;
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
  const Intrinsics& in = frame.intrinsics;
  std::vector<StackLayer> layers;
  for (const Layer& layer : std::span(layers_).first(used_)) {
    if (layer.depth_mm.size() != frame.depth_mm.size()) continue;
    const RigidTransform layer_from_frame = layer.model_from_sensor.inverse() * model_from_sensor;
    layers.push_back({.depth_mm = layer.depth_mm.data(),
                      .sigma_mm = layer.sigma_mm.empty() ? nullptr : layer.sigma_mm.data()});
    for (int row = 0; row < 3; ++row) {
      const auto at = static_cast<std::size_t>(row);
      for (int column = 0; column < 3; ++column)
        layers.back().turn[3 * at + static_cast<std::size_t>(column)] =
            static_cast<float>(layer_from_frame.linear()(row, column));
      layers.back().shift_mm[at] = static_cast<float>(layer_from_frame.translation()[row]);
    }
  }
  used_ = 0;
  if (layers.empty() || in.width_px < 2 || in.height_px < 2) return;

  static const StackRow average_row = stack_row();
  const StackGeometry geometry{.width = in.width_px,
                               .height = in.height_px,
                               .fx_px = static_cast<float>(in.fx_px),
                               .fy_px = static_cast<float>(in.fy_px),
                               .cx_px = static_cast<float>(in.cx_px),
                               .cy_px = static_cast<float>(in.cy_px),
                               .matching_variance = noise.matching_variance_at_1mm(),
                               .quantisation_variance = noise.quantisation_variance_mm2(),
                               .has_sigma = !frame.sigma_mm.empty()};
  const auto width = static_cast<std::size_t>(in.width_px);
  frame.sigma_mm.resize(frame.depth_mm.size());
  pool.for_chunks(
      static_cast<std::size_t>(in.height_px), kRowsAChunk, [&](std::size_t begin, std::size_t end) {
        for (std::size_t y = begin; y < end; ++y)
          average_row(geometry, layers, static_cast<int>(y), frame.depth_mm.data() + y * width,
                      frame.sigma_mm.data() + y * width);
      });
}

}  // namespace cusp
