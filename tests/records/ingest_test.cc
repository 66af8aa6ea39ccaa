// What delivery needs of the store (DeliveryStore): nothing lost, nothing doubled, nothing
// overwritten.
#include <gmock/gmock.h>

#include "delivery/sqlite.h"
#include "records/schema.h"
#include "tests/records/store_fixture.h"

namespace cusp::records {
namespace {

class Ingest : public StoreFixture {
 protected:
  std::vector<delivery::WorklistChange> worklist(std::uint64_t seq = 0, std::size_t limit = 100) {
    auto changes = store_->worklist_since(seq, limit);
    EXPECT_TRUE(changes.ok());
    return *changes;
  }
};

TEST_F(Ingest, FilesAParcelUnderItsPatientAndClosesTheTicket) {
  const auto patient = add_patient();
  const auto ticket = add_ticket(patient);
  const auto parcel = parcel_of(ticket.order);
  store_->set_page_address("http://127.0.0.1:8480");
  const auto receipt = commit(parcel);
  ASSERT_TRUE(receipt.ok()) << receipt.error().message;
  const auto listed = records();
  ASSERT_EQ(listed.size(), 1u);
  const Record& record = listed[0];
  EXPECT_EQ(record.patient->id, patient.id);
  EXPECT_EQ(record.visiting_time, "2026-01-31T09:00:00.000Z");
  EXPECT_EQ(record.committed_at, "2026-01-31T09:15:00.000Z");
  EXPECT_EQ(record.title, "Intraoral scan");
  ASSERT_EQ(record.parcel.stages.size(), 2u);
  const auto& upper = record.parcel.stages[0];
  EXPECT_EQ(upper.stage, ScanStage::kUpper);
  EXPECT_EQ(upper.triangles, 120'000u);
  EXPECT_EQ(upper.frames_tracked, 290u);
  EXPECT_EQ(upper.frames_dropped, 3u);
  EXPECT_DOUBLE_EQ(upper.mean_residual_mm, 0.021);
  ASSERT_TRUE(upper.quality.has_value());
  EXPECT_EQ(upper.quality->grade, 2);
  EXPECT_EQ(upper.quality->reasons,
            (std::vector<std::string>{"the drift is about 30 um", "separate parts: 2"}));
  EXPECT_DOUBLE_EQ(upper.quality->largest_hole_mm, 0.75);
  EXPECT_DOUBLE_EQ(upper.quality->drift_mm.value(), 0.03);
  EXPECT_DOUBLE_EQ(upper.quality->expected_error_mm.value(), 0.012);
  EXPECT_FALSE(record.parcel.stages[1].quality.has_value());
  EXPECT_FALSE(upper.placement.has_value());
  ASSERT_TRUE(upper.anatomical_from_stage.has_value());
  EXPECT_EQ(upper.anatomical_from_stage, parcel.stages[0].anatomical_from_stage);
  EXPECT_FALSE(record.parcel.stages[1].anatomical_from_stage.has_value());
  const auto& place = record.parcel.stages[1].placement;
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->into, ScanStage::kUpper);
  EXPECT_EQ(place->into_from_stage, parcel.stages[1].placement->into_from_stage);
  EXPECT_DOUBLE_EQ(place->residual_mm, 0.04);
  ASSERT_EQ(upper.blobs.size(), 2u);
  EXPECT_EQ(upper.blobs[1].role, "thumbnail");
  EXPECT_EQ(record.parcel.stages[1].blobs[0].file_name, "lower.stl");
  EXPECT_EQ(record.parcel.device_serial, "wand-0012");

  EXPECT_EQ(receipt->ticket_id, ticket.order.id);
  EXPECT_EQ(receipt->revision, 1u);
  EXPECT_EQ(receipt->store_seq, record.store_seq);
  EXPECT_EQ(receipt->record_url, "http://127.0.0.1:8480/#/records/" + record.id);
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->status, TicketStatus::kDelivered);
}

TEST_F(Ingest, AnswersARepeatedParcelWithTheFirstReceipt) {
  const auto parcel = parcel_of(add_ticket(add_patient()).order);
  const auto first = commit(parcel);
  clock_.advance(std::chrono::hours(24));
  open();
  const auto second = commit(parcel);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->store_seq, first->store_seq);
  EXPECT_EQ(second->committed_at, first->committed_at);
  EXPECT_EQ(records().size(), 1u);
  const auto found = store_->find_receipt("station-1", outbox_epoch_, 1);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->envelope_sha256, first->envelope_sha256);
  const auto delivered =
      store_->find_delivery("station-1", outbox_epoch_, first->ticket_id, first->revision);
  ASSERT_TRUE(delivered.ok() && *delivered);
  EXPECT_EQ((*delivered)->envelope_sha256, first->envelope_sha256);
  EXPECT_FALSE(
      *store_->find_delivery("station-1", outbox_epoch_, first->ticket_id, first->revision + 1));
  EXPECT_FALSE(
      *store_->find_delivery("station-2", outbox_epoch_, first->ticket_id, first->revision));
  EXPECT_FALSE(*store_->find_receipt("station-1", outbox_epoch_, 2));
  EXPECT_FALSE(*store_->find_receipt("station-2", outbox_epoch_, 1));
  EXPECT_FALSE(*store_->find_receipt("station-1", new_uuid(), 1));
}

