// A D400 camera opened by its driver, over a transport without a kernel, and what it captured.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "drivers/driver.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/realsense_d400/emulator.h"
#include "tests/drivers/test_scene.h"

namespace cusp {

struct Camera {
  realsense_d400::Emulator emulator;
  std::unique_ptr<Device> device;
};

inline Camera open_camera(realsense_d400::EmulatorOptions options = quick_camera(),
                          realsense_d400::FrameSource source = fill_frame,
                          realsense_d400::ColourSource colour = {}) {
  Camera camera{.emulator = realsense_d400::make_emulator(std::move(options), std::move(source),
                                                          std::move(colour)),
                .device = {}};
  auto device = realsense_d400::open(make_in_process_transport(*camera.emulator.function));
  EXPECT_TRUE(device.ok()) << device.error().message;
  if (device) camera.device = std::move(device).value();
  return camera;
}

// Captures on a thread of its own until `count` frames came or the capture ended by itself.
struct Captured {
  std::vector<RawFrame> frames;
  Result<void> result;
};
inline Captured capture(Device& device, std::size_t count) {
  Captured captured;
  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  std::jthread thread([&](const std::stop_token& stop) {
    captured.result = device.capture(queue, stop);
    queue.close();
  });
  while (captured.frames.size() < count) {
    auto frame = queue.pop();
    if (!frame) break;
    captured.frames.push_back(std::move(*frame));
  }
  thread.request_stop();
  queue.close();
  thread.join();
  return captured;
}

inline constexpr std::uint16_t kD405 = 0x0B5B, kD435 = 0x0B07;

inline realsense_d400::EmulatorOptions camera_of(std::uint16_t product_id) {
  realsense_d400::EmulatorOptions options = quick_camera();
  options.product_id = product_id;
  return options;
}

// With a colour camera 15 mm beside depth, whose pictures all have the brightness of their number.
inline realsense_d400::EmulatorOptions colour_camera(std::uint16_t product_id = kD435) {
  realsense_d400::EmulatorOptions options = camera_of(product_id);
  options.real_time = true;
  options.colour = ColourOptics{.intrinsics = {320, 240, 300, 301, 160, 120},
                                .distortion = {.k1 = 0.125, .k2 = -0.25}};
  options.colour->colour_from_depth.translation() = Eigen::Vector3d(15, 0, 0);
  return options;
}
inline bool grey_picture(std::uint64_t index, int, int, std::span<std::uint8_t> yuy2) {
  for (std::size_t i = 0; i < yuy2.size(); i += 2) {
    yuy2[i] = static_cast<std::uint8_t>(index);
    yuy2[i + 1] = 128;
  }
  return true;
}

inline constexpr StreamMode kSmallMode{320, 240, 30};

}  // namespace cusp
