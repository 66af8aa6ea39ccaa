#include "core/scan_ticket.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/text.h"
#include "core/uuid.h"

namespace cusp {
namespace {

template <typename T, std::size_t N>
using Names = std::array<std::pair<T, std::string_view>, N>;

constexpr Names<TicketKind, 2> kKinds{
    {{TicketKind::kIntraoral, "intraoral"}, {TicketKind::kFace, "face"}}};

constexpr Names<ScanStage, 11> kStages{{{ScanStage::kUpper, "upper"},
                                        {ScanStage::kLower, "lower"},
                                        {ScanStage::kBiteLeft, "bite-left"},
                                        {ScanStage::kBiteRight, "bite-right"},
                                        {ScanStage::kPreopUpper, "preop-upper"},
                                        {ScanStage::kPreopLower, "preop-lower"},
                                        {ScanStage::kScanBodyUpper, "scan-body-upper"},
                                        {ScanStage::kScanBodyLower, "scan-body-lower"},
                                        {ScanStage::kFaceNeutral, "face-neutral"},
                                        {ScanStage::kFaceSmile, "face-smile"},
                                        {ScanStage::kFaceRetracted, "face-retracted"}}};

constexpr Names<TicketState, kTicketStateCount> kStates{
    {{TicketState::kCreated, "created"},
     {TicketState::kClaimed, "claimed"},
     {TicketState::kScanning, "scanning"},
     {TicketState::kPaused, "paused"},
     {TicketState::kInterrupted, "interrupted"},
     {TicketState::kProcessing, "processing"},
     {TicketState::kProcessingFailed, "processing-failed"},
     {TicketState::kReady, "ready"},
     {TicketState::kSending, "sending"},
     {TicketState::kDelivered, "delivered"},
     {TicketState::kCancelled, "cancelled"}}};

constexpr Names<TicketEvent, kTicketEventCount> kEvents{
    {{TicketEvent::kClaim, "claim"},
     {TicketEvent::kRelease, "release"},
     {TicketEvent::kStart, "start"},
     {TicketEvent::kPause, "pause"},
     {TicketEvent::kResume, "resume"},
     {TicketEvent::kInterrupt, "interrupt"},
     {TicketEvent::kFinish, "finish"},
     {TicketEvent::kProcessFailed, "process-failed"},
     {TicketEvent::kRetry, "retry"},
     {TicketEvent::kSaved, "saved"},
     {TicketEvent::kSend, "send"},
     {TicketEvent::kSendFailed, "send-failed"},
     {TicketEvent::kReceipt, "receipt"},
     {TicketEvent::kRedo, "redo"},
     {TicketEvent::kCancel, "cancel"}}};

struct Transition {
  TicketState from;
  TicketEvent event;
  TicketState to;
};

using S = TicketState;
using E = TicketEvent;
constexpr Transition kLife[] = {
    {S::kCreated, E::kClaim, S::kClaimed},
    {S::kCreated, E::kCancel, S::kCancelled},

    {S::kClaimed, E::kRelease, S::kCreated},
    {S::kClaimed, E::kStart, S::kScanning},
    {S::kClaimed, E::kCancel, S::kCancelled},

    {S::kScanning, E::kStart, S::kScanning},
    {S::kScanning, E::kPause, S::kPaused},
    {S::kScanning, E::kInterrupt, S::kInterrupted},
    {S::kScanning, E::kFinish, S::kProcessing},
    {S::kScanning, E::kRedo, S::kScanning},
    {S::kScanning, E::kCancel, S::kCancelled},

    {S::kPaused, E::kStart, S::kScanning},
    {S::kPaused, E::kResume, S::kScanning},
    {S::kPaused, E::kInterrupt, S::kInterrupted},
    {S::kPaused, E::kFinish, S::kProcessing},
    {S::kPaused, E::kRedo, S::kScanning},
    {S::kPaused, E::kCancel, S::kCancelled},

    {S::kInterrupted, E::kStart, S::kScanning},
    {S::kInterrupted, E::kResume, S::kScanning},
    {S::kInterrupted, E::kFinish, S::kProcessing},
    {S::kInterrupted, E::kRedo, S::kScanning},
    {S::kInterrupted, E::kCancel, S::kCancelled},

    {S::kProcessing, E::kInterrupt, S::kInterrupted},
    {S::kProcessing, E::kProcessFailed, S::kProcessingFailed},
    {S::kProcessing, E::kSaved, S::kReady},
    {S::kProcessing, E::kCancel, S::kCancelled},

    {S::kProcessingFailed, E::kStart, S::kScanning},
    {S::kProcessingFailed, E::kRetry, S::kProcessing},
    {S::kProcessingFailed, E::kRedo, S::kScanning},
    {S::kProcessingFailed, E::kCancel, S::kCancelled},

    {S::kReady, E::kSend, S::kSending},
    {S::kReady, E::kReceipt, S::kDelivered},  // a receipt that a crash kept from being noted
    {S::kReady, E::kRedo, S::kScanning},

    {S::kSending, E::kSendFailed, S::kReady},
    {S::kSending, E::kReceipt, S::kDelivered},
    {S::kSending, E::kRedo, S::kScanning},

    {S::kDelivered, E::kRedo, S::kScanning},
};

template <typename T, std::size_t N>
std::string_view name_of(const Names<T, N>& names, T value) {
  for (const auto& [known, name] : names)
    if (known == value) return name;
  CUSP_CHECK(false, "a value without a name");
}

template <typename T, std::size_t N>
std::optional<T> value_of(const Names<T, N>& names, std::string_view name) {
  for (const auto& [value, known] : names)
    if (known == name) return value;
  return std::nullopt;
}

bool is_fdi_tooth(int number) {
  const int quadrant = number / 10;
  const int tooth = number % 10;
  if (quadrant >= 1 && quadrant <= 4) return tooth >= 1 && tooth <= 8;
  return quadrant >= 5 && quadrant <= 8 && tooth >= 1 && tooth <= 5;
}

}  // namespace

std::string_view to_string(TicketKind kind) { return name_of(kKinds, kind); }
std::optional<TicketKind> ticket_kind_from(std::string_view name) { return value_of(kKinds, name); }
std::string_view to_string(ScanStage stage) { return name_of(kStages, stage); }
std::optional<ScanStage> scan_stage_from(std::string_view name) { return value_of(kStages, name); }
std::string_view to_string(TicketState state) { return name_of(kStates, state); }
bool is_work(TicketState state) {
  return state != TicketState::kCreated && state != TicketState::kCancelled &&
         state != TicketState::kDelivered;
}

std::optional<TicketState> ticket_state_from(std::string_view name) {
  return value_of(kStates, name);
}
std::string_view to_string(TicketEvent event) { return name_of(kEvents, event); }

TicketKind kind_of(ScanStage stage) {
  return stage >= ScanStage::kFaceNeutral ? TicketKind::kFace : TicketKind::kIntraoral;
}

std::vector<ScanStage> default_stages(TicketKind kind) {
  if (kind == TicketKind::kFace) return {ScanStage::kFaceNeutral};
  return {ScanStage::kUpper, ScanStage::kLower};
}

Result<void> validate(const ScanTicket& ticket) {
  if (!is_uuid(ticket.id))
    return error(ErrorCode::kInvalidArgument, "ticket id \"{}\" is not a UUID",
                 is_utf8(ticket.id) ? ticket.id.substr(0, 64) : std::string("?"));
  const std::string who = "ticket " + ticket.id;
  if (ticket.revision < 1)
    return error(ErrorCode::kInvalidArgument, "{}: revision starts at 1", who);
  const std::pair<std::string_view, const std::string*> texts[] = {
      {"case_type", &ticket.case_type},
      {"visit_type", &ticket.visit_type},
      {"doctor", &ticket.doctor},
      {"patient_ref", &ticket.patient_ref},
      {"case_ref", &ticket.case_ref},
      {"note", &ticket.note},
      {"patient name", &ticket.patient.name},
      {"date_of_birth", &ticket.patient.date_of_birth}};
  for (const auto& [name, text] : texts)
    CUSP_TRY(check_text(fmt::format("{}: {}", who, name), *text, kMaxTextBytes));
  for (const int tooth : ticket.teeth_fdi)
    if (!is_fdi_tooth(tooth))
      return error(ErrorCode::kInvalidArgument, "{}: {} is not an FDI tooth number (11 to 85)", who,
                   tooth);
  if (ticket.stages.empty()) return error(ErrorCode::kInvalidArgument, "{}: no stage to scan", who);
  for (std::size_t i = 0; i < ticket.stages.size(); ++i) {
    const ScanStage stage = ticket.stages[i];
    if (kind_of(stage) != ticket.kind)
      return error(ErrorCode::kInvalidArgument, "{}: stage {} does not belong to {} tickets", who,
                   to_string(stage), to_string(ticket.kind));
    if (std::find(ticket.stages.begin(), ticket.stages.begin() + static_cast<std::ptrdiff_t>(i),
                  stage) != ticket.stages.begin() + static_cast<std::ptrdiff_t>(i))
      return error(ErrorCode::kInvalidArgument, "{}: stage {} is named twice", who,
                   to_string(stage));
  }
  return {};
}

std::vector<TicketEvent> possible_events(TicketState state) {
  std::vector<TicketEvent> events;
  for (const Transition& step : kLife)
    if (step.from == state) events.push_back(step.event);
  std::sort(events.begin(), events.end());
  return events;
}

Result<TicketState> next_state(TicketState state, TicketEvent event) {
  for (const Transition& step : kLife)
    if (step.from == state && step.event == event) return step.to;
  std::string possible;
  for (const TicketEvent other : possible_events(state))
    possible += (possible.empty() ? "" : ", ") + std::string(to_string(other));
  if (possible.empty())
    return error(ErrorCode::kConflict, "a {} ticket is at its end: \"{}\" is not possible",
                 to_string(state), to_string(event));
  return error(ErrorCode::kConflict, "a {} ticket can't take \"{}\": possible now: {}",
               to_string(state), to_string(event), possible);
}

}  // namespace cusp
