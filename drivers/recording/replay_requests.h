// ReplayRequests: the answers that a capture holds to a driver's control requests
// (replay_transport.h tells the rules). Threads: one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "drivers/recording/capture.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::recording {

class ReplayRequests {
 public:
  // The opening must outlive it; `name` is the recording in sentences.
  ReplayRequests(const CapturedOpening& opening, std::string name);

  Result<std::size_t> in(const ControlSetup& setup, std::span<std::uint8_t> data);
  Result<void> out(const ControlSetup& setup, std::span<const std::uint8_t> data);
  // A standard request that changes nothing here: what was captured, else ok.
  Result<void> standard(const ControlSetup& setup);

 private:
  template <typename Fits>
  const CapturedRequest* find(Fits fits);
  Result<std::size_t> answer(const CapturedRequest& request, std::span<std::uint8_t> data) const;
  [[nodiscard]] Result<void> outcome(const CapturedRequest& request) const;
  [[nodiscard]] bool is_stream_control(const ControlSetup& setup) const;
  [[nodiscard]] bool is_camera_setting(const ControlSetup& setup) const;
  [[nodiscard]] Error not_captured(const ControlSetup& setup,
                                   std::span<const std::uint8_t> data) const;

  const CapturedOpening& opening_;
  const std::string name_;
  std::vector<uvc::VideoFunction> functions_;  // empty: no UVC device
  std::size_t next_ = 0;                       // behind the request that was answered last
  Bytes probe_;                                // that the driver wishes for and was not captured
};

}  // namespace cusp::recording
