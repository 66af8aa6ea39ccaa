// The device's end of usb-redir as a machine sees it. The machine's end is libusbredirparser too,
// and once plain bytes.
#include "drivers/emulation/usb_redir.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "tests/drivers/obedient_function.h"
#include "tests/drivers/usb_redir_machine.h"
#include "tests/fakes/temp_folder.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::Pair;

class UsbRedirTest : public testing::Test {
 protected:
  void SetUp() override {
    auto port = UsbRedirPort::listen(path());
    ASSERT_TRUE(port) << port.error().message;
    port_ = std::move(port).value();
  }
  std::filesystem::path path() const { return folder_.path() / "usb.sock"; }
  // A machine that has been told of the function.
  std::unique_ptr<Machine> attach() {
    EXPECT_TRUE(port_->plug(function_));
    auto machine = std::make_unique<Machine>(path());
    EXPECT_EQ(machine->next().what, "connect");
    return machine;
  }

  fakes::TempFolder folder_;
  ObedientFunction function_;
  std::unique_ptr<UsbRedirPort> port_;
};

TEST_F(UsbRedirTest, DescribesTheDeviceBeforeItConnects) {
  const auto machine = attach();
  EXPECT_EQ(machine->device.speed, usb_redir_speed_super);
  EXPECT_EQ(machine->device.vendor_id, 0x1234);
  EXPECT_EQ(machine->device.product_id, 0x5678);
  EXPECT_EQ(machine->device.device_version_bcd, 0x0102);
  EXPECT_EQ(machine->interfaces.interface_count, 2u);
  EXPECT_EQ(machine->interfaces.interface_class[0], 0xFF);
  const auto& endpoints = machine->endpoints;
  EXPECT_EQ(endpoints.type[0x11], usb_redir_type_bulk);
  EXPECT_EQ(endpoints.max_packet_size[0x11], 1024);
  EXPECT_EQ(endpoints.type[0x12], usb_redir_type_invalid) << "of an alternate setting not chosen";
  EXPECT_EQ(endpoints.type[0x13], usb_redir_type_interrupt);
  EXPECT_EQ(endpoints.interface[0x13], 1);
  EXPECT_TRUE(port_->attached());
}

TEST_F(UsbRedirTest, MovesControlDataBothWaysAndReportsRefusals) {
  const auto machine = attach();
  const Bytes words{1, 2, 3};
  machine->ask_control(7, {0x40, ObedientFunction::kWrite}, 3, words);
  Heard heard = machine->next();
  EXPECT_EQ(heard.id, 7u);
  EXPECT_EQ(heard.status, usb_redir_success);
  machine->ask_control(8, {0xC0, ObedientFunction::kRead}, 64);
  heard = machine->next();
  EXPECT_EQ(heard.id, 8u);
  EXPECT_EQ(heard.data, words);
  machine->ask_control(9, {0xC0, ObedientFunction::kRefused}, 64);
  EXPECT_EQ(machine->next().status, usb_redir_stall);
  machine->ask_control(10, {0x80, 0x06, 0x0100}, 18);
  EXPECT_EQ(machine->next().data, function_.device_descriptor());
}

TEST_F(UsbRedirTest, KeepsBulkTransfersWaitingUntilThereIsData) {
  const auto machine = attach();
  machine->ask_bulk(1, 0x81, 100'000);
  machine->ask_bulk(2, 0x81, 100'000);
  Bytes large(100'000);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::uint8_t>(i * 7);
  function_.give(ObedientFunction::kBulk, large);
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kStall});
  Heard heard = machine->next();
  EXPECT_EQ(heard.id, 1u);
  EXPECT_EQ(heard.data, large);
  heard = machine->next();
  EXPECT_EQ(heard.id, 2u);
  EXPECT_EQ(heard.status, usb_redir_stall);
}

TEST_F(UsbRedirTest, ReportsDamageAndBabble) {
  const auto machine = attach();
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kDamaged, 1}, {1});
  function_.give(ObedientFunction::kBulk, {UsbOutcome::Kind::kData, 20}, Bytes(16, 3));
  machine->ask_bulk(1, 0x81, 16);
  machine->ask_bulk(2, 0x81, 16);
  EXPECT_EQ(machine->next().status, usb_redir_ioerror);
  EXPECT_EQ(machine->next().status, usb_redir_babble);
}

