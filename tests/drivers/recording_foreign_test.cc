// Captures of other machines and other programs, made as Linux's usbmon makes them.
#include <gmock/gmock.h>

#include "drivers/realsense_d400/emulator.h"
#include "drivers/recording/recording.h"
#include "drivers/uvc/stream_control.h"
#include "tests/drivers/recording_fixture.h"
#include "tests/drivers/test_scene.h"

namespace cusp::recording {
namespace {

using testing::HasSubstr;

constexpr StreamOptions kBulk{.endpoint = 0x82, .watchdog = milliseconds(500)};

class Foreign : public testing::Test {
 protected:
  Result<std::shared_ptr<const Capture>> open(const CaptureOptions& options = {}) {
    save(folder_ / "b.pcapng", capture_.bytes());
    return Capture::open(folder_ / "b.pcapng", options);
  }
  std::unique_ptr<UsbTransport> replay() {
    const auto capture = open();
    EXPECT_TRUE(capture.ok()) << capture.error().message;
    auto transport = make_replay_transport(*capture, 0);
    EXPECT_TRUE(transport.ok()) << transport.error().message;
    return std::move(*transport);
  }

  const fakes::TempFolder folder_;
  ForeignCapture capture_;
};

TEST_F(Foreign, ListsItsDevicesAndWhatStreamed) {
  capture_.plug_in(some_device(), some_config());
  capture_.request_in({0x80, 6, 0x0303, 0x0409}, 255, {8, 3, '4', 0, '2', 0, 0xFC, 0});
  const auto id = capture_.submit(0x82, 16384);
  capture_.complete(id, 0x82, Bytes(16384, 1));
  capture_.address = {2, 9};
  capture_.request_in({0x80, 0, 0, 0}, 2, {0, 0});
  const auto opened = open();
  ASSERT_TRUE(opened) << opened.error().message;
  const Capture& capture = **opened;
  ASSERT_EQ(capture.openings().size(), 2U);
  const CapturedOpening& first = capture.openings()[0];
  EXPECT_EQ(first.address, (BusAddress{2, 7}));
  EXPECT_FALSE(first.by_cusp);
  EXPECT_EQ(first.identity(), "8086:0b5b 42\u00fc");
  EXPECT_EQ(first.speed, UsbSpeed::kHigh);
  EXPECT_EQ(first.endpoints.at(0x82).bytes, 16384U);
  EXPECT_EQ(capture.openings()[1].identity(), "unknown");
  EXPECT_EQ(capture.problem(), "");
}

TEST_F(Foreign, JoinsTransfersOfTheKernelsSizes) {
  capture_.plug_in(some_device(), some_config());
  const auto a = capture_.submit(0x82, 1024), b = capture_.submit(0x82, 1024);
  capture_.complete(a, 0x82, Bytes(1024, 1));
  const auto c = capture_.submit(0x82, 1024);
  capture_.complete(b, 0x82, Bytes(1024, 2));
  capture_.complete(c, 0x82, Bytes(512, 3));  // a whole packet, but fewer bytes than asked
  auto transport = replay();
  const Streamed streamed = stream_all(*transport, kBulk);
  ASSERT_EQ(streamed.chunks.size(), 3U);
  EXPECT_FALSE(streamed.chunks[0].ends_payload);
  EXPECT_FALSE(streamed.chunks[1].ends_payload);
  EXPECT_TRUE(streamed.chunks[2].ends_payload);
  EXPECT_EQ(streamed.chunks[1].bytes, Bytes(1024, 2));
  EXPECT_EQ(streamed.chunks[1].arrival - streamed.chunks[0].arrival,
            std::chrono::microseconds(200));
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kDisconnected);
}

TEST_F(Foreign, KnowsAShortTransferWhoseBeginningWasNotCaptured) {
  capture_.plug_in(some_device(), some_config());
  capture_.complete(77, 0x82, Bytes(1024, 1));
  capture_.complete(78, 0x82, Bytes(100, 1));
  auto transport = replay();
  const Streamed streamed = stream_all(*transport, kBulk);
  ASSERT_EQ(streamed.chunks.size(), 2U);
  EXPECT_FALSE(streamed.chunks[0].ends_payload);
  EXPECT_TRUE(streamed.chunks[1].ends_payload);
}

TEST_F(Foreign, TurnsStatusesIntoTheErrorsOfACable) {
  const std::pair<std::int32_t, ErrorCode> statuses[] = {
      {kStatusStall, ErrorCode::kProtocol},    {kStatusOverflow, ErrorCode::kProtocol},
      {kStatusBusError, ErrorCode::kIo},       {-84, ErrorCode::kIo},
      {kStatusGone, ErrorCode::kDisconnected}, {kStatusNoDevice, ErrorCode::kDisconnected}};
  capture_.plug_in(some_device(), some_config());
  for (const auto& [status, code] : statuses)
    capture_.complete(capture_.submit(0x82, 64), 0x82, {}, status);
  auto transport = replay();
  for (const auto& [status, code] : statuses) {
    const Streamed streamed = stream_all(*transport, kBulk);
    ASSERT_FALSE(streamed.result.ok());
    EXPECT_EQ(streamed.result.error().code, code) << status;
    EXPECT_THAT(streamed.result.error().message, HasSubstr("b.pcapng"));
  }
}

TEST_F(Foreign, TurnsALongGapIntoATimeoutAtAnySpeed) {
  capture_.plug_in(some_device(), some_config());
  auto id = capture_.submit(0x82, 64);
  capture_.now += std::chrono::seconds(2);  // before the first chunk
  capture_.complete(id, 0x82, Bytes(64, 1));
  id = capture_.submit(0x82, 64);
  capture_.now += milliseconds(400);  // no gap
  capture_.complete(id, 0x82, Bytes(64, 2));
  id = capture_.submit(0x82, 64);
  capture_.now += milliseconds(600);
  capture_.complete(id, 0x82, Bytes(64, 3));
  auto transport = replay();
  EXPECT_EQ(stream_all(*transport, kBulk).result.error().code, ErrorCode::kTimeout);
  Streamed streamed = stream_all(*transport, kBulk);
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(streamed.chunks.size(), 2U);
  streamed = stream_all(*transport, kBulk);
  ASSERT_EQ(streamed.chunks.size(), 1U);  // nothing is lost over it
  EXPECT_EQ(streamed.chunks[0].bytes, Bytes(64, 3));

  StreamOptions patient = kBulk;
  patient.watchdog = milliseconds(0);
  transport = replay();
  EXPECT_EQ(stream_all(*transport, patient).chunks.size(), 3U);
}

TEST_F(Foreign, StopsWhereTheHostStopped) {
  capture_.plug_in(some_device(), some_config());
  for (int run = 0; run < 2; ++run) {
    const auto a = capture_.submit(0x82, 64), b = capture_.submit(0x82, 64);
    capture_.complete(a, 0x82, Bytes(64, 1));
    const auto c = capture_.submit(0x82, 64);
    capture_.complete(b, 0x82, {}, kStatusCancelled);
    capture_.complete(c, 0x82, {}, kStatusCancelled);
  }
  auto transport = replay();
  EXPECT_EQ(stream_all(*transport, kBulk).result.error().code, ErrorCode::kCancelled);
  const Streamed last = stream_all(*transport, kBulk);
  EXPECT_EQ(last.chunks.size(), 1U);
  EXPECT_EQ(last.result.error().code, ErrorCode::kDisconnected);
}

TEST_F(Foreign, ReadsIsochronousPacketsFromWhereTheyLie) {
  capture_.plug_in(some_device(), some_config());
  const auto id = capture_.submit(0x81, 300, UsbmonTransfer::kIsochronous);
  UsbmonRecord record = capture_.stream('C', 0x81, UsbmonTransfer::kIsochronous);
  record.id = id;
  record.iso_packets = 4;
  record.iso_descriptors = 4;
  record.length = 7;
  // Packets lie at their places in the host's buffer, with gaps; one is broken, one lies outside.
  Bytes data;
  const IsoDescriptor packets[] = {{0, 0, 3}, {0, 10, 4}, {-84, 20, 0}, {0, 90, 100}};
  for (const IsoDescriptor& packet : packets) {
    const auto bytes = encode(packet);
    data.insert(data.end(), bytes.begin(), bytes.end());
  }
  data.resize(data.size() + 14, 9);
  capture_.put(record, data);
  auto transport = replay();
  const StreamOptions iso{.endpoint = 0x81, .type = TransferType::kIsochronous};
  const Streamed streamed = stream_all(*transport, iso);
  ASSERT_EQ(streamed.chunks.size(), 4U);
  EXPECT_EQ(streamed.chunks[0].bytes, Bytes(3, 9));
  EXPECT_EQ(streamed.chunks[1].bytes, Bytes(4, 9));
  EXPECT_FALSE(streamed.chunks[1].damaged);
  EXPECT_TRUE(streamed.chunks[2].damaged);
  EXPECT_TRUE(streamed.chunks[3].damaged);
  EXPECT_TRUE(streamed.chunks[3].bytes.empty());
}

TEST_F(Foreign, SaysWhenTheCaptureKeptAPartOfATransfer) {
  capture_.plug_in(some_device(), some_config());
  UsbmonRecord record = capture_.stream('C', 0x82, UsbmonTransfer::kBulk);
  record.length = 262144;
  capture_.put(record, Bytes(262144, 1), 61440);
  auto transport = replay();
  const Streamed streamed = stream_all(*transport, kBulk);
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(streamed.result.error().message, HasSubstr("61440 of 262144"));
  EXPECT_THAT(streamed.result.error().message, HasSubstr("-s 0"));
}

TEST_F(Foreign, NeedsDescriptorsAndTakesThemFromAFile) {
  capture_.complete(1, 0x82, Bytes(64, 1));
  const auto without = open();
  ASSERT_TRUE(without);
  const auto refused = make_replay_transport(*without, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("before plugging it in"));

  Bytes descriptors = some_device();
  const Bytes config = some_config();
  descriptors.insert(descriptors.end(), config.begin(), config.end());
  const auto with = open({.descriptors = descriptors, .device = {2, 7}});
  ASSERT_TRUE(with);
  const auto transport = make_replay_transport(*with, 0);
  ASSERT_TRUE(transport) << transport.error().message;
  EXPECT_TRUE(std::ranges::equal((*transport)->config_descriptor(), config));
  // A broken file helps nobody, and does no harm.
  for (std::size_t size = 0; size < descriptors.size(); ++size) {
    const auto cut =
        open({.descriptors = Bytes(descriptors.begin(),
                                   descriptors.begin() + static_cast<std::ptrdiff_t>(size)),
              .device = {2, 7}});
    ASSERT_TRUE(cut);
    EXPECT_FALSE(make_replay_transport(*cut, 0));
  }
}

TEST_F(Foreign, GivesDescriptorsToTheDeviceThatTheyAreOfAlone) {
  capture_.complete(1, 0x82, Bytes(64, 1));
  capture_.address = {2, 9};
  capture_.complete(2, 0x82, Bytes(64, 1));
  Bytes descriptors = some_device();
  const Bytes config = some_config();
  descriptors.insert(descriptors.end(), config.begin(), config.end());
  const auto opened = open({.descriptors = descriptors, .device = {2, 9}});
  ASSERT_TRUE(opened);
  ASSERT_EQ((*opened)->openings().size(), 2U);
  EXPECT_TRUE((*opened)->openings()[0].device_descriptor.empty());
  EXPECT_EQ((*opened)->openings()[1].device_descriptor, some_device());
}

// Whatever a file claims, what is held of it stays within the limit that capture.h names.
TEST_F(Foreign, HoldsNoMoreOfCommentsThanOfRequests) {
  const std::string long_text(kMaxCommentBytes, 'x');
  {
    Bytes file = capture_.bytes();
    for (int i = 0; i < 3000; ++i) append_note(file, {}, long_text);  // 94 MiB
    save(folder_ / "n.pcapng", file);
    const auto capture = Capture::open(folder_ / "n.pcapng");
    ASSERT_FALSE(capture);
    EXPECT_EQ(capture.error().code, ErrorCode::kNoSpace);
  }
  {
    Bytes file = capture_.bytes();
    UsbmonRecord record = capture_.stream('S', 0x80, UsbmonTransfer::kControl);
    record.has_setup = true;
    for (std::uint64_t i = 0; i < 3000; ++i) {
      record.id = i;
      record.type = 'S';
      append_packet(file, {}, encode(record), {}, {});
      record.type = 'C';
      append_packet(file, {}, encode(record), {}, std::string(kErrorComment) + "io: " + long_text);
    }
    save(folder_ / "n.pcapng", file);
    EXPECT_EQ(Capture::open(folder_ / "n.pcapng").error().code, ErrorCode::kNoSpace);
  }
  capture_.complete(1, 0x82, Bytes(64, 1));
  Bytes file = capture_.bytes();
  for (int i = 0; i < 10'001; ++i) append_note(file, {}, std::string(kResetNote) + "ok");
  save(folder_ / "n.pcapng", file);
  const auto capture = Capture::open(folder_ / "n.pcapng");
  ASSERT_FALSE(capture);
  EXPECT_THAT(capture.error().message, HasSubstr("resets"));
}

TEST_F(Foreign, RefusesCapturesOfOtherSystems) {
  const std::pair<std::uint16_t, const char*> links[] = {
      {249, "Windows"}, {266, "macOS"}, {1, "link type 1"}};
  for (const auto& [link, word] : links) {
    Bytes file;
    append_file_head(file, "x", link);
    append_packet(file, nanoseconds(1), Bytes(64), {}, "");
    save(folder_ / "c.pcapng", file);
    const auto capture = Capture::open(folder_ / "c.pcapng");
    ASSERT_FALSE(capture);
    EXPECT_EQ(capture.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(capture.error().message, HasSubstr(word));
  }
}

// --- a stream that uvcvideo negotiated ---

Bytes choice(std::uint8_t format, std::uint8_t frame, std::uint32_t interval, std::uint32_t bytes) {
  Bytes block(48);
  block[2] = format;
  block[3] = frame;
  write_le(std::span(block), 4, interval);
  write_le(std::span(block), 18, bytes);
  return block;
}

class OfUvcvideo : public Foreign {
 protected:
  void SetUp() override {
    const auto double_ = realsense_d400::make_emulator(quick_camera(), fill_frame);
    const Bytes config = double_.function->config_descriptor();
    const auto functions = uvc::parse_video_functions(config);
    ASSERT_TRUE(functions);
    stream_ = static_cast<std::uint16_t>(functions->front().streams.front().number);
    unit_ = static_cast<std::uint16_t>(functions->front().extension_units.front().id << 8 |
                                       functions->front().control_interface);
    capture_.plug_in(double_.function->device_descriptor(), config);
    capture_.request_out(set(1), choice(1, 2, 333333, 0));
    capture_.request_in(get(1), 48, choice(1, 2, 333333, 4242));
    capture_.request_out(set(2), choice(1, 2, 333333, 4242));
  }
  [[nodiscard]] ControlSetup set(int selector) const {
    return {0x21, 0x01, static_cast<std::uint16_t>(selector << 8), stream_};
  }
  [[nodiscard]] ControlSetup get(int selector) const {
    return {0xA1, 0x81, static_cast<std::uint16_t>(selector << 8), stream_};
  }
  std::uint16_t stream_ = 0;
  std::uint16_t unit_ = 0;
};

TEST_F(OfUvcvideo, AgreesToTheStreamThatWasNegotiated) {
  auto transport = replay();
  Bytes wish = choice(1, 2, 333333, 0);
  wish[0] = 1;  // another driver's hints
  EXPECT_TRUE(transport->control_out(set(1), wish, milliseconds(1)).ok());
  Bytes answer(48);
  ASSERT_TRUE(transport->control_in(get(1), answer, milliseconds(1)).ok());
  EXPECT_EQ(read_le<std::uint32_t>(answer, 18), 4242U);
  answer[0] = 1;
  EXPECT_TRUE(transport->control_out(set(2), answer, milliseconds(1)).ok());
}

TEST_F(OfUvcvideo, SaysWhichStreamsThereAreWhenAnotherIsAsked) {
  auto transport = replay();
  EXPECT_TRUE(transport->control_out(set(1), choice(1, 3, 333333, 0), milliseconds(1)).ok());
  Bytes answer(48);
  const auto result = transport->control_in(get(1), answer, milliseconds(1));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("format 1 frame 2 at 30 Hz"));
  EXPECT_FALSE(transport->control_out(set(2), choice(1, 3, 333333, 0), milliseconds(1)).ok());
}

TEST_F(OfUvcvideo, AnswersNoCommandThatWasNotSentThen) {
  auto transport = replay();
  Bytes answer(48);
  // What a device may refuse is refused; a command to an extension unit is never made up.
  EXPECT_EQ(
      transport->control_in({0xA1, 0x87, 0x0100, stream_}, answer, milliseconds(1)).error().code,
      ErrorCode::kProtocol);
  EXPECT_EQ(
      transport->control_out({0x21, 0x01, 0x0100, unit_}, Bytes(16), milliseconds(1)).error().code,
      ErrorCode::kNotFound);
}

// Each byte in turn is damaged: an answer, never a crash or a hang.
TEST_F(Foreign, SurvivesAnyDamage) {
  capture_.plug_in(some_device(), some_config());
  const auto id = capture_.submit(0x82, 64);
  capture_.complete(id, 0x82, Bytes(20, 1));
  UsbmonRecord iso = capture_.stream('C', 0x81, UsbmonTransfer::kIsochronous);
  iso.iso_descriptors = 1;
  iso.length = 4;
  capture_.put(iso, Bytes(20, 0));
  const Bytes whole = capture_.bytes();
  const std::vector<StreamOptions> options{kBulk,
                                           {.endpoint = 0x81, .type = TransferType::kIsochronous}};
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const int flip : {1, 0xFF}) {
      Bytes damaged = whole;
      damaged[i] ^= static_cast<std::uint8_t>(flip);
      save(folder_ / "d.pcapng", damaged);
      const auto capture = Capture::open(folder_ / "d.pcapng");
      if (!capture.ok()) continue;
      for (std::size_t k = 0; k < (*capture)->openings().size(); ++k) {
        const auto transport = make_replay_transport(*capture, k);
        if (!transport.ok()) continue;
        EXPECT_LE(stream_all(**transport, options).chunks.size(), 8U);
      }
    }
}

}  // namespace
}  // namespace cusp::recording
