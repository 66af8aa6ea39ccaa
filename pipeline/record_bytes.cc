#include "pipeline/record_bytes.h"

#include <zstd.h>

#include <memory>

#include "core/check.h"

namespace cusp {
namespace {

constexpr int kLevel = 1;  // the fastest: records come while the operator scans

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

}  // namespace

std::vector<std::uint8_t> seal(std::span<const std::uint8_t> bytes) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  CUSP_CHECK(context != nullptr, "memory for a compressor");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::vector<std::uint8_t> sealed(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress2(context.get(), sealed.data(), sealed.size(), bytes.data(), bytes.size());
  CUSP_CHECK(ZSTD_isError(size) == 0, "there is room for the compressed record");
  sealed.resize(size);
  sealed.shrink_to_fit();
  return sealed;
}

Result<std::vector<std::uint8_t>> unseal(std::span<const std::uint8_t> sealed,
                                         std::size_t max_bytes, std::string_view what) {
  const unsigned long long content = ZSTD_getFrameContentSize(sealed.data(), sealed.size());
  if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN ||
      content > max_bytes)
    return error(ErrorCode::kCorrupt, "{}: damaged: its head can't be read", what);
  std::vector<std::uint8_t> bytes(content);
  const std::size_t size =
      ZSTD_decompress(bytes.data(), bytes.size(), sealed.data(), sealed.size());
  if (ZSTD_isError(size) != 0 || size != bytes.size())
    return error(ErrorCode::kCorrupt, "{}: damaged: {}", what,
                 ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "it is cut short");
  return bytes;
}

}  // namespace cusp
