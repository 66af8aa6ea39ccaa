// A scan with faults, replayed: the driver sees each of them once, and gives the same frames and
// counts as it did live.
#include <gtest/gtest.h>

#include <thread>

#include "drivers/emulation/faulty_function.h"
#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/recording/recording.h"
#include "tests/drivers/recording_fixture.h"
#include "tests/drivers/test_scene.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::recording {
namespace {

constexpr StreamMode kMode{320, 240, 30};

// What a driver gave of a scan, from the configuration to its end.
struct Scan {
  std::vector<RawFrame> frames;
  CaptureCounts counts;
  Result<void> result;
};

// on_frame: after each frame, with how many there are.
Scan scan(
    Device& device, const StreamMode& mode,
    const std::function<void(std::size_t)>& on_frame = [](std::size_t) {}) {
  Scan scan;
  const auto configured = device.configure(mode);
  EXPECT_TRUE(configured.ok()) << configured.error().message;
  BoundedQueue<RawFrame> queue(2, WhenFull::kBlock);
  std::jthread thread([&](const std::stop_token& stop) {
    scan.result = device.capture(queue, stop);
    queue.close();
  });
  while (auto frame = queue.pop()) {
    scan.frames.push_back(std::move(*frame));
    on_frame(scan.frames.size());
  }
  thread.join();
  scan.counts = device.counts();
  return scan;
}

void expect_same(const Scan& replayed, const Scan& live) {
  ASSERT_FALSE(live.result.ok());
  EXPECT_EQ(live.result.error().code, ErrorCode::kDisconnected) << live.result.error().message;
  ASSERT_FALSE(replayed.result.ok());
  EXPECT_EQ(replayed.result.error().code, ErrorCode::kDisconnected)
      << replayed.result.error().message;
  ASSERT_EQ(replayed.frames.size(), live.frames.size());
  for (std::size_t i = 0; i < live.frames.size(); ++i) {
    EXPECT_EQ(replayed.frames[i].sequence, live.frames[i].sequence) << "frame " << i;
    EXPECT_EQ(replayed.frames[i].bytes, live.frames[i].bytes) << "frame " << i;
    ASSERT_EQ(replayed.frames[i].colour.has_value(), live.frames[i].colour.has_value()) << i;
    if (live.frames[i].colour.has_value()) {
      EXPECT_EQ(replayed.frames[i].colour->bytes, live.frames[i].colour->bytes) << i;
    }
  }
  EXPECT_EQ(replayed.counts.frames, live.counts.frames);
  EXPECT_EQ(replayed.counts.lost, live.counts.lost);
  EXPECT_EQ(replayed.counts.broken_on_bus, live.counts.broken_on_bus);
  EXPECT_EQ(replayed.counts.broken_header, live.counts.broken_header);
  EXPECT_EQ(replayed.counts.broken_size, live.counts.broken_size);
  EXPECT_EQ(replayed.counts.broken_by_device, live.counts.broken_by_device);
  EXPECT_EQ(replayed.counts.restarts, live.counts.restarts);
  EXPECT_EQ(replayed.counts.bytes, live.counts.bytes);
}

// Plugs a double in with a recorder between.
class ReplayOfFaults : public testing::Test {
 protected:
  std::unique_ptr<UsbTransport> record(UsbFunction& function) {
    auto started = Recording::start(folder_ / "a.pcapng", {.program = "test"});
    EXPECT_TRUE(started.ok());
    recording_ = *started;
    return make_recording_transport(make_in_process_transport(function, unplugged_.get_token()),
                                    recording_, {2, 5});
  }
  std::unique_ptr<UsbTransport> replay() {
    recording_->close();
    const auto capture = Capture::open(folder_ / "a.pcapng");
    EXPECT_TRUE(capture.ok()) << capture.error().message;
    auto transport = make_replay_transport(*capture, 0);
    EXPECT_TRUE(transport.ok()) << transport.error().message;
    return std::move(*transport);
  }

