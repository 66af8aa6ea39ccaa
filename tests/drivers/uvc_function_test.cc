// The firmware double of any UVC device, seen from the host's end of the cable.
#include "drivers/emulation/uvc_function.h"

#include <gmock/gmock.h>

#include <atomic>

#include "drivers/bytes.h"
#include "drivers/uvc/descriptors.h"
#include "tests/drivers/double_host.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::Optional;
using Kind = UsbOutcome::Kind;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kGetRes = 0x84;
constexpr std::uint8_t kStillProbe = 3, kStillCommit = 4, kStillTrigger = 5;
constexpr std::size_t kTransferBytes = 4096;
constexpr std::uint8_t kStillFlag = 0x20, kEndFlag = 0x02;

// A double with its host.
struct Bench {
  explicit Bench(EmulatedUvcDevice device)
      : camera(make_uvc_function(std::move(device))), host(*camera.function) {}
  UvcDouble camera;
  DoubleHost host;
  EmulatorControl& control() const { return *camera.control; }
};

Bytes pixels_behind_header(const Bytes& payload) {
  return Bytes(payload.begin() + payload.front(), payload.end());
}
std::uint32_t pts_of(const Bytes& payload) { return read_le<std::uint32_t>(payload, 2); }

// Isochronous packets until a frame ends; each is checked against the setting's size.
Bytes read_packets(Bench& bench, std::size_t packet_bytes, std::uint8_t* flags = nullptr) {
  Bytes frame;
  while (true) {
    const auto [outcome, packet] = bench.host.read(kVideoEndpoint, packet_bytes);
    EXPECT_EQ(outcome.kind, Kind::kData);
    EXPECT_LE(outcome.size, packet_bytes);
    if (packet.size() < 12) return frame;
    const Bytes part = pixels_behind_header(packet);
    frame.insert(frame.end(), part.begin(), part.end());
    if (flags != nullptr) *flags = packet[1];
    if ((packet[1] & kEndFlag) != 0) return frame;
  }
}

TEST(UvcFunctionDescriptors, OfABulkCameraParseAsTheyWereDescribed) {
  Bench bench(bulk_camera(numbered_frames()));
  const auto functions = uvc::parse_video_functions(bench.camera.function->config_descriptor());
  ASSERT_TRUE(functions) << functions.error().message;
  ASSERT_EQ(functions->size(), 1u);
  const uvc::VideoFunction& function = functions->front();
  EXPECT_EQ(function.uvc_version_bcd, 0x0150);
  EXPECT_EQ(function.clock_hz, kCameraClockHz);
  EXPECT_EQ(function.status_endpoint, kStatusEndpoint);
  ASSERT_EQ(function.cameras.size(), 1u);
  EXPECT_EQ(function.cameras.front().controls, 0x0Au);
  ASSERT_EQ(function.processing_units.size(), 1u);
  EXPECT_EQ(function.processing_units.front().source, 1);
  EXPECT_EQ(function.processing_units.front().controls, 0x0200u);
  ASSERT_EQ(function.extension_units.size(), 1u);
  EXPECT_EQ(function.extension_units.front().id, 3);
  EXPECT_THAT(function.extension_units.front().controls, ElementsAre(0xFF, 0x01, 0x00));
  ASSERT_EQ(function.streams.size(), 1u);
  const uvc::StreamingInterface& stream = function.streams.front();
  EXPECT_TRUE(stream.bulk());
  EXPECT_EQ(stream.endpoint(), kVideoEndpoint);
  ASSERT_EQ(stream.formats.size(), 1u);
  const uvc::FormatDescriptor& format = stream.formats.front();
  EXPECT_EQ(uvc::pixel_format(format), PixelFormat::kYuy2);
  EXPECT_EQ(format.default_frame, 1);
  ASSERT_EQ(format.frames.size(), 2u);
  EXPECT_EQ(format.frames[0].max_frame_bytes, kCameraFrameBytes);
  EXPECT_EQ(format.frames[1].width_px, 16);
  EXPECT_THAT(format.frames[0].intervals_100ns, ElementsAre(333'333, 666'666));
}