TEST_F(Ingest, NeverOverwritesUnderTheSameOutboxPlace) {
  const auto ticket = add_ticket(add_patient());
  auto parcel = parcel_of(ticket.order);
  ASSERT_TRUE(commit(parcel).ok());
  parcel.note = "other content";
  const auto refused = commit(parcel);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_EQ(records().size(), 1u);
  EXPECT_EQ(records()[0].parcel.note, "");
}

TEST_F(Ingest, NeverOverwritesATicketsRevision) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  EXPECT_EQ(commit(parcel_of(ticket.order, 7)).error().code, ErrorCode::kConflict);
  EXPECT_EQ(records().size(), 1u);
  EXPECT_TRUE(store_->check_audit().ok());
}

TEST_F(Ingest, KeepsTheEnvelopeOfWhatItRefused) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  const auto other = parcel_of(ticket.order, 7);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(commit(other).ok());
  store_.reset();
  auto database = delivery::Database::open(folder_ / "records.db", schema_steps());
  auto refused = database->query("SELECT station_id, revision, envelope FROM refused_parcel");
  ASSERT_TRUE(*refused->step());
  EXPECT_EQ(refused->text(0), "station-1");
  EXPECT_EQ(refused->integer(1), 1);
  EXPECT_EQ(refused->blob(2), delivery::encode(other));
  EXPECT_FALSE(*refused->step()) << "once";
}

TEST_F(Ingest, KeepsWhatTwoStationsScannedWithoutKnowingOfEachOther) {
  const auto ticket = add_ticket(add_patient());
  const auto first = commit(parcel_of(ticket.order));
  auto other_station = parcel_of(ticket.order, 7);
  other_station.station_id = "station-2";
  const auto second = commit(other_station);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->revision, 1u) << "as that station counts";
  EXPECT_NE(second->store_seq, first->store_seq);
  const auto kept = records();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].parcel.revision, 2u);
  EXPECT_EQ(kept[0].title, "Intraoral scan, revision 2");
  EXPECT_TRUE(kept[0].scanned_twice);
  EXPECT_TRUE(kept[1].scanned_twice);
  EXPECT_EQ(kept[0].patient->id, kept[1].patient->id);
  EXPECT_EQ(commit(other_station)->store_seq, second->store_seq) << "a repeat has its receipt";
  // A redo of the first station finds its number taken, and is a redo all the same.
  auto redo = parcel_of(ticket.order, 2);
  redo.revision = 2;
  ASSERT_TRUE(commit(redo).ok());
  EXPECT_EQ(records()[0].parcel.revision, 3u);
  EXPECT_FALSE(records()[0].scanned_twice);
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->order.revision, 3u);
  EXPECT_TRUE(store_->check_audit().ok());
}

