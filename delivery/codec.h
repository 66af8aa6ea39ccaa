// Private to delivery: values of Cusp to and from their protobuf messages. Decoding checks every
// limit that a peer could break and answers kProtocol with the one that was broken. Threads: pure
// functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/scan_ticket.h"
#include "delivery/messages.pb.h"
#include "delivery/parcel.h"
#include "delivery/worklist.h"

namespace cusp::delivery {

sxp::Ticket to_message(const ScanTicket& ticket);
Result<ScanTicket> from_message(const sxp::Ticket& message);

sxp::Hold to_message(const std::string& ticket_id, const Hold& hold);
Result<Hold> from_message(const sxp::Hold& message);

sxp::Receipt to_message(const Receipt& receipt);
Result<Receipt> from_message(const sxp::Receipt& message);

}  // namespace cusp::delivery
