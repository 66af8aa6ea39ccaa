#include <algorithm>

#include "core/check.h"
#include "drivers/uvc/frame_assembler.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

using uvc::FrameSize;

// Input: the kind of stream, its sizes, and chunks: flags, length, bytes.
constexpr std::uint8_t kEndsPayload = 1, kDamaged = 2, kInterrupt = 4, kStop = 8;

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  const std::uint8_t kind = input.byte();
  const auto size = static_cast<FrameSize>(kind % 3);
  const std::size_t frame_bytes = 1u + input.byte();
  const std::size_t payload_bytes = (kind & 0x10) != 0 ? SIZE_MAX : 3u + input.byte();
  const std::size_t still_bytes = 1u + input.byte();
  std::uint64_t given = 0, last = 0;
  uvc::FrameAssembler assembler(
      frame_bytes, payload_bytes,
      [&](uvc::AssembledFrame&& frame) {
        const bool still = frame.still && (kind & 0x20) != 0;
        const std::size_t limit = still ? still_bytes : frame_bytes;
        CUSP_CHECK(frame.bytes.size() <= limit && !frame.bytes.empty(), "no frame is too long");
        CUSP_CHECK(size != FrameSize::kExact || frame.bytes.size() == limit,
                   "a frame of a fixed size has it");
        CUSP_CHECK(frame.metadata.size() <= 253, "metadata fits into a header");
        CUSP_CHECK(given == 0 || frame.sequence > last, "frames are numbered upwards");
        last = frame.sequence;
        ++given;
      },
      size);
  if ((kind & 0x20) != 0) assembler.expect_stills(still_bytes, payload_bytes, size);
  while (!input.empty()) {
    const std::uint8_t flags = input.byte();
    if ((flags & kInterrupt) != 0) assembler.interrupt();
    if ((flags & kStop) != 0) assembler.stop();
    const std::size_t length = input.byte();
    assembler.feed({.bytes = input.take(length),
                    .ends_payload = (flags & kEndsPayload) != 0,
                    .damaged = (flags & kDamaged) != 0});
  }
  CUSP_CHECK(given + assembler.broken() == assembler.begun(), "every frame is counted once");
}

void add_payload(Bytes& seed, std::uint8_t flags, const Bytes& header, std::size_t pixels) {
  seed.push_back(kEndsPayload);
  seed.push_back(static_cast<std::uint8_t>(2 + header.size() + pixels));
  seed.push_back(static_cast<std::uint8_t>(2 + header.size()));
  seed.push_back(flags);
  seed.insert(seed.end(), header.begin(), header.end());
  seed.insert(seed.end(), pixels, 0xD8);
}

std::vector<Bytes> seeds() {
  const Bytes stamps{1, 0, 0, 0, 2, 0, 0, 0, 3, 0}, metadata{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 7, 7, 7};
  std::vector<Bytes> all;
  for (const std::uint8_t kind : {0x00, 0x01, 0x02, 0x10, 0x20, 0x31}) {
    Bytes seed{kind, 15, 40, 7};
    add_payload(seed, 0x8C, stamps, 8);
    add_payload(seed, 0x8E, metadata, 8);
    add_payload(seed, 0x81, {}, 0);
    add_payload(seed, 0x83, {}, 16);
    add_payload(seed, 0xA2, {}, 8);
    add_payload(seed, 0xC1, {}, 16);
    add_payload(seed, 0x80, {}, 16);
    add_payload(seed, 0x83, {}, 16);
    all.push_back(std::move(seed));
  }
  return all;
}

}  // namespace

const Target kFrames{.name = "frames", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
