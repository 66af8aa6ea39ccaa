#include "tools/sim/png_file.h"

#include <png.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <system_error>

namespace cusp::sim {
namespace {

constexpr std::uint32_t kLargestSide = 16384;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// libpng leaves through longjmp; these two keep it inside one small function each, with nothing to
// destroy.
struct Complaint {
  char text[128] = "";
};

[[noreturn]] void complain(png_structp png, png_const_charp text) {
  auto* complaint = static_cast<Complaint*>(png_get_error_ptr(png));
  std::snprintf(complaint->text, sizeof complaint->text, "%s", text);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

bool read_header(png_structp png, png_infop info, std::FILE* file) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_init_io(png, file);
  png_set_user_limits(png, kLargestSide, kLargestSide);
  png_read_info(png, info);
  return true;
}

bool read_rows(png_structp png, std::uint16_t* pixels, std::size_t width, std::size_t height) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_swap(png);  // PNG is big-endian
  for (std::size_t y = 0; y < height; ++y)
    png_read_row(png, reinterpret_cast<png_bytep>(pixels + y * width), nullptr);
  png_read_end(png, nullptr);
  return true;
}

bool write_rows(png_structp png, png_infop info, std::FILE* file, std::uint32_t width,
                std::uint32_t height, int bits, int colour, const std::uint8_t* bytes,
                std::size_t row_bytes) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_init_io(png, file);
  png_set_IHDR(png, info, width, height, bits, colour, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  if (bits == 16) png_set_swap(png);
  for (std::uint32_t y = 0; y < height; ++y) png_write_row(png, bytes + y * row_bytes);
  png_write_end(png, nullptr);
  return true;
}

Result<void> write_png(const std::filesystem::path& path, int width, int height, int bits,
                       int colour, const std::uint8_t* bytes, std::size_t row_bytes) {
  const File file(std::fopen(path.c_str(), "wb"));
  if (!file)
    return error(ErrorCode::kIo, "{}: cannot be written: {}", path.string(),
                 std::generic_category().message(errno));
  Complaint complaint;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &complaint, complain, ignore_warning);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  const bool written =
      info != nullptr &&
      write_rows(png, info, file.get(), static_cast<std::uint32_t>(width),
                 static_cast<std::uint32_t>(height), bits, colour, bytes, row_bytes);
  png_destroy_write_struct(&png, &info);
  if (!written || std::fflush(file.get()) != 0)
    return error(ErrorCode::kIo, "{}: cannot be written: {}", path.string(), complaint.text);
  return {};
}

}  // namespace

Result<GreyImage16> read_png16(const std::filesystem::path& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file)
    return error(ErrorCode::kNotFound, "{}: cannot be read: {}", path.string(),
                 std::generic_category().message(errno));
  Complaint complaint;
  png_structp png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &complaint, complain, ignore_warning);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  const auto finish = [&](Result<GreyImage16> result) {
    png_destroy_read_struct(&png, &info, nullptr);
    return result;
  };
  if (info == nullptr || !read_header(png, info, file.get()))
    return finish(error(ErrorCode::kCorrupt, "{}: not a PNG: {}", path.string(), complaint.text));
  if (png_get_bit_depth(png, info) != 16 || png_get_color_type(png, info) != PNG_COLOR_TYPE_GRAY ||
      png_get_interlace_type(png, info) != PNG_INTERLACE_NONE)
    return finish(error(ErrorCode::kUnsupported, "{}: depth must be 16-bit grey, not interlaced",
                        path.string()));
  GreyImage16 image;
  image.width_px = static_cast<int>(png_get_image_width(png, info));
  image.height_px = static_cast<int>(png_get_image_height(png, info));
  const auto width = static_cast<std::size_t>(image.width_px);
  const auto height = static_cast<std::size_t>(image.height_px);
  image.pixels.resize(width * height);
  if (!read_rows(png, image.pixels.data(), width, height))
    return finish(error(ErrorCode::kCorrupt, "{}: damaged PNG: {}", path.string(), complaint.text));
  return finish(std::move(image));
}

Result<std::vector<std::filesystem::path>> list_pngs(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code failure;
  for (std::filesystem::directory_iterator at(folder, failure), end; !failure && at != end;
       at.increment(failure))
    if (at->path().extension() == ".png") files.push_back(at->path());
  if (failure)
    return error(ErrorCode::kNotFound, "{}: cannot be listed: {}", folder.string(),
                 failure.message());
  if (files.empty())
    return error(ErrorCode::kInvalidArgument, "{}: no PNG files in it", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

Result<void> write_png16(const std::filesystem::path& path, const GreyImage16& image) {
  return write_png(path, image.width_px, image.height_px, 16, PNG_COLOR_TYPE_GRAY,
                   reinterpret_cast<const std::uint8_t*>(image.pixels.data()),
                   2 * static_cast<std::size_t>(image.width_px));
}

Result<void> write_png_rgb(const std::filesystem::path& path, int width_px, int height_px,
                           std::span<const std::uint8_t> rgb) {
  CUSP_CHECK(
      rgb.size() == 3 * static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px),
      "three bytes a pixel");
  return write_png(path, width_px, height_px, 8, PNG_COLOR_TYPE_RGB, rgb.data(),
                   3 * static_cast<std::size_t>(width_px));
}

}  // namespace cusp::sim
