#include "drivers/recording/replay_requests.h"

#include <algorithm>

#include "drivers/bytes.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::recording {
namespace {

// bFormatIndex, bFrameIndex and dwFrameInterval of a probe and commit block (UVC 1.5 table 4-75).
constexpr std::size_t kChoiceAt = 2, kChoiceBytes = 6;

bool same_setup(const ControlSetup& a, const ControlSetup& b) {
  return a.request_type == b.request_type && a.request == b.request && a.value == b.value &&
         a.index == b.index;
}

bool same_choice(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  constexpr std::size_t kNeeds = kChoiceAt + kChoiceBytes;
  return a.size() >= kNeeds && b.size() >= kNeeds &&
         std::ranges::equal(a.subspan(kChoiceAt, kChoiceBytes), b.subspan(kChoiceAt, kChoiceBytes));
}

std::string choice_text(std::span<const std::uint8_t> block) {
  if (block.size() < kChoiceAt + kChoiceBytes) return "none";
  const auto interval = read_le<std::uint32_t>(block, kChoiceAt + 2);
  return fmt::format("format {} frame {} at {:.4g} Hz", block[kChoiceAt], block[kChoiceAt + 1],
                     interval == 0 ? 0.0 : 1e7 / interval);
}

// Requests that a device may refuse without harm: a driver that is told so goes on.
bool is_optional(const ControlSetup& setup) {
  return setup.request_type == uvc::kFromInterface && setup.request != uvc::kGetCur;
}

}  // namespace

ReplayRequests::ReplayRequests(const CapturedOpening& opening, std::string name)
    : opening_(opening), name_(std::move(name)) {
  if (auto functions = uvc::parse_video_functions(opening.config_descriptor))
    functions_ = std::move(*functions);
}

// From the last answered one on, else the last before it.
template <typename Fits>
const CapturedRequest* ReplayRequests::find(Fits fits) {
  const auto& requests = opening_.requests;
  const auto begin = requests.begin() + static_cast<std::ptrdiff_t>(next_);
  auto found = std::find_if(begin, requests.end(), fits);
  if (found == requests.end()) {
    const auto earlier = std::find_if(std::make_reverse_iterator(begin), requests.rend(), fits);
    if (earlier == requests.rend()) return nullptr;
    found = std::prev(earlier.base());
  }
  next_ = static_cast<std::size_t>(found - requests.begin()) + 1;
  return &*found;
}

Result<void> ReplayRequests::outcome(const CapturedRequest& request) const {
  if (request.problem) return *request.problem;
  const std::string what = fmt::format("{}: packet {}", name_, request.number);
  if (request.status != 0 && request.status != kStatusShort) return error_of(request.status, what);
  if (request.truncated)
    return error(ErrorCode::kCorrupt,
                 "{}: the capture kept only a part of it: capture without a limit of the packets' "
                 "size (tcpdump -s 0)",
                 what);
  return {};
}

Result<std::size_t> ReplayRequests::answer(const CapturedRequest& request,
                                           std::span<std::uint8_t> data) const {
  CUSP_TRY(outcome(request));
  const std::size_t size = std::min(data.size(), request.data.size());
  std::copy_n(request.data.begin(), size, data.begin());
  return size;
}

bool ReplayRequests::is_stream_control(const ControlSetup& setup) const {
  const int selector = setup.value >> 8;
  if (selector != uvc::kProbeSelector && selector != uvc::kCommitSelector) return false;
  return std::ranges::any_of(functions_, [&](const uvc::VideoFunction& function) {
    return std::ranges::any_of(function.streams, [&](const uvc::StreamingInterface& stream) {
      return stream.number == setup.index;
    });
  });
}