  const fakes::TempFolder folder_;
  std::shared_ptr<Recording> recording_;
  std::stop_source unplugged_;
};

TEST_F(ReplayOfFaults, OfAWandWithAStatusEndpoint) {
  wand::Emulator emulator = wand::make_emulator(wand::small_wand(), wand::paint);
  Scan live;
  {
    auto device = wand::driver().open(record(*emulator.function));
    ASSERT_TRUE(device.ok()) << device.error().message;
    emulator.stream->stall_after(4);
    live = scan(**device, wand::kSmallMode, [&](std::size_t frames) {
      if (frames == 10) emulator.stream->go_silent_after(3);
      if (frames == 30) unplugged_.request_stop();
    });
  }
  EXPECT_EQ(live.counts.restarts, 2U);
  auto device = wand::driver().open(replay());
  ASSERT_TRUE(device.ok()) << device.error().message;
  expect_same(scan(**device, wand::kSmallMode), live);
}

TEST_F(ReplayOfFaults, OfADepthCameraWithColour) {
  realsense_d400::EmulatorOptions options = quick_camera();
  options.product_id = 0x0B07;  // D435: colour comes over an endpoint of its own
  options.real_time = true;
  options.colour = ColourOptics{.intrinsics = {320, 240, 300, 301, 160, 120}, .distortion = {}};
  auto emulator = realsense_d400::make_emulator(
      options, fill_frame, [](std::uint64_t index, int, int, std::span<std::uint8_t> yuy2) {
        std::ranges::fill(yuy2, static_cast<std::uint8_t>(index));
        return true;
      });
  Scan live;
  {
    auto device = realsense_d400::open(record(*emulator.function));
    ASSERT_TRUE(device.ok()) << device.error().message;
    emulator.control->stall_after(3);
    live = scan(**device, kMode, [&](std::size_t frames) {
      if (frames == 6) emulator.control->go_silent_after(2);
      if (frames == 16) unplugged_.request_stop();
    });
  }
  EXPECT_EQ(live.counts.restarts, 2U);
  EXPECT_TRUE(std::ranges::any_of(live.frames,
                                  [](const RawFrame& frame) { return frame.colour.has_value(); }));
  auto device = realsense_d400::open(replay());
  ASSERT_TRUE(device.ok()) << device.error().message;
  expect_same(scan(**device, kMode), live);
}

TEST_F(ReplayOfFaults, OfABusThatDamagesTransfers) {
  auto emulator = realsense_d400::make_emulator(quick_camera(), fill_frame);
  FaultyFunction function(std::move(emulator.function));
  Scan live;
  {
    auto device = realsense_d400::open(record(function));
    ASSERT_TRUE(device.ok()) << device.error().message;
    // Before anything of a frame has come.
    function.arm({.kind = FaultKind::kDamage, .endpoint = 0x82, .at_byte = 100});
    live = scan(**device, kMode, [&](std::size_t frames) {
      if (frames == 4) function.arm({.kind = FaultKind::kBabble, .endpoint = 0x82, .bytes = {1}});
      if (frames == 12) unplugged_.request_stop();
    });
  }
  EXPECT_EQ(live.counts.broken_on_bus, 2U);
  auto device = realsense_d400::open(replay());
  ASSERT_TRUE(device.ok()) << device.error().message;
  expect_same(scan(**device, kMode), live);
}

TEST(ReplayOfAForeignCapture, EndsAStreamBehindTheDamageAsACableDoes) {
  const fakes::TempFolder folder;
  ForeignCapture capture;
  capture.plug_in(some_device(), some_config());
  const auto first = capture.submit(0x82, 64);
  const auto second = capture.submit(0x82, 64);
  capture.complete(first, 0x82, Bytes(10, 1));
  capture.complete(second, 0x82, Bytes(7, 2), kStatusOverflow);
  save(folder / "a.pcapng", capture.bytes());
  const auto opened = Capture::open(folder / "a.pcapng");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  auto transport = make_replay_transport(*opened, 0);
  ASSERT_TRUE(transport.ok()) << transport.error().message;
  const Streamed streamed = stream_all(**transport, {.endpoint = 0x82, .transfer_size_bytes = 64});
  ASSERT_EQ(streamed.chunks.size(), 2U);
  EXPECT_FALSE(streamed.chunks[0].damaged);
  EXPECT_TRUE(streamed.chunks[1].damaged);
  EXPECT_EQ(streamed.chunks[1].bytes, Bytes(7, 2));
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kProtocol);
}

}  // namespace
}  // namespace cusp::recording
