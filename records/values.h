// The values of the records store: patients, tickets and records as its verbs take and give them.
// Times are RFC 3339 in UTC, dates ISO 8601, texts UTF-8. Threads: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/scan_ticket.h"
#include "delivery/parcel.h"
#include "delivery/worklist.h"

namespace cusp::records {

enum class Gender { kFemale, kMale, kOther, kUnknown };
std::string_view to_string(Gender gender);
std::optional<Gender> gender_from(std::string_view name);

struct Patient {
  std::string id;  // UUID, made by the store
  std::string
      patient_ref;  // random UUID, made by the store: all that stations deliver of the patient
  std::string name;
  std::string date_of_birth;
  Gender gender = Gender::kUnknown;
  std::string mobile, landline, email;
  std::string id_number, insurance_number;
  std::string address, note;
  std::string created_at;
};

inline constexpr std::size_t kMaxLineBytes = 256;

// Limits: a name and a date of birth that exists and is not after `today` (ISO 8601); single lines
// within kMaxLineBytes, address and note within kMaxTextBytes. The error begins with the field's
// name.
Result<void> validate(const Patient& patient, std::string_view today);

enum class TicketStatus { kOpen, kDelivered, kCancelled };
std::string_view to_string(TicketStatus status);
std::optional<TicketStatus> ticket_status_from(std::string_view name);

struct Ticket {
  ScanTicket order;                       // with the patient's label
  std::optional<std::string> patient_id;  // none: made on a station, not yet filed
  TicketStatus status = TicketStatus::kOpen;
  std::string station_id;  // that worked on it last; may be empty
  std::optional<TicketState> station_state;
  std::string created_at;
  std::optional<delivery::Hold> hold{};  // who works on it, by its reports
  std::string held_until{};              // RFC 3339
};

// The fields that a clinic writes; the error begins with the field's name.
Result<void> validate_order(const ScanTicket& order);

// An image collection with a visiting time and a title: here, what one parcel brought.
struct Record {
  std::string id;               // UUID
  std::uint64_t store_seq = 0;  // place in the order of commits
  std::string title;
  std::string visiting_time;  // when the scan was finished
  std::string committed_at;   // the store's clock
  std::string envelope_sha256;
  std::optional<Patient> patient;  // none: unassigned
  // As it came; its revision is the store's: higher than the station's when another station brought
  // that one before.
  delivery::Parcel parcel;
  bool scanned_twice = false;  // two stations scanned this ticket without knowing of each other
};

struct StoreCounts {
  std::uint64_t patients = 0;
  std::uint64_t tickets_open = 0;
  std::uint64_t records = 0;
  std::uint64_t records_unassigned = 0;
  std::uint64_t file_bytes = 0;  // each file counted once
};

// Newest first; `next` continues where this page ends.
template <typename T>
struct Page {
  std::vector<T> items;
  std::optional<std::uint64_t> next;
};
struct PageRequest {
  std::size_t limit = 50;               // 1 to kMaxPage
  std::optional<std::uint64_t> before;  // a Page's next
};
inline constexpr std::size_t kMaxPage = 200;

}  // namespace cusp::records