TEST(UvcFunctionDescriptors, OfAnIsochronousCameraParseAsTheyWereDescribed) {
  EmulatedUvcDevice device = isochronous_camera(numbered_frames(), 3);
  uvc::FormatDescriptor mjpeg{.index = 2,
                              .kind = uvc::FormatKind::kMjpeg,
                              .frames = {{.index = 1,
                                          .width_px = 640,
                                          .height_px = 480,
                                          .intervals_100ns = {333'333},
                                          .max_frame_bytes = 100'000}}};
  device.functions.front().streams.front().interface.formats.push_back(mjpeg);
  Bench bench(std::move(device));
  const auto functions = uvc::parse_video_functions(bench.camera.function->config_descriptor());
  ASSERT_TRUE(functions) << functions.error().message;
  const uvc::StreamingInterface& stream = functions->front().streams.front();
  EXPECT_FALSE(stream.bulk());
  EXPECT_EQ(stream.still_method, 3);
  ASSERT_EQ(stream.alternates.size(), 3u);
  EXPECT_EQ(stream.alternates[0].number, 1);
  EXPECT_EQ(stream.alternates[0].interval_bytes, 32);
  EXPECT_EQ(stream.alternates[2].interval_bytes, 2048);
  ASSERT_EQ(stream.formats.size(), 2u);
  ASSERT_TRUE(stream.formats[0].still);
  EXPECT_EQ(stream.formats[0].still->endpoint, kStillEndpoint);
  ASSERT_EQ(stream.formats[0].still->sizes.size(), 2u);
  EXPECT_EQ(stream.formats[0].still->sizes[1].width_px, 32);
  EXPECT_EQ(stream.formats[1].kind, uvc::FormatKind::kMjpeg);
  EXPECT_EQ(stream.formats[1].frames.front().max_frame_bytes, 100'000u);
}

// What lsusb prints of a RealSense D435: its control interface has 91 bytes of class descriptors.
TEST(UvcFunctionDescriptors, ControlInterfaceIsLaidOutAsThatOfARealDepthCamera) {
  EmulatedUvcDevice device = bulk_camera(numbered_frames());
  EmulatedStream second = device.functions.front().streams.front();
  second.interface.number = 2;
  second.interface.alternates.front().endpoint = 0x83;
  device.functions.front().streams.push_back(second);
  Bench bench(std::move(device));
  const Bytes config = bench.camera.function->config_descriptor();
  const Bytes association{8, 0x0B, 0, 3, 14, 3, 0, 0};
  EXPECT_THAT(Bytes(config.begin() + 9, config.begin() + 17), ElementsAreArray(association));
  const Bytes header{14, 0x24, 0x01, 0x50, 0x01, 91, 0, 0x00, 0x6C, 0xDC, 0x02, 2, 1, 2};
  const Bytes camera{18, 0x24, 0x02, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x0A, 0, 0};
  const Bytes unit{13, 0x24, 0x05, 2, 1, 0x00, 0x40, 3, 0x00, 0x02, 0x00, 0, 0};
  const Bytes output{9, 0x24, 0x03, 5, 0x01, 0x01, 0, 3, 0};
  const auto at = [&](std::size_t offset, std::size_t size) {
    return Bytes(config.begin() + static_cast<std::ptrdiff_t>(offset),
                 config.begin() + static_cast<std::ptrdiff_t>(offset + size));
  };
  const std::size_t block = 9 + 8 + 9;
  EXPECT_EQ(at(block, header.size()), header);
  EXPECT_EQ(at(block + 14, camera.size()), camera);
  EXPECT_EQ(at(block + 32, unit.size()), unit);
  EXPECT_EQ(at(block + 91 - output.size(), output.size()), output);
  EXPECT_EQ(at(block + 91, 18), (Bytes{7, 0x05, kStatusEndpoint, 3, 16, 0, 6, 6, 0x30, 0, 0, 16, 0,
                                       5, 0x25, 3, 16, 0}));
}

TEST(UvcFunctionDescriptors, PacketsOfAServiceIntervalFollowFromTheSpeed) {
  const auto endpoint_of_last_alternate = [](UsbSpeed speed, int bytes) {
    EmulatedUvcDevice device = isochronous_camera(numbered_frames());
    device.speed = speed;
    device.functions.front().streams.front().interface.alternates.back().interval_bytes = bytes;
    const auto camera = make_uvc_function(std::move(device));
    const Bytes config = camera.function->config_descriptor();
    const std::ptrdiff_t size = speed == UsbSpeed::kSuper ? 13 : 7;
    return Bytes(config.end() - size, config.end());
  };
  EXPECT_THAT(endpoint_of_last_alternate(UsbSpeed::kHigh, 3072),
              ElementsAre(7, 0x05, kVideoEndpoint, 0x05, 0x00, 0x14, 1));
  EXPECT_THAT(endpoint_of_last_alternate(UsbSpeed::kFull, 1023),
              ElementsAre(7, 0x05, kVideoEndpoint, 0x05, 0xFF, 0x03, 1));
  EXPECT_THAT(
      endpoint_of_last_alternate(UsbSpeed::kSuper, 32 * 1024),
      ElementsAre(7, 0x05, kVideoEndpoint, 0x05, 0x00, 0x04, 1, 6, 0x30, 15, 1, 0x00, 0x80));
}

TEST(UvcFunctionDescriptors, DeviceNamesItsStringsAndSpeed) {
  Bench super(bulk_camera(numbered_frames()));
  const UsbFunction& function = *super.camera.function;
  EXPECT_THAT(function.device_descriptor(), ElementsAre(18, 1, 0x20, 0x03, 239, 2, 1, 9, 0x34, 0x12,
                                                        0x78, 0x56, 0x00, 0x01, 1, 2, 3, 1));
  EXPECT_EQ(function.string_descriptor(1), "Maker");
  EXPECT_EQ(function.string_descriptor(3), "0001");
  EXPECT_EQ(function.string_descriptor(4), "");
  EmulatedUvcDevice nameless = isochronous_camera(numbered_frames());
  nameless.serial.clear();
  Bench high(std::move(nameless));
  EXPECT_THAT(high.camera.function->device_descriptor(),
              ElementsAre(18, 1, 0x00, 0x02, 239, 2, 1, 64, 0x34, 0x12, 0x78, 0x56, 0x00, 0x01, 1,
                          2, 0, 1));
}

TEST(UvcFunctionProbe, BlockHasTheSizeOfTheVersion) {
  for (const auto& [version, size] : {std::pair{0x0100, 26}, {0x0110, 34}, {0x0150, 48}}) {
    EmulatedUvcDevice device = bulk_camera(numbered_frames());
    device.functions.front().function.uvc_version_bcd = static_cast<std::uint16_t>(version);
    Bench bench(std::move(device));
    EXPECT_THAT(bench.host.get(1, uvc::kProbeSelector, uvc::kGetLen),
                Optional(ElementsAre(size, 0)));
    EXPECT_EQ(bench.host.get(1, uvc::kProbeSelector)->size(), static_cast<std::size_t>(size));
    EXPECT_EQ(bench.host.set(1, uvc::kProbeSelector, Bytes(static_cast<std::size_t>(size) + 1)),
              Kind::kStall);
    EXPECT_TRUE(bench.host.agree(static_cast<std::uint16_t>(version)));
  }
}

TEST(UvcFunctionProbe, TellsItsDefaultsAndTheBoundsOfTheInterval) {
  Bench bench(bulk_camera(numbered_frames()));
  const auto interval = [&](std::uint8_t request) {
    const auto block = bench.host.get(1, uvc::kProbeSelector, request);
    return block ? uvc::decode_stream_control(*block)->interval_100ns : 0;
  };
  EXPECT_EQ(interval(uvc::kGetCur), 333'333u);
  EXPECT_EQ(interval(uvc::kGetDef), 333'333u);
  EXPECT_EQ(interval(uvc::kGetMin), 333'333u);
  EXPECT_EQ(interval(uvc::kGetMax), 666'666u);
  EXPECT_THAT(bench.host.get(1, uvc::kProbeSelector, uvc::kGetInfo), Optional(ElementsAre(3)));
  EXPECT_EQ(bench.host.get(1, uvc::kCommitSelector, uvc::kGetMin), std::nullopt);
  EXPECT_EQ(bench.host.get(1, 9), std::nullopt);
}

TEST(UvcFunctionProbe, GivesTheNearestIntervalAndRefusesWhatThereIsNot) {
  Bench bench(bulk_camera(numbered_frames()));
  EXPECT_EQ(bench.host.agree(0x0150, 1, 600'000)->interval_100ns, 666'666u);
  EXPECT_EQ(bench.host.agree(0x0150, 9), std::nullopt);
  const uvc::StreamControl not_probed{
      .format_index = 1, .frame_index = 1, .interval_100ns = 500'000};
  EXPECT_EQ(bench.host.set(1, uvc::kCommitSelector, uvc::encode(not_probed, 0x0150)), Kind::kStall);
}

TEST(UvcFunctionProbe, IsochronousCameraAsksForTheSmallestSettingThatCarriesTheRate) {
  EmulatedUvcDevice device = isochronous_camera(numbered_frames());
  auto& frames = device.functions.front().streams.front().interface.formats.front().frames;
  frames.push_back(
      {.index = 3, .width_px = 160, .height_px = 100, .intervals_100ns = {333'333, 10'000'000}});
  Bench bench(std::move(device));
  EXPECT_EQ(bench.host.agree(0x0110, 1)->max_payload_bytes, 32u);
  EXPECT_EQ(bench.host.agree(0x0110, 3)->max_payload_bytes, 2048u);
  EXPECT_EQ(bench.host.agree(0x0110, 3, 10'000'000)->max_payload_bytes, 32u);
}

TEST(UvcFunctionBulk, OnePayloadHoldsAFrameWithItsMetadata) {
  const Bytes metadata{9, 8, 7};
  Bench bench(bulk_camera(numbered_frames(metadata)));
  EXPECT_FALSE(bench.control().streaming());
  ASSERT_TRUE(bench.host.agree(0x0150));
  for (std::uint64_t index = 0; index < 5; ++index) {
    const auto [outcome, payload] = bench.host.read(kVideoEndpoint, kTransferBytes);
    ASSERT_EQ(payload.size(), 12 + metadata.size() + kCameraFrameBytes);
    EXPECT_EQ(payload[0], 12 + metadata.size());
    EXPECT_EQ(payload[1], 0x8E | (index % 2 == 0 ? 1 : 0));
    EXPECT_THAT(Bytes(payload.begin() + 12, payload.begin() + 15), ElementsAreArray(metadata));
    EXPECT_EQ(pixels_behind_header(payload), numbered_pixels(index, kCameraFrameBytes));
  }
  EXPECT_TRUE(bench.control().streaming());
  EXPECT_EQ(bench.control().frames_sent(), 5u);
}

TEST(UvcFunctionBulk, CutsAFrameIntoPayloadsOfTheAgreedSize) {
  Bench bench(bulk_camera(numbered_frames({5}), 32));
  EXPECT_EQ(bench.host.agree(0x0150)->max_payload_bytes, 32u);
  Bytes frame;
  for (const std::size_t size : {32u, 32u, 32u, 17u}) {  // 19 + 20 + 20 + 5 pixel bytes
    const auto [outcome, payload] = bench.host.read(kVideoEndpoint, kTransferBytes);
    ASSERT_EQ(payload.size(), size);
    EXPECT_EQ(payload[0], frame.empty() ? 13 : 12) << "metadata comes once";
    EXPECT_EQ((payload[1] & kEndFlag) != 0, size == 17u);
    const Bytes part = pixels_behind_header(payload);
    frame.insert(frame.end(), part.begin(), part.end());
  }
  EXPECT_EQ(frame, numbered_pixels(0, kCameraFrameBytes));
}

TEST(UvcFunctionBulk, APayloadThatFillsItsTransferIsEndedByAnEmptyOne) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  const std::size_t half = (12 + kCameraFrameBytes) / 2;
  EXPECT_EQ(bench.host.read(kVideoEndpoint, half).outcome.size, half);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, half).outcome.size, half);
  EXPECT_EQ(bench.control().frames_sent(), 0u);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, half).outcome.size, 0u);
  EXPECT_EQ(bench.control().frames_sent(), 1u);
}

TEST(UvcFunctionBulk, ClearingTheEndpointEndsTheStreamUntilTheNextCommit) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.host.read(kVideoEndpoint, kTransferBytes);
  bench.camera.function->clear_halt(kVideoEndpoint);
  EXPECT_FALSE(bench.control().streaming());
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  ASSERT_TRUE(bench.host.agree(0x0150, 2));
  const auto [outcome, payload] = bench.host.read(kVideoEndpoint, kTransferBytes);
  EXPECT_EQ(pixels_behind_header(payload), numbered_pixels(1, 16 * 8 * 2))
      << "frames that were made ahead are asked for again";
}

TEST(UvcFunctionBulk, AnExhaustedSourceIsAskedAgainByTheNextCommit) {
  std::atomic<std::uint64_t> frames{2};
  Bench bench(bulk_camera([&](std::uint64_t index, const EmulatedMode&, EmulatedFrame& frame) {
    frame.pixels.assign(kCameraFrameBytes, static_cast<std::uint8_t>(index));
    return index < frames;
  }));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.host.read(kVideoEndpoint, kTransferBytes);
  bench.host.read(kVideoEndpoint, kTransferBytes);
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  frames = 3;
  ASSERT_TRUE(bench.host.agree(0x0150));
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).bytes.back(), 2);
}

TEST(UvcFunctionBulk, FlushBringsTheNewSceneWithTheNextFrame) {
  std::atomic<std::uint8_t> scene{1};
  std::atomic<int> made{0};
  Bench bench(bulk_camera([&](std::uint64_t index, const EmulatedMode&, EmulatedFrame& frame) {
    frame.pixels.assign(kCameraFrameBytes, static_cast<std::uint8_t>(index));
    frame.pixels[0] = scene;
    ++made;
    made.notify_all();
    return true;
  }));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.host.read(kVideoEndpoint, kTransferBytes);
  while (made < 3) made.wait(made.load());  // two wait behind the one that was read
  scene = 2;
  bench.control().flush();
  const Bytes pixels = pixels_behind_header(bench.host.read(kVideoEndpoint, kTransferBytes).bytes);
  EXPECT_EQ(pixels[0], 2);
  EXPECT_EQ(pixels[1], 1) << "the host misses no number";
}

TEST(UvcFunctionBulk, TimeStampsAdvanceByTheIntervalWhenFramesAreNotPaced) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  std::uint32_t last = pts_of(bench.host.read(kVideoEndpoint, kTransferBytes).bytes);
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t pts = pts_of(bench.host.read(kVideoEndpoint, kTransferBytes).bytes);
    EXPECT_NEAR(pts - last, kCameraClockHz / 30.0, 2);
    last = pts;
  }
}

TEST(UvcFunctionBulk, PacedFramesLeaveNoFasterThanTheCommittedRate) {
  EmulatedUvcDevice device = bulk_camera(numbered_frames());
  device.real_time = true;
  auto& frame = device.functions.front().streams.front().interface.formats.front().frames.front();
  frame.intervals_100ns = {20'000};  // 500 Hz
  Bench bench(std::move(device));
  ASSERT_TRUE(bench.host.agree(0x0150));
  constexpr int kFrames = 20;
  const std::uint32_t first = pts_of(bench.host.read(kVideoEndpoint, kTransferBytes).bytes);
  std::uint32_t last = first;
  for (int i = 1; i < kFrames; ++i)
    last = pts_of(bench.host.read(kVideoEndpoint, kTransferBytes).bytes);
  EXPECT_GE(last - first, (kFrames - 1.5) * kCameraClockHz / 500);
}

TEST(UvcFunctionFaults, AStallHaltsTheEndpointOnce) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.control().stall_after(1);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kData);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kStall);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kStall);
  bench.camera.function->clear_halt(kVideoEndpoint);
  ASSERT_TRUE(bench.host.agree(0x0150));
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kData);
}

