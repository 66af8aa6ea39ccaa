// RecordsStore: patients, tickets and records of a clinic. Each verb is one transaction.
//
// Ingest (DeliveryStore): a parcel is committed once for ever by (station, outbox epoch, sequence)
// and by (ticket, revision); the same key with other bytes is kConflict and changes nothing. A
// parcel whose patient_ref is empty, unknown, or not the one of its ticket becomes a record without
// a patient ("unassigned"): it is never refused and never guessed. Delivery closes the ticket.
// Files lie beside the database in cas/ (delivery::cas_path); the store keeps their names.
//
// Privacy: names of patients leave through Patient and ScanTicket::patient alone; errors and the
// audit trail name ids. Threads: all verbs from any thread (one lock inside). The listener is
// called on the thread that made the change, after its commit and outside the lock. Errors:
// kInvalidArgument (begins with the field), kNotFound, kConflict, and those of delivery::Database.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>

#include "core/clock.h"
#include "delivery/store_gate.h"
#include "records/values.h"

namespace cusp::records {

struct StoreChange {
  enum class Kind { kPatientAdded, kTicketChanged, kRecordAdded };
  Kind kind;
  std::string id;
};

class RecordsStore : public delivery::DeliveryStore {
 public:
  static Result<std::unique_ptr<RecordsStore>> open(const std::filesystem::path& database,
                                                    const Clock& clock);

  // The id, patient_ref and created_at are the store's to give.
  virtual Result<Patient> add_patient(Patient patient) = 0;
  virtual Result<Patient> find_patient(const std::string& id) = 0;
  virtual Result<Page<Patient>> list_patients(PageRequest request) = 0;

  // The order's id, patient and patient_ref are the store's to give; no stages: the kind's default.
  virtual Result<Ticket> add_ticket(const std::string& patient_id, ScanTicket order) = 0;
  virtual Result<Ticket> find_ticket(const std::string& id) = 0;
  virtual Result<Page<Ticket>> list_tickets(std::optional<TicketStatus> status,
                                            PageRequest request) = 0;
  // Only an open one; a scan of it that is on its way is still taken.
  virtual Result<Ticket> cancel_ticket(const std::string& id) = 0;

  // In the order of commits, newest first; without envelopes and with all stages.
  virtual Result<Page<Record>> list_records(PageRequest request) = 0;
  virtual Result<Record> find_record(const std::string& id) = 0;

  // Frees the tickets of stations that have not reported work on them for kHoldLasts.
  virtual Result<void> expire_holds() = 0;

  virtual Result<StoreCounts> counts() = 0;
  // Into a new file, as it is at one moment, while others use the store.
  virtual Result<void> copy_database(const std::filesystem::path& target, std::stop_token stop) = 0;
  // The file of a record whose hash comes next; nothing: that was the last.
  virtual Result<std::optional<delivery::BlobRef>> next_file(const std::string& after_sha256) = 0;
  // Where the scrub is, over restarts.
  virtual Result<std::string> scrub_place() = 0;
  virtual Result<void> set_scrub_place(const std::string& sha256) = 0;

  // Length of the audit trail; kCorrupt when it was tampered with.
  virtual Result<std::uint64_t> check_audit() = 0;

  // After an I/O error of its database: every verb fails until the process starts again.
  [[nodiscard]] virtual bool broken() = 0;

  // For receipts: the address of the page, "http://127.0.0.1:8480". Set it before ingest starts.
  virtual void set_page_address(std::string address) = 0;
  // Set it before other threads use the store.
  virtual void set_listener(std::function<void(const StoreChange&)> listener) = 0;
};

}  // namespace cusp::records
