#include "drivers/emulation/faulty_function.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "core/check.h"

namespace cusp {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Kind = UsbOutcome::Kind;

constexpr std::uint8_t kInterfaceDescriptor = 0x04, kEndpointDescriptor = 0x05;
constexpr std::uint8_t kTransferTypeMask = 0x03, kBulk = 0x02, kInBit = 0x80;
constexpr std::size_t kMinHeaderBytes = 2;
// More than any payload has: the function inside then ends each one with a short transfer.
constexpr std::size_t kScratchBytes = std::size_t{16} << 20;
constexpr UsbOutcome kStalled{Kind::kStall, 0};
constexpr UsbOutcome kNothingYet{Kind::kNak, 0};

struct Endpoint {
  int interface = 0;
  bool bulk = false;
  bool halted = false;
  std::deque<Bytes> payloads{};  // that the host has yet to read
  std::size_t given = 0;         // bytes of the first
  bool zero_length_due = false;
  std::optional<Bytes> again{};  // a transfer that comes twice
  std::optional<bool> frame_id{};
  std::vector<Fault> frame_faults{};  // of the frame that is passing
  std::vector<Bytes> frame{};         // its payloads, when it comes twice

  void forget() {
    payloads.clear();
    given = 0;
    zero_length_due = false;
    again.reset();
  }
};

std::map<std::uint8_t, Endpoint> endpoints_of(const Bytes& config) {
  std::map<std::uint8_t, Endpoint> endpoints;
  int interface = 0;
  for (std::size_t at = 0; at + 2 <= config.size() && config[at] >= 2; at += config[at]) {
    const auto item =
        std::span(config).subspan(at, std::min<std::size_t>(config[at], config.size() - at));
    if (item[1] == kInterfaceDescriptor && item.size() >= 9) interface = item[2];
    if (item[1] == kEndpointDescriptor && item.size() >= 7 && (item[2] & kInBit) != 0)
      endpoints[item[2]] = {.interface = interface, .bulk = (item[3] & kTransferTypeMask) == kBulk};
  }
  return endpoints;
}

bool any_of(const std::vector<Fault>& faults, FaultKind kind) {
  return std::any_of(faults.begin(), faults.end(),
                     [&](const Fault& fault) { return fault.kind == kind; });
}

void garble(const Fault& fault, std::span<std::uint8_t> bytes) {
  for (std::size_t i = 0; i < fault.bytes.size() && fault.at_byte + i < bytes.size(); ++i) {
    std::uint8_t& byte = bytes[fault.at_byte + i];
    if (fault.kind == FaultKind::kOverwrite) byte = fault.bytes[i];
    if (fault.kind == FaultKind::kFlip) byte ^= fault.bytes[i];
  }
}

}  // namespace

struct FaultyFunction::State {
  struct Armed {
    Fault fault;
    std::uint64_t seen = 0;  // of what it counts
    [[nodiscard]] bool due() const { return seen >= fault.at && seen - fault.at < fault.count; }
  };

  std::unique_ptr<UsbFunction> inner;
  std::map<std::uint8_t, Endpoint> endpoints;
  std::unique_ptr<std::uint8_t[]> scratch;
  bool frozen = false;

  mutable std::mutex mutex;  // guards the following
  std::vector<Armed> armed;
  std::uint64_t struck = 0;
  std::optional<Bytes> device, config;

  std::mutex wake_mutex;
  std::function<void()> wake;

  // The faults that strike the next of what they count. `pass`: it is passing now.
  std::vector<Fault> due(Fault::Of of, std::uint8_t endpoint, bool pass,
                         const ControlSetup* setup = nullptr) {
    const std::lock_guard lock(mutex);
    std::vector<Fault> faults;
    for (Armed& each : armed) {
      if (each.fault.of != of || each.fault.endpoint != endpoint) continue;
      if (setup != nullptr && each.fault.request && !each.fault.request(*setup)) continue;
      if (each.due()) faults.push_back(each.fault);
      if (pass) ++each.seen;
    }
    if (pass) struck += faults.size();
    return faults;
  }

