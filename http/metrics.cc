#include "http/metrics.h"

#include <fmt/format.h>

namespace cusp::http {

void Metrics::describe(std::string_view name, std::string_view help, std::string_view type) {
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void Metrics::counter(std::string_view name, std::string_view help, double value) {
  describe(name, help, "counter");
  text_ += fmt::format("{} {}\n", name, value);
}

void Metrics::gauge(std::string_view name, std::string_view help, double value) {
  describe(name, help, "gauge");
  text_ += fmt::format("{} {}\n", name, value);
}

void Metrics::summary(std::string_view name, std::string_view help, std::uint64_t count,
                      double seconds) {
  describe(name, help, "summary");
  text_ += fmt::format("{}_count {}\n{}_sum {}\n", name, count, name, seconds);
}

Response Metrics::response() const {
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = text_;
  return response;
}

}  // namespace cusp::http
