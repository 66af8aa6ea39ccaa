// What every UsbTransport promises, asked of both: libusb over an emulated usbfs, and the one
// without a kernel. Runs under umockdev's preload.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "drivers/emulation/in_process_transport.h"
#include "drivers/emulation/umock_bus.h"
#include "drivers/usb/usb_bus.h"
#include "tests/drivers/scripted_function.h"

namespace cusp {
namespace {

using Kind = UsbOutcome::Kind;
using std::chrono::milliseconds;

constexpr int kTransferBytes = 4096;
constexpr milliseconds kPatience{20'000}, kShort{200};
constexpr StreamOptions kBulk{
    .endpoint = kBulkEndpoint, .transfer_size_bytes = kTransferBytes, .watchdog = kPatience};
constexpr StreamOptions kInterrupt{.endpoint = kInterruptEndpoint,
                                   .type = TransferType::kInterrupt,
                                   .transfer_count = 2,
                                   .transfer_size_bytes = 64,
                                   .watchdog = milliseconds{0}};
constexpr StreamOptions kIsochronous{.endpoint = kIsochronousEndpoint,
                                     .type = TransferType::kIsochronous,
                                     .packet_bytes = kPacketBytes,
                                     .packets_per_transfer = 16,
                                     .watchdog = kPatience};

struct Seen {
  std::uint8_t endpoint = 0;
  std::vector<std::uint8_t> bytes;
  bool ends_payload = false;
  bool damaged = false;
};

std::vector<std::uint8_t> filled(std::size_t size, std::uint8_t value) {
  return std::vector<std::uint8_t>(size, value);
}

enum class Cable { kLibusb, kInProcess };

class TransportTest : public testing::TestWithParam<Cable> {
 protected:
  void SetUp() override {
    if (GetParam() == Cable::kInProcess) {
      transport_ = make_in_process_transport(function_, unplugged_.get_token());
      return;
    }
    auto umock = UmockBus::create();
    ASSERT_TRUE(umock) << umock.error().message;
    umock_ = std::move(umock).value();
    auto usb = UsbBus::start();
    ASSERT_TRUE(usb) << usb.error().message;
    usb_ = std::move(usb).value();
    ASSERT_TRUE(umock_->plug(function_));
    for (int i = 0; i < 4000 && usb_->list().empty(); ++i)
      std::this_thread::sleep_for(milliseconds(5));
    const auto addresses = usb_->list();
    ASSERT_EQ(addresses.size(), 1u);
    auto opened = usb_->open(addresses.front());
    ASSERT_TRUE(opened) << opened.error().message;
    transport_ = std::move(opened).value();
  }
  void TearDown() override {
    transport_.reset();
    usb_.reset();
    if (umock_) {
      EXPECT_EQ(umock_->counts().unhandled, 0u);
    }
  }

  void unplug() {
    if (GetParam() == Cable::kInProcess)
      unplugged_.request_stop();
    else
      ASSERT_TRUE(umock_->unplug(function_));
  }

  void claim() {
    ASSERT_TRUE(transport_->claim_interface(0));
    ASSERT_TRUE(transport_->claim_interface(1));
  }
  void choose_isochronous() {
    claim();
    const auto chosen = transport_->set_alternate(1, 1);
    ASSERT_TRUE(chosen) << chosen.error().message;
  }

  // Streams until `count` chunks came that are not empty, or it ends by itself.
  std::vector<Seen> stream(std::vector<StreamOptions> endpoints, std::size_t count,
                           Result<void>& result, const std::stop_token& stop = {}) {
    std::vector<Seen> seen;
    result = transport_->stream(endpoints, stop, [&](const StreamChunk& chunk) {
      if (!chunk.bytes.empty() || chunk.damaged)
        seen.push_back({chunk.endpoint,
                        {chunk.bytes.begin(), chunk.bytes.end()},
                        chunk.ends_payload,
                        chunk.damaged});
      return seen.size() < count;
    });
    return seen;
  }

  ScriptedFunction function_;
  std::stop_source unplugged_;
  std::unique_ptr<UmockBus> umock_;
  std::unique_ptr<UsbBus> usb_;
  std::unique_ptr<UsbTransport> transport_;
};

INSTANTIATE_TEST_SUITE_P(Cables, TransportTest, testing::Values(Cable::kLibusb, Cable::kInProcess),
                         [](const auto& tested) {
                           return tested.param == Cable::kLibusb ? "Libusb" : "InProcess";
                         });

TEST_P(TransportTest, TellsWhatIsPluggedInWhere) {
  EXPECT_THAT(transport_->device_descriptor(),
              testing::ElementsAreArray(function_.device_descriptor()));
  EXPECT_THAT(transport_->config_descriptor(),
              testing::ElementsAreArray(function_.config_descriptor()));
  EXPECT_EQ(transport_->speed(), UsbSpeed::kHigh);
  EXPECT_THAT(transport_->location(), testing::EndsWith("-1"));
  EXPECT_EQ(*transport_->string_descriptor(2), "Scripted");
  EXPECT_EQ(transport_->string_descriptor(7).error().code, ErrorCode::kProtocol);
}

TEST_P(TransportTest, RefusesWhatTheDeviceLacks) {
  EXPECT_EQ(transport_->set_alternate(1, 1).error().code, ErrorCode::kConflict);
  claim();
  EXPECT_EQ(transport_->claim_interface(5).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(transport_->set_alternate(1, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(transport_->clear_halt(0x8F).error().code, ErrorCode::kNotFound);
}

TEST_P(TransportTest, AnswersRequests) {
  std::array<std::uint8_t, 8> data{};
  const auto size =
      transport_->control_in({0xC0, ScriptedFunction::kEcho, 0x2A, 0}, data, kPatience);
  ASSERT_TRUE(size) << size.error().message;
  EXPECT_EQ(*size, data.size());
  EXPECT_THAT(data, testing::Each(0x2A));
  EXPECT_TRUE(transport_->control_out({0x40, ScriptedFunction::kEcho, 0, 0}, data, kPatience));
  const auto refused =
      transport_->control_in({0xC0, ScriptedFunction::kRefuse, 0, 0}, data, kPatience);
  EXPECT_EQ(refused.error().code, ErrorCode::kProtocol);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("USB device 8086:0b5b at"));
  const auto ignored =
      transport_->control_in({0xC0, ScriptedFunction::kIgnore, 0, 0}, data, kShort);
  EXPECT_EQ(ignored.error().code, ErrorCode::kTimeout);
}

TEST_P(TransportTest, EndsAPayloadWithAShortTransfer) {
  claim();
  function_.send(kBulkEndpoint, filled(kTransferBytes, 1));
  function_.send(kBulkEndpoint, filled(100, 2));
  function_.send(kBulkEndpoint, filled(kTransferBytes, 3));
  Result<void> result;
  const auto seen = stream({kBulk}, 3, result);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].bytes, filled(kTransferBytes, 1));
  EXPECT_FALSE(seen[0].ends_payload);
  EXPECT_EQ(seen[1].bytes, filled(100, 2));
  EXPECT_TRUE(seen[1].ends_payload);
  EXPECT_EQ(seen[2].bytes, filled(kTransferBytes, 3));
}

TEST_P(TransportTest, GivesEachPacketAsOneChunkAndTellsWhichTheBusDamaged) {
  choose_isochronous();
  function_.send(kIsochronousEndpoint, filled(kPacketBytes, 1));
  function_.send(kIsochronousEndpoint, filled(10, 2));
  function_.send(kIsochronousEndpoint, {Kind::kDamaged, filled(20, 3)});
  function_.send(kIsochronousEndpoint, filled(kPacketBytes + 50, 4));
  function_.send(kIsochronousEndpoint, filled(30, 5));
  Result<void> result;
  const auto seen = stream({kIsochronous}, 5, result);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(seen.size(), 5u);
  const std::vector<std::size_t> sizes{kPacketBytes, 10, 20, kPacketBytes, 30};
  const std::vector<bool> damaged{false, false, true, true, false};
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].bytes, filled(sizes[i], static_cast<std::uint8_t>(i + 1)));
    EXPECT_EQ(seen[i].damaged, damaged[i]);
    EXPECT_TRUE(seen[i].ends_payload);
  }
}