  UsbOutcome halt(Endpoint& endpoint) {
    endpoint.halted = true;
    endpoint.forget();
    return kStalled;
  }
  UsbOutcome freeze() {
    frozen = true;
    return kNothingYet;
  }

  std::optional<UsbOutcome> pull(std::uint8_t address, Endpoint& endpoint, std::size_t asked);
  std::vector<Fault> note_frame(std::uint8_t address, Endpoint& endpoint, const Bytes& payload);
  UsbOutcome give(Endpoint& endpoint, std::span<std::uint8_t> data);
  UsbOutcome strike(const std::vector<Fault>& faults, Endpoint& endpoint, UsbOutcome outcome,
                    std::span<std::uint8_t> data);
};

FaultyFunction::FaultyFunction(std::unique_ptr<UsbFunction> inner)
    : state_(std::make_unique<State>()) {
  CUSP_CHECK(inner != nullptr, "there is a function inside");
  state_->inner = std::move(inner);
  state_->endpoints = endpoints_of(state_->inner->config_descriptor());
  state_->inner->set_wake({});
}
FaultyFunction::~FaultyFunction() = default;

void FaultyFunction::arm(Fault fault) {
  CUSP_CHECK(fault.kind != FaultKind::kDamage || fault.of == Fault::Of::kTransfer ||
                 fault.of == Fault::Of::kRequest,
             "the bus damages transfers and requests");
  CUSP_CHECK((fault.of == Fault::Of::kRequest) == (fault.endpoint == 0), "an endpoint, or none");
  {
    const std::lock_guard lock(state_->mutex);
    state_->armed.push_back({.fault = std::move(fault)});
  }
  const std::lock_guard lock(state_->wake_mutex);
  if (state_->wake) state_->wake();
}

std::uint64_t FaultyFunction::struck() const {
  const std::lock_guard lock(state_->mutex);
  return state_->struck;
}

void FaultyFunction::replace_device_descriptor(std::vector<std::uint8_t> bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->device = std::move(bytes);
}
void FaultyFunction::replace_config_descriptor(std::vector<std::uint8_t> bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->config = std::move(bytes);
}
std::vector<std::uint8_t> FaultyFunction::device_descriptor() const {
  const std::lock_guard lock(state_->mutex);
  return state_->device ? *state_->device : state_->inner->device_descriptor();
}
std::vector<std::uint8_t> FaultyFunction::config_descriptor() const {
  const std::lock_guard lock(state_->mutex);
  return state_->config ? *state_->config : state_->inner->config_descriptor();
}
std::string FaultyFunction::string_descriptor(std::uint8_t index) const {
  return state_->inner->string_descriptor(index);
}
UsbSpeed FaultyFunction::speed() const { return state_->inner->speed(); }

UsbOutcome FaultyFunction::control(const ControlSetup& setup, std::span<std::uint8_t> data) {
  if (state_->frozen) return kNothingYet;
  const auto faults = state_->due(Fault::Of::kRequest, 0, true, &setup);
  if (any_of(faults, FaultKind::kFreeze)) return state_->freeze();
  if (any_of(faults, FaultKind::kDrop)) return kNothingYet;
  if (any_of(faults, FaultKind::kStall)) return kStalled;
  const bool in = (setup.request_type & kInBit) != 0;
  if (!in)
    for (const Fault& fault : faults) garble(fault, data);
  if (any_of(faults, FaultKind::kDouble)) state_->inner->control(setup, data);
  UsbOutcome outcome = state_->inner->control(setup, data);
  if (!in || outcome.kind != Kind::kData) return outcome;
  for (const Fault& fault : faults) {
    if (fault.kind == FaultKind::kShort) outcome.size = std::min(outcome.size, fault.at_byte);
    if (fault.kind == FaultKind::kEmpty) outcome.size = 0;
    if (fault.kind == FaultKind::kBabble) outcome.size = data.size() + fault.bytes.size();
    if (fault.kind == FaultKind::kDamage)
      outcome = {Kind::kDamaged, std::min(outcome.size, fault.at_byte)};
    garble(fault, data.first(std::min(outcome.size, data.size())));
  }
  return outcome;
}