TEST(UvcFunctionFaults, SilenceEndsWhenTheEndpointIsCleared) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.host.read(kVideoEndpoint, kTransferBytes);
  bench.control().go_silent_after(0);
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  ASSERT_TRUE(bench.host.agree(0x0150));
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  bench.camera.function->clear_halt(kVideoEndpoint);
  ASSERT_TRUE(bench.host.agree(0x0150));
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kData);
}

TEST(UvcFunctionFaults, AFrozenDeviceAnswersNothingUntilItIsPluggedInAgain) {
  Bench bench(bulk_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0150));
  bench.control().freeze_after(0);
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
  bench.camera.function->clear_halt(kVideoEndpoint);
  bench.camera.function->reset();
  EXPECT_FALSE(bench.host.agree(0x0150));
  bench.host.plug();
  ASSERT_TRUE(bench.host.agree(0x0150));
  EXPECT_EQ(bench.host.read(kVideoEndpoint, kTransferBytes).outcome.kind, Kind::kData);
}

TEST(UvcFunctionIsochronous, SendsNothingOnAlternateZero) {
  Bench bench(isochronous_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0110));
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, 64).outcome.kind, Kind::kNak);
  bench.camera.function->set_alternate(1, 2);
  EXPECT_EQ(read_packets(bench, 64), numbered_pixels(0, kCameraFrameBytes));
  bench.camera.function->set_alternate(1, 0);
  EXPECT_EQ(bench.host.read_once(kVideoEndpoint, 64).outcome.kind, Kind::kNak);
  EXPECT_FALSE(bench.control().streaming());
}

