// The kernel's memory for USB transfers: planned with, made do with, explained. Runs under
// umockdev's preload.
#include "drivers/usb/usbfs_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "drivers/emulation/umock_bus.h"
#include "drivers/usb/usb_bus.h"
#include "tests/drivers/scripted_function.h"

namespace cusp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr StreamOptions kBulk{.endpoint = kBulkEndpoint, .transfer_count = 16};
constexpr StreamOptions kInterrupt{.endpoint = kInterruptEndpoint,
                                   .type = TransferType::kInterrupt,
                                   .transfer_count = 4,
                                   .transfer_size_bytes = 64};

TEST(UsbfsMemory, GivesWhatIsWantedWhenItFitsOrNoLimitIsKnown) {
  const std::array endpoints{kBulk, kInterrupt};
  EXPECT_THAT(*plan_transfers("device", endpoints, 16 * kMiB), ElementsAre(16, 4));
  EXPECT_THAT(*plan_transfers("device", endpoints, std::nullopt), ElementsAre(16, 4));
}

TEST(UsbfsMemory, TakesFromWhoeverHoldsMost) {
  const std::array endpoints{kBulk, kInterrupt};
  const auto counts = plan_transfers("device", endpoints, 2 * kMiB);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_THAT(*counts, ElementsAre(6, 4));
}

TEST(UsbfsMemory, SaysWhatToWriteWhereWhenNotEvenTheLeastFits) {
  const std::array endpoints{kBulk, kInterrupt};
  const auto counts = plan_transfers("device", endpoints, kMiB / 2);
  ASSERT_FALSE(counts);
  EXPECT_EQ(counts.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(counts.error().message, HasSubstr("device: its streams need"));
  EXPECT_THAT(counts.error().message, HasSubstr("512 KiB in all"));
  EXPECT_THAT(counts.error().message,
              HasSubstr("write 32 into /sys/module/usbcore/parameters/usbfs_memory_mb"));
}

TEST(UsbfsMemory, CountsTheBytesOfEachKindOfTransfer) {
  EXPECT_EQ(transfer_bytes(kBulk), 256u * 1024);
  EXPECT_EQ(
      transfer_bytes(
          {.type = TransferType::kIsochronous, .packet_bytes = 3072, .packets_per_transfer = 32}),
      96u * 1024);
}

// Streams 64 transfers on a bus whose kernel has so much memory. The device says nothing before
// transfers of `queued_bytes` wait for it, however slow the host is to submit them.
Result<void> stream_with(const UmockOptions& options, std::size_t queued_bytes,
                         std::size_t& most_bytes) {
  ScriptedFunction function;
  CUSP_ASSIGN(const auto umock, UmockBus::create(options));
  function.keep_sending(kBulkEndpoint, [&](std::span<std::uint8_t>) {
    return umock->counts().most_urb_bytes >= queued_bytes;
  });
  CUSP_ASSIGN(const auto usb, UsbBus::start());
  CUSP_TRY(umock->plug(function));
  for (int i = 0; i < 4000 && usb->list().empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (usb->list().empty()) return error(ErrorCode::kNotFound, "nothing on the bus");
  CUSP_ASSIGN(const auto transport, usb->open(usb->list().front()));
  CUSP_TRY(transport->claim_interface(0));
  int chunks = 0;
  auto result = transport->stream(std::span(&kBulk, 1), {},
                                  [&](const StreamChunk&) { return ++chunks < 64; });
  most_bytes = umock->counts().most_urb_bytes;
  return result;
}

TEST(UsbfsMemory, StaysBelowWhatTheKernelTells) {
  std::size_t most_bytes = 0;
  const auto result =
      stream_with({.usbfs_memory_bytes = 2 * kMiB, .shows_usbfs_memory = true}, kMiB, most_bytes);
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_GE(most_bytes, kMiB);
  EXPECT_LT(most_bytes, 2 * kMiB - 200 * 1024);
}

TEST(UsbfsMemory, MakesDoWithTheTransfersThatWereTaken) {
  std::size_t most_bytes = 0;
  const auto result = stream_with({.usbfs_memory_bytes = kMiB}, kMiB / 2, most_bytes);
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_GE(most_bytes, kMiB / 2);
}

TEST(UsbfsMemory, ExplainsWhenTooFewTransfersWereTaken) {
  std::size_t most_bytes = 0;
  const auto result = stream_with({.usbfs_memory_bytes = 400 * 1024}, kMiB, most_bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(result.error().message, HasSubstr("USB device 8086:0b5b at 2-1"));
  EXPECT_THAT(result.error().message, HasSubstr("usbfs_memory_mb"));
}

// A transfer that finds no memory rests. It is taken up again when another program has given its
// memory back.
TEST(UsbfsMemory, TakesRestingTransfersUpAgain) {
  ScriptedFunction function, other;
  const auto umock = UmockBus::create({.usbfs_memory_bytes = 2 * kMiB});
  ASSERT_TRUE(umock) << umock.error().message;
  std::atomic<int> allowed = 1;  // transfers that the device may send
  function.keep_sending(kBulkEndpoint,
                        [&](std::span<std::uint8_t>) { return allowed > 0 && allowed-- > 0; });
  const auto usb = UsbBus::start();
  ASSERT_TRUE(usb) << usb.error().message;
  const auto open = [&](UsbFunction& plugged, std::size_t count) {
    EXPECT_TRUE((*umock)->plug(plugged));
    for (int i = 0; i < 4000 && (*usb)->list().size() < count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    auto opened = (*usb)->open((*usb)->list().at(count - 1));
    EXPECT_TRUE(opened && (*opened)->claim_interface(0));
    return std::move(opened).value();
  };
  const auto transport = open(function, 1);
  const auto greedy = open(other, 2);

  StreamOptions four = kBulk, many = kBulk;
  four.transfer_count = 4;
  many.watchdog = std::chrono::milliseconds(0);
  std::jthread program;
  std::size_t whole = 0, at_last = 0;
  int chunks = 0;
  const auto held = [&] { return (*umock)->counts().urb_bytes; };
  const auto result = transport->stream(std::span(&four, 1), {}, [&](const StreamChunk&) {
    switch (++chunks) {
      case 1:
        whole = held();  // of all but this one
        program = std::jthread([&](const std::stop_token& stop) {
          EXPECT_TRUE(greedy->stream(std::span(&many, 1), stop, [](const auto&) { return true; }));
        });
        while (held() <= 2 * kMiB - 256 * 1024) std::this_thread::yield();
        break;
      case 2:
        program.request_stop();
        program.join();
        break;
      default:
        at_last = held();
        return false;
    }
    allowed = 1;
    function.wake();
    return true;
  });
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_EQ(at_last, whole);
}

}  // namespace
}  // namespace cusp
