// The secret of a loopback API: 256 random bits as hex in a file that only its owner reads.
// Errors: kPermission when others may read it, kCorrupt when it holds no token, kIo.
// Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"

namespace cusp::http {

// The file's first line. kNotFound: there is no such file.
Result<std::string> load_token(const std::filesystem::path& file);
// The same; the file is made (mode 0600, with a fresh token) when it is missing.
Result<std::string> load_or_make_token(const std::filesystem::path& file);

}  // namespace cusp::http
