// Word to systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET; nothing happens when that is not
// set. Threads: any.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace cusp {

// "READY=1", "WATCHDOG=1", "STOPPING=1", "STATUS=..."
void notify_systemd(std::string_view message);

// How often the unit wants to hear WATCHDOG=1, if it does.
std::optional<std::chrono::microseconds> watchdog_period();

}  // namespace cusp
