// ScanTicket: the order that a clinic writes, and its life as a pure state machine.
//
// Privacy: `patient` is for the operator's eyes alone. It is never put into a parcel, a log line, a
// metric or a file name; those carry patient_ref, an opaque pseudonym.
// Teeth are numbered by FDI (ISO 3950). Threads: values and pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace cusp {

enum class TicketKind { kIntraoral, kFace };
std::string_view to_string(TicketKind kind);
std::optional<TicketKind> ticket_kind_from(std::string_view name);

enum class ScanStage {
  kUpper,
  kLower,
  kBiteLeft,
  kBiteRight,
  kPreopUpper,
  kPreopLower,
  kScanBodyUpper,
  kScanBodyLower,
  kFaceNeutral,
  kFaceSmile,
  kFaceRetracted,
};
// "upper", "bite-left", "scan-body-upper", "face-neutral", ...
std::string_view to_string(ScanStage stage);
std::optional<ScanStage> scan_stage_from(std::string_view name);
TicketKind kind_of(ScanStage stage);

struct PatientLabel {
  std::string name;
  std::string date_of_birth;  // ISO 8601 date
};

struct ScanTicket {
  std::string id;         // UUID
  unsigned revision = 1;  // of what is delivered; a redo after delivery makes the next
  TicketKind kind = TicketKind::kIntraoral;
  std::string case_type;
  std::string visit_type;
  std::string doctor;
  std::string patient_ref;  // opaque; empty: filed under a patient later
  std::string case_ref;     // opaque; may be empty
  std::vector<int> teeth_fdi;
  std::string note;
  std::vector<ScanStage> stages;  // what to scan, in order
  PatientLabel patient;
};

// What is scanned when the clinic names no stages: both jaws, or the neutral face.
std::vector<ScanStage> default_stages(TicketKind kind);

// Limits: id is a UUID, texts are UTF-8 without control characters and within kMaxTextBytes, FDI
// numbers exist (11-18 .. 41-48, 51-55 .. 81-85), stages fit the kind and do not repeat, at least
// one.
inline constexpr std::size_t kMaxTextBytes = 4096;
inline constexpr std::size_t kMaxTeeth = 52;  // all that FDI numbers
Result<void> validate(const ScanTicket& ticket);

// A ticket's life (docs/ARCHITECTURE.md draws it).
enum class TicketState {
  kCreated,  // in the worklist, nobody works on it
  kClaimed,  // this station will scan it
  kScanning,
  kPaused,
  kInterrupted,       // crash, power or device lost: resumes where it was
  kProcessing,        // all stages scanned, models being finished
  kProcessingFailed,  // retry or rescan
  kReady,             // in the outbox: "saved"
  kSending,
  kDelivered,  // the store's receipt is here
  kCancelled,
};
enum class TicketEvent {
  kClaim,
  kRelease,  // give it back to the worklist
  kStart,    // begin to scan a stage (also the next one)
  kPause,
  kResume,  // from paused or interrupted
  kInterrupt,
  kFinish,  // the operator is done: process and save
  kProcessFailed,
  kRetry,  // process again
  kSaved,  // the parcel is durable in the outbox
  kSend,
  kSendFailed,  // link lost before the receipt: back to ready
  kReceipt,
  kRedo,  // scan a stage again; after delivery this is the next revision
  kCancel,
};
inline constexpr int kTicketStateCount = 11;
inline constexpr int kTicketEventCount = 15;

std::string_view to_string(TicketState state);
// What a station does with a ticket, rather than that it has it in its list or had it once.
bool is_work(TicketState state);
std::optional<TicketState> ticket_state_from(std::string_view name);
std::string_view to_string(TicketEvent event);

// The state after the event, or kConflict with a sentence that says what is possible instead.
Result<TicketState> next_state(TicketState state, TicketEvent event);
// What may happen to a ticket in this state, in the order of TicketEvent.
std::vector<TicketEvent> possible_events(TicketState state);

}  // namespace cusp