TEST_F(Ingest, RemembersWhichDeliveriesLostFiles) {
  const auto first = parcel_of(add_ticket(add_patient()).order, 1);
  ASSERT_TRUE(commit(first).ok());
  const auto files = store_->files_of("station-1", outbox_epoch_, 1);
  ASSERT_TRUE(files.ok() && *files);
  EXPECT_EQ((*files)->size(), 3u);
  EXPECT_FALSE(*store_->files_of("station-1", outbox_epoch_, 2));
  EXPECT_TRUE(store_->damaged_deliveries("station-1", outbox_epoch_)->empty());
  const auto hash = first.stages[0].blobs[1].sha256;
  ASSERT_TRUE(store_->mark_damaged(hash, true).ok());
  ASSERT_TRUE(store_->mark_damaged(hash, true).ok());
  open();
  EXPECT_EQ(*store_->damaged_deliveries("station-1", outbox_epoch_), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(store_->damaged_deliveries("station-2", outbox_epoch_)->empty());
  ASSERT_TRUE(store_->mark_damaged(hash, false).ok());
  EXPECT_TRUE(store_->damaged_deliveries("station-1", outbox_epoch_)->empty());
  EXPECT_TRUE(store_->check_audit().ok());
}

TEST_F(Ingest, TakesAnotherEpochWhenItLostDeliveries) {
  const auto before = store_->store_epoch();
  ASSERT_TRUE(store_->renew_epoch("station room-1 knows more").ok());
  const auto after = store_->store_epoch();
  EXPECT_NE(after, before);
  open();
  EXPECT_EQ(store_->store_epoch(), after);
  EXPECT_EQ(*store_->check_audit(), 1u);
}

TEST_F(Ingest, TakesAReimagedStationsNewOutboxForWhatItIs) {
  const auto patient = add_patient();
  ASSERT_TRUE(commit(parcel_of(add_ticket(patient).order, 1)).ok());
  outbox_epoch_ = new_uuid();
  ASSERT_TRUE(commit(parcel_of(add_ticket(patient).order, 1)).ok());
  EXPECT_EQ(records().size(), 2u);
}

TEST_F(Ingest, TakesARedoAsTheNextRevision) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(commit(parcel_of(ticket.order, 1)).ok());
  auto redo = parcel_of(ticket.order, 2);
  redo.revision = 2;
  ASSERT_TRUE(commit(redo).ok());
  ASSERT_EQ(records().size(), 2u);
  EXPECT_EQ(records()[0].title, "Intraoral scan, revision 2");
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->order.revision, 2u);
}

TEST_F(Ingest, KeepsAParcelOfNobodyWeKnowUnassigned) {
  ScanTicket made_on_the_station = order();
  made_on_the_station.id = new_uuid();
  for (const std::string& ref : {std::string(), std::string("never seen")}) {
    made_on_the_station.id = new_uuid();
    made_on_the_station.patient_ref = ref;
    ASSERT_TRUE(commit(parcel_of(made_on_the_station, ref.size() + 1)).ok());
    EXPECT_FALSE(records()[0].patient);
    const auto ticket = store_->find_ticket(made_on_the_station.id);
    ASSERT_TRUE(ticket.ok());
    EXPECT_FALSE(ticket->patient_id);
    EXPECT_EQ(ticket->status, TicketStatus::kDelivered);
  }
  EXPECT_EQ(store_->counts()->records_unassigned, 2u);
}

TEST_F(Ingest, NeverGuessesBetweenTwoPatients) {
  const auto right = add_patient();
  const auto wrong = add_patient("Someone Else");
  auto parcel = parcel_of(add_ticket(right).order);
  parcel.patient_ref = wrong.patient_ref;
  ASSERT_TRUE(commit(parcel).ok());
  EXPECT_FALSE(records()[0].patient);
}

TEST_F(Ingest, TakesAScanThatWasOnItsWayWhenTheTicketWasCancelled) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(store_->cancel_ticket(ticket.order.id).ok());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  EXPECT_TRUE(records()[0].patient);
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->status, TicketStatus::kDelivered);
}

