#include "records/records_store.h"

#include <fstream>

#include "delivery/sqlite.h"
#include "records/audit.h"
#include "records/schema.h"
#include "tests/records/store_fixture.h"

namespace cusp::records {
namespace {

class Store : public StoreFixture {};

TEST_F(Store, KeepsEverythingWhenItIsOpenedAgain) {
  const auto patient = add_patient();
  const auto ticket = add_ticket(patient);
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  const auto epoch = store_->store_epoch();
  open();
  EXPECT_EQ(store_->store_epoch(), epoch);
  EXPECT_TRUE(is_uuid(epoch));
  EXPECT_EQ(store_->find_patient(patient.id)->name, "Åsa Ödegård");
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->status, TicketStatus::kDelivered);
  ASSERT_EQ(records().size(), 1u);
  EXPECT_EQ(records()[0].patient->id, patient.id);
}

TEST_F(Store, BelongsToOneProcessAtATime) {
  const auto second = RecordsStore::open(folder_ / "records.db", clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

TEST_F(Store, RefusesADatabaseOfANewerCuspAndADamagedOne) {
  store_.reset();
  {
    auto database = delivery::Database::open(folder_ / "records.db", schema_steps());
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->script("PRAGMA user_version = 999").ok());
  }
  EXPECT_EQ(RecordsStore::open(folder_ / "records.db", clock_).error().code,
            ErrorCode::kUnsupported);
  std::ofstream(folder_ / "noise.db") << std::string(8192, 'x');
  EXPECT_EQ(RecordsStore::open(folder_ / "noise.db", clock_).error().code, ErrorCode::kCorrupt);
}

TEST_F(Store, GivesEachPatientAPseudonymThatSaysNothing) {
  const auto first = add_patient();
  const auto second = add_patient();
  EXPECT_TRUE(is_uuid(first.patient_ref));
  EXPECT_NE(first.patient_ref, second.patient_ref);
  EXPECT_NE(first.patient_ref, first.id);
  EXPECT_EQ(first.created_at, "2026-01-31T09:15:00.000Z");
}

TEST_F(Store, RefusesAPatientByTheNameOfTheField) {
  const auto refused = [this](auto change) {
    Patient patient;
    patient.name = "Ada";
    patient.date_of_birth = "1990-12-10";
    change(patient);
    const auto added = store_->add_patient(patient);
    return added.ok() ? std::string("taken") : added.error().message;
  };
  EXPECT_EQ(refused([](Patient&) {}), "taken");
  EXPECT_EQ(refused([](Patient& p) { p.name = "  "; }), "name is missing");
  EXPECT_EQ(refused([](Patient& p) { p.name = "a\nb"; }), "name must be a single line");
  EXPECT_EQ(refused([](Patient& p) { p.name = "\xff"; }), "name is not valid UTF-8");
  EXPECT_EQ(refused([](Patient& p) { p.name = std::string("a\0b", 3); }),
            "name holds a control character");
  for (const char* date : {"", "1990-13-01", "2023-02-29", "1990-1-1", "10.12.1990", "-990-12-10",
                           "1990-12-10T00:00", "1990-12-1x"})
    EXPECT_EQ(refused([&](Patient& p) { p.date_of_birth = date; }),
              "date_of_birth must be a date such as 1990-12-31")
        << date;
  for (const char* date : {"2026-02-01", "1849-12-31"})
    EXPECT_EQ(refused([&](Patient& p) { p.date_of_birth = date; }),
              "date_of_birth must lie between 1850 and today")
        << date;
  EXPECT_EQ(refused([](Patient& p) { p.mobile = std::string(300, '1'); }),
            "mobile is 300 bytes long: at most 256 are allowed");
  EXPECT_EQ(refused([](Patient& p) { p.note = std::string(5000, 'n'); }),
            "note is 5000 bytes long: at most 4096 are allowed");
}

TEST_F(Store, KeepsTextThatLooksLikeSqlAsText) {
  const std::string name = "Robert'); DROP TABLE patient;--";
  const auto patient = add_patient(name);
  EXPECT_EQ(store_->find_patient(patient.id)->name, name);
  EXPECT_EQ(store_->find_patient("' OR 1=1 --").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->find_ticket("' OR 1=1 --").error().message, "there is no ticket ?");
}

TEST_F(Store, ListsNewestFirstInPages) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(ids.begin(), add_patient().id);
  std::vector<std::string> seen;
  PageRequest request{.limit = 2, .before = {}};
  do {
    const auto page = store_->list_patients(request);
    ASSERT_TRUE(page.ok());
    for (const auto& patient : page->items) seen.push_back(patient.id);
    request.before = page->next;
  } while (request.before);
  EXPECT_EQ(seen, ids);
}

TEST_F(Store, MakesATicketWithThePatientsLabelAndDefaultStages) {
  const auto patient = add_patient();
  const auto ticket = add_ticket(patient);
  EXPECT_EQ(ticket.order.patient.name, patient.name);
  EXPECT_EQ(ticket.order.patient.date_of_birth, patient.date_of_birth);
  EXPECT_EQ(ticket.order.patient_ref, patient.patient_ref);
  EXPECT_EQ(ticket.order.stages, default_stages(TicketKind::kIntraoral));
  const auto found = store_->find_ticket(ticket.order.id);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->order.teeth_fdi, (std::vector<int>{11, 21}));
  EXPECT_EQ(found->order.stages, ticket.order.stages);
  EXPECT_EQ(found->status, TicketStatus::kOpen);
}

