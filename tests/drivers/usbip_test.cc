// The USB/IP server as a host sees it: every kind of transfer, faults, and hosts that lie.
#include <gmock/gmock.h>

#include <cerrno>
#include <random>
#include <thread>

#include "drivers/bytes.h"
#include "drivers/emulation/usbip_protocol.h"
#include "drivers/emulation/usbip_server.h"
#include "tests/drivers/obedient_function.h"
#include "tests/drivers/usbip_host.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::Pair;

const Bytes kListRequest{0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0};
constexpr std::uint32_t kIn = 1, kOut = 0;

class UsbipTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = UsbipServer::start(0);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
    const auto bus_id = server_->plug(function_);
    ASSERT_TRUE(bus_id) << bus_id.error().message;
    ASSERT_EQ(*bus_id, "1-1");
  }

  std::unique_ptr<UsbipHost> connect() { return std::make_unique<UsbipHost>(server_->port()); }
  std::unique_ptr<UsbipHost> import(const std::string& bus_id = "1-1") {
    auto host = connect();
    EXPECT_EQ(host->import_device(bus_id), 0U);
    return host;
  }
  std::uint32_t listed() {
    const auto host = connect();
    EXPECT_TRUE(host->send(kListRequest));
    const Bytes head = host->receive(12);
    return head.size() == 12 ? be32(head, 8) : 999;
  }
  void wait_until_detached() {
    while (server_->attached(function_)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  ObedientFunction function_;
  std::unique_ptr<UsbipServer> server_;
};

TEST_F(UsbipTest, ListsADeviceInTheBytesOfTheSpecification) {
  const auto host = connect();
  ASSERT_TRUE(host->send(kListRequest));
  const Bytes list = host->receive(12 + 312 + 2 * 4);
  ASSERT_EQ(list.size(), 332u);
  EXPECT_EQ(Bytes(list.begin(), list.begin() + 12),
            (Bytes{0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 1}));
  const std::string path(reinterpret_cast<const char*>(list.data() + 12));
  EXPECT_EQ(path.substr(path.rfind('/')), "/1-1");
  EXPECT_EQ(Bytes(list.begin() + 268, list.begin() + 272), (Bytes{'1', '-', '1', 0}));
  EXPECT_EQ(Bytes(list.begin() + 300, list.end()),
            (Bytes{0,    0,    0,    1,    0,    0,    0,    1,  // bus, device
                   0,    0,    0,    5,                          // super speed
                   0x12, 0x34, 0x56, 0x78, 0x01, 0x02,           // ids, release
                   0xEF, 2,    1,    1,    1,    2,  // class, configurations, interfaces
                   0xFF, 0x11, 0x22, 0,    0x0E, 0x02, 0x00, 0}));  // the interfaces
  EXPECT_TRUE(host->closed_by_server());
}

TEST_F(UsbipTest, AnswersAControlTransferInTheBytesOfTheSpecification) {
  const auto host = import();
  ASSERT_TRUE(
      host->send({0, 0, 0, 1,  0, 0, 0, 0x2A, 0, 1, 0, 1, 0, 0, 0, 1, 0,    0, 0, 0, 0, 0, 2,  0,
                  0, 0, 0, 18, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0x80, 6, 0, 1, 0, 0, 18, 0}));
  Bytes expected{0, 0, 0, 3,  0, 0, 0, 0x2A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                 0, 0, 0, 18, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Bytes descriptor = function_.device_descriptor();
  expected.insert(expected.end(), descriptor.begin(), descriptor.end());
  EXPECT_EQ(host->receive(66), expected);
}

TEST_F(UsbipTest, RefusesABusIdThatNobodyHas) {
  const auto host = connect();
  EXPECT_EQ(host->import_device("1-2"), 4U);
  EXPECT_TRUE(host->closed_by_server());
}

TEST_F(UsbipTest, MovesControlDataBothWaysAndReportsRefusals) {
  const auto host = import();
  const Bytes words{1, 2, 3, 4, 5};
  EXPECT_EQ(host->control({0x40, ObedientFunction::kWrite, 0, 0, 0, 0, 5, 0}, 0, words).status, 0);
  EXPECT_EQ(host->control({0xC0, ObedientFunction::kRead, 0, 0, 0, 0, 64, 0}, 64).data, words);
  const UsbipReply refused = host->control({0xC0, ObedientFunction::kRefused, 0, 0, 0, 0, 8, 0}, 8);
  EXPECT_EQ(refused.status, -EPIPE);
  EXPECT_TRUE(refused.data.empty());
  EXPECT_EQ(host->control({0x01, 0x0B, 1, 0, 1, 0, 0, 0}, 0).status, 0);
  EXPECT_THAT(function_.alternates(), ElementsAre(Pair(1, 1)));
  EXPECT_EQ(host->control({0x02, 0x01, 0, 0, 0x81, 0, 0, 0}, 0).status, 0);
  EXPECT_THAT(function_.cleared(), ElementsAre(0x81));
}

TEST_F(UsbipTest, RefusesARequestWhoseDataStageContradictsIt) {
  const auto host = import();
  // wLength 9 with 5 bytes, and an IN request sent as OUT.
  const Bytes words{1, 2, 3, 4, 5};
  EXPECT_EQ(host->control({0x40, ObedientFunction::kWrite, 0, 0, 0, 0, 9, 0}, 0, words).status,
            -EPIPE);
  host->submit(
      {.direction = kOut, .length = 5, .setup = {0xC0, 1, 0, 0, 0, 0, 5, 0}, .data = words});
  EXPECT_EQ(host->reply().status, -EPIPE);
}

TEST_F(UsbipTest, ARequestThatTheDeviceNeverAnswersCanBeTakenBack) {
  const auto host = import();
  const auto silent =
      host->submit({.length = 8, .setup = {0xC0, ObedientFunction::kSilent, 0, 0, 0, 0, 8, 0}});
  const auto unlink = host->unlink(silent);
  const UsbipReply reply = host->reply();
  EXPECT_EQ(reply.command, 4U);
  EXPECT_EQ(reply.sequence, unlink);
  EXPECT_EQ(reply.status, -ECONNRESET);
}

TEST_F(UsbipTest, KeepsTransfersWaitingUntilThereIsData) {
  const auto host = import();
  const auto first = host->submit({.endpoint = 1, .length = 1024});
  const auto second = host->submit({.endpoint = 1, .length = 1024});
  const auto status = host->submit({.endpoint = 3, .length = 16});
  function_.give(ObedientFunction::kInterrupt, {9});
  UsbipReply reply = host->reply();
  EXPECT_EQ(reply.sequence, status);
  EXPECT_EQ(reply.data, Bytes{9});
  function_.give(ObedientFunction::kBulk, Bytes(1024, 7));
  function_.give(ObedientFunction::kBulk, Bytes(3, 8));
  reply = host->reply();
  EXPECT_EQ(reply.sequence, first);
  EXPECT_EQ(reply.data, Bytes(1024, 7));
  reply = host->reply();
  EXPECT_EQ(reply.sequence, second);
  EXPECT_EQ(reply.data, Bytes(3, 8));
}

TEST_F(UsbipTest, ReportsWhatGoesWrongWithATransfer) {
  const auto host = import();
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kStall});
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kDamaged, 2}, {1, 2});
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kData, 20}, Bytes(16, 3));
  for (int i = 0; i < 3; ++i) host->submit({.endpoint = 1, .length = 16});
  EXPECT_EQ(host->reply().status, -EPIPE);
  const UsbipReply damaged = host->reply();
  EXPECT_EQ(damaged.status, -EPROTO);
  EXPECT_EQ(damaged.data, (Bytes{1, 2}));
  const UsbipReply babble = host->reply();
  EXPECT_EQ(babble.status, -EOVERFLOW);
  EXPECT_EQ(babble.data, Bytes(16, 3));
}