UsbOutcome FaultyFunction::in(std::uint8_t address, std::span<std::uint8_t> data) {
  if (state_->frozen) return kNothingYet;
  const auto found = state_->endpoints.find(address);
  if (found == state_->endpoints.end()) return state_->inner->in(address, data);
  Endpoint& endpoint = found->second;
  if (endpoint.halted) return kStalled;
  while (true) {
    const auto waiting = state_->due(Fault::Of::kTransfer, address, false);
    const bool at_once = any_of(waiting, FaultKind::kFreeze) ||
                         any_of(waiting, FaultKind::kStall) || any_of(waiting, FaultKind::kEmpty);
    UsbOutcome outcome;
    if (!at_once) {
      if (!endpoint.again && !endpoint.zero_length_due && endpoint.payloads.empty())
        if (const auto refusal = state_->pull(address, endpoint, data.size())) return *refusal;
      outcome = state_->give(endpoint, data);
    }
    const auto faults = state_->due(Fault::Of::kTransfer, address, true);
    if (any_of(faults, FaultKind::kFreeze)) return state_->freeze();
    if (any_of(faults, FaultKind::kStall)) return state_->halt(endpoint);
    if (at_once) return {Kind::kData, 0};
    if (any_of(faults, FaultKind::kDrop)) continue;
    return state_->strike(faults, endpoint, outcome, data);
  }
}

// Brings at least one payload from the function inside, with the faults of payloads and frames.
// Answers what the host sees instead when there is none.
std::optional<UsbOutcome> FaultyFunction::State::pull(std::uint8_t address, Endpoint& endpoint,
                                                      std::size_t asked) {
  if (!scratch) scratch.reset(new std::uint8_t[kScratchBytes]);
  while (endpoint.payloads.empty()) {
    const std::span room(scratch.get(),
                         endpoint.bulk ? kScratchBytes : std::min(asked, kScratchBytes));
    const UsbOutcome outcome = inner->in(address, room);
    if (outcome.kind == Kind::kStall) return halt(endpoint);
    if (outcome.kind != Kind::kData) return outcome;
    Bytes payload(room.begin(),
                  room.begin() + static_cast<std::ptrdiff_t>(std::min(outcome.size, room.size())));
    payload.resize(outcome.size);

    const bool ends_frame =
        payload.size() >= kMinHeaderBytes && (payload[kPayloadFlagsAt] & kEndOfFrameFlag) != 0;
    std::vector<Fault> faults = note_frame(address, endpoint, payload);
    const bool frame_twice = any_of(faults, FaultKind::kDouble);
    const auto of_payload = due(Fault::Of::kPayload, address, true);
    faults.insert(faults.end(), of_payload.begin(), of_payload.end());

    if (any_of(faults, FaultKind::kFreeze)) return freeze();
    if (any_of(faults, FaultKind::kStall)) return halt(endpoint);
    for (const Fault& fault : faults) {
      if (fault.kind == FaultKind::kShort) payload.resize(std::min(payload.size(), fault.at_byte));
      if (fault.kind == FaultKind::kBabble)
        payload.insert(payload.end(), fault.bytes.begin(), fault.bytes.end());
      garble(fault, payload);
    }
    if (any_of(faults, FaultKind::kDrop)) continue;
    if (any_of(faults, FaultKind::kEmpty)) endpoint.payloads.emplace_back();
    if (any_of(of_payload, FaultKind::kDouble)) endpoint.payloads.push_back(payload);
    if (frame_twice) endpoint.frame.push_back(payload);
    endpoint.payloads.push_back(std::move(payload));
    if (frame_twice && ends_frame)
      for (Bytes& each : endpoint.frame) endpoint.payloads.push_back(std::move(each));
    if (ends_frame) endpoint.frame.clear();
  }
  return std::nullopt;
}

