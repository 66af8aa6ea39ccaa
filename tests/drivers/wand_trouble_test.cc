// What the driver does with a wand that does not answer, stops without a word, or sends what nobody
// can use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "drivers/emulation/faulty_function.h"
#include "tests/drivers/passing_transport.h"
#include "tests/drivers/wand_fixture.h"

namespace cusp::wand {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint8_t kVideoEndpoint = 0x81;
constexpr std::size_t kMetadataAt = 12;  // in a payload, behind the standard header

Control asked_control(const ControlSetup& setup) { return static_cast<Control>(setup.value >> 8); }
bool asks(const ControlSetup& setup, Control control) {
  return setup.request == uvc::kGetCur && setup.index >> 8 != 0 && asked_control(setup) == control;
}

// Remembers what was asked, and how long an answer was waited for. Six seconds pass between any two
// chunks.
class WatchedTransport final : public PassingTransport {
 public:
  struct Seen {
    std::map<Control, int> asked;
    std::map<Control, milliseconds> patience;
    std::atomic<int> bus_errors{0};  // that the next streams end with
    std::function<void()> on_stream{};
  };
  WatchedTransport(std::unique_ptr<UsbTransport> inner, Seen& seen)
      : PassingTransport(std::move(inner)), seen_(seen) {}

  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 milliseconds timeout) override {
    ++seen_.asked[asked_control(setup)];
    seen_.patience[asked_control(setup)] = timeout;
    return PassingTransport::control_in(setup, data, timeout);
  }
  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    if (seen_.on_stream) seen_.on_stream();
    const auto late = [&](StreamChunk chunk) {
      chunk.arrival += std::chrono::seconds(6) * chunks_++;
      return on_chunk(chunk) && seen_.bus_errors == 0;
    };
    const auto streamed =
        seen_.bus_errors > 0 ? Result<void>() : PassingTransport::stream(endpoints, stop, late);
    if (seen_.bus_errors == 0 || stop.stop_requested()) return streamed;
    --seen_.bus_errors;
    return error(ErrorCode::kIo, "the bus reported an error");
  }

 private:
  Seen& seen_;
  int chunks_ = 0;
};

struct TroubledWand {
  explicit TroubledWand(EmulatorOptions options = small_wand())
      : emulator(make_emulator(std::move(options), paint)), faulty(std::move(emulator.function)) {}

  void open() {
    auto opened =
        driver().open(std::make_unique<WatchedTransport>(make_in_process_transport(faulty), seen));
    ASSERT_TRUE(opened) << opened.error().message;
    device = std::move(opened).value();
    ASSERT_TRUE(device->configure(kSmallMode));
  }
  void never_answers(Control control) {
    faulty.arm({.of = Fault::Of::kRequest,
                .kind = FaultKind::kDrop,
                .count = Fault::kForEver,
                .request = [control](const ControlSetup& setup) { return asks(setup, control); }});
  }

  Emulator emulator;
  FaultyFunction faulty;
  WatchedTransport::Seen seen;
  std::unique_ptr<Device> device;
};

TEST(WandTrouble, HealthIsReadWhileItCaptures) {
  TroubledWand wand;
  wand.open();
  const int before = wand.seen.asked[Control::kStatus];
  ASSERT_EQ(capture(*wand.device, 20).pictures.size(), 20u);
  EXPECT_GE(wand.seen.asked[Control::kStatus], before + 10);
  EXPECT_LE(wand.seen.patience[Control::kStatus], milliseconds(200));
  EXPECT_LE(wand.seen.patience[Control::kTip], milliseconds(200));
}

TEST(WandTrouble, QuestionThatItDoesNotAnswerIsNotAskedAgainInACapture) {
  for (const Control control : {Control::kTip, Control::kStatus}) {
    TroubledWand wand;
    wand.never_answers(control);
    wand.open();
    wand.seen.asked.clear();
    const Captured captured = capture(*wand.device, 20);
    EXPECT_TRUE(captured.result.ok()) << captured.result.error().message;
    EXPECT_EQ(captured.pictures.size(), 20u);
    // STATUS is asked before the capture, too: whether the wand can begin.
    EXPECT_EQ(wand.seen.asked[control], control == Control::kStatus ? 2 : 1);
    const Control other = control == Control::kTip ? Control::kStatus : Control::kTip;
    EXPECT_GE(wand.seen.asked[other], 5) << "the other one answers";
  }
}