TEST_F(UsbipTest, AnUnlinkedTransferIsNotAnsweredAsWell) {
  const auto host = import();
  const auto victim = host->submit({.endpoint = 1, .length = 64});
  const auto survivor = host->submit({.endpoint = 1, .length = 64});
  const auto unlink = host->unlink(victim);
  UsbipReply reply = host->reply();
  EXPECT_EQ(reply.command, 4U);
  EXPECT_EQ(reply.sequence, unlink);
  EXPECT_EQ(reply.status, -ECONNRESET);
  function_.give(ObedientFunction::kBulk, {5});
  reply = host->reply();
  EXPECT_EQ(reply.sequence, survivor);
  EXPECT_EQ(reply.data, Bytes{5});
}

TEST_F(UsbipTest, AnUnlinkThatComesTooLateSaysSo) {
  const auto host = import();
  function_.give(ObedientFunction::kBulk, {5});
  const auto victim = host->submit({.endpoint = 1, .length = 64});
  EXPECT_EQ(host->reply().sequence, victim);
  host->unlink(victim);
  const UsbipReply reply = host->reply();
  EXPECT_EQ(reply.command, 4U);
  EXPECT_EQ(reply.status, 0);
}

TEST_F(UsbipTest, IsochronousPacketsArriveOneByOneAndEmptyOnesToo) {
  const auto host = import();
  function_.give(ObedientFunction::kIso, Bytes(100, 1));
  function_.give(ObedientFunction::kIso, {UsbOutcome::Kind::kNak});
  function_.give(ObedientFunction::kIso, {UsbOutcome::Kind::kDamaged, 10}, Bytes(10, 2));
  function_.give(ObedientFunction::kIso, Bytes(50, 3));
  host->submit({.endpoint = 2,
                .length = 4096,
                .packets = 4,
                .iso = {{0, 1024}, {1024, 1024}, {2048, 1024}, {3072, 1024}}});
  const UsbipReply reply = host->reply();
  EXPECT_EQ(reply.status, 0);
  Bytes expected(100, 1);
  expected.insert(expected.end(), 10, 2);
  expected.insert(expected.end(), 50, 3);
  EXPECT_EQ(reply.data, expected) << "packets travel without the gaps between them";
  ASSERT_EQ(reply.iso.size(), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(reply.iso[i].offset, i * 1024);
    EXPECT_EQ(reply.iso[i].length, 1024u);
  }
  EXPECT_EQ(reply.iso[0].actual, 100u);
  EXPECT_EQ(reply.iso[1].actual, 0u);
  EXPECT_EQ(reply.iso[1].status, 0);
  EXPECT_EQ(reply.iso[2].actual, 10u);
  EXPECT_EQ(reply.iso[2].status, -EPROTO);
  EXPECT_EQ(reply.iso[3].actual, 50u);
}

