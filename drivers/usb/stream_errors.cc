#include "drivers/usb/stream_errors.h"

#include <algorithm>

namespace cusp {

std::chrono::milliseconds patience_with(const StreamOptions& endpoint, bool has_begun) {
  return has_begun ? endpoint.watchdog : std::max(endpoint.watchdog, endpoint.start_watchdog);
}

Error device_gone(std::string_view what) {
  return error(ErrorCode::kDisconnected, "{}: it is not plugged in any more", what);
}

Error endpoint_silent(std::string_view what, std::uint8_t endpoint,
                      std::chrono::milliseconds patience) {
  return error(ErrorCode::kTimeout, "{}: endpoint {:#04x} sent nothing for {} ms", what, endpoint,
               patience.count());
}

Error endpoint_stalled(std::string_view what, std::uint8_t endpoint) {
  return error(ErrorCode::kProtocol, "{}: endpoint {:#04x} stalled", what, endpoint);
}

Error endpoint_sent_too_much(std::string_view what, std::uint8_t endpoint) {
  return error(ErrorCode::kProtocol, "{}: endpoint {:#04x} sent more than was asked", what,
               endpoint);
}

Error endpoint_failed(std::string_view what, std::uint8_t endpoint) {
  return error(ErrorCode::kIo,
               "{}: the bus reported an error on endpoint {:#04x}; a worn cable or plug does that",
               what, endpoint);
}

Error endpoint_missing(std::string_view what, std::uint8_t endpoint) {
  return error(ErrorCode::kNotFound,
               "{}: it has no endpoint {:#04x} in the interface settings that are chosen", what,
               endpoint);
}

Error interface_missing(std::string_view what, int number) {
  return error(ErrorCode::kNotFound, "{}: it has no interface {}", what, number);
}

Error interface_unclaimed(std::string_view what, int number) {
  return error(ErrorCode::kConflict, "{}: its interface {} was not claimed", what, number);
}

Error alternate_missing(std::string_view what, int interface, int alternate) {
  return error(ErrorCode::kNotFound, "{}: its interface {} has no alternate setting {}", what,
               interface, alternate);
}

void check_stream_options(std::span<const StreamOptions> endpoints) {
  CUSP_CHECK(!endpoints.empty(), "a stream has endpoints");
  for (const StreamOptions& options : endpoints) {
    CUSP_CHECK((options.endpoint & 0x80) != 0, "streams come in");
    CUSP_CHECK(std::count_if(endpoints.begin(), endpoints.end(),
                             [&](const auto& o) { return o.endpoint == options.endpoint; }) == 1,
               "an endpoint is streamed once");
    CUSP_CHECK(options.transfer_count > 0, "a stream has transfers");
    CUSP_CHECK(options.watchdog.count() >= 0 && options.start_watchdog.count() >= 0,
               "a watchdog does not look back");
    CUSP_CHECK(options.watchdog.count() > 0 || options.start_watchdog.count() == 0,
               "an endpoint whose silence is no fault may also begin late");
    if (options.type == TransferType::kIsochronous)
      CUSP_CHECK(options.packet_bytes > 0 && options.packets_per_transfer > 0,
                 "isochronous transfers have packets");
    else
      CUSP_CHECK(options.transfer_size_bytes > 0, "transfers have a size");
  }
}

}  // namespace cusp
