// Metrics in the text form that Prometheus reads (exposition format 0.0.4). Only numbers, and
// labels that an administrator chose (ids of stations): nothing of patients. Threads: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/server.h"

namespace cusp::http {

class Metrics {
 public:
  // Grows only, from 0 at the start of the program.
  void counter(std::string_view name, std::string_view help, double value);
  void gauge(std::string_view name, std::string_view help, double value);
  // How often something was done and how long it took in all: <name>_count, <name>_sum.
  void summary(std::string_view name, std::string_view help, std::uint64_t count, double seconds);

  [[nodiscard]] Response response() const;

 private:
  void describe(std::string_view name, std::string_view help, std::string_view type);
  std::string text_;
};

}  // namespace cusp::http