TEST_P(TransportTest, DeliversEmptyPacketsWhileAnIsochronousDeviceIsSilent) {
  choose_isochronous();
  StreamOptions options = kIsochronous;
  options.watchdog = kPatience;
  int empty = 0;
  const auto result = transport_->stream(std::span(&options, 1), {}, [&](const StreamChunk& chunk) {
    EXPECT_TRUE(chunk.bytes.empty());
    EXPECT_FALSE(chunk.damaged);
    return ++empty < 100;
  });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(empty, 100);
}

TEST_P(TransportTest, StreamsSeveralEndpointsEachInItsOwnOrder) {
  choose_isochronous();
  std::uint8_t bulk = 0;
  function_.keep_sending(kBulkEndpoint, [&](std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), bulk++);
    return true;
  });
  std::uint8_t packet = 0;
  function_.keep_sending(kIsochronousEndpoint, [&](std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), packet++);
    return true;
  });
  for (int i = 0; i < 5; ++i)
    function_.send(kInterruptEndpoint, filled(4, static_cast<std::uint8_t>(i)));
  std::map<std::uint8_t, std::vector<std::uint8_t>> firsts;
  const std::array endpoints{kBulk, kInterrupt, kIsochronous};
  const auto result = transport_->stream(endpoints, {}, [&](const StreamChunk& chunk) {
    if (!chunk.bytes.empty()) {
      firsts[chunk.endpoint].push_back(chunk.bytes.front());
      EXPECT_EQ(chunk.bytes.front(), chunk.bytes.back());
    }
    return firsts[kBulkEndpoint].size() < 100 || firsts[kIsochronousEndpoint].size() < 1000 ||
           firsts[kInterruptEndpoint].size() < 5;
  });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(firsts.size(), 3u);
  for (const auto& [endpoint, values] : firsts)
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], static_cast<std::uint8_t>(i)) << "endpoint " << int{endpoint};
}

