#include "drivers/uvc/controls.h"

#include <array>

#include "drivers/uvc/class_request_internal.h"
#include "drivers/uvc/stream_control.h"

namespace cusp::uvc {
namespace {

constexpr std::uint8_t kRequestErrorCode = 0x02;  // VC_REQUEST_ERROR_CODE_CONTROL

ControlSetup setup(std::uint8_t type, std::uint8_t request, std::uint8_t selector, Entity entity) {
  return class_request(type, request, selector, entity.control_interface, entity.id);
}

// What bRequestErrorCode says (UVC 1.5 section 4.2.1.2).
struct Refusal {
  ErrorCode code;
  const char* words;
};
Refusal refusal(std::uint8_t request_error) {
  switch (request_error) {
    case 1:
      return {ErrorCode::kUnavailable, "it is not ready"};
    case 2:
      return {ErrorCode::kConflict, "not in its present state"};
    case 3:
      return {ErrorCode::kUnavailable, "its power mode does not allow it"};
    case 4:
      return {ErrorCode::kInvalidArgument, "the value is out of range"};
    case 8:
      return {ErrorCode::kInvalidArgument, "the value is none of those allowed"};
    default:  // unknown unit, control or request; or the device does not say
      return {ErrorCode::kUnsupported, "it has no such control"};
  }
}

// A device stalls a request that it refuses (kProtocol) and may tell why when asked. Everything
// else is trouble on the way to it and stays what it is.
Error explain(UsbTransport& transport, Entity entity, std::uint8_t selector, const char* verb,
              const Error& why, std::chrono::milliseconds timeout) {
  if (why.code != ErrorCode::kProtocol)
    return error(why.code, "UVC unit {} of interface {}: control {} could not be {}: {}", entity.id,
                 entity.control_interface, selector, verb, why.message);
  std::array<std::uint8_t, 1> said{};
  const auto size = transport.control_in(setup(kFromInterface, kGetCur, kRequestErrorCode,
                                               {.control_interface = entity.control_interface}),
                                         said, timeout);
  if (!size && size.error().code == ErrorCode::kDisconnected) return size.error();
  const Refusal reason = refusal(size && *size == 1 ? said[0] : 0);
  return error(reason.code, "UVC unit {} of interface {}: control {} can't be {}: {}", entity.id,
               entity.control_interface, selector, verb, reason.words);
}

}  // namespace

Result<std::vector<std::uint8_t>> get_control(UsbTransport& transport, Entity entity,
                                              std::uint8_t selector, std::uint8_t request,
                                              std::size_t size_bytes,
                                              std::chrono::milliseconds timeout) {
  std::vector<std::uint8_t> value(size_bytes);
  const auto size =
      transport.control_in(setup(kFromInterface, request, selector, entity), value, timeout);
  if (!size) return explain(transport, entity, selector, "read", size.error(), timeout);
  if (*size != size_bytes)
    return error(ErrorCode::kProtocol,
                 "UVC unit {} of interface {}: control {} answered {} bytes, expected {}",
                 entity.id, entity.control_interface, selector, *size, size_bytes);
  return value;
}

Result<void> set_control(UsbTransport& transport, Entity entity, std::uint8_t selector,
                         std::span<const std::uint8_t> value) {
  const auto sent =
      transport.control_out(setup(kToInterface, kSetCur, selector, entity), value, kControlTimeout);
  if (!sent) return explain(transport, entity, selector, "set", sent.error(), kControlTimeout);
  return {};
}

Result<std::uint32_t> get_number(UsbTransport& transport, Entity entity, std::uint8_t selector,
                                 std::uint8_t request, std::size_t size_bytes) {
  CUSP_CHECK(size_bytes <= sizeof(std::uint32_t), "a control's number has four bytes at most");
  CUSP_ASSIGN(const auto bytes, get_control(transport, entity, selector, request, size_bytes));
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) number |= std::uint32_t{bytes[i]} << (8 * i);
  return number;
}

Result<void> set_number(UsbTransport& transport, Entity entity, std::uint8_t selector,
                        std::uint32_t number, std::size_t size_bytes) {
  std::vector<std::uint8_t> bytes(size_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return set_control(transport, entity, selector, bytes);
}

}  // namespace cusp::uvc
