// Client: HTTP to cuspd over its Unix socket, one connection a call.
// Errors: kUnavailable when cuspd did not answer (nobody at the socket, silence for 30 s, no HTTP,
// no JSON), kConflict with the daemon's own sentence when it refused, whatever its reason.
// Threads: one.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/result.h"

namespace cusp::cuspctl {

using json = nlohmann::ordered_json;

class Client {
 public:
  explicit Client(std::filesystem::path socket) : socket_(std::move(socket)) {}

  [[nodiscard]] Result<json> get(const std::string& target) const;
  [[nodiscard]] Result<json> post(const std::string& target, const json& body) const;

 private:
  [[nodiscard]] Result<json> call(std::string_view method, const std::string& target,
                                  const std::string& body) const;

  std::filesystem::path socket_;
};

}  // namespace cusp::cuspctl
