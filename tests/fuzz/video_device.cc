#include <algorithm>

#include "drivers/bytes.h"
#include "drivers/uvc/controls.h"
#include "drivers/uvc/still_capture.h"
#include "drivers/uvc/video_capture.h"
#include "tests/fuzz/doubles.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

// A camera that answers what the input says: its configuration's length (u16) and bytes, then
// whatever is asked for, in the order of asking. It is gone when the input is used up.
class HostileCamera final : public UsbTransport {
 public:
  explicit HostileCamera(std::span<const std::uint8_t> bytes)
      : input_(bytes), config_(input_.take(input_.word())) {}

  std::span<const std::uint8_t> device_descriptor() const override { return {}; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }
  Result<std::string> string_descriptor(std::uint8_t) override { return std::string(); }
  UsbSpeed speed() const override { return UsbSpeed::kHigh; }
  std::string location() const override { return "0-1"; }
  Result<void> claim_interface(int) override { return {}; }
  Result<void> set_alternate(int, int) override { return outcome(); }
  Result<std::size_t> control_in(const ControlSetup&, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds) override {
    CUSP_TRY(outcome());
    const auto bytes = input_.take(std::min<std::size_t>(input_.byte(), data.size()));
    std::copy(bytes.begin(), bytes.end(), data.begin());
    return bytes.size();
  }
  Result<void> control_out(const ControlSetup&, std::span<const std::uint8_t>,
                           std::chrono::milliseconds) override {
    return outcome();
  }
  Result<void> clear_halt(std::uint8_t) override { return outcome(); }
  Result<void> reset() override { return outcome(); }
  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    while (!input_.empty()) {
      const std::uint8_t flags = input_.byte();
      if (flags == 0xFF) return error(ErrorCode::kTimeout, "no data");
      if (flags == 0xFE) return error(ErrorCode::kProtocol, "stalled");
      now_ += std::chrono::milliseconds(flags & 0x1C);
      const auto bytes = input_.take(input_.byte());
      if (!on_chunk({.endpoint = endpoints[(flags >> 5) % endpoints.size()].endpoint,
                     .bytes = bytes,
                     .ends_payload = (flags & 1) != 0,
                     .damaged = (flags & 2) != 0,
                     .arrival = now_}))
        return {};
    }
    return gone();
  }

 private:
  static Error gone() { return error(ErrorCode::kDisconnected, "the device is gone"); }
  Result<void> outcome() {
    if (input_.empty()) return gone();
    switch (input_.byte()) {
      case 0xF0:
        return error(ErrorCode::kProtocol, "refused");
      case 0xF1:
        return error(ErrorCode::kTimeout, "no answer");
      case 0xF2:
        return error(ErrorCode::kIo, "trouble");
      default:
        return {};
    }
  }

  Input input_;
  const std::span<const std::uint8_t> config_;
  MonoTime now_ = std::chrono::steady_clock::now();
};

void stream(HostileCamera& camera, const uvc::VideoFunction& function,
            const uvc::StreamingInterface& from) {
  const auto modes = uvc::offered_modes(from, [](const auto&) { return true; });
  if (modes.empty()) return;
  const auto& mode = modes.front();
  auto agreed =
      uvc::agree(camera, function, from, mode.format_index, mode.frame_index, mode.interval_100ns);
  if (!agreed) return;
  const auto still = uvc::agree_still(camera, from, *agreed, 1);
  uvc::VideoCapture capture(camera, "camera", {*agreed});
  if (function.status_endpoint != 0) capture.listen(function, [](auto) {});
  static_cast<void>(uvc::take_picture(camera, capture, still ? &still.value() : nullptr, 1, {}));
  std::uint64_t frames = 0;
  const auto ran = capture.run({}, [&](std::size_t, uvc::AssembledFrame&&) {
    ++frames;
    return true;
  });
  CUSP_CHECK(!ran && !ran.error().message.empty(), "a camera that is gone ends the capture");
}

void run(std::span<const std::uint8_t> bytes) {
  HostileCamera camera(bytes);
  const auto functions = uvc::parse_video_functions(camera.config_descriptor());
  if (!functions) return;
  for (const auto& function : *functions) {
    for (const auto& unit : function.extension_units)
      static_cast<void>(
          uvc::get_control(camera, {function.control_interface, unit.id}, 1, uvc::kGetCur, 4));
    for (const auto& from : function.streams) stream(camera, function, from);
  }
}

// A camera that refuses everything but what is asked first, then streams nonsense.
std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const auto& function : doubles()) {
    const Bytes config = function->config_descriptor();
    Bytes seed(2);
    write_le(seed, 0, static_cast<std::uint16_t>(config.size()));
    seed.insert(seed.end(), config.begin(), config.end());
    const auto functions = uvc::parse_video_functions(config);
    if (!functions || functions->empty()) continue;
    const auto& video = functions->front();
    for (std::size_t i = 0; i < video.extension_units.size(); ++i)
      seed.insert(seed.end(), {0, 4, 1, 2, 3, 4});
    const auto& format = video.streams.front().formats.front();
    const auto& frame = format.frames.front();
    Bytes block = uvc::encode(uvc::StreamControl{.format_index = format.index,
                                                 .frame_index = frame.index,
                                                 .interval_100ns = frame.intervals_100ns.front(),
                                                 .max_frame_bytes = 1000,
                                                 .max_payload_bytes = 500},
                              video.uvc_version_bcd);
    seed.push_back(0);     // alternate setting 0
    seed.push_back(0xF0);  // no default block
    seed.push_back(0);     // the wish
    seed.insert(seed.end(), {0, static_cast<std::uint8_t>(block.size())});
    seed.insert(seed.end(), block.begin(), block.end());
    seed.insert(seed.end(), {0, 0, 0});  // commit and start
    for (int i = 0; i < 20; ++i) {
      seed.insert(seed.end(), {5, 12, 2, static_cast<std::uint8_t>(0x82 | (i & 1))});
      seed.insert(seed.end(), 10, 0x11);
    }
    all.push_back(std::move(seed));
  }
  return all;
}

}  // namespace

const Target kVideoDevice{.name = "video_device", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
