#include "drivers/bytes.h"
#include "drivers/crc32.h"
#include "drivers/realsense_d400/calibration_tables.h"
#include "drivers/realsense_d400/error_words.h"
#include "drivers/realsense_d400/frame_metadata.h"
#include "drivers/realsense_d400/protocol.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

using namespace realsense_d400;

constexpr std::size_t kCrcAt = 12;  // in a table's header

void read_tables(std::span<const std::uint8_t> table) {
  if (const auto coefficients = decode_coefficients(table)) {
    for (const Intrinsics& optics : coefficients->rectified)
      CUSP_CHECK(optics.fx_px > 0 && optics.fy_px > 0, "optics make sense");
    static_cast<void>(rectified_at(*coefficients, 848, 480));
  }
  if (const auto colour = decode_colour_coefficients(table)) {
    static_cast<void>(colour_intrinsics(*colour, 1280, 720));
    static_cast<void>(d405_colour_intrinsics(*colour, 1280, 720));
  }
}

void run(std::span<const std::uint8_t> input) {
  read_tables(input);
  // No fuzzer guesses a CRC: with the right one, so that what is behind it is reached.
  if (input.size() >= kTableHeaderBytes) {
    Bytes sealed(input.begin(), input.end());
    write_le(sealed, kCrcAt, crc32(std::span(sealed).subspan(kTableHeaderBytes)));
    read_tables(sealed);
  }
  static_cast<void>(decode_rectified_modes(input));
  static_cast<void>(decode_device_details(input));
  static_cast<void>(decode_temperatures(input));
  static_cast<void>(decode_depth_unit_mm(input));
  static_cast<void>(decode_frame_metadata(input));
  for (const Opcode opcode : {Opcode::kDeviceDetails, Opcode::kReadCalibration})
    if (const auto answer = decode_answer(opcode, input))
      CUSP_CHECK(answer->size() <= kMonitorBytes, "an answer fits into its block");
  for (const std::uint8_t word : input.first(std::min<std::size_t>(input.size(), 1)))
    static_cast<void>(problem_of(word));
}

std::vector<Bytes> seeds() {
  const Intrinsics depth{
      .width_px = 848, .height_px = 480, .fx_px = 420, .fy_px = 420, .cx_px = 424, .cy_px = 240};
  ColourOptics colour;
  colour.intrinsics = depth;
  Bytes block(kMonitorBytes);
  write_le(block, 0, static_cast<std::uint32_t>(Opcode::kDeviceDetails));
  write_le<std::uint32_t>(block, kMonitorSizeAt, 16);
  return {encode(Coefficients{.baseline_mm = 18, .rectified = {depth}}),
          encode(colour_coefficients(colour)),
          encode_rectified_modes(std::span(&depth, 1)),
          encode(DeviceDetails{.firmware = "5.15.1.0", .serial = "0123456789ab"}),
          encode(ChipTemperatures{.projector_c = 40, .asic_c = 50}),
          encode(FrameMetadata{.frame_counter = 7, .exposure = std::chrono::microseconds(8000)}),
          block};
}

}  // namespace

const Target kD400{.name = "d400", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
