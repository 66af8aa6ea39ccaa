#include "drivers/uvc_camera/jpeg.h"
#include "drivers/uvc_camera/picture_formats.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

void run(std::span<const std::uint8_t> input) {
  const auto picture = uvc_camera::complete_jpeg({input.begin(), input.end()});
  if (!picture) return;
  CUSP_CHECK(picture->width_px > 0 && picture->height_px > 0 && picture->bytes.size() > 4,
             "a picture has a size");
  const auto again = uvc_camera::complete_jpeg(picture->bytes);
  CUSP_CHECK(again && again->bytes == picture->bytes, "a whole picture stays as it is");
}

std::vector<Bytes> seeds() {
  constexpr int kSide_px = 16;
  Bytes rgb(kSide_px * kSide_px * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 7);
  std::vector<Bytes> all;
  for (const bool with_tables : {false, true}) {
    Bytes jpeg;
    uvc_camera::encode_jpeg(rgb, kSide_px, kSide_px, with_tables, jpeg);
    all.push_back(jpeg);
    jpeg.insert(jpeg.end(), 64, 0);  // as cameras pad
    all.push_back(std::move(jpeg));
  }
  return all;
}

}  // namespace

const Target kUvcCamera{.name = "uvc_camera", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