TEST(UvcFunctionIsochronous, APacketHasThePayloadOfTheChosenSetting) {
  EmulatedUvcDevice device = isochronous_camera(numbered_frames());
  auto& frames = device.functions.front().streams.front().interface.formats.front().frames;
  frames.push_back({.index = 3, .width_px = 160, .height_px = 100, .intervals_100ns = {333'333}});
  Bench bench(std::move(device));
  ASSERT_TRUE(bench.host.agree(0x0110, 3));
  for (const auto& [alternate, bytes] : {std::pair{3, 2048u}, {2, 64u}, {1, 32u}}) {
    bench.camera.function->set_alternate(1, alternate);
    const auto [outcome, packet] = bench.host.read(kVideoEndpoint, 2048);
    EXPECT_EQ(outcome.size, bytes);
    bench.camera.function->set_alternate(1, 0);
  }
}

TEST(UvcFunctionIsochronous, AHostThatAsksForLessThanAPacketSeesBabble) {
  Bench bench(isochronous_camera(numbered_frames()));
  ASSERT_TRUE(bench.host.agree(0x0110));
  bench.camera.function->set_alternate(1, 1);
  EXPECT_EQ(bench.host.read(kVideoEndpoint, 20).outcome.size, 32u);
}

TEST(UvcFunctionStill, MethodTwoSendsTheStillOnTheVideoPipe) {
  Bench bench(isochronous_camera(numbered_frames(), 2));
  ASSERT_TRUE(bench.host.agree(0x0110));
  bench.camera.function->set_alternate(1, 2);
  read_packets(bench, 64);
  EXPECT_EQ(bench.host.set(1, kStillTrigger, {1}), Kind::kStall) << "nothing is committed";
  Bytes wish(11);
  wish[0] = 1;
  wish[1] = 2;
  EXPECT_EQ(bench.host.set(1, kStillProbe, wish), Kind::kData);
  const auto offer = bench.host.get(1, kStillProbe);
  ASSERT_TRUE(offer);
  EXPECT_EQ(read_le<std::uint32_t>(*offer, 3), 32u * 16 * 2);
  EXPECT_EQ(bench.host.set(1, kStillCommit, *offer), Kind::kData);
  EXPECT_EQ(bench.host.set(1, kStillTrigger, {2}), Kind::kStall) << "it has no still pipe";
  EXPECT_EQ(bench.host.set(1, kStillTrigger, {1}), Kind::kData);
  for (int frames = 0; frames < 10; ++frames) {
    std::uint8_t flags = 0;
    const Bytes picture = read_packets(bench, 64, &flags);
    const bool still = (flags & kStillFlag) != 0;
    EXPECT_EQ(picture.size(), still ? std::size_t{32} * 16 * 2 : kCameraFrameBytes);
    if (still) {
      EXPECT_THAT(bench.host.get(1, kStillTrigger), Optional(ElementsAre(0)));
      EXPECT_EQ(read_packets(bench, 64).size(), kCameraFrameBytes) << "the video goes on";
      return;
    }
  }
  FAIL() << "no still came";
}

TEST(UvcFunctionStill, MethodThreeSendsTheStillOnItsOwnPipe) {
  Bench bench(isochronous_camera(numbered_frames(), 3));
  Bytes wish(11);
  wish[0] = 1;
  wish[1] = 2;
  EXPECT_EQ(bench.host.set(1, kStillCommit, wish), Kind::kData);
  EXPECT_EQ(bench.host.set(1, kStillTrigger, {2}), Kind::kData);
  const auto [outcome, payload] = bench.host.read(kStillEndpoint, kTransferBytes);
  ASSERT_EQ(payload.size(), 12u + 32 * 16 * 2);
  EXPECT_NE(payload[1] & kStillFlag, 0);
  EXPECT_EQ(bench.host.read_once(kStillEndpoint, kTransferBytes).outcome.kind, Kind::kNak);
}

TEST(UvcFunctionControls, AnswerAsTheyAreDescribed) {
  Bytes value{1, 0};
  EmulatedUvcDevice device = bulk_camera(numbered_frames());
  device.functions.front().controls = {
      {.entity = 2,
       .selector = 4,
       .size_bytes = 2,
       .get = [&] { return std::optional(value); },
       .set =
           [&](std::span<const std::uint8_t> to) {
             if (to[0] > 100) return false;
             value.assign(to.begin(), to.end());
             return true;
           },
       .min = {0, 0},
       .max = {100, 0}},
      {.entity = 3, .selector = 1, .size_bytes = 4, .get = [] { return std::nullopt; }, .set = {}}};
  Bench bench(std::move(device));
  constexpr std::uint16_t kUnit2 = 0x0200, kUnit3 = 0x0300;
  EXPECT_THAT(bench.host.get(kUnit2, 4, uvc::kGetLen), Optional(ElementsAre(2, 0)));
  EXPECT_THAT(bench.host.get(kUnit2, 4, uvc::kGetInfo), Optional(ElementsAre(3)));
  EXPECT_THAT(bench.host.get(kUnit2, 4, uvc::kGetMax), Optional(ElementsAre(100, 0)));
  EXPECT_EQ(bench.host.get(kUnit2, 4, kGetRes), std::nullopt);
  EXPECT_EQ(bench.host.set(kUnit2, 4, {42, 0}), Kind::kData);
  EXPECT_THAT(bench.host.get(kUnit2, 4), Optional(ElementsAre(42, 0)));
  EXPECT_EQ(bench.host.set(kUnit2, 4, {42}), Kind::kStall);
  EXPECT_THAT(bench.host.get(kUnit3, 1, uvc::kGetInfo), Optional(ElementsAre(1)));
  EXPECT_EQ(bench.host.get(kUnit3, 1), std::nullopt);
  EXPECT_EQ(bench.host.set(kUnit3, 1, {0, 0, 0, 0}), Kind::kStall);
}

TEST(UvcFunctionControls, TheControlInterfaceTellsWhyARequestWasRefused) {
  EmulatedUvcDevice device = bulk_camera(numbered_frames());
  device.functions.front().controls = {
      {.entity = 2,
       .selector = 4,
       .size_bytes = 1,
       .get = {},
       .set = [](std::span<const std::uint8_t>) { return false; }}};
  Bench bench(std::move(device));
  constexpr std::uint8_t kErrorCode = 2;
  EXPECT_THAT(bench.host.get(0, kErrorCode), Optional(ElementsAre(0)));
  EXPECT_EQ(bench.host.get(0x0900, 1), std::nullopt);
  EXPECT_THAT(bench.host.get(0, kErrorCode), Optional(ElementsAre(5))) << "no such unit";
  EXPECT_EQ(bench.host.get(0x0200, 1), std::nullopt);
  EXPECT_THAT(bench.host.get(0, kErrorCode), Optional(ElementsAre(6))) << "no such control";
  EXPECT_EQ(bench.host.set(0x0200, 4, {1}), Kind::kStall);
  EXPECT_THAT(bench.host.get(0, kErrorCode), Optional(ElementsAre(4))) << "out of range";
  EXPECT_EQ(bench.host.get(0x0200, 4), std::nullopt);
  EXPECT_THAT(bench.host.get(0, kErrorCode), Optional(ElementsAre(7))) << "write-only";
}

TEST(UvcFunctionControls, StatusPacketsComeInOrder) {
  Bench bench(bulk_camera(numbered_frames()));
  EXPECT_EQ(bench.host.read_once(kStatusEndpoint, 16).outcome.kind, Kind::kNak);
  bench.control().send_status(0, {2, 1, 0, 1});
  bench.control().send_status(0, {2, 1, 0, 0});
  EXPECT_THAT(bench.host.read(kStatusEndpoint, 16).bytes, ElementsAre(2, 1, 0, 1));
  EXPECT_THAT(bench.host.read(kStatusEndpoint, 16).bytes, ElementsAre(2, 1, 0, 0));
}

TEST(UvcFunction, RefusesRequestsAndEndpointsThatItHasNot) {
  Bench bench(bulk_camera(numbered_frames()));
  Bytes data(48);
  EXPECT_EQ(bench.camera.function->control({0xC0, 0x81, 0x0100, 1}, data).kind, Kind::kStall);
  EXPECT_EQ(bench.camera.function->control({0x21, 0x81, 0x0100, 1}, data).kind, Kind::kStall);
  EXPECT_EQ(bench.camera.function->control({0xA1, 0x81, 0x0100, 7}, data).kind, Kind::kStall);
  EXPECT_EQ(bench.host.read_once(0x8F, 64).outcome.kind, Kind::kStall);
}

TEST(UvcFunction, TwoVideoFunctionsStreamAtOnce) {
  EmulatedUvcDevice device = bulk_camera(numbered_frames());
  EmulatedVideoFunction colour = device.functions.front();
  colour.function.control_interface = 2;
  colour.function.status_endpoint = 0;
  colour.streams.front().interface.number = 3;
  colour.streams.front().interface.alternates.front().endpoint = 0x84;
  colour.streams.front().source = [](std::uint64_t index, const EmulatedMode&,
                                     EmulatedFrame& frame) {
    frame.pixels.assign(kCameraFrameBytes, static_cast<std::uint8_t>(200 + index));
    return true;
  };
  device.functions.push_back(std::move(colour));
  Bench bench(std::move(device));
  const auto functions = uvc::parse_video_functions(bench.camera.function->config_descriptor());
  ASSERT_TRUE(functions) << functions.error().message;
  ASSERT_EQ(functions->size(), 2u);
  EXPECT_EQ((*functions)[1].streams.front().endpoint(), 0x84);
  ASSERT_TRUE(bench.host.agree(0x0150));
  const auto block =
      uvc::encode({.format_index = 1, .frame_index = 1, .interval_100ns = 333'333}, 0x0150);
  EXPECT_EQ(bench.host.set(3, uvc::kCommitSelector, block), Kind::kData);
  for (std::uint8_t index = 0; index < 4; ++index) {
    EXPECT_EQ(pixels_behind_header(bench.host.read(kVideoEndpoint, kTransferBytes).bytes),
              numbered_pixels(index, kCameraFrameBytes));
    EXPECT_EQ(bench.host.read(0x84, kTransferBytes).bytes.back(), 200 + index);
  }
}

}  // namespace
}  // namespace cusp