TEST_P(TransportTest, BarksWhenOneEndpointIsSilentWhileAnotherFlows) {
  claim();
  function_.keep_sending(kInterruptEndpoint, [](std::span<std::uint8_t>) { return true; });
  StreamOptions bulk = kBulk;
  bulk.watchdog = kShort;
  const std::array endpoints{kInterrupt, bulk};
  const auto result = transport_->stream(endpoints, {}, [](const StreamChunk&) { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(result.error().message, testing::HasSubstr("endpoint 0x81 sent nothing for 200 ms"));
}

TEST_P(TransportTest, WaitsQuietlyWithoutAWatchdogUntilStopped) {
  claim();
  std::stop_source stop;
  Result<void> result = error(ErrorCode::kIo, "not ended");
  std::jthread thread([&] {
    result = transport_->stream(std::span(&kInterrupt, 1), stop.get_token(),
                                [](const StreamChunk&) { return true; });
  });
  std::this_thread::sleep_for(2 * kShort);
  stop.request_stop();
  thread.join();
  EXPECT_TRUE(result) << result.error().message;
}

TEST_P(TransportTest, EndsAtAStallAndGoesOnAfterItIsCleared) {
  claim();
  function_.send(kBulkEndpoint, filled(10, 1));
  function_.send(kBulkEndpoint, {Kind::kStall});
  function_.send(kBulkEndpoint, filled(10, 2));
  Result<void> result;
  EXPECT_EQ(stream({kBulk}, 9, result).size(), 1u);
  EXPECT_EQ(result.error().code, ErrorCode::kProtocol);
  EXPECT_THAT(result.error().message, testing::HasSubstr("endpoint 0x81 stalled"));
  EXPECT_TRUE(transport_->clear_halt(kBulkEndpoint));
  EXPECT_EQ(stream({kBulk}, 1, result).size(), 1u);
  EXPECT_TRUE(result) << result.error().message;
}

TEST_P(TransportTest, GivesWhatCameBeforeAStall) {
  claim();
  function_.send(kBulkEndpoint, {Kind::kStall, filled(512, 7)});
  Result<void> result;
  const auto seen = stream({kBulk}, 9, result);
  EXPECT_EQ(result.error().code, ErrorCode::kProtocol);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].bytes, filled(512, 7));
  EXPECT_TRUE(seen[0].ends_payload);
}

TEST_P(TransportTest, SaysHowLongADeviceThatNeverBeganWasWaitedFor) {
  claim();
  StreamOptions bulk = kBulk;
  bulk.watchdog = milliseconds(1);
  bulk.start_watchdog = kShort;
  Result<void> result;
  stream({bulk}, 1, result);
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(result.error().message, testing::HasSubstr("200 ms"));
}

