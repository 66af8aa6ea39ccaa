// A cable whose every answer the test writes, and which remembers what was asked of it.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

class ScriptedTransport final : public UsbTransport {
 public:
  using Bytes = std::vector<std::uint8_t>;
  using OnChunk = std::function<bool(const StreamChunk&)>;
  using Stream = std::function<Result<void>(std::span<const StreamOptions>, const OnChunk&)>;

  static Error stall() { return error(ErrorCode::kProtocol, "refused (stall)"); }
  static Error gone() { return error(ErrorCode::kDisconnected, "the device is gone"); }
  // What GET_CUR and its kin answer; a request without an answer stalls.
  void answer(std::uint8_t request, std::uint8_t selector, std::uint16_t index, Bytes bytes) {
    answers_[{request, selector, index}] = std::move(bytes);
  }
  void fail(std::uint8_t request, std::uint8_t selector, std::uint16_t index, Error why) {
    failures_.insert_or_assign({request, selector, index}, std::move(why));
  }

  // What was written to a selector, in order.
  std::vector<Bytes> written(std::uint8_t selector) const {
    std::vector<Bytes> all;
    for (const auto& [setup, bytes] : writes_)
      if (setup.value == selector << 8) all.push_back(bytes);
    return all;
  }

  std::deque<Stream> streams;    // one a call of stream(); none left: the device is gone
  std::vector<std::string> log;  // all but control requests
  std::function<Result<void>(const ControlSetup&, const Bytes&)> on_write;
  std::function<Result<void>(int, int)> on_alternate;
  Result<void> reset_result;

  std::span<const std::uint8_t> device_descriptor() const override { return {}; }
  std::span<const std::uint8_t> config_descriptor() const override { return {}; }
  Result<std::string> string_descriptor(std::uint8_t) override { return stall(); }
  UsbSpeed speed() const override { return UsbSpeed::kHigh; }
  std::string location() const override { return "0-1"; }
  Result<void> claim_interface(int) override { return {}; }
  Result<void> set_alternate(int interface_number, int alternate) override {
    log.push_back(fmt::format("alternate {}.{}", interface_number, alternate));
    if (on_alternate) return on_alternate(interface_number, alternate);
    return {};
  }
  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds) override {
    const Key asked{setup.request, setup.value >> 8, setup.index};
    if (const auto failure = failures_.find(asked); failure != failures_.end())
      return failure->second;
    const auto found = answers_.find(asked);
    if (found == answers_.end()) return stall();
    const std::size_t size = std::min(data.size(), found->second.size());
    std::copy_n(found->second.begin(), size, data.begin());
    return size;
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds) override {
    const Bytes bytes(data.begin(), data.end());
    if (const auto failure = failures_.find({setup.request, setup.value >> 8, setup.index});
        failure != failures_.end())
      return failure->second;
    if (on_write) CUSP_TRY(on_write(setup, bytes));
    writes_.emplace_back(setup, bytes);
    return {};
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    log.push_back(fmt::format("clear {:#04x}", endpoint));
    return {};
  }
  Result<void> reset() override {
    log.emplace_back("reset");
    return reset_result;
  }
  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token,
                      const OnChunk& on_chunk) override {
    log.emplace_back("stream");
    if (streams.empty()) return gone();
    const Stream next = std::move(streams.front());
    streams.pop_front();
    return next(endpoints, on_chunk);
  }

 private:
  using Key = std::tuple<int, int, int>;  // request, selector, index
  std::map<Key, Bytes> answers_;
  std::map<Key, Error> failures_;
  std::vector<std::pair<ControlSetup, Bytes>> writes_;
};

}  // namespace cusp
