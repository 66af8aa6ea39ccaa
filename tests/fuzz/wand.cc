#include "drivers/bytes.h"
#include "drivers/crc32.h"
#include "drivers/wand/calibration.h"
#include "drivers/wand/protocol.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

using namespace wand;

Capabilities capabilities() {
  Capabilities made{
      .width_px = 96, .height_px = 64, .projector_width_px = 912, .projector_height_px = 570};
  made.patterns = {{24, 0}, {24, 2.1}, {24, 4.2}};
  made.min_depth_mm = 10;
  made.max_depth_mm = 20;
  made.min_exposure = std::chrono::microseconds(100);
  made.max_exposure = std::chrono::microseconds(8000);
  return made;
}

void read_calibration(std::span<const std::uint8_t> bytes) {
  if (const auto table = decode_calibration_table(bytes))
    static_cast<void>(make_calibration(*table, 1, capabilities()));
}

void run(std::span<const std::uint8_t> input) {
  read_calibration(input);
  // No fuzzer guesses a CRC: with the right one, so that what is behind it is reached.
  if (input.size() >= kTableBytes) {
    Bytes sealed(input.begin(), input.begin() + kTableBytes);
    write_le(sealed, kTableBytes - 4, crc32(std::span(sealed).first(kTableBytes - 4)));
    read_calibration(sealed);
  }
  static_cast<void>(decode_identity(input));
  if (const auto able = decode_capabilities(input))
    CUSP_CHECK(able->width_px >= kMinSide_px && able->width_px <= kMaxSide_px &&
                   able->patterns.size() <= static_cast<std::size_t>(kMaxPatterns),
               "a wand's pictures have a size");
  if (const auto info = decode_calibration_info(input))
    CUSP_CHECK(info->size_bytes <= kMaxCalibrationBytes, "a table fits into memory");
  static_cast<void>(decode_tip(input));
  static_cast<void>(decode_heater(input));
  if (const auto status = decode_status(input)) static_cast<void>(sentences(status->faults, "own"));
  static_cast<void>(decode_fault_text(input));
  static_cast<void>(decode_button_packet(3, input));
  if (const auto metadata = decode_metadata(input))
    CUSP_CHECK(metadata->index.pattern >= 0 && metadata->index.pattern <= metadata->index.patterns,
               "a pattern is one of its sequence");
}

std::vector<Bytes> seeds() {
  const Intrinsics camera{
      .width_px = 96, .height_px = 64, .fx_px = 120, .fy_px = 120, .cx_px = 48, .cy_px = 32};
  Intrinsics projector = camera;
  projector.width_px = 912;
  projector.height_px = 570;
  FrameMetadata metadata;
  metadata.index = {.sequence = 3, .pattern = 1, .patterns = 6};
  metadata.exposure = std::chrono::microseconds(4000);
  metadata.imu = ImuSample{};
  return {
      encode(CalibrationTable{.made_on = "2026-03-14", .camera = camera, .projector = projector}),
      encode(Identity{.firmware = "1.0.0"}),
      encode(capabilities()),
      encode(CalibrationInfo{.size_bytes = 288, .crc32 = 1, .made_on = "2026-03-14"}),
      encode(Tip{.present = true, .id = "T-000017", .uses = 1}),
      encode(Heater{.target_c = 37.0, .state = HeaterState::kWarming}),
      encode(Status{.faults = fault::kProjectorHot}),
      encode_fault_text("the fan stands still"),
      encode_button_packet(3, ButtonPress::kLong),
      encode(metadata)};
}

}  // namespace

const Target kWand{.name = "wand", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
