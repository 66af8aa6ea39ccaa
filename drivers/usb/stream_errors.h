// What stream() says when it ends, in the same words for every UsbTransport. `what` names the
// device: "USB device 8086:0b5b at 2-1".
//
// Threads: values.
#pragma once

#include <span>
#include <string_view>

#include "drivers/driver.h"

namespace cusp {

// How long the endpoint may be silent.
std::chrono::milliseconds patience_with(const StreamOptions& endpoint, bool has_begun);

Error device_gone(std::string_view what);  // kDisconnected
Error endpoint_silent(std::string_view what, std::uint8_t endpoint,
                      std::chrono::milliseconds patience);                     // kTimeout
Error endpoint_stalled(std::string_view what, std::uint8_t endpoint);          // kProtocol
Error endpoint_sent_too_much(std::string_view what, std::uint8_t endpoint);    // kProtocol
Error endpoint_failed(std::string_view what, std::uint8_t endpoint);           // kIo
Error endpoint_missing(std::string_view what, std::uint8_t endpoint);          // kNotFound
Error interface_missing(std::string_view what, int number);                    // kNotFound
Error interface_unclaimed(std::string_view what, int number);                  // kConflict
Error alternate_missing(std::string_view what, int interface, int alternate);  // kNotFound

// Options that make no sense are our own bug.
void check_stream_options(std::span<const StreamOptions> endpoints);

}  // namespace cusp
