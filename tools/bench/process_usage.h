// What this process has used so far. Threads: from any.
#pragma once

#include <cstddef>

namespace cusp::bench {

// Of all its threads, user and system. On a machine with other work to do this tells more than the
// time that passed.
double cpu_ms();
// Memory that it holds, files apart.
std::size_t resident_bytes();

}  // namespace cusp::bench
