// LibusbStream: the transfers of one stream(), on several endpoints at once.
//
// It does what long-lived libusb programs agree on (hackrf, rtl-sdr, uhd): transfers without a
// time-out and a watchdog of one's own, buffers from the kernel where it gives them, and no
// transfer freed before its callback ran. Threads: used by one; libusb's callbacks run on whichever
// thread handles events inside libusb and only move finished transfers to a queue. Errors:
// kTimeout, kProtocol (stall, too many bytes), kDisconnected, kNoSpace, kIo (perhaps gone).
#pragma once

#include <libusb.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "drivers/driver.h"

namespace cusp {

class LibusbStream {
 public:
  // `counts`: how many transfers each of the endpoints gets.
  LibusbStream(libusb_device_handle* handle, std::string what,
               std::span<const StreamOptions> endpoints, std::span<const int> counts);
  ~LibusbStream();
  LibusbStream(const LibusbStream&) = delete;
  LibusbStream& operator=(const LibusbStream&) = delete;

  Result<void> run(const std::stop_token& stop,
                   const std::function<bool(const StreamChunk&)>& on_chunk);

 private:
  struct Lane;

  // A transfer with its buffer, used again and again.
  class Transfer {
   public:
    Transfer(LibusbStream& stream, Lane& lane);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    LibusbStream& stream() const { return stream_; }
    Lane& lane() const { return lane_; }
    libusb_transfer* get() const { return transfer_; }

   private:
    LibusbStream& stream_;
    Lane& lane_;
    const std::size_t size_;
    libusb_transfer* const transfer_;
    unsigned char* kernel_buffer_ = nullptr;
    unsigned char* buffer_ = nullptr;
  };

  // An endpoint.
  struct Lane {
    StreamOptions options;
    std::deque<Transfer> transfers{};
    std::deque<Transfer*> resting{};  // for which there was no memory
    // Under the mutex:
    int in_flight = 0;
    int finished = 0;    // and not yet taken from the queue
    bool begun = false;  // one came
    MonoTime moved{};    // when one last came or went

    [[nodiscard]] int least() const;
  };

  // Neither: stop was asked.
  struct Event {
    Transfer* finished = nullptr;
    MonoTime arrival{};
    const Lane* silent = nullptr;
    std::chrono::milliseconds patience{0};  // with the silent one
  };

  static void LIBUSB_CALL on_finished(libusb_transfer* transfer);
  Result<void> submit_all();
  Result<void> submit_again(Transfer& transfer);
  int submit(Transfer& transfer);
  Event next(const std::stop_token& stop);
  Result<void> take_turns(const std::stop_token& stop,
                          const std::function<bool(const StreamChunk&)>& on_chunk);
  // Cancels what is in flight and waits until it is home: the kernel writes into the buffers until
  // then.
  void bring_home();
  void deliver_rest(const std::function<bool(const StreamChunk&)>& on_chunk);
  [[nodiscard]] Error out_of_memory() const;
  [[nodiscard]] Error ended(libusb_transfer_status status, std::uint8_t endpoint) const;

  libusb_device_handle* const handle_;
  const std::string what_;
  std::deque<Lane> lanes_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int in_flight_ = 0;
  struct Finished {
    Transfer* transfer;
    MonoTime arrival;
  };
  std::deque<Finished> finished_;  // in the order of their arrival
};

}  // namespace cusp
