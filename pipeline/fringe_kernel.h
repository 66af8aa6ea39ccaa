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
// A picture of a pitch by itself.
struct FringeStep {
  std::size_t picture = 0;     // of the sequence
  float cosine = 0, sine = 0;  // of its phase
  float turns = 0;             // its phase
  // Since the moment that the depth image shows, in times from picture to picture; flows are for 1.
  float time = 0;
};
struct FringePitch {
  float pitch_px = 0;
  std::vector<FringePair> pairs{};
  std::vector<FringeStep> steps{};
  float per_weight = 1;
  std::size_t pictures = 0;
  float phase_noise = 0;  // rad of phase noise, times B, for one count of noise in the pictures
  FringeBend bend{};
};
inline constexpr std::size_t kMaxFringePictures = 32;

// Lenses are smooth: what is known of eight neighbouring pixels of a row before any picture comes
// is kept as lines and parabolas of the way, in pixels, from their middle.
using FringeLine = std::array<float, 2>;
using FringeParabola = std::array<float, 3>;
constexpr float fringe_way(std::size_t lane) {
  return static_cast<float>(lane) - 0.5F * static_cast<float>(kFringeLanes - 1);
}

// Where the pixels' lines of sight lie on the projector. One cache line.
struct alignas(64) FringeRays {
  std::uint32_t lit = 0;  // bit k: some of the working range is, at lane k
  // It lies on the columns middle - reach .. middle + reach.
  FringeLine middle_px{}, reach_px{};
  // 1 / depth where the column is middle + d: by powers of d.
  std::array<FringeParabola, 2> low_powers{};
  std::array<FringeLine, 2> high_powers{};
  float fourth_power = 0;
};

// How what eight pixels see moves on in a time of 1: pixels of the pictures and
// columns of the projector, by powers of the inverse depth, which goes from -1 to 1 over the
// working range.
struct FringeFlow {
  std::array<FringeLine, 2> column{}, row{};
  std::array<FringeLine, 3> fringe{};
};
// Of a row of pixels.
struct FringeFlows {
  const FringeFlow* flows = nullptr;  // the row's first
  std::int32_t y = 0, width = 0, height = 0;
  float middle = 0, per_reach = 0;  // of the inverse depth
};

// Where in the pictures eight of the depth image's pixels lie.
struct FringeSources {
  std::uint32_t seen = 0;  // bit k: lane k is in the pictures at all
  FringeParabola column{}, row{};
};

struct FringeGates {
  float min_modulation = 0;  // counts
  std::int32_t saturated_from = 0;
  float read_noise = 0;  // counts
  float shot_noise = 0;  // counts squared a count of brightness
};

// Eight pixels under one pitch.
struct FringeWaves {
  using Lanes = std::array<float, kFringeLanes>;
  Lanes cosine{}, sine{};  // of the phase
  Lanes per_modulation{};  // 1 / B, counts
  Lanes sine_of_order{};   // sin(bend.order * phase)
  Lanes column_px{};       // of the projector
  Lanes per_variance{};    // of the column; 0: not measured
};
// Of one eight, as the pictures show it: `bend` is not taken out. `pictures`: the row's first byte
// in each picture; x: the eight's first pixel. Writes the waves of each pitch, and whether any lane
// is measured under all of them.
using FringeSampler = bool (*)(const std::vector<FringePitch>& pitches,
                               const std::uint8_t* const* pictures, const FringeRays& rays,
                               std::size_t x, const FringeGates& gates, FringeWaves* waves);

// `pictures`: the row's first byte in each picture; `rays`: the row's first; `flows`: null when the
// sensor stood still. Writes an inverse depth and its standard deviation a pixel, both 0 where
// nothing is measured.
using FringeRowDecoder = void (*)(const std::vector<FringePitch>& pitches,
                                  const std::uint8_t* const* pictures, const FringeRays* rays,
                                  const FringeFlows* flows, std::size_t width,
                                  const FringeGates& gates, float* inverse_depth,
                                  float* inverse_sigma);

// Some rows of inverse depth as the camera's lens shows it; kFringeLanes and a row more are
// readable.
struct BentDepth {
  const float* inverse_depth = nullptr;
  const float* inverse_sigma = nullptr;
  std::size_t width = 0;
  std::int32_t first_row = 0;
  float pixel_at_1mm = 0;  // mm
};
// Between the pictures' pixels inverse depth is interpolated; at a jump and at the rim the nearest
// pixel counts. `sources`: the row's first.
using FringeRowStraightener = void (*)(const BentDepth& bent, const FringeSources* sources,
                                       std::size_t width, float* depth_mm, float* sigma_mm);

struct FringeKernel {
  FringeSampler sample = nullptr;
  FringeRowDecoder decode = nullptr;
  FringeRowStraightener straighten = nullptr;
};
// This processor's, and the one that every processor has.
FringeKernel fringe_kernel();
FringeKernel baseline_fringe_kernel();

}  // namespace cusp