TEST_F(UsbipTest, IsochronousTransfersTakeBusTime) {
  const auto host = import();
  function_.give_without_end();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 4; ++i)
    host->submit({.endpoint = 2, .length = 64, .packets = 64, .iso = std::vector<IsoRoom>(64)});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(host->reply().iso.size(), 64u);
  // 256 intervals of 125 us cannot pass in less than 32 ms.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(32));
}

TEST_F(UsbipTest, DataForTheDeviceIsRefusedAndTheConversationGoesOn) {
  const auto host = import();
  host->submit({.direction = kOut, .endpoint = 4, .length = 10000, .data = Bytes(10000, 1)});
  EXPECT_EQ(host->reply().status, -EPIPE);
  EXPECT_EQ(host->control({0x80, 6, 0, 1, 0, 0, 18, 0}, 18).data, function_.device_descriptor());
}

TEST_F(UsbipTest, OneHostAtATimeHasADevice) {
  auto first = import();
  EXPECT_EQ(listed(), 0U) << "a device in use is not on offer";
  const auto second = connect();
  EXPECT_EQ(second->import_device("1-1"), 2U);
  const int resets = function_.resets();
  first.reset();
  wait_until_detached();
  EXPECT_GT(function_.resets(), resets) << "a host that goes leaves no stream behind";
  EXPECT_EQ(listed(), 1U);
  import();
}

