// Background priority: what runs beside the live path gets the processor when that leaves it.
//
// Linux weighs threads by their nice value, each thread its own (sched(7)). Everybody may lower a
// thread; to raise it again takes RLIMIT_NICE (cuspd.service grants it). Without that it stays low,
// and has the processor as soon as nobody else wants it.
// Threads: any. No errors: priority is a favour, not a promise.
#pragma once

namespace cusp {

// A number for these, of the calling thread.
int this_thread();
void lower_priority(int thread);
// Of a thread that was lowered: to that of the calling one, which waits for it.
void raise_priority(int thread);

}  // namespace cusp