TEST_P(TransportTest, WaitsLessOnceADeviceHasBegun) {
  claim();
  StreamOptions bulk = kBulk;
  bulk.watchdog = kShort;
  bulk.start_watchdog = kPatience;
  function_.send(kBulkEndpoint, filled(10, 1));
  Result<void> result;
  stream({bulk}, 2, result);
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(result.error().message, testing::HasSubstr("200 ms"));
}

TEST_P(TransportTest, CallsBabbleAProtocolError) {
  claim();
  function_.send(kBulkEndpoint, filled(kTransferBytes + 1, 1));
  Result<void> result;
  const auto seen = stream({kBulk}, 9, result);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].damaged);
  EXPECT_EQ(result.error().code, ErrorCode::kProtocol);
  EXPECT_THAT(result.error().message, testing::HasSubstr("more than was asked"));
}

TEST_P(TransportTest, CallsABusErrorOneWhenTheDeviceStillAnswers) {
  claim();
  function_.send(kBulkEndpoint, {Kind::kDamaged, filled(8, 1)});
  Result<void> result;
  const auto seen = stream({kBulk}, 9, result);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].damaged);
  EXPECT_EQ(seen[0].bytes, filled(8, 1));
  EXPECT_EQ(result.error().code, ErrorCode::kIo) << result.error().message;
}

