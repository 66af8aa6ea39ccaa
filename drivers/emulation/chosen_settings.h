// Which endpoints a host may use just now: those of the alternate settings that it has chosen.
//
// Threads: a value. Errors: none: an endpoint that is not there is null.
#pragma once

#include <map>

#include "drivers/emulation/endpoint_list.h"

namespace cusp {

class ChosenSettings {
 public:
  explicit ChosenSettings(std::span<const std::uint8_t> config_descriptor)
      : list_(list_endpoints(config_descriptor)) {}

  void choose(int interface_number, int alternate) { alternates_[interface_number] = alternate; }
  void forget() { alternates_.clear(); }  // all are at 0

  [[nodiscard]] const ListedEndpoint* find(std::uint8_t address) const {
    for (const ListedEndpoint& endpoint : list_.endpoints) {
      const auto chosen = alternates_.find(endpoint.interface_number);
      const int alternate = chosen == alternates_.end() ? 0 : chosen->second;
      if (endpoint.address == address && endpoint.alternate == alternate) return &endpoint;
    }
    return nullptr;
  }
  [[nodiscard]] const EndpointList& all() const { return list_; }

 private:
  EndpointList list_;
  std::map<int, int> alternates_;
};

}  // namespace cusp
