#include "pipeline/fringe_kernel.h"

#include <algorithm>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cusp {
namespace {

constexpr std::size_t kMaxPairs = kMaxFringePictures / 2 + 1;
constexpr std::size_t kMaxPitches = kMaxFringePictures / 3;

// Without AVX2 the compiler makes two of four of them.
using Floats [[gnu::vector_size(32)]] = float;
using Ints [[gnu::vector_size(32)]] = std::int32_t;
using Pairs [[gnu::vector_size(32)]] = double;  // the bits of two floats each

// A FringePair in one row.
struct PicturePair {
  const std::uint8_t *first, *second;
  std::array<std::int16_t, 2> cosine, sine, light;
};
struct PictureSums {
  Ints cosine, sine, light, brightest;
};
// Eight pixels and their right neighbours.
struct Neighbours {
  Floats left, right;
};

}  // namespace

namespace anywhere {
namespace {

template <bool kWithLight>
inline PictureSums add_pictures(const PicturePair* pairs, std::size_t count, std::size_t x) {
  PictureSums sums{};
  for (std::size_t k = 0; k < count; ++k)
    for (int i = 0; i < static_cast<int>(kFringeLanes); ++i) {
      const PicturePair& pair = pairs[k];
      const std::int32_t a = pair.first[x + static_cast<std::size_t>(i)];
      const std::int32_t b = pair.second[x + static_cast<std::size_t>(i)];
      sums.cosine[i] += pair.cosine[0] * a + pair.cosine[1] * b;
      sums.sine[i] += pair.sine[0] * a + pair.sine[1] * b;
      if (kWithLight) sums.light[i] += pair.light[0] * a + pair.light[1] * b;
      sums.brightest[i] = std::max(sums.brightest[i], std::max(a, b));
    }
  return sums;
}

inline bool any(const Ints& lanes) {
  std::int32_t sum = 0;
  for (int i = 0; i < static_cast<int>(kFringeLanes); ++i) sum |= lanes[i];
  return sum != 0;
}

inline Ints four_bytes(const std::uint8_t* from, const Ints& offset) {
  Ints words;
  for (int i = 0; i < static_cast<int>(kFringeLanes); ++i) {
    const std::uint8_t* const at = from + offset[i];
    words[i] = static_cast<std::int32_t>(at[0] | at[1] << 8 | at[2] << 16 |
                                         static_cast<std::uint32_t>(at[3]) << 24);
  }
  return words;
}
inline bool look_up_near(const float*, const Ints&, Neighbours&) { return false; }
inline bool look_up_one_near(const float*, const Ints&, const Ints&, Floats&) { return false; }

#include "pipeline/fringe_kernel_impl.h"

}  // namespace
}  // namespace anywhere

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
namespace {

inline __m128i eight_bytes(const std::uint8_t* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}
inline __m256i both(const std::array<std::int16_t, 2>& weights) {
  std::int32_t bits = 0;
  std::memcpy(&bits, weights.data(), sizeof bits);
  return _mm256_set1_epi32(bits);
}

template <bool kWithLight>
inline PictureSums add_pictures(const PicturePair* pairs, std::size_t count, std::size_t x) {
  __m256i cosine = _mm256_setzero_si256(), sine = cosine, light = cosine;
  __m128i brightest = _mm_setzero_si128();
  for (std::size_t k = 0; k < count; ++k) {
    const PicturePair& pair = pairs[k];
    const __m128i a = eight_bytes(pair.first + x), b = eight_bytes(pair.second + x);
    brightest = _mm_max_epu8(brightest, _mm_max_epu8(a, b));
    const __m256i ab = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
    cosine = _mm256_add_epi32(cosine, _mm256_madd_epi16(ab, both(pair.cosine)));
    sine = _mm256_add_epi32(sine, _mm256_madd_epi16(ab, both(pair.sine)));
    if (kWithLight) light = _mm256_add_epi32(light, _mm256_madd_epi16(ab, both(pair.light)));
  }
  return {reinterpret_cast<Ints>(cosine), reinterpret_cast<Ints>(sine),
          reinterpret_cast<Ints>(light), reinterpret_cast<Ints>(_mm256_cvtepu8_epi32(brightest))};
}

inline bool any(const Ints& lanes) {
  return _mm256_movemask_epi8(reinterpret_cast<__m256i>(lanes)) != 0;
}

inline Ints four_bytes(const std::uint8_t* from, const Ints& offset) {
  return reinterpret_cast<Ints>(_mm256_i32gather_epi32(reinterpret_cast<const int*>(from),
                                                       reinterpret_cast<__m256i>(offset), 1));
}

// As nearly always, within eight of the first.
inline bool look_up_near(const float* from, const Ints& index, Neighbours& met) {
  const std::int32_t first = index[0];
  const Ints offset = index - first;
  if (any((offset < 0) | (offset >= static_cast<std::int32_t>(kFringeLanes)))) return false;
  const auto lanes = reinterpret_cast<__m256i>(offset);
  met.left = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first), lanes);
  met.right = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first + 1), lanes);
  return true;
}
inline bool look_up_one_near(const float* from, const Ints& index, const Ints& one_more,
                             Floats& met) {
  const std::int32_t first = index[0];
  const Ints offset = index - first;
  if (any((offset < 0) | (offset >= static_cast<std::int32_t>(kFringeLanes)))) return false;
  const auto lanes = reinterpret_cast<__m256i>(offset);
  const auto here = Floats(_mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first), lanes));
  const auto right = Floats(_mm256_permutevar8x32_ps(_mm256_loadu_ps(from + first + 1), lanes));
  met = one_more ? right : here;
  return true;
}

#include "pipeline/fringe_kernel_impl.h"

}  // namespace
}  // namespace avx2
#pragma GCC pop_options
#endif

FringeKernel baseline_fringe_kernel() {
  return {anywhere::sample, anywhere::decode_row, anywhere::straighten_row};
}

FringeKernel fringe_kernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return {avx2::sample, avx2::decode_row, avx2::straighten_row};
#endif
  return baseline_fringe_kernel();
}

}  // namespace cusp