TEST(WandTrouble, FramesThatNobodyCanUseEndTheCaptureWithTheReason) {
  TroubledWand wand;
  wand.open();
  wand.faulty.arm({.of = Fault::Of::kPayload,
                   .kind = FaultKind::kOverwrite,
                   .endpoint = kVideoEndpoint,
                   .count = Fault::kForEver,
                   .at_byte = kMetadataAt + 8,  // the major version
                   .bytes = {2}});
  const Captured captured = capture(*wand.device, 1);
  EXPECT_TRUE(captured.pictures.empty());
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().code, ErrorCode::kProtocol);
  EXPECT_EQ(captured.result.error().message,
            "device wand-0001: 30 frames in a row can't be used: wand frame metadata: version 2.0");
  EXPECT_TRUE(wand.emulator.wand->in_standby());
}

TEST(WandTrouble, WandThatStopsWithoutAWordIsAskedWhyBeforeAnythingIsDoneToIt) {
  auto options = small_wand();
  options.tells_of_stop = false;
  TroubledWand wand(options);
  wand.open();
  Captured captured;
  {
    BoundedQueue<RawFrame> queue(4, WhenFull::kDropOldest);
    std::jthread thread([&](const std::stop_token& stop) {
      captured.result = wand.device->capture(queue, stop);
      queue.close();
    });
    ASSERT_TRUE(queue.pop());
    wand.emulator.wand->set_tip({});
    while (queue.pop()) {
    }
  }
  ASSERT_FALSE(captured.result.ok());
  EXPECT_EQ(captured.result.error().message, "device wand-0001: no tip is attached; put one on");
  EXPECT_EQ(wand.device->counts().restarts, 0u);
}

// Stands by until `done`; it has to come true within a time that only a fault needs.
Result<void> stand_by_until(Device& device, const std::function<bool()>& done) {
  Result<void> result;
  std::jthread thread([&](const std::stop_token& stop) { result = device.standby(stop); });
  for (int i = 0; i < 4000 && !done(); ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_TRUE(done());
  thread.request_stop();
  thread.join();
  return result;
}

bool misses_its_tip(const Device& device) {
  const auto problems = device.health().problems;
  return std::any_of(problems.begin(), problems.end(), [](const std::string& problem) {
    return problem.find("no tip is attached") != std::string::npos;
  });
}

TEST(WandTrouble, TipThatIsPutOnInStandbyIsSeen) {
  TroubledWand wand;
  wand.open();
  wand.emulator.wand->set_tip({});
  EXPECT_TRUE(stand_by_until(*wand.device, [&] { return misses_its_tip(*wand.device); }));
  wand.seen.on_stream = [&] {  // standby was entered, and health read, without it
    wand.emulator.wand->set_tip({.present = true, .id = "T-2"});
  };
  EXPECT_TRUE(stand_by_until(*wand.device, [&] { return !misses_its_tip(*wand.device); }));
  EXPECT_EQ(wand.device->health().tip_id, "T-2");
}

TEST(WandTrouble, TipThatIsPutOnAtTheEndOfStandbyIsSeen) {
  TroubledWand wand;
  wand.open();
  wand.emulator.wand->set_tip({});
  std::stop_source stop;
  wand.seen.on_stream = [&] {
    EXPECT_TRUE(misses_its_tip(*wand.device));
    wand.emulator.wand->set_tip({.present = true, .id = "T-2"});
    stop.request_stop();
  };
  EXPECT_TRUE(wand.device->standby(stop.get_token()));
  EXPECT_FALSE(misses_its_tip(*wand.device));
}

TEST(WandTrouble, OnTheBusInStandbyIsForgottenWithEachPacket) {
  TroubledWand wand;
  wand.open();
  std::atomic<int> presses{0};
  wand.device->on_button([&](ButtonPress) {
    if (++presses < 3) wand.seen.bus_errors = 3;
  });
  wand.seen.on_stream = [&] {
    if (wand.seen.bus_errors == 0 && presses < 3)
      wand.emulator.wand->press_button(ButtonPress::kShort);
  };
  const auto ended = stand_by_until(*wand.device, [&] { return presses == 3; });
  EXPECT_TRUE(ended.ok()) << ended.error().message;
}

TEST(WandTrouble, OnTheBusInStandbyThatDoesNotEndIsAnError) {
  TroubledWand wand;
  wand.open();
  wand.seen.bus_errors = 1000;
  const auto ended = wand.device->standby({});
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace cusp::wand
