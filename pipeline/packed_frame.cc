#include "pipeline/packed_frame.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

constexpr std::uint32_t kMagic = 0x31465043;  // "CPF1"
// Frames without kInverse hold counts of depth itself: they were kept by an earlier version.
constexpr std::uint32_t kHasSigma = 1, kHasColour = 2, kInverse = 4;
constexpr std::uint32_t kMaxSide = 8192;
constexpr float kCountsASigma = 6;
constexpr double kNearestMm = 1;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t flags = 0;
  std::uint32_t width_px = 0, height_px = 0;
  std::uint64_t sequence = 0;
  std::int64_t host_time_ns = 0;
  double fx_px = 0, fy_px = 0, cx_px = 0, cy_px = 0;
  float step = 0;              // 1/mm, or mm
  std::uint32_t measured = 0;  // pixels
};
static_assert(sizeof(Header) == 72);

// A float's exponent and three bits of its mantissa, from 2^-16 mm to 2^16 mm.
constexpr std::uint32_t kSigmaShift = 20;
constexpr std::int64_t kSigmaFirst = (127 - 16) << 3;
std::uint8_t sigma_code(float sigma_mm) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(std::max(sigma_mm, 0.0F));
  const std::int64_t code =
      static_cast<std::int64_t>((bits + (1U << (kSigmaShift - 1))) >> kSigmaShift) - kSigmaFirst;
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(code, 0, 255));
}
float sigma_of(std::uint8_t code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(kSigmaFirst + code) << kSigmaShift);
}

// Small differences of either sign become small numbers.
std::uint16_t zigzag(std::uint16_t now, std::uint16_t before) {
  const auto difference = static_cast<std::int16_t>(static_cast<std::uint16_t>(now - before));
  return static_cast<std::uint16_t>((difference << 1) ^ (difference >> 15));
}
std::uint16_t undo_zigzag(std::uint16_t code, std::uint16_t before) {
  const auto difference = static_cast<std::uint16_t>((code >> 1) ^ -(code & 1));
  return static_cast<std::uint16_t>(before + difference);
}

std::size_t raw_size(const Header& header) {
  const std::size_t pixels = std::size_t{header.width_px} * header.height_px;
  const std::size_t a_pixel = std::size_t{2} + ((header.flags & kHasSigma) != 0 ? 1 : 0) +
                              ((header.flags & kHasColour) != 0 ? 3 : 0);
  return sizeof(Header) + (pixels + 7) / 8 + a_pixel * header.measured;
}

Error damaged(std::string_view how) {
  return error(ErrorCode::kCorrupt, "kept frame: {}: this frame is lost, the others are not", how);
}

}  // namespace

