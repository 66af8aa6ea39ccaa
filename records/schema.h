// The store's tables, as numbered steps: a database of any age takes those that it lacks.
// Steps are only ever appended, never edited. Threads: constant.
#pragma once

#include <span>
#include <string_view>

namespace cusp::records {

std::span<const std::string_view> schema_steps();

}  // namespace cusp::records
