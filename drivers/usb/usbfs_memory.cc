#include "drivers/usb/usbfs_memory.h"

#include <algorithm>
#include <fstream>

namespace cusp {
namespace {

constexpr const char* kParameter = "/sys/module/usbcore/parameters/usbfs_memory_mb";
constexpr std::size_t kMiB = std::size_t{1} << 20;
// The kernel also counts its own record of a transfer, and its table of pages: below 4 KiB.
constexpr std::size_t kRecordBytes = 4096;
constexpr std::size_t kSpareBytes = 256 * 1024;  // for control requests

std::size_t packets(const StreamOptions& options) {
  return static_cast<std::size_t>(options.packets_per_transfer);
}

// The next power of two that gives what is wanted twice over, as other programs want some too.
std::size_t advised_mib(std::size_t wanted_bytes) {
  std::size_t mib = 32;
  while (mib * kMiB < 2 * wanted_bytes) mib *= 2;
  return mib;
}

}  // namespace

std::optional<std::size_t> usbfs_memory_bytes() {
  std::ifstream file(kParameter);
  std::size_t mib = 0;
  if (!(file >> mib) || mib == 0) return std::nullopt;  // the kernel's 0: no limit
  return mib * kMiB;
}

std::size_t transfer_bytes(const StreamOptions& options) {
  return options.type == TransferType::kIsochronous
             ? static_cast<std::size_t>(options.packet_bytes) * packets(options)
             : static_cast<std::size_t>(options.transfer_size_bytes);
}

Result<std::vector<int>> plan_transfers(std::string_view what,
                                        std::span<const StreamOptions> endpoints,
                                        std::optional<std::size_t> budget_bytes) {
  std::vector<int> counts;
  for (const StreamOptions& options : endpoints) counts.push_back(options.transfer_count);
  if (!budget_bytes) return counts;
  const auto bytes_of = [&](std::size_t i) {
    return static_cast<std::size_t>(counts[i]) * (transfer_bytes(endpoints[i]) + kRecordBytes);
  };
  const auto total = [&] {
    std::size_t sum = kSpareBytes;
    for (std::size_t i = 0; i < counts.size(); ++i) sum += bytes_of(i);
    return sum;
  };
  while (total() > *budget_bytes) {
    std::optional<std::size_t> largest;
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (counts[i] > kLeastTransfers && (!largest || bytes_of(i) > bytes_of(*largest)))
        largest = i;
    if (!largest) return usbfs_memory_used_up(what, total(), budget_bytes);
    --counts[*largest];
  }
  return counts;
}

Error usbfs_memory_used_up(std::string_view what, std::size_t wanted_bytes,
                           std::optional<std::size_t> budget_bytes) {
  const auto kib = [](std::size_t bytes) { return (bytes + 1023) / 1024; };
  const std::string has =
      budget_bytes ? fmt::format("{} KiB in all", kib(*budget_bytes)) : "less than that left";
  return error(ErrorCode::kNoSpace,
               "{}: its streams need {} KiB of the kernel's memory for USB transfers, which has {} "
               "for every program together; as root, write {} into {}, and "
               "usbcore.usbfs_memory_mb={} on the kernel's command line to keep it",
               what, kib(wanted_bytes), has, advised_mib(wanted_bytes), kParameter,
               advised_mib(wanted_bytes));
}

}  // namespace cusp
