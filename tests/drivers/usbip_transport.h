// A UsbTransport over the USB/IP host of the tests: an unmodified driver at one end of the wire, a
// double at the other, and no kernel between them. One thread.
#pragma once

#include <map>

#include "drivers/driver.h"
#include "drivers/emulation/standard_requests.h"
#include "tests/drivers/usbip_host.h"

namespace cusp {

class UsbipTransport final : public UsbTransport {
 public:
  UsbipTransport(std::uint16_t port, const std::string& bus_id) : host_(port) {
    EXPECT_EQ(host_.import_device(bus_id), 0U);
    device_ = descriptor(1, 18);
    config_ = descriptor(2, 0xFFFF);
  }

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }
  UsbSpeed speed() const override {
    return be32(host_.device, 296) == 3 ? UsbSpeed::kHigh : UsbSpeed::kSuper;
  }
  std::string location() const override { return "1-1"; }
  Result<void> claim_interface(int) override { return {}; }

  Result<std::string> string_descriptor(std::uint8_t index) override {
    Bytes bytes(255);
    CUSP_ASSIGN(const std::size_t size, control_in(get_string_request(index), bytes, {}));
    std::string text;
    for (std::size_t i = 2; i + 1 < size; i += 2) text += static_cast<char>(bytes[i]);
    return text;
  }
  Result<void> set_alternate(int interface_number, int alternate) override {
    return control_out(set_interface_request(interface_number, alternate), {}, {});
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    return control_out(clear_halt_request(endpoint), {}, {});
  }
  Result<void> reset() override { return control_out({0x00, 0x09, 1, 0}, {}, {}); }

  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds) override {
    const auto size = static_cast<std::uint32_t>(data.size());
    const UsbipReply reply = answer_to(
        host_.submit({.direction = 1, .length = size, .setup = encode(setup, data.size())}));
    if (reply.status != 0) return error(ErrorCode::kProtocol, "status {}", reply.status);
    std::copy(reply.data.begin(), reply.data.end(), data.begin());
    return reply.data.size();
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds) override {
    const UsbipReply reply =
        answer_to(host_.submit({.direction = 0,
                                .length = static_cast<std::uint32_t>(data.size()),
                                .setup = encode(setup, data.size()),
                                .data = {data.begin(), data.end()}}));
    if (reply.status != 0) return error(ErrorCode::kProtocol, "status {}", reply.status);
    return {};
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    std::map<std::uint32_t, const StreamOptions*> queued;
    for (const StreamOptions& endpoint : endpoints)
      for (int i = 0; i < endpoint.transfer_count; ++i) queued[submit(endpoint)] = &endpoint;
    Result<void> result;
    for (bool goes_on = true; goes_on && !stop.stop_requested();) {
      const UsbipReply reply = next_answer();
      const auto found = queued.find(reply.sequence);
      if (reply.command != 3 || found == queued.end()) {
        result = error(ErrorCode::kDisconnected, "the server closed");
        break;
      }
      const StreamOptions& endpoint = *found->second;
      queued.erase(found);
      if (reply.status != 0) {
        result = error(ErrorCode::kProtocol, "status {}", reply.status);
        break;
      }
      goes_on = give(endpoint, reply, on_chunk);
      if (goes_on) queued[submit(endpoint)] = &endpoint;
    }
    for (const auto& [sequence, endpoint] : queued) answer_to(host_.unlink(sequence));
    early_.clear();  // transfers that ended before they could be taken back
    return result;
  }

 private:
  static std::array<std::uint8_t, 8> encode(const ControlSetup& setup, std::size_t length) {
    const auto low = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
    return {setup.request_type, setup.request,         low(setup.value), low(setup.value >> 8),
            low(setup.index),   low(setup.index >> 8), low(length),      low(length >> 8)};
  }

  Bytes descriptor(std::uint8_t type, std::size_t size) {
    Bytes bytes(size);
    const auto got = control_in({0x80, 0x06, static_cast<std::uint16_t>(type << 8), 0}, bytes, {});
    EXPECT_TRUE(got);
    bytes.resize(got ? *got : 0);
    return bytes;
  }

  std::uint32_t submit(const StreamOptions& endpoint) {
    UsbipSubmit transfer{.endpoint = endpoint.endpoint & 0x0FU,
                         .length = static_cast<std::uint32_t>(endpoint.transfer_size_bytes)};
    if (endpoint.type == TransferType::kIsochronous) {
      const auto room = static_cast<std::uint32_t>(endpoint.packet_bytes);
      transfer.packets = static_cast<std::uint32_t>(endpoint.packets_per_transfer);
      transfer.length = transfer.packets * room;
      for (std::uint32_t i = 0; i < transfer.packets; ++i) transfer.iso.push_back({i * room, room});
    }
    return host_.submit(std::move(transfer));
  }

  static bool give(const StreamOptions& endpoint, const UsbipReply& reply,
                   const std::function<bool(const StreamChunk&)>& on_chunk) {
    const auto now = std::chrono::steady_clock::now();
    const auto size = static_cast<std::size_t>(endpoint.transfer_size_bytes);
    if (endpoint.type != TransferType::kIsochronous)
      return on_chunk({.endpoint = endpoint.endpoint,
                       .bytes = reply.data,
                       .ends_payload = reply.data.size() < size,
                       .arrival = now});
    std::size_t at = 0;
    for (const IsoRoom& packet : reply.iso) {
      if (!on_chunk({.endpoint = endpoint.endpoint,
                     .bytes = std::span(reply.data).subspan(at, packet.actual),
                     .ends_payload = true,
                     .damaged = packet.status != 0,
                     .arrival = now}))
        return false;
      at += packet.actual;
    }
    return true;
  }

  // Of this one; what comes before it waits in `early_`.
  UsbipReply answer_to(std::uint32_t sequence) {
    while (true) {
      UsbipReply reply = host_.reply();
      if (reply.sequence == sequence || reply.command == 0) return reply;
      early_.push_back(std::move(reply));
    }
  }
  UsbipReply next_answer() {
    if (early_.empty()) return host_.reply();
    UsbipReply reply = std::move(early_.front());
    early_.pop_front();
    return reply;
  }

  UsbipHost host_;
  Bytes device_, config_;
  std::deque<UsbipReply> early_;
};

}  // namespace cusp
