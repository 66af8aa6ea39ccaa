// A schema: one table of keys, each bound to the field that it fills. The same table reads a file,
// checks ranges, names the known keys in errors, and writes the annotated default file, so these
// can't drift apart.
//
// A key is "group.name"; its value in a fresh options struct is its default.
// Threads: pure functions on values of the caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/document.h"
#include "core/result.h"

namespace cusp::config {

struct Text {
  std::string* value;
  bool (*fits)(std::string_view);
  std::string_view allowed;
};

struct Path {  // relative ones are relative to the file's folder
  std::filesystem::path* value;
  bool may_be_empty = false;
};

struct Number {
  double* value;
  double min;
  double max;
};

struct Whole {
  std::variant<int*, std::uint16_t*, std::uint64_t*, std::optional<std::uint64_t>*> value;
  std::uint64_t min;  // 0 of an optional field is "not set"
  std::uint64_t max;
  std::uint64_t unit = 1;  // one of the file's counts is so many of the field's
};

struct Key {
  std::string name;
  std::variant<Text, Path, Number, Whole> field;
  std::string_view doc;  // meaning and unit
};

using Keys = std::vector<Key>;

// Values that may differ by device: groups.<name>.<key>.
struct Family {
  std::string group;  // "profiles"
  std::string_view doc;
  std::string template_name;  // the member whose values a new one begins with
  std::function<Keys(const std::string& name)> keys_of;  // makes the member when it is new
  std::vector<std::string> names;                        // those that exist, for writing
  std::function<std::optional<std::string>(const std::string& name)> problem_of;  // across keys
};

struct Schema {
  std::string_view title;
  Keys keys;
  std::optional<Family> family;
};

// Fills the bound fields from the file; the first thing wrong is the error, with its line.
Result<void> read_into(const Schema& schema, const std::filesystem::path& file);

// The annotated YAML of what the bound fields hold.
std::string annotate(const Schema& schema);

}  // namespace cusp::config
