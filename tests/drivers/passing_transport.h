// A cable that passes everything on; a test overrides what is to go wrong.
#pragma once

#include <memory>
#include <utility>

#include "drivers/driver.h"

namespace cusp {

class PassingTransport : public UsbTransport {
 public:
  explicit PassingTransport(std::unique_ptr<UsbTransport> inner) : inner_(std::move(inner)) {}

  std::span<const std::uint8_t> device_descriptor() const override {
    return inner_->device_descriptor();
  }
  std::span<const std::uint8_t> config_descriptor() const override {
    return inner_->config_descriptor();
  }
  Result<std::string> string_descriptor(std::uint8_t index) override {
    return inner_->string_descriptor(index);
  }
  UsbSpeed speed() const override { return inner_->speed(); }
  std::string location() const override { return inner_->location(); }
  Result<void> claim_interface(int number) override { return inner_->claim_interface(number); }
  Result<void> set_alternate(int interface_number, int alternate) override {
    return inner_->set_alternate(interface_number, alternate);
  }
  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds timeout) override {
    return inner_->control_in(setup, data, timeout);
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds timeout) override {
    return inner_->control_out(setup, data, timeout);
  }
  Result<void> clear_halt(std::uint8_t endpoint) override { return inner_->clear_halt(endpoint); }
  Result<void> reset() override { return inner_->reset(); }
  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    return inner_->stream(endpoints, std::move(stop), on_chunk);
  }

 private:
  const std::unique_ptr<UsbTransport> inner_;
};

}  // namespace cusp