TEST_F(Ingest, ShowsNoStationsWordsAsATimeUnlessTheyAreOne) {
  auto parcel = parcel_of(add_ticket(add_patient()).order);
  parcel.finished_at = "yesterday, about noon";
  ASSERT_TRUE(commit(parcel).ok());
  EXPECT_EQ(records()[0].visiting_time, records()[0].committed_at);
}

TEST_F(Ingest, KeepsCountersOfAnySize) {
  auto parcel = parcel_of(add_ticket(add_patient()).order);
  parcel.outbox_seq = UINT64_MAX;
  parcel.stages[0].frames = UINT64_MAX;
  ASSERT_TRUE(commit(parcel).ok());
  EXPECT_EQ(records()[0].parcel.outbox_seq, UINT64_MAX);
  EXPECT_EQ(records()[0].parcel.stages[0].frames, UINT64_MAX);
  EXPECT_TRUE(*store_->find_receipt("station-1", outbox_epoch_, UINT64_MAX));
}

// --- the worklist ---

TEST_F(Ingest, TellsStationsOfOpenTicketsInOrder) {
  const auto patient = add_patient();
  const auto first = add_ticket(patient);
  const auto second = add_ticket(patient);
  const auto changes = worklist();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].ticket.id, first.order.id);
  EXPECT_EQ(changes[1].ticket.id, second.order.id);
  EXPECT_LT(changes[0].seq, changes[1].seq);
  EXPECT_TRUE(changes[0].open);
  EXPECT_EQ(changes[0].ticket.patient.name, patient.name);
  EXPECT_TRUE(validate(changes[0].ticket).ok());
  EXPECT_EQ(worklist(0, 1).size(), 1u);
  EXPECT_EQ(worklist(changes[0].seq).size(), 1u);
  EXPECT_TRUE(worklist(changes[1].seq).empty());
}

TEST_F(Ingest, MovesAChangedTicketToTheWorklistsEnd) {
  const auto patient = add_patient();
  const auto delivered = add_ticket(patient);
  const auto cancelled = add_ticket(patient);
  const auto last = worklist().back().seq;
  ASSERT_TRUE(commit(parcel_of(delivered.order)).ok());
  ASSERT_TRUE(store_->cancel_ticket(cancelled.order.id).ok());
  const auto changes = worklist(last);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].ticket.id, delivered.order.id);
  EXPECT_EQ(changes[1].ticket.id, cancelled.order.id);
  for (const auto& change : changes) {
    EXPECT_FALSE(change.open);
    EXPECT_EQ(change.ticket.patient.name, "");  // nobody needs it to close a ticket
    EXPECT_TRUE(validate(change.ticket).ok());
  }
  EXPECT_EQ(worklist().size(), 2u);
}

TEST_F(Ingest, GivesATicketToOneStationAtATime) {
  const auto id = add_ticket(add_patient()).order.id;
  const auto report = [&](const char* station, TicketState state, bool take_over = false) {
    const auto other = store_->report_state(station, id, state, take_over);
    EXPECT_TRUE(other.ok()) << other.error().message;
    return *other ? (*other)->station_id : std::string();
  };
  const auto holder = [&] {
    const auto changes = worklist();
    return changes.back().hold ? changes.back().hold->station_id : std::string();
  };
  EXPECT_EQ(report("chair-1", TicketState::kCreated), "");
  EXPECT_EQ(holder(), "") << "having it in a list is no work";
  EXPECT_EQ(report("chair-1", TicketState::kClaimed), "");
  EXPECT_EQ(holder(), "chair-1");
  const auto seq = worklist().back().seq;
  EXPECT_EQ(report("chair-2", TicketState::kScanning), "chair-1") << "the first keeps it";
  EXPECT_EQ(report("chair-2", TicketState::kCreated), "");
  EXPECT_EQ(report("chair-1", TicketState::kScanning), "");
  EXPECT_EQ(worklist().back().seq, seq) << "nothing that stations must hear of";
  EXPECT_EQ(report("chair-2", TicketState::kScanning, true), "");
  EXPECT_EQ(holder(), "chair-2") << "the operator went on";
  EXPECT_EQ(report("chair-1", TicketState::kScanning), "chair-2");
  EXPECT_EQ(report("chair-2", TicketState::kCreated), "");
  EXPECT_EQ(holder(), "");
  EXPECT_EQ(report("chair-1", TicketState::kScanning), "");
  EXPECT_EQ(holder(), "chair-1");
}

