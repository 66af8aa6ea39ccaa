// What passed over a recorded cable passes again over the replayed one: requests, chunks, faults.
#include <gmock/gmock.h>

#include <cstdio>
#include <iostream>
#include <thread>

#include "drivers/emulation/in_process_transport.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/recording/recording.h"
#include "tests/drivers/capture_frames.h"
#include "tests/drivers/recording_fixture.h"
#include "tests/drivers/test_scene.h"

namespace cusp::recording {
namespace {

using testing::HasSubstr;

constexpr StreamOptions kBulk{.endpoint = 0x82,
                              .transfer_count = 3,
                              .transfer_size_bytes = 64,
                              .watchdog = milliseconds(500)};

// Records a scripted cable and opens the file.
class Roundtrip : public testing::Test {
 protected:
  std::unique_ptr<UsbTransport> record() {
    auto started = Recording::start(folder_ / "a.pcapng", {.program = "test"});
    EXPECT_TRUE(started.ok());
    recording_ = *started;
    auto script = std::make_unique<ScriptedTransport>();
    script_ = script.get();
    return make_recording_transport(std::move(script), recording_, {2, 5});
  }
  std::unique_ptr<UsbTransport> replay(std::size_t opening = 0) {
    recording_->close();
    const auto capture = Capture::open(folder_ / "a.pcapng");
    EXPECT_TRUE(capture.ok()) << capture.error().message;
    auto transport = make_replay_transport(*capture, opening);
    EXPECT_TRUE(transport.ok()) << transport.error().message;
    return std::move(*transport);
  }
  // Arrivals a few milliseconds apart, as the recorder will have them.
  MonoTime at(int ms) const { return begin_ + milliseconds(ms); }

