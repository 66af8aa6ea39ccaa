// FaultyFunction: a UsbFunction around another whose cable goes wrong as scripted. It knows no
// device family, only transfers, payloads (what one short transfer ends; of an isochronous or
// interrupt endpoint: a packet), frames (payloads with one frame id) and requests.
//
// Counting begins when a fault is armed: `at` 0 is the next transfer, payload, frame that begins,
// or request. Threads: as UsbFunction; arm() and struck() from any. Errors: none; the host sees
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "drivers/emulation/usb_function.h"

namespace cusp {

enum class FaultKind : std::uint8_t {
  kStall,      // refused; an endpoint stays halted until it is cleared, the payload is lost
  kShort,      // ends after `at_byte` bytes; the rest is lost
  kBabble,     // `bytes` follow that nobody asked for; of a transfer: the host sees an overflow
  kDamage,     // garbled on the bus after `at_byte` bytes (transfers and requests)
  kOverwrite,  // `bytes` stand at `at_byte` instead of what was sent
  kFlip,       // the bits of `bytes` are flipped from `at_byte` on
  kDrop,       // vanishes without a trace; of a request: it is never answered
  kDouble,     // comes twice
  kEmpty,      // a transfer of no bytes comes first; nothing is lost
  kFreeze,     // the device answers nothing any more until it is plugged in again
};

struct Fault {
  enum class Of : std::uint8_t { kTransfer, kPayload, kFrame, kRequest };
  static constexpr std::uint64_t kForEver = ~std::uint64_t{0};

  Of of = Of::kTransfer;
  FaultKind kind = FaultKind::kStall;
  std::uint8_t endpoint = 0;  // not of a request
  std::uint64_t at = 0;       // the n-th
  std::uint64_t count = 1;    // and so many in a row
  std::size_t at_byte = 0;    // of a payload: its header is at 0, with the flags at 1
  std::vector<std::uint8_t> bytes{};
  std::function<bool(const ControlSetup&)> request{};  // which requests count; empty: all
};

// The flags of a payload header (UVC 1.5 section 2.4.3.3), for kFlip at byte 1.
inline constexpr std::size_t kPayloadFlagsAt = 1;
inline constexpr std::uint8_t kFrameIdFlag = 0x01, kEndOfFrameFlag = 0x02, kErrorFlag = 0x40;

class FaultyFunction final : public UsbFunction {
 public:
  explicit FaultyFunction(std::unique_ptr<UsbFunction> inner);
  ~FaultyFunction() override;

  void arm(Fault fault);
  // How often a fault has acted: a test that saw nothing wrong asks whether there was anything.
  [[nodiscard]] std::uint64_t struck() const;
  // What the host reads instead, from the next plugging in on.
  void replace_device_descriptor(std::vector<std::uint8_t> bytes);
  void replace_config_descriptor(std::vector<std::uint8_t> bytes);

  [[nodiscard]] std::vector<std::uint8_t> device_descriptor() const override;
  [[nodiscard]] std::vector<std::uint8_t> config_descriptor() const override;
  [[nodiscard]] std::string string_descriptor(std::uint8_t index) const override;
  [[nodiscard]] UsbSpeed speed() const override;
  UsbOutcome control(const ControlSetup& setup, std::span<std::uint8_t> data) override;
  UsbOutcome in(std::uint8_t endpoint, std::span<std::uint8_t> data) override;
  void set_alternate(int interface_number, int alternate) override;
  void clear_halt(std::uint8_t endpoint) override;
  void reset() override;
  void set_wake(std::function<void()> wake) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cusp