TEST_F(Ingest, FreesATicketOfAStationThatFellSilent) {
  const auto id = add_ticket(add_patient()).order.id;
  ASSERT_TRUE(store_->report_state("chair-1", id, TicketState::kScanning, false).ok());
  clock_.advance(delivery::kHoldLasts - std::chrono::minutes(1));
  ASSERT_TRUE(store_->expire_holds().ok());
  EXPECT_TRUE(worklist().back().hold.has_value());
  ASSERT_TRUE(store_->report_state("chair-1", id, TicketState::kScanning, false).ok());
  clock_.advance(std::chrono::minutes(2));
  ASSERT_TRUE(store_->expire_holds().ok());
  EXPECT_TRUE(worklist().back().hold.has_value()) << "it said so again";
  clock_.advance(delivery::kHoldLasts);
  const auto seq = worklist().back().seq;
  changes_.clear();
  ASSERT_TRUE(store_->expire_holds().ok());
  EXPECT_FALSE(worklist().back().hold.has_value());
  EXPECT_GT(worklist().back().seq, seq) << "stations hear of it";
  EXPECT_EQ(changes_.size(), 1u);
  ASSERT_TRUE(store_->expire_holds().ok());
  EXPECT_EQ(changes_.size(), 1u) << "once";
  EXPECT_FALSE(*store_->report_state("chair-2", id, TicketState::kScanning, false));
}

TEST_F(Ingest, DeliveryGivesTheTicketBack) {
  const auto ticket = add_ticket(add_patient());
  ASSERT_TRUE(
      store_->report_state("station-1", ticket.order.id, TicketState::kSending, false).ok());
  ASSERT_TRUE(commit(parcel_of(ticket.order)).ok());
  EXPECT_FALSE(worklist().back().hold.has_value());
}

TEST_F(Ingest, ShowsHowFarAStationIs) {
  const auto ticket = add_ticket(add_patient());
  const auto before = worklist().back().seq;
  ASSERT_TRUE(
      store_->report_state("station-1", ticket.order.id, TicketState::kScanning, false).ok());
  const auto found = store_->find_ticket(ticket.order.id);
  EXPECT_EQ(found->station_id, "station-1");
  EXPECT_EQ(found->station_state, TicketState::kScanning);
  ASSERT_EQ(worklist(before).size(), 1u) << "who works on it is for all stations to see";
  EXPECT_EQ(worklist(before)[0].hold->station_id, "station-1");
  const auto told = changes_.size();
  ASSERT_TRUE(
      store_->report_state("station-1", ticket.order.id, TicketState::kScanning, false).ok());
  EXPECT_EQ(changes_.size(), told) << "nothing changed";
  // The others list it too.
  for (const auto idle : {TicketState::kCreated, TicketState::kCancelled, TicketState::kDelivered})
    ASSERT_TRUE(store_->report_state("station-2", ticket.order.id, idle, false).ok());
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->station_id, "station-1");
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->station_state, TicketState::kScanning);
  EXPECT_EQ(changes_.size(), told) << "nothing changed";
  ASSERT_TRUE(
      store_->report_state("station-2", ticket.order.id, TicketState::kClaimed, false).ok());
  EXPECT_EQ(store_->find_ticket(ticket.order.id)->station_id, "station-2");
  EXPECT_EQ(
      store_->report_state("station-1", new_uuid(), TicketState::kClaimed, false).error().code,
      ErrorCode::kNotFound);
}

}  // namespace
}  // namespace cusp::records
