#include "drivers/wand/colour.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/check.h"

namespace cusp::wand {
namespace {

std::uint8_t as_byte(double value) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

using Table = std::array<std::uint8_t, 256>;

Table make_table(double (*curve)(double)) {
  Table table{};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = as_byte(255 * curve(static_cast<double>(i) / 255));
  return table;
}

const Table& srgb_of_light() {
  static const Table table = make_table(
      [](double x) { return x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055; });
  return table;
}

const Table& light_of_srgb() {
  static const Table table = make_table(
      [](double x) { return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4); });
  return table;
}

struct Rgb {
  double r = 0, g = 0, b = 0;
};

}  // namespace

std::vector<std::uint8_t> yuy2_of(std::span<const std::uint8_t> red,
                                  std::span<const std::uint8_t> green,
                                  std::span<const std::uint8_t> blue) {
  CUSP_CHECK(red.size() % 2 == 0 && green.size() == red.size() && blue.size() == red.size(),
             "three frames of one even size");
  const Table& srgb = srgb_of_light();
  const auto pixel = [&](std::size_t i) {
    return Rgb{double(srgb[red[i]]), double(srgb[green[i]]), double(srgb[blue[i]])};
  };
  const auto luma = [](const Rgb& c) {
    return 16 + (65.481 * c.r + 128.553 * c.g + 24.966 * c.b) / 255;
  };
  std::vector<std::uint8_t> yuy2(2 * red.size());
  for (std::size_t i = 0; i < red.size(); i += 2) {
    const Rgb left = pixel(i), right = pixel(i + 1);
    const Rgb mean{(left.r + right.r) / 2, (left.g + right.g) / 2, (left.b + right.b) / 2};
    yuy2[2 * i] = as_byte(luma(left));
    yuy2[2 * i + 1] = as_byte(128 + (-37.797 * mean.r - 74.203 * mean.g + 112.0 * mean.b) / 255);
    yuy2[2 * i + 2] = as_byte(luma(right));
    yuy2[2 * i + 3] = as_byte(128 + (112.0 * mean.r - 93.786 * mean.g - 18.214 * mean.b) / 255);
  }
  return yuy2;
}

void light_of(std::span<const std::uint8_t> yuy2, FrameKind light, std::span<std::uint8_t> grey) {
  CUSP_CHECK(yuy2.size() % 4 == 0 && grey.size() * 2 == yuy2.size(), "a grey byte for each pixel");
  const Table& linear = light_of_srgb();
  for (std::size_t i = 0; i < grey.size(); ++i) {
    const std::size_t pair = 4 * (i / 2);
    const double y = 1.164383 * (yuy2[2 * i] - 16);
    const double cb = yuy2[pair + 1] - 128.0, cr = yuy2[pair + 3] - 128.0;
    const double value = light == FrameKind::kRed     ? y + 1.596027 * cr
                         : light == FrameKind::kGreen ? y - 0.391762 * cb - 0.812968 * cr
                                                      : y + 2.017232 * cb;
    grey[i] = linear[as_byte(value)];
  }
}

}  // namespace cusp::wand
