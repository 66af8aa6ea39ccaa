#include "delivery/cas.h"

#include <algorithm>
#include <system_error>
#include <vector>

namespace cusp::delivery {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSliceBytes = 4 << 20;  // some 10 ms

}  // namespace

fs::path cas_path(const fs::path& folder, const std::string& sha256) {
  CUSP_CHECK(is_sha256_hex(sha256), "the CAS holds files by their SHA-256");
  return folder / "cas" / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
}

bool is_in_cas(const fs::path& folder, const BlobRef& blob) {
  std::error_code missing;
  return fs::file_size(cas_path(folder, blob.sha256), missing) == blob.size_bytes && !missing;
}

Result<void> set_aside(FileSystem& files, const fs::path& folder, const std::string& sha256) {
  const fs::path path = cas_path(folder, sha256);
  std::error_code missing;
  if (!fs::exists(path, missing)) return {};
  CUSP_TRY(files.make_folder(folder / "damaged"));
  return files.rename_synced(path, folder / "damaged" / sha256);
}

FileCheck::FileCheck(const fs::path& folder, const BlobRef& blob)
    : blob_(blob), reader_(cas_path(folder, blob.sha256)) {}

Result<FileCheck::Verdict> FileCheck::step() {
  std::vector<std::uint8_t> slice(std::min(kSliceBytes, blob_.size_bytes - offset_));
  if (const auto read = reader_.read(offset_, slice); !read.ok()) {
    if (read.error().code == ErrorCode::kCorrupt) return Verdict::kDamaged;
    return read.error();
  }
  hash_.update(slice);
  offset_ += slice.size();
  if (offset_ < blob_.size_bytes) return Verdict::kGoesOn;
  return hash_.finish_hex() == blob_.sha256 ? Verdict::kWhole : Verdict::kDamaged;
}

}  // namespace cusp::delivery
