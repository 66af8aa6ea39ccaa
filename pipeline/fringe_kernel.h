// The arithmetic of FringeDecoder on one row of pixels, eight at a time: in one go where the
// processor has AVX2. The same bits on every x86-64: no contraction, no order that depends on the
// width, nothing that is rounded otherwise than IEEE 754 says.
//
// A row is decoded to inverse depth (1 / mm), which is linear on a plane; then the depth image's
// rows are looked up in it. Threads: pure functions of their rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cusp {

// Pixels at a time; so many are read beyond the end of a row.
inline constexpr std::size_t kFringeLanes = 8;

// Two pictures of a pitch, and how their brightness adds up to B cos(theta) and B sin(theta):
// whole numbers, of which per_weight makes counts. A picture without a partner is its own, with
// weights of 0.
struct FringePair {
  std::array<std::size_t, 2> pictures{};  // of the sequence
  std::array<std::int16_t, 2> cosine{}, sine{};
  std::array<std::int16_t, 2> light{};  // 1: it counts
};
// What is wrong with all waves of a pitch, and is taken out (fringe_ripple.h).
struct FringeBend {
  float cosine = 0, sine = 0;  // counts that are not B cos(theta) and B sin(theta)
  int order = 0;               // of the harmonic; 0: none
  float harmonic = 0;          // turns that theta is ahead by, times sin(order * theta)
};
struct FringePitch {
  float pitch_px = 0;
  std::vector<FringePair> pairs{};
  float per_weight = 1;
  std::size_t pictures = 0;
  float phase_noise = 0;  // rad of phase noise, times B, for one count of noise in the pictures
  FringeBend bend{};
};
inline constexpr std::size_t kMaxFringePictures = 32;

// What is known of eight camera pixels of a row before any picture comes.
struct FringeRays {
  // The working range lies on the projector's columns middle - reach .. middle + reach.
  std::array<float, kFringeLanes> middle_px{};
  std::array<float, kFringeLanes> reach_px{};  // < 0: nowhere
  // 1 / depth where the column is middle + d: by powers of d.
  std::array<std::array<float, kFringeLanes>, 5> inverse_depth{};
};

// Where in the pictures the depth image's pixels lie; column < 0: nowhere.
struct FringeSources {
  std::vector<float> column, row;
};

struct FringeGates {
  float min_modulation = 0;  // counts
  std::int32_t saturated_from = 0;
  float read_noise = 0;  // counts
  float shot_noise = 0;  // counts squared a count of brightness
};

// `pictures`: the row's first byte in each picture; `rays`: the row's first. Writes an inverse
// depth and its standard deviation a pixel, both 0 where nothing is measured.
using FringeRowDecoder = void (*)(const std::vector<FringePitch>& pitches,
                                  const std::uint8_t* const* pictures, const FringeRays* rays,
                                  std::size_t width, const FringeGates& gates, float* inverse_depth,
                                  float* inverse_sigma);

// Inverse depth as the camera's lens shows it; kFringeLanes and a row more are readable.
struct BentDepth {
  const float* inverse_depth = nullptr;
  const float* inverse_sigma = nullptr;
  std::size_t width = 0;
  float pixel_at_1mm = 0;  // mm
};
// Between the pictures' pixels inverse depth is interpolated; at a jump and at the rim the nearest
// pixel counts.
using FringeRowStraightener = void (*)(const BentDepth& bent, const FringeSources& sources,
                                       std::size_t first, std::size_t width, float* depth_mm,
                                       float* sigma_mm);

struct FringeKernel {
  FringeRowDecoder decode = nullptr;
  FringeRowStraightener straighten = nullptr;
};
// This processor's, and the one that every processor has.
FringeKernel fringe_kernel();
FringeKernel baseline_fringe_kernel();

}  // namespace cusp
