// What the tests of the wand share: a small wand, pictures whose every pixel is known, and a
// capture that ends.
#pragma once

#include <gtest/gtest.h>

#include <numbers>
#include <thread>

#include "drivers/emulation/in_process_transport.h"
#include "drivers/wand/device.h"
#include "drivers/wand/emulator.h"

namespace cusp::wand {

inline constexpr StreamMode kSmallMode{96, 64, 120};

inline Calibration small_optics(int width_px = 96, int height_px = 64) {
  constexpr double kThird = 2 * std::numbers::pi / 3;
  Calibration calibration;
  calibration.made_on = "2026-03-14";
  calibration.depth = {.width_px = width_px,
                       .height_px = height_px,
                       .fx_px = 120.5,
                       .fy_px = 120.25,
                       .cx_px = 47.5,
                       .cy_px = 31.5};
  FringeOptics fringe;
  fringe.camera_distortion = {.k1 = -0.05, .k2 = 0.01};
  fringe.projector = {
      .width_px = 912, .height_px = 570, .fx_px = 620, .fy_px = 620, .cx_px = 456, .cy_px = 285};
  fringe.projector_from_camera.translation() = Eigen::Vector3d(-5.5, 0, 0.5);
  for (const double pitch_px : {24.0, 240.0})
    for (int step = 0; step < 3; ++step)
      fringe.patterns.push_back({pitch_px, static_cast<double>(static_cast<float>(step * kThird))});
  fringe.min_depth_mm = 10;
  fringe.max_depth_mm = 20;
  calibration.fringe = fringe;
  return calibration;
}

inline EmulatorOptions small_wand() {
  EmulatorOptions options = options_for(small_optics());
  options.capabilities.colour_every = 2;
  options.real_time = false;
  return options;
}

inline std::uint8_t expected_pixel(std::uint64_t frame, std::size_t pixel) {
  return static_cast<std::uint8_t>(frame * 37 + pixel * 11 + (pixel >> 6));
}

inline bool paint(const Shot& shot, Picture& picture) {
  for (std::size_t i = 0; i < picture.grey8.size(); ++i)
    picture.grey8[i] = expected_pixel(shot.index, i);
  picture.imu = ImuSample{{0, 0, -9.81f}, {static_cast<float>(shot.index), 0, 0}};
  return true;
}

struct Wand {
  Emulator emulator;
  std::unique_ptr<Device> device;
};

inline Wand open_wand(EmulatorOptions options = small_wand(), PictureSource source = paint) {
  Wand wand{.emulator = make_emulator(std::move(options), std::move(source)), .device = {}};
  auto device = driver().open(make_in_process_transport(*wand.emulator.function));
  EXPECT_TRUE(device.ok()) << device.error().message;
  if (device) wand.device = std::move(device).value();
  return wand;
}

// Captures on a thread of its own until `count` pictures came or the capture ended by itself.
struct Captured {
  std::vector<RawFrame> pictures;
  Result<void> result;
};
inline Captured capture(Device& device, std::size_t count) {
  Captured captured;
  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  std::jthread thread([&](const std::stop_token& stop) {
    captured.result = device.capture(queue, stop);
    queue.close();
  });
  while (captured.pictures.size() < count) {
    auto frame = queue.pop();
    if (!frame) break;
    captured.pictures.push_back(std::move(*frame));
  }
  thread.request_stop();
  queue.close();
  thread.join();
  return captured;
}

}  // namespace cusp::wand
