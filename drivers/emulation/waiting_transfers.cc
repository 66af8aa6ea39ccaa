#include "drivers/emulation/waiting_transfers.h"

#include <algorithm>

namespace cusp {
namespace {

MonoTime end_of(const WaitingTransfer& transfer, MonoTime begin) {
  return begin + transfer.interval * static_cast<std::int64_t>(transfer.packet_bytes.size());
}

struct Received {
  TransferEnd end = TransferEnd::kGood;
  std::size_t size_bytes = 0;
};

// What the host's side of the bus makes of an outcome; kNak is the caller's.
Received receive(const UsbOutcome& outcome, std::size_t room) {
  const std::size_t size = std::min(outcome.size, room);
  switch (outcome.kind) {
    case UsbOutcome::Kind::kData:
      return {outcome.size > room ? TransferEnd::kOverflow : TransferEnd::kGood, size};
    case UsbOutcome::Kind::kDamaged:
      return {TransferEnd::kDamaged, size};
    case UsbOutcome::Kind::kStall:
      return {TransferEnd::kStalled, 0};
    case UsbOutcome::Kind::kNak:
      break;
  }
  return {};
}

}  // namespace

void WaitingTransfers::add(WaitingTransfer transfer, MonoTime now) {
  Endpoint& endpoint = endpoints_[transfer.endpoint];
  // After a pause the bus does not make up for the intervals that nobody asked for.
  if (endpoint.transfers.empty()) endpoint.busy_until = std::max(endpoint.busy_until, now);
  endpoint.transfers.push_back(std::move(transfer));
}

std::optional<std::uint8_t> WaitingTransfers::cancel(std::uint64_t id) {
  for (auto& [address, endpoint] : endpoints_)
    if (std::erase_if(endpoint.transfers, [&](const auto& one) { return one.id == id; }) > 0)
      return address;
  return std::nullopt;
}

std::vector<std::uint64_t> WaitingTransfers::cancel_all(std::uint8_t endpoint) {
  std::vector<std::uint64_t> ids;
  const auto found = endpoints_.find(endpoint);
  if (found == endpoints_.end()) return ids;
  for (const WaitingTransfer& transfer : found->second.transfers) ids.push_back(transfer.id);
  endpoints_.erase(found);
  return ids;
}

std::size_t WaitingTransfers::size() const {
  std::size_t count = 0;
  for (const auto& [address, endpoint] : endpoints_) count += endpoint.transfers.size();
  return count;
}

std::optional<MonoTime> WaitingTransfers::run(
    MonoTime now, const std::function<bool()>& has_room,
    const std::function<void(const EndedTransfer&)>& on_end) {
  for (bool moved = true; moved && has_room();) {
    moved = false;
    for (auto& [address, endpoint] : endpoints_)
      if (!endpoint.transfers.empty() && run_one(address, endpoint, now, on_end)) moved = true;
  }
  std::optional<MonoTime> due;
  for (const auto& [address, endpoint] : endpoints_) {
    if (endpoint.transfers.empty() || endpoint.transfers.front().packet_bytes.empty()) continue;
    const MonoTime end = end_of(endpoint.transfers.front(), endpoint.busy_until);
    if (!due || end < *due) due = end;
  }
  return due;
}

// False: the endpoint's first transfer must wait on.
bool WaitingTransfers::run_one(std::uint8_t address, Endpoint& endpoint, MonoTime now,
                               const std::function<void(const EndedTransfer&)>& on_end) {
  const WaitingTransfer& first = endpoint.transfers.front();
  EndedTransfer ended{.id = first.id, .endpoint = address};
  if (!first.packet_bytes.empty()) {
    const MonoTime end = end_of(first, endpoint.busy_until);
    if (end > now) return false;
    endpoint.busy_until = end;
    collect_packets(first);
    ended.bytes = bytes_;
    ended.packets = packets_;
  } else {
    if (bytes_.size() < first.size_bytes) bytes_.resize(first.size_bytes);
    const UsbOutcome outcome =
        function_.in(first.endpoint, std::span(bytes_).first(first.size_bytes));
    if (outcome.kind == UsbOutcome::Kind::kNak) return false;
    const Received received = receive(outcome, first.size_bytes);
    ended.end = received.end;
    ended.bytes = std::span(bytes_).first(received.size_bytes);
  }
  endpoint.transfers.pop_front();
  on_end(ended);
  return true;
}

void WaitingTransfers::collect_packets(const WaitingTransfer& transfer) {
  std::size_t room = 0;
  for (const std::uint32_t size : transfer.packet_bytes) room += size;
  bytes_.resize(room);
  packets_.clear();
  std::size_t filled = 0;
  for (const std::uint32_t size : transfer.packet_bytes) {
    const Received received =
        receive(function_.in(transfer.endpoint, std::span(bytes_).subspan(filled, size)), size);
    packets_.push_back({received.end, static_cast<std::uint32_t>(received.size_bytes)});
    filled += received.size_bytes;
  }
  bytes_.resize(filled);
}

}  // namespace cusp