  const fakes::TempFolder folder_;
  std::shared_ptr<Recording> recording_;
  ScriptedTransport* script_ = nullptr;
  const MonoTime begin_ = std::chrono::steady_clock::now() + milliseconds(100);
};

// Arrivals are the recorded ones, moved by one span.
void expect_same(const std::vector<Chunk>& replayed, const std::vector<Chunk>& recorded) {
  ASSERT_EQ(replayed.size(), recorded.size());
  if (recorded.empty()) return;
  const auto moved = replayed.front().arrival - recorded.front().arrival;
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    Chunk expected = recorded[i];
    expected.arrival += moved;
    EXPECT_EQ(replayed[i], expected) << "chunk " << i;
  }
}

TEST_F(Roundtrip, KeepsWhoTheDeviceIs) {
  auto recorder = record();
  auto transport = replay();
  EXPECT_TRUE(std::ranges::equal(transport->device_descriptor(), some_device()));
  EXPECT_TRUE(std::ranges::equal(transport->config_descriptor(), some_config()));
  EXPECT_EQ(transport->speed(), UsbSpeed::kSuper);
  EXPECT_EQ(transport->location(), "2-1.4");
  EXPECT_EQ(*transport->string_descriptor(3), "Z\u00fcri \U0001F9B7 7");
  EXPECT_EQ(transport->string_descriptor(1).error().code, ErrorCode::kNotFound);
}

TEST_F(Roundtrip, AnswersRequestsAsTheDeviceDid) {
  auto recorder = record();
  constexpr ControlSetup kAsk{0xA1, 0x81, 0x0100, 0x0300}, kTell{0x21, 0x01, 0x0100, 0x0300};
  constexpr ControlSetup kRefused{0xC0, 0x33, 0, 0};
  int asked = 0;
  script_->answer = [&](const ControlSetup& setup) -> Result<Bytes> {
    if (setup.request == kRefused.request) return error(ErrorCode::kProtocol, "it refused");
    return Bytes{static_cast<std::uint8_t>(++asked), 9};
  };
  script_->take = [](const ControlSetup&, const Bytes& data) -> Result<void> {
    if (data[0] == 7) return error(ErrorCode::kTimeout, "it slept");
    return {};
  };
  Bytes data(8);
  EXPECT_TRUE(recorder->control_out(kTell, Bytes{1}, milliseconds(1)).ok());
  EXPECT_EQ(*recorder->control_in(kAsk, data, milliseconds(1)), 2U);
  EXPECT_TRUE(recorder->control_out(kTell, Bytes{2}, milliseconds(1)).ok());
  EXPECT_EQ(*recorder->control_in(kAsk, data, milliseconds(1)), 2U);
  EXPECT_FALSE(recorder->control_out(kTell, Bytes{7}, milliseconds(1)).ok());
  EXPECT_FALSE(recorder->control_in(kRefused, data, milliseconds(1)).ok());

  auto transport = replay();
  const auto ask = [&] {
    const auto size = transport->control_in(kAsk, data, milliseconds(1));
    EXPECT_TRUE(size.ok()) << size.error().message;
    return static_cast<int>(data[0]);
  };
  EXPECT_TRUE(transport->control_out(kTell, Bytes{1}, milliseconds(1)).ok());
  EXPECT_EQ(ask(), 1);
  // Asked in another order than then: each answer belongs to what was told last.
  EXPECT_TRUE(transport->control_out(kTell, Bytes{2}, milliseconds(1)).ok());
  EXPECT_EQ(ask(), 2);
  EXPECT_TRUE(transport->control_out(kTell, Bytes{1}, milliseconds(1)).ok());
  EXPECT_EQ(ask(), 1);
  const auto timeout = transport->control_out(kTell, Bytes{7}, milliseconds(1));
  EXPECT_EQ(timeout.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(timeout.error().message, "it slept");
  EXPECT_EQ(transport->control_in(kRefused, data, milliseconds(1)).error().message, "it refused");
  // More often than then: the last answer.
  EXPECT_EQ(ask(), 2);
  const auto unknown = transport->control_out(kTell, Bytes{3}, milliseconds(1));
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, HasSubstr("with data 03"));
  EXPECT_THAT(unknown.error().message, HasSubstr("a.pcapng"));
}

TEST_F(Roundtrip, GivesBulkChunksAndTheirErrorsAgain) {
  auto recorder = record();
  const std::vector<Chunk> first{{0x82, Bytes(64, 1), false, false, at(1)},
                                 {0x82, Bytes(10, 2), true, false, at(2)},
                                 {0x82, {}, true, false, at(2)}};
  const std::vector<Chunk> second{{0x82, Bytes(64, 3), false, false, at(9000)}};
  script_->runs = {{first, error(ErrorCode::kProtocol, "endpoint stalled")},
                   {{}, error(ErrorCode::kTimeout, "no data")},
                   {second, error(ErrorCode::kDisconnected, "it is gone")}};
  script_->resets = {{}, error(ErrorCode::kIo, "no reset")};
  for (int i = 0; i < 3; ++i) static_cast<void>(stream_all(*recorder, kBulk));
  EXPECT_TRUE(recorder->reset().ok());
  EXPECT_FALSE(recorder->reset().ok());

  auto transport = replay();
  Streamed streamed = stream_all(*transport, kBulk);
  expect_same(streamed.chunks, first);
  EXPECT_EQ(streamed.result.error().message, "endpoint stalled");
  streamed = stream_all(*transport, kBulk);
  EXPECT_TRUE(streamed.chunks.empty());
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kTimeout);
  streamed = stream_all(*transport, kBulk);
  expect_same(streamed.chunks, second);
  EXPECT_EQ(streamed.result.error().message, "it is gone");
  EXPECT_EQ(stream_all(*transport, kBulk).result.error().code, ErrorCode::kDisconnected);
  EXPECT_TRUE(transport->reset().ok());
  EXPECT_EQ(transport->reset().error().message, "no reset");
}

TEST_F(Roundtrip, TellsAStopFromTheEnd) {
  auto recorder = record();
  const Chunk chunk{0x82, Bytes(64, 1), false, false, at(1)};
  script_->runs = {{{chunk, chunk, chunk}, {}}, {{chunk}, {}}};
  EXPECT_EQ(stream_all(*recorder, kBulk, 2).chunks.size(), 2U);  // the driver wants no more
  EXPECT_EQ(stream_all(*recorder, kBulk).chunks.size(), 1U);     // somebody asked to stop

  auto transport = replay();
  EXPECT_EQ(stream_all(*transport, kBulk, 2).chunks.size(), 2U);
  const Streamed last = stream_all(*transport, kBulk);
  EXPECT_EQ(last.chunks.size(), 1U);
  EXPECT_EQ(last.result.error().code, ErrorCode::kDisconnected);
  EXPECT_THAT(last.result.error().message, HasSubstr("nothing follows"));

  // A driver that goes on where the recorded one stopped is told so.
  transport = replay();
  const Streamed first = stream_all(*transport, kBulk);
  EXPECT_EQ(first.chunks.size(), 2U);
  EXPECT_EQ(first.result.error().code, ErrorCode::kCancelled);
}

