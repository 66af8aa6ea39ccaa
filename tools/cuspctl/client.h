// Client: HTTP to cuspd over its Unix socket, one connection a call.
// Errors: kUnavailable when cuspd did not answer (nobody at the socket, silence for 30 s, or 90 s
// for a picture, 10 minutes for a file, no HTTP, no JSON, no picture), kConflict with the daemon's
// own sentence when it refused, whatever its reason; kIo: a file can't be written. Threads: one.
#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/result.h"

namespace cusp::cuspctl {

using json = nlohmann::ordered_json;

struct Picture {
  std::string content_type;  // "image/..."
  std::string bytes;
};

class Client {
 public:
  explicit Client(std::filesystem::path socket) : socket_(std::move(socket)) {}

  [[nodiscard]] Result<json> get(const std::string& target) const;
  [[nodiscard]] Result<json> post(const std::string& target, const json& body) const;
  [[nodiscard]] Result<Picture> post_for_picture(const std::string& target) const;
  // Into a new file, which is there only when all of it came.
  [[nodiscard]] Result<void> download(const std::string& target,
                                      const std::filesystem::path& file) const;

 private:
  struct Answer {
    unsigned status = 0;
    std::string content_type;
    std::string body;
  };
  [[nodiscard]] Result<Answer> call(std::string_view method, const std::string& target,
                                    const std::string& body, std::chrono::seconds within,
                                    const std::filesystem::path& into = {}) const;
  [[nodiscard]] Result<json> json_of(const std::string& target, const Answer& answer) const;

  std::filesystem::path socket_;
};

}  // namespace cusp::cuspctl
