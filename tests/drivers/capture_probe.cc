// capture_probe FRAMES [WIDTH HEIGHT [RATE]]: opens the first camera, checks that FRAMES frames
// come without a gap, and prints how fast they came. The client process of umock_test, and a
// yardstick by hand.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "drivers/usb/usb_bus.h"

namespace cusp {
namespace {

int fail(const std::string& message) {
  fmt::print(stderr, "capture_probe: {}\n", message);
  return 1;
}

int run(std::uint64_t count, const StreamMode& mode) {
  auto bus = UsbBus::start();
  if (!bus) return fail(bus.error().message);
  const auto addresses = (*bus)->list();
  if (addresses.empty()) return fail("no camera");
  auto transport = (*bus)->open(addresses.front());
  if (!transport) return fail(transport.error().message);
  const Driver* const driver = find_driver(addresses.front().driver);
  auto device = driver->open(std::move(transport).value());
  if (!device) return fail(device.error().message);
  if (auto configured = (*device)->configure(mode); !configured)
    return fail(configured.error().message);

  BoundedQueue<RawFrame> queue(4, WhenFull::kBlock);
  Result<void> result;
  std::jthread thread([&](const std::stop_token& stop) {
    result = (*device)->capture(queue, stop);
    queue.close();
  });
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t bytes = 0;
  std::uint64_t expected = 0;
  bool gap = false;
  for (; expected < count; ++expected) {
    const auto frame = queue.pop();
    if (!frame) break;
    gap = gap || frame->sequence != expected;
    bytes += frame->bytes.size();
  }
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  thread.request_stop();
  queue.close();
  thread.join();
  if (!result) return fail(result.error().message);
  fmt::print("{} frames, {:.1f} frames/s, {:.1f} MB/s\n", expected,
             static_cast<double>(expected) / span.count(),
             static_cast<double>(bytes) / span.count() / 1e6);
  return expected == count && !gap ? 0 : fail("frames are missing");
}

}  // namespace
}  // namespace cusp

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return cusp::run(static_cast<std::uint64_t>(number(1, 100)),
                   {number(2, 320), number(3, 240), static_cast<double>(number(4, 30))});
}
