// What the process keeps of the memory that it frees.
//
// A scan takes and frees the same megabytes with every frame. glibc hands them back to the kernel
// as soon as they are free, and the kernel clears them again before the next frame: 8 % of a
// frame's time. So they are kept while work goes on, and handed back when a scan is over. Blocks of
// more than 32 MiB go back at once all the same (mallopt(3)). Does nothing with another allocator
// than glibc's. Threads: any.
#pragma once

namespace cusp {

// For the rest of the process; at its start.
void keep_freed_memory();
void give_freed_memory_back();

}  // namespace cusp
