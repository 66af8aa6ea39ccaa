// The wire between a running virtual scanner and the commands that steer it: a local stream socket,
// one line of JSON asked, one line of JSON answered, then the connection ends.
//
// Errors: kConflict when another program listens there, kUnavailable when nobody does, kTimeout,
// kProtocol, kIo. Threads: each function runs on the caller's.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "core/result.h"

namespace cusp::sim {

// Answers one line; what it returns has no line break.
using AnswerLine = std::function<std::string(const std::string& line)>;

// Listens, calls `ready` once, and serves until SIGTERM or SIGINT. The socket file is removed at
// the end.
Result<void> serve_until_signal(const std::filesystem::path& socket, const AnswerLine& answer,
                                const std::function<Result<void>()>& ready);

Result<std::string> ask(const std::filesystem::path& socket, const std::string& line,
                        std::chrono::milliseconds timeout);

}  // namespace cusp::sim