TEST_F(UsbRedirTest, ACancelledTransferIsAnsweredOnceAsCancelled) {
  const auto machine = attach();
  machine->ask_bulk(1, 0x81, 64);
  machine->ask_bulk(2, 0x81, 64);
  machine->cancel(1);
  Heard heard = machine->next();
  EXPECT_EQ(heard.id, 1u);
  EXPECT_EQ(heard.status, usb_redir_cancelled);
  function_.give(ObedientFunction::kBulk, {5});
  heard = machine->next();
  EXPECT_EQ(heard.id, 2u);
  EXPECT_EQ(heard.data, Bytes{5});
  machine->ask_control(3, {0xC0, ObedientFunction::kSilent}, 8);
  machine->cancel(3);
  heard = machine->next();
  EXPECT_EQ(heard.what, "control");
  EXPECT_EQ(heard.status, usb_redir_cancelled);
}

TEST_F(UsbRedirTest, AnAlternateSettingBringsItsEndpoints) {
  const auto machine = attach();
  machine->set_alternate(4, 1, 1);
  const Heard heard = machine->next();
  EXPECT_EQ(heard.what, "alternate");
  EXPECT_EQ(heard.status, usb_redir_success);
  EXPECT_EQ(machine->endpoints.type[0x12], usb_redir_type_iso);
  EXPECT_THAT(function_.alternates(), ElementsAre(Pair(1, 1)));
  machine->set_alternate(5, 1, 9);
  EXPECT_EQ(machine->next().status, usb_redir_stall);
}

TEST_F(UsbRedirTest, IsochronousPacketsComeByThemselvesInOrder) {
  const auto machine = attach();
  machine->set_alternate(1, 1, 1);
  machine->next();
  function_.give(ObedientFunction::kIso, Bytes(100, 1));
  function_.give(ObedientFunction::kIso, {UsbOutcome::Kind::kNak});
  function_.give(ObedientFunction::kIso, {UsbOutcome::Kind::kDamaged, 10}, Bytes(10, 2));
  usb_redir_start_iso_stream_header start{0x82, 2, 4};
  usbredirparser_send_start_iso_stream(machine->parser(), 2, &start);
  machine->flush();
  EXPECT_EQ(machine->next().what, "iso status");
  std::vector<Heard> packets;
  for (int i = 0; i < 8; ++i) packets.push_back(machine->next());
  for (std::uint64_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(packets[i].what, "iso");
    EXPECT_EQ(packets[i].id, i);
  }
  EXPECT_EQ(packets[0].data, Bytes(100, 1));
  EXPECT_TRUE(packets[1].data.empty());
  EXPECT_EQ(packets[2].status, usb_redir_ioerror);
  EXPECT_TRUE(packets[3].data.empty());
  usb_redir_stop_iso_stream_header stop{0x82};
  usbredirparser_send_stop_iso_stream(machine->parser(), 3, &stop);
  machine->flush();
  Heard heard = machine->next();
  while (heard.what == "iso") heard = machine->next();
  EXPECT_EQ(heard.what, "iso status");
  EXPECT_EQ(heard.status, usb_redir_success);
}

TEST_F(UsbRedirTest, InterruptPacketsComeByThemselvesUntilAStall) {
  const auto machine = attach();
  usb_redir_start_interrupt_receiving_header start{0x83};
  usbredirparser_send_start_interrupt_receiving(machine->parser(), 1, &start);
  machine->flush();
  EXPECT_EQ(machine->next().status, usb_redir_success);
  function_.give(ObedientFunction::kInterrupt, {1, 2});
  function_.give(ObedientFunction::kInterrupt, {3});
  EXPECT_EQ(machine->next().data, (Bytes{1, 2}));
  EXPECT_EQ(machine->next().data, Bytes{3});
  function_.give(ObedientFunction::kInterrupt, {UsbOutcome::Kind::kStall});
  const Heard heard = machine->next();
  EXPECT_EQ(heard.what, "interrupt status");
  EXPECT_EQ(heard.status, usb_redir_stall);
}

TEST_F(UsbRedirTest, ResetTakesBackWhatWaits) {
  const auto machine = attach();
  machine->ask_bulk(1, 0x81, 64);
  usbredirparser_send_reset(machine->parser());
  machine->flush();
  EXPECT_EQ(machine->next().status, usb_redir_cancelled);
  EXPECT_EQ(function_.resets(), 1);
}

