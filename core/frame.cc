#include "core/frame.h"

#include "core/check.h"

namespace cusp {

std::string_view to_string(PixelFormat format) {
  switch (format) {
    case PixelFormat::kZ16:
      return "Z16";
    case PixelFormat::kGrey8:
      return "GREY8";
    case PixelFormat::kYuy2:
      return "YUY2";
  }
  CUSP_CHECK(false, "a pixel format without a name");
}

std::size_t bytes_per_pixel(PixelFormat format) { return format == PixelFormat::kGrey8 ? 1 : 2; }

}  // namespace cusp
