// Capture: the table of contents of a capture file: which devices it shows, what they were asked
// and answered, what streamed, and what was noted.
//
// Read once from end to end; payloads of streams are stepped over, so a file may have any size.
// A device is one (bus, address); in our own recordings each opening of it stands alone. Threads:
// immutable after open(). Errors: as CaptureReader; kUnsupported when it shows no USB (or Windows'
// kind of capture), kNoSpace when its control requests and notes alone are too many to hold.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/driver.h"
#include "drivers/recording/pcapng.h"
#include "drivers/recording/recording_transport.h"
#include "drivers/recording/usbmon_record.h"

namespace cusp::recording {

// A control request with its answer.
struct CapturedRequest {
  std::uint64_t number = 0;  // of the packet that answered it
  ControlSetup setup;
  std::uint16_t asked_bytes = 0;
  Bytes data;  // that was sent, or that came
  std::int32_t status = 0;
  std::optional<Error> problem;  // as the transport said it; of our own recordings
  bool truncated = false;        // the capture kept a part of the data
};

struct CapturedEndpoint {
  UsbmonTransfer transfer = UsbmonTransfer::kBulk;
  std::uint64_t transfers = 0;  // that brought data
  std::uint64_t bytes = 0;
  std::uint64_t last_data = 0;  // number of the last packet with data
};

// A device from its plugging in (or, in our own recordings, from its opening) on.
struct CapturedOpening {
  BusAddress address;
  bool by_cusp = false;  // our own recording
  std::string location;  // of our own recordings; else made of the address
  UsbSpeed speed = UsbSpeed::kHigh;
  Bytes device_descriptor;  // empty: the capture began later
  Bytes config_descriptor;
  std::map<std::uint8_t, std::string> strings;
  std::vector<CapturedRequest> requests;
  std::vector<std::optional<Error>> resets;  // none: it worked
  std::map<std::uint8_t, CapturedEndpoint> endpoints;
  std::uint64_t first_packet = 0, last_packet = 0;
  std::chrono::nanoseconds begin{}, end{};  // since 1970

  // "8086:0b5b 000000000001"; without descriptors "unknown".
  [[nodiscard]] std::string identity() const;
  [[nodiscard]] std::string string(std::size_t descriptor_offset) const;
};
inline constexpr std::size_t kMakerAt = 14, kProductAt = 15, kSerialAt = 16;

struct CaptureOptions {
  // Device and configuration descriptors of a device whose plugging in was not captured: the
  // content of /sys/bus/usb/devices/*/descriptors.
  Bytes descriptors;
  BusAddress device;  // whose they are
};

class Capture {
 public:
  static Result<std::shared_ptr<const Capture>> open(const std::filesystem::path& path,
                                                     const CaptureOptions& options = {});

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<CapturedOpening>& openings() const { return openings_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  // Empty, or why the file may not show everything: its end is missing, the recording ended early.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  friend class CaptureIndexer;
  std::filesystem::path path_;
  std::vector<CapturedOpening> openings_;
  std::vector<std::string> notes_;
  std::string problem_;
};

// "timeout: no data", as a comment or note tells an error; none: it is not one.
std::optional<Error> error_from_text(std::string_view text);

}  // namespace cusp::recording
