// What happens inside the double of a wand: its clock, temperatures, faults, tip, heater, standby,
// and the order of its frames.
//
// Threads: every verb from any.
#pragma once

#include <mutex>
#include <utility>

#include "drivers/wand/emulator.h"

namespace cusp::wand {

inline constexpr std::uint8_t kUnitId = 2;

// What the `n`-th frame after a commit is; its sequence counts from there.
Shot shot_at(std::uint64_t n, int patterns, int colour_every);

class EmulatorState final : public WandControl {
 public:
  explicit EmulatorState(EmulatorOptions options);
  void attach(EmulatorControl* stream) { stream_ = stream; }

  void press_button(ButtonPress press) override;
  void set_faults(std::uint32_t faults, std::string makers_text) override;
  void set_tip(Tip tip) override;
  void corrupt_calibration() override;
  void lose_frames(std::uint64_t frames, std::uint32_t lost) override;
  bool in_standby() const override;
  Heater heater() const override;

  // What the unit's controls answer and take. None, false: stall.
  std::optional<std::vector<std::uint8_t>> get(Control control) const;
  bool set(Control control, std::span<const std::uint8_t> value);

  // The host commits a stream: standby ends, a new sequence begins.
  void commit();
  // The frame that is sent as number `index`; none: the wand has stopped.
  struct Exposure {
    Shot shot;
    FrameMetadata metadata;
  };
  std::optional<Exposure> expose(std::uint64_t index, std::chrono::nanoseconds interval);

 private:
  using Nanoseconds = std::chrono::nanoseconds;
  [[nodiscard]] std::uint64_t taken_at(std::uint64_t index) const;
  void run_clock(std::uint64_t taken, Nanoseconds interval);
  Shot next_shot();
  [[nodiscard]] double projector_c() const;
  [[nodiscard]] double tip_c() const;
  [[nodiscard]] Heater heater_now() const;
  [[nodiscard]] Status status_now() const;
  [[nodiscard]] std::uint32_t faults_now() const;
  [[nodiscard]] std::uint32_t exposure_us() const;
  bool set_percent(std::uint8_t& setting, std::uint8_t value) const;
  bool set_heater(std::span<const std::uint8_t> value);
  bool set_standby(std::uint8_t value);
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> page() const;

  const EmulatorOptions options_;
  EmulatorControl* stream_ = nullptr;

  mutable std::mutex mutex_;
  std::vector<std::uint8_t> calibration_;
  std::uint32_t page_address_ = 0;
  Tip tip_;
  bool tip_is_new_ = true;  // no light since it was attached
  std::uint32_t set_faults_ = 0;
  std::string makers_text_;
  bool fault_told_ = false;  // the frame that tells of a stopping fault was taken
  std::vector<std::pair<std::uint64_t, std::uint32_t>> losses_;  // before which frame, how many
  bool standby_ = true;
  bool ended_ = false;    // the stream, by standby
  bool restart_ = false;  // with the next frame the cycle begins anew
  std::uint8_t projector_percent_ = 100, led_percent_ = 100, last_press_ = 0;
  std::uint32_t exposure_us_ = 0;  // 0: automatic

  // The cycle began with this frame and sequence.
  std::uint64_t cycle_begin_ = 0;
  std::uint32_t first_sequence_ = 0, last_sequence_ = 0;
  // The clock stood at base_time_ when frame base_ was taken, and runs on by interval_ a frame.
  std::uint64_t base_ = 0, taken_ = 0;
  Nanoseconds base_time_{0}, interval_{0}, now_{0};
  std::optional<double> heater_target_c_;
  double tip_then_c_;  // when the heater was set
  Nanoseconds heater_set_{0};
};

}  // namespace cusp::wand
