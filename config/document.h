// A configuration file as a flat list of "key: value" lines with their places; the only user of
// yaml-cpp.
//
// Of YAML 1.2 we take what a settings file needs: maps and scalars. Lists, anchors, aliases,
// explicit tags, a second document and repeated keys are refused, so a file can't expand or mean
// two things. Limits: 256 KiB, depth 8, UTF-8. Errors: kNotFound, kPermission, kIo for the file;
// kInvalidArgument for its content, as "cuspd.yaml:12: ...". Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace cusp::config {

struct Entry {
  std::vector<std::string> path;  // "store", "endpoint"
  std::string text;               // unquoted; empty for "key:" alone
  int line = 0;                   // first is 1
};

// `name` stands in front of errors.
Result<std::vector<Entry>> parse_document(std::string_view text, const std::string& name);
Result<std::string> read_file(const std::filesystem::path& path);

}  // namespace cusp::config