TEST_F(Store, RefusesATicketByTheNameOfTheField) {
  const auto patient = add_patient();
  const auto refused = [&](auto change, std::string patient_id = {}) {
    auto changed = order();
    change(changed);
    const auto added = store_->add_ticket(patient_id.empty() ? patient.id : patient_id, changed);
    return added.ok() ? std::string("taken") : added.error().message;
  };
  EXPECT_EQ(refused([](ScanTicket&) {}), "taken");
  EXPECT_EQ(refused([](ScanTicket& t) { t.doctor = ""; }), "doctor is missing");
  EXPECT_EQ(refused([](ScanTicket& t) { t.case_type = "a\nb"; }),
            "case_type must be a single line");
  EXPECT_NE(
      refused([](ScanTicket& t) { t.teeth_fdi = {19}; }).find("19 is not an FDI tooth number"),
      std::string::npos);
  EXPECT_EQ(refused([](ScanTicket& t) { t.teeth_fdi.assign(53, 11); }),
            "teeth_fdi has more than 52 teeth");
  EXPECT_NE(refused([](ScanTicket& t) {
              t.stages = {ScanStage::kFaceSmile};
            }).find("stage face-smile does not belong to intraoral tickets"),
            std::string::npos);
  EXPECT_NE(refused([](ScanTicket& t) {
              t.stages = {ScanStage::kUpper, ScanStage::kUpper};
            }).find("stage upper is named twice"),
            std::string::npos);
  EXPECT_EQ(refused([](ScanTicket&) {}, "nobody"), "patient_id: there is no patient ?");
}

TEST_F(Store, CancelsAnOpenTicketOnce) {
  const auto ticket = add_ticket(add_patient());
  const auto cancelled = store_->cancel_ticket(ticket.order.id);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->status, TicketStatus::kCancelled);
  EXPECT_EQ(store_->cancel_ticket(ticket.order.id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(store_->cancel_ticket(new_uuid()).error().code, ErrorCode::kNotFound);
}

TEST_F(Store, TellsItsListenerOfEveryChange) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  using Kind = StoreChange::Kind;
  ASSERT_EQ(changes_.size(), 4u);
  EXPECT_EQ(changes_[0].kind, Kind::kPatientAdded);
  EXPECT_EQ(changes_[1].kind, Kind::kTicketChanged);
  EXPECT_EQ(changes_[2].kind, Kind::kTicketChanged);
  EXPECT_EQ(changes_[3].kind, Kind::kRecordAdded);
  EXPECT_EQ(changes_[3].id, records()[0].id);
}

TEST_F(Store, CountsWhatItHolds) {
  const auto patient = add_patient();
  add_ticket(patient);
  ASSERT_TRUE(commit(parcel_of(add_ticket(patient).order)).ok());
  const auto counts = store_->counts();
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->patients, 1u);
  EXPECT_EQ(counts->tickets_open, 1u);
  EXPECT_EQ(counts->records, 1u);
  EXPECT_EQ(counts->records_unassigned, 0u);
  EXPECT_EQ(counts->file_bytes, 12u);
}

// --- the audit trail ---

TEST_F(Store, LeavesATraceOfEveryDeedWithoutNames) {
  const auto ticket = add_ticket(add_patient("Quite Unmistakable"));
  ASSERT_TRUE(store_->cancel_ticket(ticket.order.id).ok());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  EXPECT_EQ(*store_->check_audit(), 4u);
  store_.reset();
  auto database = delivery::Database::open(folder_ / "records.db", schema_steps());
  ASSERT_TRUE(database.ok());
  auto rows = database->query(
      "SELECT action, at || actor || action || object || detail FROM audit ORDER BY n");
  std::vector<std::string> actions;
  while (*rows->step()) {
    actions.push_back(rows->text(0));
    EXPECT_EQ(rows->text(1).find("Unmistakable"), std::string::npos);
  }
  EXPECT_EQ(actions, (std::vector<std::string>{"patient-added", "ticket-added", "ticket-cancelled",
                                               "record-committed"}));
}

class TamperedAudit : public StoreFixture {
 protected:
  Result<std::uint64_t> check_after(std::string_view tampering) {
    for (int i = 0; i < 3; ++i) add_patient();
    store_.reset();
    auto database = delivery::Database::open(folder_ / "records.db", schema_steps());
    EXPECT_TRUE(database.ok());
    const auto done = database->script(tampering);
    EXPECT_TRUE(done.ok()) << done.error().message;
    return check_audit(*database);
  }
};

TEST_F(TamperedAudit, IsAppendOnly) {
  add_patient();
  store_.reset();
  auto database = delivery::Database::open(folder_ / "records.db", schema_steps());
  ASSERT_TRUE(database.ok());
  EXPECT_FALSE(database->script("UPDATE audit SET actor = 'nobody'").ok());
  EXPECT_FALSE(database->script("DELETE FROM audit").ok());
}

TEST_F(TamperedAudit, IsNoticedWhenARowWasChanged) {
  const auto checked =
      check_after("DROP TRIGGER audit_is_never_changed; UPDATE audit SET actor = 'x' WHERE n = 2");
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().message, "audit trail: entry 2 was changed or taken out");
}

TEST_F(TamperedAudit, IsNoticedWhenARowWasTakenOut) {
  EXPECT_FALSE(
      check_after("DROP TRIGGER audit_is_never_shortened; DELETE FROM audit WHERE n = 1").ok());
}

TEST_F(TamperedAudit, IsFineUntouched) { EXPECT_EQ(*check_after("SELECT 1"), 3u); }

}  // namespace
}  // namespace cusp::records
