#include "core/frame.h"

#include "core/check.h"

namespace cusp {

std::string_view to_string(PixelFormat format) {
  switch (format) {
    case PixelFormat::kZ16:
      return "Z16";
    case PixelFormat::kGrey8:
      return "GREY8";
    case PixelFormat::kGrey16:
      return "GREY16";
    case PixelFormat::kMjpeg:
      return "MJPEG";
    case PixelFormat::kYuy2:
      return "YUY2";
  }
  CUSP_CHECK(false, "a pixel format without a name");
}

std::size_t bytes_per_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kGrey8:
      return 1;
    case PixelFormat::kZ16:
    case PixelFormat::kGrey16:
    case PixelFormat::kYuy2:
      return 2;
    case PixelFormat::kMjpeg:
      return 0;
  }
  CUSP_CHECK(false, "a pixel format without a size");
}

}  // namespace cusp
