// The parts of cusp-bench-usb: a device that never waits, and two clients that read it.
//
// A client runs in a process of its own and prints what it used, so that its CPU time is its own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "drivers/emulation/usb_function.h"

namespace cusp::bench {

inline constexpr int kWidthPx = 1280, kHeightPx = 720;
inline constexpr double kNeededRateHz = 90;
inline constexpr std::size_t kFrameBytes = std::size_t{kWidthPx} * kHeightPx * 2;
inline constexpr std::size_t kPayloadHeaderBytes = 12;
inline constexpr int kTransfers = 8, kTransferBytes = 256 * 1024;
inline constexpr std::uint8_t kEndpoint = 0x82;

// One UVC payload that holds a whole Z16 frame, header first.
std::vector<std::uint8_t> payload_of_a_frame(bool frame_id);

// Sends frames on bulk endpoint kEndpoint as fast as they are read.
std::unique_ptr<UsbFunction> make_endless_function();

struct Reading {
  std::uint64_t bytes = 0;
  double seconds = 0;
  double cpu_seconds = 0;  // of the whole process while it read

  [[nodiscard]] double megabytes_per_second() const {
    return static_cast<double>(bytes) / seconds / 1e6;
  }
  [[nodiscard]] double cpu_seconds_per_gigabyte() const {
    return cpu_seconds / (static_cast<double>(bytes) / 1e9);
  }
};

// Through Cusp's transport.
Result<Reading> read_with_transport(std::uint64_t bytes);
// The least that a program must do with libusb: nothing but resubmit.
Result<Reading> read_with_bare_libusb(std::uint64_t bytes);

// Since the process began, user and system.
double cpu_seconds_so_far();

}  // namespace cusp::bench
