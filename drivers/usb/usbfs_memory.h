// The kernel's memory for USB transfers: one budget for all programs (16 MiB by default), out of
// which a transfer that does not fit is refused. Read before streaming, so that what does not fit
// is made smaller or explained.
//
// Kernel: drivers/usb/core/devio.c, usbfs_increase_memory_usage(). Threads: functions.
// Errors: kNoSpace, with how much is wanted, how much there is, and what to write where.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

// With fewer transfers in flight than this, the device waits for the host between two of them.
inline constexpr int kLeastTransfers = 2;

// Nothing: no such limit (also where the kernel does not tell it).
std::optional<std::size_t> usbfs_memory_bytes();

std::size_t transfer_bytes(const StreamOptions& options);

// How many transfers each endpoint gets: those that it wants, or fewer down to kLeastTransfers when
// the budget is short, taken from whoever holds most. Leaves room for control requests.
Result<std::vector<int>> plan_transfers(std::string_view what,
                                        std::span<const StreamOptions> endpoints,
                                        std::optional<std::size_t> budget_bytes);

Error usbfs_memory_used_up(std::string_view what, std::size_t wanted_bytes,
                           std::optional<std::size_t> budget_bytes);

}  // namespace cusp
