// Fuzz targets: readers of what devices and files send, fed with anything at all.
//
// A target finds something by dying of it: a sanitizer's word, a CUSP_CHECK, a hang. libFuzzer runs
// them under Clang's sanitizers (tools/dev/fuzz); fuzz_test replays their seeds, whole and broken,
// in every build. Seeds are made by the firmware doubles and encoders, so that they keep up with
// them. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cusp::fuzz {

using Bytes = std::vector<std::uint8_t>;

struct Target {
  std::string_view name;
  void (*run)(std::span<const std::uint8_t> input);
  std::vector<Bytes> (*seeds)();
};

extern const Target kDescriptors;  // USB and UVC descriptors
extern const Target kFrames;       // payloads of a stream
extern const Target kVideoDevice;  // a whole camera: descriptors, negotiation, streaming, stills
extern const Target kD400;         // the D400's tables, answers and frame metadata
extern const Target kWand;         // the wand's controls, calibration and frame metadata
extern const Target kUvcCamera;    // JPEG pictures
extern const Target kRecording;    // capture files, and their replay

inline constexpr std::array<const Target*, 7> kTargets{
    &kDescriptors, &kFrames, &kVideoDevice, &kD400, &kWand, &kUvcCamera, &kRecording};

// Takes an input apart, from its front; when it is used up everything is zero and empty.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    const auto one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }
  std::uint16_t word() {
    const std::uint8_t low = byte();
    return static_cast<std::uint16_t>(low | byte() << 8);
  }
  // As many as there are.
  std::span<const std::uint8_t> take(std::size_t count) {
    const auto taken = rest_.first(count < rest_.size() ? count : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace cusp::fuzz
