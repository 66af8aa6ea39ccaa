#include "delivery/codec.h"

#include "core/text.h"
#include "core/uuid.h"
#include "delivery/digest.h"

namespace cusp::delivery {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxHoldBytes = 64;

}  // namespace

sxp::Ticket to_message(const ScanTicket& ticket) {
  sxp::Ticket message;
  message.set_id(ticket.id);
  message.set_revision(ticket.revision);
  message.set_kind(std::string(to_string(ticket.kind)));
  message.set_case_type(ticket.case_type);
  message.set_visit_type(ticket.visit_type);
  message.set_doctor(ticket.doctor);
  message.set_patient_ref(ticket.patient_ref);
  message.set_case_ref(ticket.case_ref);
  message.set_note(ticket.note);
  for (const int tooth : ticket.teeth_fdi) message.add_teeth_fdi(static_cast<std::uint32_t>(tooth));
  for (const ScanStage stage : ticket.stages) message.add_stages(std::string(to_string(stage)));
  message.set_patient_name(ticket.patient.name);
  message.set_patient_date_of_birth(ticket.patient.date_of_birth);
  return message;
}

Result<ScanTicket> from_message(const sxp::Ticket& message) {
  ScanTicket ticket;
  ticket.id = message.id();
  ticket.revision = message.revision();
  const auto kind = ticket_kind_from(message.kind());
  if (!kind) return error(ErrorCode::kProtocol, "ticket with an unknown kind");
  ticket.kind = *kind;
  ticket.case_type = message.case_type();
  ticket.visit_type = message.visit_type();
  ticket.doctor = message.doctor();
  ticket.patient_ref = message.patient_ref();
  ticket.case_ref = message.case_ref();
  ticket.note = message.note();
  if (message.teeth_fdi_size() > static_cast<int>(kMaxTeeth))
    return error(ErrorCode::kProtocol, "ticket names more than {} teeth", kMaxTeeth);
  for (const std::uint32_t tooth : message.teeth_fdi())
    ticket.teeth_fdi.push_back(static_cast<int>(tooth));
  for (const std::string& name : message.stages()) {
    const auto stage = scan_stage_from(name);
    if (!stage) return error(ErrorCode::kProtocol, "ticket with an unknown stage");
    ticket.stages.push_back(*stage);
  }
  ticket.patient = {message.patient_name(), message.patient_date_of_birth()};
  if (const auto valid = validate(ticket); !valid.ok())
    return Error{ErrorCode::kProtocol, valid.error().message};
  return ticket;
}

sxp::Hold to_message(const std::string& ticket_id, const Hold& hold) {
  sxp::Hold message;
  message.set_ticket_id(ticket_id);
  message.set_station_id(hold.station_id);
  message.set_since(hold.since);
  return message;
}

Result<Hold> from_message(const sxp::Hold& message) {
  if (!is_uuid(message.ticket_id()))
    return error(ErrorCode::kProtocol, "hold: ticket_id is not a UUID");
  CUSP_TRY(check_text("hold: station_id", message.station_id(), kMaxHoldBytes));
  CUSP_TRY(check_text("hold: since", message.since(), kMaxHoldBytes));
  return Hold{message.station_id(), message.since()};
}

sxp::Receipt to_message(const Receipt& receipt) {
  sxp::Receipt message;
  message.set_ticket_id(receipt.ticket_id);
  message.set_revision(receipt.revision);
  message.set_store_seq(receipt.store_seq);
  message.set_envelope_sha256(receipt.envelope_sha256);
  message.set_committed_at(receipt.committed_at);
  message.set_record_url(receipt.record_url);
  return message;
}

Result<Receipt> from_message(const sxp::Receipt& message) {
  if (!is_uuid(message.ticket_id()) || !is_sha256_hex(message.envelope_sha256()) ||
      !check_text("committed_at", message.committed_at(), 64).ok() ||
      !check_text("record_url", message.record_url(), kMaxUrlBytes).ok())
    return error(ErrorCode::kProtocol, "receipt with a field that breaks its limits");
  return Receipt{message.ticket_id(),       message.revision(),     message.store_seq(),
                 message.envelope_sha256(), message.committed_at(), message.record_url()};
}

}  // namespace cusp::delivery