TEST_F(UsbipTest, UnpluggingClosesAndPluggingInAgainIsANewDevice) {
  const auto host = import();
  host->submit({.endpoint = 1, .length = 64});
  const auto old_id = host->device_id;
  ASSERT_TRUE(server_->unplug(function_));
  EXPECT_TRUE(host->closed_by_server());
  EXPECT_EQ(listed(), 0U);
  EXPECT_EQ(server_->unplug(function_).error().code, ErrorCode::kConflict);
  ASSERT_EQ(*server_->plug(function_), "1-1");
  EXPECT_EQ(server_->plug(function_).error().code, ErrorCode::kConflict);
  const auto again = import();
  EXPECT_NE(again->device_id, old_id);
  function_.give(ObedientFunction::kBulk, {1});
  again->submit({.endpoint = 1, .length = 64});
  EXPECT_EQ(again->reply().data, Bytes{1});
}

TEST_F(UsbipTest, SurvivesManyPluggingsInTheMiddleOfAStream) {
  function_.give_without_end();
  for (int cycle = 0; cycle < 25; ++cycle) {
    const auto host = import();
    for (int i = 0; i < 8; ++i) host->submit({.endpoint = 1, .length = 65536});
    EXPECT_EQ(host->reply().data.size(), 65536u);
    ASSERT_TRUE(server_->unplug(function_));
    ASSERT_TRUE(server_->plug(function_));
  }
}

TEST_F(UsbipTest, ServesTwoDevicesAtOnce) {
  ObedientFunction other(UsbSpeed::kHigh);
  ASSERT_EQ(*server_->plug(other), "1-2");
  EXPECT_EQ(listed(), 2U);
  const auto a = import("1-1"), b = import("1-2");
  EXPECT_EQ(be32(b->device, 296), 3U) << "high speed";
  a->submit({.endpoint = 1, .length = 64});
  b->submit({.endpoint = 1, .length = 64});
  other.give(ObedientFunction::kBulk, {2});
  function_.give(ObedientFunction::kBulk, {1});
  EXPECT_EQ(a->reply().data, Bytes{1});
  EXPECT_EQ(b->reply().data, Bytes{2});
  ASSERT_TRUE(server_->unplug(other));
  EXPECT_TRUE(b->closed_by_server());
  a->submit({.endpoint = 1, .length = 64});
  function_.give(ObedientFunction::kBulk, {3});
  EXPECT_EQ(a->reply().data, Bytes{3}) << "the other one's unplugging is not its affair";
}