float packing_step(const NoiseModel& noise, double min_depth_mm) {
  const float noise_step = std::sqrt(noise.matching_variance_at_1mm()) / kCountsASigma;
  const auto nearest = static_cast<float>(std::max(min_depth_mm, kNearestMm));
  return std::max(noise_step, 1 / (65'000 * nearest));
}

std::vector<std::uint8_t> pack(const DepthFrame& frame, float step_per_mm) {
  const std::size_t pixels = frame.depth_mm.size();
  CUSP_CHECK(step_per_mm > 0, "a count of inverse depth is more than nothing");
  CUSP_CHECK(frame.intrinsics.width_px > 0 && frame.intrinsics.height_px > 0 &&
                 pixels == static_cast<std::size_t>(frame.intrinsics.width_px) *
                               static_cast<std::size_t>(frame.intrinsics.height_px),
             "a depth frame has a depth a pixel");
  std::vector<std::uint16_t> counts(pixels);
  std::uint32_t measured = 0;
  const float per_step = 1.0F / step_per_mm;
  for (std::size_t i = 0; i < pixels; ++i) {
    const float steps = per_step / frame.depth_mm[i] + 0.5F;
    counts[i] = steps >= 1 && steps < 65536 ? static_cast<std::uint16_t>(steps) : 0;
    measured += counts[i] != 0 ? 1 : 0;
  }
  const Intrinsics& in = frame.intrinsics;
  const Header header{.flags = kInverse | (frame.sigma_mm.empty() ? 0 : kHasSigma) |
                               (frame.rgb.empty() ? 0 : kHasColour),
                      .width_px = static_cast<std::uint32_t>(in.width_px),
                      .height_px = static_cast<std::uint32_t>(in.height_px),
                      .sequence = frame.sequence,
                      .host_time_ns = frame.host_time.time_since_epoch().count(),
                      .fx_px = in.fx_px,
                      .fy_px = in.fy_px,
                      .cx_px = in.cx_px,
                      .cy_px = in.cy_px,
                      .step = step_per_mm,
                      .measured = measured};
  std::vector<std::uint8_t> raw(raw_size(header));
  std::memcpy(raw.data(), &header, sizeof header);
  std::uint8_t* mask = raw.data() + sizeof header;
  std::uint8_t* low = mask + (pixels + 7) / 8;
  std::uint8_t* high = low + measured;
  std::uint8_t* sigma = high + measured;
  std::uint8_t* colour = sigma + (frame.sigma_mm.empty() ? 0 : measured);
  std::uint16_t before = 0;
  std::uint8_t red = 0, green = 0, blue = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    if (counts[i] == 0) continue;
    mask[i / 8] = static_cast<std::uint8_t>(mask[i / 8] | (1U << (i % 8)));
    const std::uint16_t code = zigzag(counts[i], before);
    before = counts[i];
    *low++ = static_cast<std::uint8_t>(code & 0xff);
    *high++ = static_cast<std::uint8_t>(code >> 8);
    if (!frame.sigma_mm.empty()) *sigma++ = sigma_code(frame.sigma_mm[i]);
    if (frame.rgb.empty()) continue;
    const std::uint8_t* rgb = &frame.rgb[3 * i];
    colour[0] = static_cast<std::uint8_t>(rgb[0] - red);
    colour[measured] = static_cast<std::uint8_t>(rgb[1] - green);
    colour[std::size_t{2} * measured] = static_cast<std::uint8_t>(rgb[2] - blue);
    red = rgb[0], green = rgb[1], blue = rgb[2];
    ++colour;
  }

  return seal(raw);
}

Result<DepthFrame> unpack(std::span<const std::uint8_t> bytes) {
  const Header largest{.flags = kHasSigma | kHasColour,
                       .width_px = kMaxSide,
                       .height_px = kMaxSide,
                       .measured = kMaxSide * kMaxSide};
  CUSP_ASSIGN(const auto raw, unseal(bytes, raw_size(largest), "kept frame"));
  if (raw.size() < sizeof(Header)) return damaged("it is not one");
  Header header;
  std::memcpy(&header, raw.data(), sizeof header);
  const std::size_t pixels = std::size_t{header.width_px} * header.height_px;
  if (header.magic != kMagic || header.width_px == 0 || header.width_px > kMaxSide ||
      header.height_px == 0 || header.height_px > kMaxSide || header.measured > pixels ||
      raw.size() != raw_size(header))
    return damaged("its sizes do not fit each other");
  for (const double value :
       {header.fx_px, header.fy_px, header.cx_px, header.cy_px, static_cast<double>(header.step)})
    if (!std::isfinite(value)) return damaged("its optics are not finite");
  if (header.fx_px <= 0 || header.fy_px <= 0 || header.step <= 0)
    return damaged("its optics are not positive");

  const bool is_inverse = (header.flags & kInverse) != 0;
  const bool has_sigma = (header.flags & kHasSigma) != 0;
  const bool has_colour = (header.flags & kHasColour) != 0;
  DepthFrame frame{.sequence = header.sequence,
                   .host_time = MonoTime(std::chrono::nanoseconds(header.host_time_ns)),
                   .intrinsics = {.width_px = static_cast<int>(header.width_px),
                                  .height_px = static_cast<int>(header.height_px),
                                  .fx_px = header.fx_px,
                                  .fy_px = header.fy_px,
                                  .cx_px = header.cx_px,
                                  .cy_px = header.cy_px},
                   .depth_mm = std::vector<float>(pixels, 0.0F),
                   .sigma_mm = std::vector<float>(has_sigma ? pixels : 0, 0.0F),
                   .rgb = std::vector<std::uint8_t>(has_colour ? 3 * pixels : 0, 0)};
  const std::uint8_t* mask = raw.data() + sizeof header;
  const std::uint8_t* low = mask + (pixels + 7) / 8;
  const std::uint8_t* high = low + header.measured;
  const std::uint8_t* sigma = high + header.measured;
  const std::uint8_t* colour = sigma + (has_sigma ? header.measured : 0);
  std::uint16_t before = 0;
  std::uint8_t rgb[3] = {0, 0, 0};
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    if ((mask[i / 8] >> (i % 8) & 1) == 0) continue;
    if (seen == header.measured) return damaged("it has more pixels than it says");
    before = undo_zigzag(static_cast<std::uint16_t>(low[seen] | high[seen] << 8), before);
    const float value = static_cast<float>(before) * header.step;
    frame.depth_mm[i] = is_inverse && value > 0 ? 1.0F / value : value;
    if (has_sigma) frame.sigma_mm[i] = sigma_of(sigma[seen]);
    if (has_colour)
      for (std::size_t k = 0; k < 3; ++k) {
        rgb[k] = static_cast<std::uint8_t>(rgb[k] + colour[k * header.measured + seen]);
        frame.rgb[3 * i + k] = rgb[k];
      }
    ++seen;
  }
  if (seen != header.measured) return damaged("it has fewer pixels than it says");
  return frame;
}

}  // namespace cusp