TEST_F(UsbRedirTest, UnplugAndPlugAgainAreSeenByTheMachine) {
  const auto machine = attach();
  for (int cycle = 0; cycle < 25; ++cycle) {
    machine->ask_bulk(1, 0x81, 64);
    ASSERT_TRUE(port_->unplug());
    EXPECT_FALSE(port_->attached());
    ASSERT_EQ(machine->next().what, "disconnect");
    ASSERT_TRUE(port_->plug(function_));
    machine->flush();  // of the acknowledgement, which the parser has queued
    ASSERT_EQ(machine->next().what, "connect");
    machine->ask_bulk(2, 0x81, 64);
    function_.give(ObedientFunction::kBulk, {9});
    const Heard heard = machine->next();
    ASSERT_EQ(heard.id, 2u);
    ASSERT_EQ(heard.data, Bytes{9});
  }
  EXPECT_EQ(port_->plug(function_).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(port_->unplug());
  EXPECT_EQ(port_->unplug().error().code, ErrorCode::kConflict);
}

TEST_F(UsbRedirTest, AMachineThatGoesLeavesThePortToTheNext) {
  {
    const auto machine = attach();
    machine->ask_bulk(1, 0x81, 64);
  }
  while (port_->attached()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Machine next(path());
  EXPECT_EQ(next.next().what, "connect");
  EXPECT_GE(function_.resets(), 1);
}

TEST_F(UsbRedirTest, UnknownEndpointsAndDataForTheDeviceAreRefused) {
  const auto machine = attach();
  machine->ask_bulk(1, 0x8F, 64);
  EXPECT_EQ(machine->next().status, usb_redir_inval);
  machine->ask_bulk(2, 0x83, 64);
  EXPECT_EQ(machine->next().status, usb_redir_inval) << "an interrupt endpoint";
  usb_redir_bulk_packet_header header{0x04, 0, 3, 0, 0};
  Bytes words{1, 2, 3};
  usbredirparser_send_bulk_packet(machine->parser(), 3, &header, words.data(), 3);
  machine->flush();
  EXPECT_EQ(machine->next().status, usb_redir_stall);
}

TEST_F(UsbRedirTest, AGiantTransferEndsTheConversation) {
  const auto machine = attach();
  machine->ask_bulk(1, 0x81, 64 << 20);
  EXPECT_EQ(machine->next().what, "");
}

TEST_F(UsbRedirTest, AMachineThatDoesNotReadCostsLittleMemory) {
  const auto machine = attach();
  function_.give_without_end();
  for (std::uint64_t i = 0; i < 100; ++i) machine->ask_bulk(i, 0x81, 4 << 20);
  std::uint64_t made = 0;
  do {  // until the port has nothing more to do
    made = function_.sent_bytes();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  } while (made != function_.sent_bytes());
  EXPECT_LT(made, 64U << 20) << "of 400 MiB that were asked for";
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(machine->next().id, i);
}

TEST_F(UsbRedirTest, NoiseNeverHurts) {
  ASSERT_TRUE(port_->plug(function_));
  std::mt19937 random(23);
  std::uniform_int_distribution<int> byte(0, 255), type(0, 104);
  for (int round = 0; round < 200; ++round) {
    const int socket = connect_to(path());
    // A whole hello without capabilities (32-bit ids), then messages with plausible heads.
    Bytes noise{0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0};
    noise.resize(noise.size() + 68);
    for (int message = 0; message < 20; ++message) {
      const auto size = static_cast<std::uint8_t>(byte(random) % 24);
      const Bytes head{static_cast<std::uint8_t>(type(random)), 0, 0, 0, size, 0, 0, 0,
                       static_cast<std::uint8_t>(message),      0, 0, 0};
      noise.insert(noise.end(), head.begin(), head.end());
      for (int i = 0; i < size; ++i) noise.push_back(static_cast<std::uint8_t>(byte(random)));
    }
    ::send(socket, noise.data(), noise.size(), MSG_NOSIGNAL);
    ::close(socket);
  }
  Machine honest(path());
  Heard heard = honest.next();
  while (heard.what == "") {  // refused while the port was still busy with the last one
    Machine again(path());
    heard = again.next();
  }
  EXPECT_EQ(heard.what, "connect");
}

TEST_F(UsbRedirTest, ASocketInUseIsSaidInASentence) {
  const auto second = UsbRedirPort::listen(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(UsbRedirPort::listen(std::string(200, 'x')).error().code, ErrorCode::kInvalidArgument);
  port_.reset();
  EXPECT_TRUE(UsbRedirPort::listen(path()));
}

}  // namespace
}  // namespace cusp