TEST_P(TransportTest, EndsWhenTheCableIsPulledAndSaysSoEverAfter) {
  choose_isochronous();
  function_.keep_sending(kBulkEndpoint, [](std::span<std::uint8_t>) { return true; });
  const std::array endpoints{kBulk, kInterrupt, kIsochronous};
  int chunks = 0;
  const auto result = transport_->stream(endpoints, {}, [&](const StreamChunk&) {
    if (++chunks == 50) unplug();
    return true;
  });
  EXPECT_EQ(result.error().code, ErrorCode::kDisconnected) << result.error().message;
  std::array<std::uint8_t, 4> data{};
  EXPECT_EQ(
      transport_->control_in({0xC0, ScriptedFunction::kEcho, 1, 0}, data, kPatience).error().code,
      ErrorCode::kDisconnected);
  EXPECT_EQ(transport_->clear_halt(kBulkEndpoint).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(transport_->set_alternate(1, 0).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(transport_->claim_interface(0).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(transport_->reset().error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(transport_->string_descriptor(2).error().code, ErrorCode::kDisconnected);
  Result<void> again;
  stream({kBulk}, 1, again);
  EXPECT_EQ(again.error().code, ErrorCode::kDisconnected);
}

TEST_P(TransportTest, EndsARequestThatWaitsWhenTheCableIsPulled) {
  std::jthread puller([&] {
    while (function_.requests() == 0) std::this_thread::sleep_for(milliseconds(1));
    unplug();
  });
  std::array<std::uint8_t, 4> data{};
  const auto size =
      transport_->control_in({0xC0, ScriptedFunction::kIgnore, 0, 0}, data, kPatience);
  EXPECT_EQ(size.error().code, ErrorCode::kDisconnected) << size.error().message;
}

TEST_P(TransportTest, TakesRequestsInTheMiddleOfAStream) {
  claim();
  std::uint8_t next = 0;
  function_.keep_sending(kBulkEndpoint, [&](std::span<std::uint8_t> data) {
    data[0] = next++;
    return true;
  });
  std::uint8_t expected = 0;
  const auto result = transport_->stream(std::span(&kBulk, 1), {}, [&](const StreamChunk& chunk) {
    EXPECT_EQ(chunk.bytes[0], expected);
    ++expected;
    std::array<std::uint8_t, 4> data{};
    const auto size =
        transport_->control_in({0xC0, ScriptedFunction::kEcho, expected, 0}, data, kPatience);
    EXPECT_TRUE(size) << size.error().message;
    EXPECT_EQ(data[3], expected);
    return expected < 100;
  });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(expected, 100);
}

TEST_P(TransportTest, StreamsAgainAfterEachEnd) {
  claim();
  function_.keep_sending(kBulkEndpoint, [](std::span<std::uint8_t>) { return true; });
  for (int round = 0; round < 20; ++round) {
    Result<void> result;
    EXPECT_EQ(stream({kBulk}, 3, result).size(), 3u);
    EXPECT_TRUE(result) << result.error().message;
  }
}

TEST_P(TransportTest, RefusesAnEndpointOfASettingThatIsNotChosen) {
  claim();
  Result<void> result;
  stream({kIsochronous}, 1, result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound) << result.error().message;
  EXPECT_EQ(function_.alternate(), 0);
}

// What a verb answers when the plug slips out under it: a bus error first, then no device.
Result<void> use_while_the_plug_slips_out(const std::function<Result<void>(UsbTransport&)>& use) {
  ScriptedFunction function;
  CUSP_ASSIGN(const auto umock, UmockBus::create());
  CUSP_ASSIGN(const auto usb, UsbBus::start());
  CUSP_TRY(umock->plug(function));
  for (int i = 0; i < 4000 && usb->list().empty(); ++i)
    std::this_thread::sleep_for(milliseconds(5));
  if (usb->list().empty()) return error(ErrorCode::kNotFound, "nothing on the bus");
  CUSP_ASSIGN(const auto transport, usb->open(usb->list().front()));
  CUSP_TRY(transport->claim_interface(1));
  umock->garble();
  const std::uint64_t before = umock->counts().ioctls;
  std::jthread puller([&](const std::stop_token& stop) {
    // The verb has failed when something else is asked.
    while (umock->counts().ioctls < before + 3 && !stop.stop_requested())
      std::this_thread::sleep_for(milliseconds(1));
    EXPECT_TRUE(umock->unplug(function));
  });
  return use(*transport);
}

TEST(LibusbTransport, TellsAPulledCableFromABusErrorInEveryRequest) {
  const std::vector<std::function<Result<void>(UsbTransport&)>> verbs{
      [](UsbTransport& cable) -> Result<void> {
        std::array<std::uint8_t, 4> data{};
        CUSP_TRY(cable.control_in({0xC0, ScriptedFunction::kEcho, 1, 0}, data, kPatience));
        return {};
      },
      [](UsbTransport& cable) {
        return cable.control_out({0x40, ScriptedFunction::kEcho, 1, 0}, {}, kPatience);
      },
      [](UsbTransport& cable) -> Result<void> {
        CUSP_TRY(cable.string_descriptor(2));
        return {};
      },
      [](UsbTransport& cable) { return cable.clear_halt(kBulkEndpoint); },
      [](UsbTransport& cable) { return cable.set_alternate(1, 1); },
      [](UsbTransport& cable) { return cable.reset(); },
  };
  for (std::size_t i = 0; i < verbs.size(); ++i) {
    SCOPED_TRACE(i);
    const auto used = use_while_the_plug_slips_out(verbs[i]);
    ASSERT_FALSE(used);
    EXPECT_EQ(used.error().code, ErrorCode::kDisconnected) << used.error().message;
  }
}

// Resets a device whose interfaces another program takes so many times when they are let go.
Result<void> reset_beside_a_program(int claims_lost) {
  ScriptedFunction function;
  CUSP_ASSIGN(const auto umock, UmockBus::create({.claims_lost_at_reset = claims_lost}));
  CUSP_ASSIGN(const auto usb, UsbBus::start());
  CUSP_TRY(umock->plug(function));
  for (int i = 0; i < 4000 && usb->list().empty(); ++i)
    std::this_thread::sleep_for(milliseconds(5));
  if (usb->list().empty()) return error(ErrorCode::kNotFound, "nothing on the bus");
  CUSP_ASSIGN(const auto transport, usb->open(usb->list().front()));
  CUSP_TRY(transport->claim_interface(0));
  return transport->reset();
}

TEST(LibusbTransport, TakesInterfacesBackThatAResetLost) {
  const auto reset = reset_beside_a_program(1);
  EXPECT_TRUE(reset) << reset.error().message;
}

TEST(LibusbTransport, SaysThatAnotherProgramHasWhatAResetLost) {
  const auto reset = reset_beside_a_program(100);
  ASSERT_FALSE(reset);
  EXPECT_EQ(reset.error().code, ErrorCode::kConflict) << reset.error().message;
}

TEST_P(TransportTest, ForgetsTheSettingsAtAReset) {
  choose_isochronous();
  EXPECT_TRUE(transport_->reset());
  EXPECT_EQ(function_.alternate(), 0);
}

}  // namespace
}  // namespace cusp