TEST_F(Roundtrip, KeepsIsochronousPacketsAndTheOrderOfTwoEndpoints) {
  const std::vector<StreamOptions> options{{.endpoint = 0x81,
                                            .type = TransferType::kIsochronous,
                                            .transfer_count = 2,
                                            .packet_bytes = 100,
                                            .packets_per_transfer = 4},
                                           {.endpoint = 0x83,
                                            .type = TransferType::kInterrupt,
                                            .transfer_count = 1,
                                            .transfer_size_bytes = 16}};
  auto recorder = record();
  std::vector<Chunk> chunks;
  for (int i = 0; i < 8; ++i)
    chunks.push_back({0x81, Bytes(i % 3 == 0 ? 0U : 90U + static_cast<unsigned>(i), 5), true,
                      i % 4 == 1, at(i / 4)});
  chunks.push_back({0x83, Bytes(4, 6), true, false, at(2)});
  for (int i = 0; i < 3; ++i) chunks.push_back({0x81, Bytes(7, 8), true, false, at(3)});
  script_->runs = {{chunks, error(ErrorCode::kDisconnected, "gone")}};
  static_cast<void>(stream_all(*recorder, options));

  auto transport = replay();
  const Streamed streamed = stream_all(*transport, options);
  expect_same(streamed.chunks, chunks);
  EXPECT_EQ(streamed.result.error().message, "gone");
}

TEST_F(Roundtrip, HoldsEachOpeningOfADeviceApart) {
  { auto first = record(); }
  const Chunk chunk{0x82, Bytes(5, 1), true, false, at(1)};
  auto script = std::make_unique<ScriptedTransport>();
  script->runs = {{{chunk}, {}}};
  auto second = make_recording_transport(std::move(script), recording_, {2, 5});
  EXPECT_EQ(stream_all(*second, kBulk).chunks.size(), 1U);
  auto transport = replay(0);
  EXPECT_TRUE(stream_all(*transport, kBulk).chunks.empty());
  transport = replay(1);
  EXPECT_EQ(stream_all(*transport, kBulk).chunks.size(), 1U);
}

TEST_F(Roundtrip, PacesARealTimeReplayAndLetsItBeStopped) {
  auto recorder = record();
  script_->runs = {
      {{{0x82, Bytes(5, 1), true, false, at(0)}, {0x82, Bytes(5, 2), true, false, at(86'400'000)}},
       {}}};
  static_cast<void>(stream_all(*recorder, kBulk));
  recording_->close();
  const auto capture = Capture::open(folder_ / "a.pcapng");
  ASSERT_TRUE(capture);
  auto transport = make_replay_transport(*capture, 0, {.real_time = true});
  ASSERT_TRUE(transport);
  std::stop_source stop;
  std::vector<Chunk> chunks;
  std::jthread stopper;
  const auto result =
      (*transport)->stream(std::span(&kBulk, 1), stop.get_token(), [&](const StreamChunk& chunk) {
        chunks.push_back(copy_of(chunk));
        stopper = std::jthread([&] { stop.request_stop(); });
        return true;
      });
  EXPECT_TRUE(result.ok());
  ASSERT_EQ(chunks.size(), 1U);  // the other one comes tomorrow
  EXPECT_LE(chunks[0].arrival, std::chrono::steady_clock::now());
}

#ifdef CUSP_TSHARK
std::string output_of(const std::string& command) {
  std::string output;
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  ::pclose(pipe);
  return output;
}
#endif