TEST_F(UsbipTest, ATakenPortIsSaidInASentence) {
  const auto second = UsbipServer::start(server_->port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_THAT(second.error().message, testing::HasSubstr(std::to_string(server_->port())));
}

// --- hosts that lie ---

TEST_F(UsbipTest, ClosesOnWhatIsNoRequest) {
  for (const Bytes& request : {Bytes{0x01, 0x10, 0x80, 0x05, 0, 0, 0, 0},  // an old version
                               Bytes{0x01, 0x11, 0x80, 0x07, 0, 0, 0, 0},  // no such request
                               Bytes{'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'}}) {
    const auto host = connect();
    ASSERT_TRUE(host->send(request));
    EXPECT_TRUE(host->closed_by_server());
  }
  EXPECT_EQ(listed(), 1U);
}

TEST_F(UsbipTest, ClosesOnAHostThatSaysNothing) {
  const auto host = connect();
  ASSERT_TRUE(host->send({0x01, 0x11, 0x80, 0x03}));
  EXPECT_TRUE(host->closed_by_server());
}

struct Lie {
  const char* what;
  UsbipSubmit submit;
};

class UsbipLies : public UsbipTest, public testing::WithParamInterface<Lie> {};

TEST_P(UsbipLies, AreAnsweredByClosing) {
  {
    const auto host = import();
    UsbipSubmit submit = GetParam().submit;
    submit.sequence = 1;
    if (submit.device_id == 0) submit.device_id = host->device_id;
    host->send(submit.encode());
    EXPECT_TRUE(host->closed_by_server());
  }
  wait_until_detached();
  const auto honest = import();
  EXPECT_EQ(honest->control({0x80, 6, 0, 1, 0, 0, 18, 0}, 18).data, function_.device_descriptor());
}

INSTANTIATE_TEST_SUITE_P(
    Each, UsbipLies,
    testing::Values(
        Lie{"UnknownCommand", {.command = 7}},
        Lie{"AnotherDevice", {.device_id = 0x00070007, .length = 8}},
        Lie{"UnknownEndpoint", {.endpoint = 9, .length = 64}},
        Lie{"EndpointBeyondFifteen", {.endpoint = 0x81, .length = 64}},
        Lie{"WrongDirection", {.direction = kOut, .endpoint = 1, .length = 0}},
        Lie{"NoDirection", {.direction = 2, .endpoint = 1, .length = 64}},
        Lie{"GiantBulk", {.endpoint = 1, .length = 0x7FFFFFFF}},
        Lie{"NegativeBulk", {.endpoint = 1, .length = 0xFFFFFFFE}},
        Lie{"GiantControl", {.length = 1 << 20}},
        Lie{"GiantControlOut", {.direction = kOut, .length = 0xFFFFFFFF}},
        Lie{"TooManyPackets", {.endpoint = 2, .length = 64, .packets = 1025}},
        Lie{"PacketsOnBulk", {.endpoint = 1, .length = 64, .packets = 1, .iso = {{0, 64}}}},
        Lie{"NoPacketsOnIsochronous", {.endpoint = 2, .length = 64}},
        Lie{"PacketBeyondTheEnd", {.endpoint = 2, .length = 64, .packets = 1, .iso = {{60, 5}}}},
        Lie{"PacketThatWraps",
            {.endpoint = 2, .length = 64, .packets = 1, .iso = {{8, 0xFFFFFFFF}}}},
        Lie{"PacketsThatOverlap",
            {.endpoint = 2, .length = 64, .packets = 2, .iso = {{0, 40}, {32, 32}}}}),
    [](const auto& test) { return test.param.what; });

TEST_F(UsbipTest, ClosesOnTooManyWaitingTransfers) {
  const auto host = import();
  for (std::uint32_t i = 1; i <= 600; ++i) {
    const UsbipSubmit submit{
        .sequence = i, .device_id = host->device_id, .endpoint = 1, .length = 8};
    if (!host->send(submit.encode())) break;
  }
  EXPECT_TRUE(host->closed_by_server());
}

TEST_F(UsbipTest, AHostThatDoesNotReadCostsLittleMemory) {
  function_.give_without_end();
  const auto host = import();
  for (int i = 0; i < 400; ++i) host->submit({.endpoint = 1, .length = 1 << 20});
  std::uint64_t made = 0;
  do {  // until the server has nothing more to do
    made = function_.sent_bytes();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  } while (made != function_.sent_bytes());
  EXPECT_LT(made, 64U << 20) << "of 400 MiB that were asked for";
  for (int i = 0; i < 400; ++i) ASSERT_EQ(host->reply().data.size(), 1u << 20);
}

TEST_F(UsbipTest, NoiseNeverHurts) {
  std::mt19937 random(17);
  std::uniform_int_distribution<int> byte(0, 255), choice(0, 9);
  for (int round = 0; round < 100; ++round) {
    const auto host = connect();
    if (host->import_device("1-1") != 0) {
      wait_until_detached();
      continue;
    }
    Bytes noise;
    for (int i = 0; i < 8; ++i) {
      UsbipSubmit submit{.command = choice(random) == 0 ? 2U : 1U,
                         .sequence = static_cast<std::uint32_t>(choice(random)),
                         .device_id = host->device_id,
                         .direction = static_cast<std::uint32_t>(choice(random) & 1),
                         .endpoint = static_cast<std::uint32_t>(choice(random) % 5),
                         .length = static_cast<std::uint32_t>(byte(random)),
                         .packets = static_cast<std::uint32_t>(choice(random) == 0)};
      for (auto& one : submit.setup) one = static_cast<std::uint8_t>(byte(random));
      Bytes bytes = submit.encode();
      if (choice(random) == 0)
        bytes[static_cast<std::size_t>(byte(random)) % bytes.size()] =
            static_cast<std::uint8_t>(byte(random));
      noise.insert(noise.end(), bytes.begin(), bytes.end());
    }
    host->send(noise);
  }
  wait_until_detached();
  const auto honest = import();
  EXPECT_EQ(honest->control({0x80, 6, 0, 1, 0, 0, 18, 0}, 18).data, function_.device_descriptor());
}

}  // namespace
}  // namespace cusp
