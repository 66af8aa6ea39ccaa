#include "tools/verify/replay.h"

#include <thread>

#include "drivers/driver.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/emulator.h"
#include "tools/sim/virtual_scanner.h"

namespace cusp::verify {
namespace {

constexpr std::uint16_t kD435 = 0x0B07;
constexpr double kRateHz = 30;

}  // namespace

Result<Replay> replay(const ReplayOptions& options,
                      const std::function<void(std::size_t frame, const Pose& pose)>& on_frame) {
  CUSP_ASSIGN(const sim::Scene recording,
              sim::make_recorded_scene("recording", options.frames, options.intrinsics,
                                       options.most_frames));
  realsense_d400::EmulatorOptions emulated;
  emulated.product_id = kD435;
  emulated.baseline_mm = 50.0;
  emulated.depth = options.intrinsics;
  emulated.max_rate_hz = kRateHz;
  emulated.real_time = false;
  const realsense_d400::Emulator emulator = realsense_d400::make_emulator(
      emulated, [&](std::uint64_t index, std::span<std::uint16_t> z16) {
        recording.measure(index, z16);
        return true;
      });
  const Driver* driver = find_driver("realsense_d400");
  CUSP_CHECK(driver != nullptr, "the D435 has a driver");
  CUSP_ASSIGN(const std::unique_ptr<Device> device,
              driver->open(make_in_process_transport(*emulator.function)));
  CUSP_TRY(device->configure({options.intrinsics.width_px, options.intrinsics.height_px, kRateHz}));
  CUSP_ASSIGN(const Calibration calibration, device->read_calibration());
  Reconstruction reconstruction(options.reconstruction, calibration);

  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  Result<void> captured;
  Replay result;
  Result<void> reconstructed;
  {
    std::jthread capture([&](std::stop_token stop) {
      captured = device->capture(queue, stop);
      queue.close();
    });
    while (result.poses.size() < recording.frames) {
      std::optional<RawFrame> frame = queue.pop();
      if (!frame) break;
      const Result<FrameOutcome> outcome = reconstruction.add(std::move(*frame));
      if (!outcome.ok()) {
        reconstructed = outcome.error();
        break;
      }
      result.poses.push_back(outcome->pose);
      on_frame(result.poses.size() - 1, outcome->pose);
    }
    capture.request_stop();
    queue.close();
  }
  CUSP_TRY(reconstructed);
  CUSP_TRY(captured);
  const CaptureCounts counts = device->counts();
  if (counts.broken() != 0 || counts.restarts != 0 || result.poses.size() != recording.frames)
    return error(ErrorCode::kProtocol, "{}: {} of {} frames arrived, {} broken, {} restarts",
                 options.frames.string(), result.poses.size(), recording.frames, counts.broken(),
                 counts.restarts);
  result.counts = reconstruction.counts();
  return result;
}

}  // namespace cusp::verify
