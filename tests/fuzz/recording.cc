#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "drivers/bytes.h"
#include "drivers/recording/capture.h"
#include "drivers/recording/replay_transport.h"
#include "tests/drivers/recording_fixture.h"
#include "tests/fuzz/doubles.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

using namespace recording;

// A stream of a capture may be long; a handful of chunks tells as much.
constexpr int kChunks = 100;

// What a driver would do with it.
void replay(const std::shared_ptr<const Capture>& capture, std::size_t opening) {
  auto made = make_replay_transport(capture, opening);
  if (!made) return;
  UsbTransport& cable = **made;
  static_cast<void>(cable.string_descriptor(3));
  static_cast<void>(cable.claim_interface(0));
  Bytes data(64);
  for (const CapturedRequest& request : capture->openings()[opening].requests) {
    if ((request.setup.request_type & 0x80) != 0) {
      static_cast<void>(cable.control_in(request.setup, data, std::chrono::milliseconds(1)));
    } else {
      static_cast<void>(
          cable.control_out(request.setup, request.data, std::chrono::milliseconds(1)));
    }
  }
  for (const auto& [endpoint, seen] : capture->openings()[opening].endpoints) {
    StreamOptions options{.endpoint = endpoint, .transfer_size_bytes = 4096};
    if (seen.transfer == UsbmonTransfer::kIsochronous) {
      options.type = TransferType::kIsochronous;
      options.packet_bytes = 1024;
    }
    int chunks = 0;
    static_cast<void>(cable.stream(std::span(&options, 1), {},
                                   [&](const StreamChunk&) { return ++chunks < kChunks; }));
  }
  static_cast<void>(cable.reset());
}

void run(std::span<const std::uint8_t> input) {
  static const fakes::TempFolder folder;
  const auto path = folder / "fuzz.pcapng";
  save(path, {input.begin(), input.end()});
  const auto capture = Capture::open(path);
  if (!capture) return;
  for (std::size_t i = 0; i < std::min<std::size_t>((*capture)->openings().size(), 4); ++i)
    replay(*capture, i);
}

std::vector<Bytes> seeds() {
  ForeignCapture bulk;
  bulk.plug_in(some_device(), some_config());
  bulk.request_out({0x21, 1, 0x0100, 1}, {1, 2, 3});
  for (int i = 0; i < 3; ++i)
    bulk.complete(bulk.submit(0x82, 512), 0x82, Bytes(static_cast<std::size_t>(i) * 100, 7));
  bulk.complete(bulk.submit(0x82, 512), 0x82, {}, kStatusStall);

  ForeignCapture camera;
  const auto device = std::move(doubles().back());
  camera.plug_in(device->device_descriptor(), device->config_descriptor());
  const auto packet = camera.submit(0x81, 2048, UsbmonTransfer::kIsochronous);
  camera.complete(packet, 0x81, Bytes(256, 3), 0, UsbmonTransfer::kIsochronous);
  return {bulk.bytes(), camera.bytes()};
}

}  // namespace

const Target kRecording{.name = "recording", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
