// How a command ends, and how it reads the daemon's JSON without trusting it: what is missing or of
// another type is empty, 0, false or no list. Threads: one. Errors: none.
#pragma once

#include <cstdint>
#include <string>

#include "tools/cuspctl/client.h"
#include "tools/cuspctl/commands.h"

namespace cusp::cuspctl {

// Says it on stderr; answers the exit code.
int fail(const Error& error);
int print_json(const json& value);

// Text of others on a terminal: no control characters.
std::string shown(const json& value);
std::string shown(const json& object, const char* key);
bool has_number(const json& object, const char* key);
std::uint64_t count_of(const json& object, const char* key);
double number_of(const json& object, const char* key);
bool is_set(const json& object, const char* key);
const json& list_of(const json& object, const char* key);

}  // namespace cusp::cuspctl