bool ReplayRequests::is_camera_setting(const ControlSetup& setup) const {
  if (setup.request_type != uvc::kToInterface || setup.request != uvc::kSetCur) return false;
  const int entity = setup.index >> 8, interface = setup.index & 0xFF;
  return std::ranges::any_of(functions_, [&](const uvc::VideoFunction& function) {
    const auto is_it = [&](const auto& unit) { return unit.id == entity; };
    return function.control_interface == interface &&
           (std::ranges::any_of(function.cameras, is_it) ||
            std::ranges::any_of(function.processing_units, is_it));
  });
}

Error ReplayRequests::not_captured(const ControlSetup& setup,
                                   std::span<const std::uint8_t> data) const {
  std::string begin;
  for (std::size_t i = 0; i < std::min<std::size_t>(data.size(), 8); ++i)
    begin += fmt::format("{}{:02x}", i == 0 ? " with data " : " ", data[i]);
  const std::uint64_t after =
      next_ == 0 ? opening_.first_packet : opening_.requests[next_ - 1].number;
  return error(is_optional(setup) ? ErrorCode::kProtocol : ErrorCode::kNotFound,
               "{}: after packet {}: the request {:#04x} {:#04x} value {:#06x} index {:#06x}{} was "
               "not captured",
               name_, after, setup.request_type, setup.request, setup.value, setup.index, begin);
}

Result<std::size_t> ReplayRequests::in(const ControlSetup& setup, std::span<std::uint8_t> data) {
  const bool wanted_probe =
      !probe_.empty() && is_stream_control(setup) && setup.request == uvc::kGetCur;
  // An answer that was cut to what was asked then says nothing about the bytes behind.
  const auto fits = [&](const CapturedRequest& one) {
    const bool cut =
        one.status == 0 && one.data.size() < data.size() && one.data.size() == one.asked_bytes;
    return same_setup(one.setup, setup) && !cut &&
           (!wanted_probe || (one.status == 0 && same_choice(one.data, probe_)));
  };
  if (const CapturedRequest* const found = find(fits)) return answer(*found, data);
  if (wanted_probe) {
    std::string known;
    for (const CapturedRequest& one : opening_.requests)
      if (same_setup(one.setup, setup) && one.status == 0) {
        const std::string text = choice_text(one.data);
        if (known.find(text) == std::string::npos) known += (known.empty() ? "" : ", ") + text;
      }
    return error(ErrorCode::kNotFound, "{}: {} was not captured; there is {}", name_,
                 choice_text(probe_), known.empty() ? "no stream" : known);
  }
  return not_captured(setup, {});
}

Result<void> ReplayRequests::out(const ControlSetup& setup, std::span<const std::uint8_t> data) {
  const bool stream_control = is_stream_control(setup) && setup.request == uvc::kSetCur;
  if (stream_control) probe_.clear();
  const auto same = [&](const CapturedRequest& one) {
    return same_setup(one.setup, setup) && std::ranges::equal(one.data, data);
  };
  if (const CapturedRequest* const found = find(same)) return outcome(*found);
  if (stream_control && setup.value >> 8 == uvc::kProbeSelector) {
    probe_.assign(data.begin(), data.end());  // GET_CUR answers it, or says what there is
    return {};
  }
  if (stream_control) {
    const auto alike = [&](const CapturedRequest& one) {
      return same_setup(one.setup, setup) && same_choice(one.data, data);
    };
    if (const CapturedRequest* const found = find(alike)) return outcome(*found);
  }
  if (is_camera_setting(setup)) return {};
  return not_captured(setup, data);
}

Result<void> ReplayRequests::standard(const ControlSetup& setup) {
  // Another driver clears and selects at other times; ours does so again at the same ones.
  if (!opening_.by_cusp) return {};
  const auto& requests = opening_.requests;
  const auto found =
      std::find_if(requests.begin() + static_cast<std::ptrdiff_t>(next_), requests.end(),
                   [&](const CapturedRequest& one) { return same_setup(one.setup, setup); });
  if (found == requests.end()) return {};
  next_ = static_cast<std::size_t>(found - requests.begin()) + 1;
  return outcome(*found);
}

}  // namespace cusp::recording