TEST_F(Roundtrip, WritesWhatWiresharkReads) {
#ifdef CUSP_TSHARK
  auto recorder = record();
  const StreamOptions iso{.endpoint = 0x81,
                          .type = TransferType::kIsochronous,
                          .transfer_count = 1,
                          .packet_bytes = 100,
                          .packets_per_transfer = 2};
  script_->runs = {{{{0x82, Bytes(10, 2), true, false, at(1)}}, error(ErrorCode::kTimeout, "late")},
                   {{{0x81, Bytes(90, 5), true, false, at(2)}, {0x81, {}, true, true, at(2)}}, {}}};
  static_cast<void>(stream_all(*recorder, kBulk));
  static_cast<void>(stream_all(*recorder, iso));
  recording_->note("between");
  recording_->close();
  const std::string lines = output_of(
      std::string(CUSP_TSHARK) + " -r '" + (folder_ / "a.pcapng").string() +
      "' -T fields -E separator=' ' -e usb.urb_type -e usb.transfer_type -e usb.endpoint_address "
      "-e usb.urb_status -e usb.urb_len -e frame.comment -e _ws.malformed 2>/dev/null");
  EXPECT_THAT(lines, HasSubstr("'S' 0x02 0x80 -115 18 cusp.opening location=2-1.4 speed=3"));
  EXPECT_THAT(lines, HasSubstr("'C' 0x03 0x82 0 10 "));
  EXPECT_THAT(lines, HasSubstr("'C' 0x03 0x82 -2 0 cusp.error timeout: late"));
  EXPECT_THAT(lines, HasSubstr("'S' 0x00 0x81 -115 200 "));
  EXPECT_THAT(lines, HasSubstr("'C' 0x00 0x81 0 90 "));
  EXPECT_THAT(lines, HasSubstr("'C' 0x00 0x81 -2 0 "));
  EXPECT_EQ(lines.find("alformed"), std::string::npos) << lines;
#else
  std::cout << "tshark was not there when this was built: Wireshark's reading is not checked\n";
#endif
}

// --- an unmodified driver ---

TEST_F(Roundtrip, GivesADriverTheSameFramesThroughAStallASilenceAndTheEnd) {
  auto emulator = realsense_d400::make_emulator(quick_camera(), fill_frame);
  auto started = Recording::start(folder_ / "a.pcapng", {.program = "test"});
  ASSERT_TRUE(started);
  recording_ = *started;
  constexpr StreamMode kMode{320, 240, 30};
  Result<void> live_result;
  std::vector<RawFrame> live;
  std::string calibration_id;
  CaptureCounts live_counts;
  {
    auto device = realsense_d400::open(make_recording_transport(
        make_in_process_transport(*emulator.function), recording_, {2, 5}));
    ASSERT_TRUE(device) << device.error().message;
    ASSERT_TRUE((*device)->configure(kMode));
    const auto calibration = (*device)->read_calibration();
    ASSERT_TRUE(calibration) << calibration.error().message;
    calibration_id = calibration->id;
    emulator.control->stall_after(5);
    live = capture_frames(**device, 12, live_result);
    emulator.control->go_silent_after(3);
    auto more = capture_frames(**device, 12, live_result);
    live.insert(live.end(), more.begin(), more.end());
    live_counts = (*device)->counts();
  }
  ASSERT_TRUE(live_result.ok()) << live_result.error().message;
  EXPECT_GE(live_counts.restarts, 2U);

  auto device = realsense_d400::open(replay());
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->info().serial, "0123456789ab");
  ASSERT_TRUE((*device)->configure(kMode));
  EXPECT_EQ((*device)->read_calibration()->id, calibration_id);
  Result<void> result;
  std::vector<RawFrame> replayed = capture_frames(**device, 10'000, result);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled) << result.error().message;
  auto more = capture_frames(**device, 10'000, result);
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
  replayed.insert(replayed.end(), more.begin(), more.end());
  EXPECT_EQ((*device)->counts().restarts, live_counts.restarts);

  // The live test took less than came; each frame that it took is there, byte for byte.
  std::map<std::uint64_t, const RawFrame*> by_sequence;
  for (const RawFrame& frame : replayed) by_sequence[frame.sequence] = &frame;
  for (const RawFrame& frame : live) {
    const auto found = by_sequence.find(frame.sequence);
    ASSERT_NE(found, by_sequence.end()) << frame.sequence;
    EXPECT_EQ(found->second->bytes, frame.bytes);
    EXPECT_EQ(found->second->device_time, frame.device_time);
  }
}

}  // namespace
}  // namespace cusp::recording
