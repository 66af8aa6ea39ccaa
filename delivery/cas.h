// The store's files by their hash (content-addressed storage): cas/ab/cd/<sha256> below its folder,
// never changed once they are there. What was found damaged is set aside in damaged/, so that
// nobody is given it; the station that still holds it is asked to bring it again. Threads: values;
// a FileCheck belongs to one at a time.
#pragma once

#include <filesystem>
#include <string>

#include "core/file_system.h"
#include "delivery/blob_reader.h"
#include "delivery/digest.h"
#include "delivery/parcel.h"

namespace cusp::delivery {

std::filesystem::path cas_path(const std::filesystem::path& folder, const std::string& sha256);
// It is there and of the right size; says nothing of its bytes.
bool is_in_cas(const std::filesystem::path& folder, const BlobRef& blob);
// Moves a damaged file out of the way; one that is gone is fine.
Result<void> set_aside(FileSystem& files, const std::filesystem::path& folder,
                       const std::string& sha256);

// Reads a file again and compares it with its name, a slice at a time.
class FileCheck {
 public:
  enum class Verdict { kGoesOn, kWhole, kDamaged };

  FileCheck(const std::filesystem::path& folder, const BlobRef& blob);
  // kIo: it can't be read just now.
  Result<Verdict> step();

 private:
  const BlobRef blob_;
  BlobReader reader_;
  Sha256 hash_;
  std::uint64_t offset_ = 0;
};

}  // namespace cusp::delivery