// A frame begins where the frame id changes; its faults hold for each of its payloads.
std::vector<Fault> FaultyFunction::State::note_frame(std::uint8_t address, Endpoint& endpoint,
                                                     const Bytes& payload) {
  if (payload.size() < kMinHeaderBytes) return {};
  const bool frame_id = (payload[kPayloadFlagsAt] & kFrameIdFlag) != 0;
  if (frame_id != endpoint.frame_id) {
    endpoint.frame_id = frame_id;
    endpoint.frame.clear();
    endpoint.frame_faults = due(Fault::Of::kFrame, address, true);
  }
  return endpoint.frame_faults;
}

// One transfer or packet of what waits. A payload that fills its last transfer is ended by one
// without bytes.
UsbOutcome FaultyFunction::State::give(Endpoint& endpoint, std::span<std::uint8_t> data) {
  if (endpoint.again) {
    const Bytes again = std::move(*endpoint.again);
    endpoint.again.reset();
    std::copy_n(again.begin(), std::min(again.size(), data.size()), data.begin());
    return {Kind::kData, again.size()};
  }
  if (endpoint.zero_length_due) {
    endpoint.zero_length_due = false;
    return {Kind::kData, 0};
  }
  const Bytes& payload = endpoint.payloads.front();
  const std::size_t left = payload.size() - endpoint.given;
  const std::size_t size = std::min(left, data.size());
  std::copy_n(payload.begin() + static_cast<std::ptrdiff_t>(endpoint.given), size, data.begin());
  if (endpoint.bulk && size < left) {
    endpoint.given += size;
    return {Kind::kData, size};
  }
  endpoint.zero_length_due = endpoint.bulk && size == data.size();
  endpoint.payloads.pop_front();
  endpoint.given = 0;
  return {Kind::kData, left};  // of a packet that is longer than was asked: babble
}

UsbOutcome FaultyFunction::State::strike(const std::vector<Fault>& faults, Endpoint& endpoint,
                                         UsbOutcome outcome, std::span<std::uint8_t> data) {
  // What the host does not get of this payload is lost.
  const auto lose_rest = [&] {
    if (endpoint.given > 0) endpoint.payloads.pop_front();
    endpoint.given = 0;
    endpoint.zero_length_due = false;
  };
  for (const Fault& fault : faults) {
    const auto bytes = data.first(std::min(outcome.size, data.size()));
    switch (fault.kind) {
      case FaultKind::kShort:
        outcome.size = std::min(outcome.size, fault.at_byte);
        lose_rest();
        break;
      case FaultKind::kBabble:
        outcome.size = data.size() + fault.bytes.size();
        lose_rest();
        break;
      case FaultKind::kDamage:
        outcome = {Kind::kDamaged, std::min(outcome.size, fault.at_byte)};
        break;
      case FaultKind::kDouble:
        endpoint.again.emplace(bytes.begin(), bytes.end());
        break;
      default:
        garble(fault, bytes);
        break;
    }
  }
  return outcome;
}

void FaultyFunction::set_alternate(int interface_number, int alternate) {
  if (state_->frozen) return;
  for (auto& [address, endpoint] : state_->endpoints)
    if (endpoint.interface == interface_number) endpoint.forget();
  state_->inner->set_alternate(interface_number, alternate);
}

void FaultyFunction::clear_halt(std::uint8_t address) {
  if (state_->frozen) return;
  const auto found = state_->endpoints.find(address);
  if (found != state_->endpoints.end()) {
    found->second.halted = false;
    found->second.forget();
  }
  state_->inner->clear_halt(address);
}

void FaultyFunction::reset() {
  if (state_->frozen) return;
  for (auto& [address, endpoint] : state_->endpoints) {
    endpoint.halted = false;
    endpoint.forget();
  }
  state_->inner->reset();
}

void FaultyFunction::set_wake(std::function<void()> wake) {
  if (wake) {  // plugged in
    state_->frozen = false;
    for (auto& [address, endpoint] : state_->endpoints) {
      endpoint.halted = false;
      endpoint.forget();
    }
  }
  {
    const std::lock_guard lock(state_->wake_mutex);
    state_->wake = wake;
  }
  state_->inner->set_wake(std::move(wake));
}

}  // namespace cusp
