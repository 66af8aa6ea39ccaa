// CUSP_CHECK: an assumption of our own that must hold in every build. A broken one ends the
// process: systemd restarts it and the journals on disk bring it back to a known state.
#pragma once

#include <string_view>

namespace cusp {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message);
}  // namespace cusp

#define CUSP_CHECK(condition, message)                                 \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::cusp::check_failed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
