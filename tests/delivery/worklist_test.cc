#include "delivery/worklist.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/delivery/samples.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

class WorklistTest : public testing::Test {
 protected:
  std::unique_ptr<Worklist> open() {
    auto worklist = Worklist::open(path_);
    EXPECT_TRUE(worklist.ok()) << worklist.error().message;
    return std::move(*worklist);
  }
  fakes::TempFolder folder_;
  std::filesystem::path path_ = folder_ / "worklist.db";
};

TEST_F(WorklistTest, keeps_tickets_states_and_its_place_over_a_restart) {
  const ScanTicket ticket = make_ticket();
  {
    auto worklist = open();
    ASSERT_TRUE(worklist->restart("epoch-a").ok());
    ASSERT_TRUE(worklist->apply({5, ticket, true}).ok());
    ASSERT_TRUE(worklist->set_state(ticket.id, TicketState::kScanning, 1).ok());
  }
  auto worklist = open();
  EXPECT_EQ(worklist->cursor(), 5U);
  EXPECT_EQ(worklist->store_epoch(), "epoch-a");
  const auto item = worklist->find(ticket.id);
  ASSERT_TRUE(item.ok()) << item.error().message;
  EXPECT_EQ(item->state, TicketState::kScanning);
  EXPECT_EQ(item->ticket.patient.name, ticket.patient.name);
  EXPECT_EQ(item->ticket.patient.date_of_birth, "1984-05-17");
  EXPECT_EQ(item->ticket.stages, ticket.stages);
  EXPECT_EQ(item->ticket.teeth_fdi, ticket.teeth_fdi);
  EXPECT_FALSE(item->made_here);
}

TEST_F(WorklistTest, hides_the_patients_from_other_users) {
  auto worklist = open();
  ASSERT_TRUE(worklist->add(make_ticket()).ok());
  for (const char* suffix : {"", "-wal"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_.string() + suffix).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
  }
}

TEST_F(WorklistTest, applies_a_change_once) {
  auto worklist = open();
  ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist->apply({3, ticket, true}).ok());
  ScanTicket older = ticket;
  older.note = "older";
  ASSERT_TRUE(worklist->apply({2, older, true}).ok());
  ASSERT_TRUE(worklist->apply({3, older, true}).ok());
  EXPECT_EQ(worklist->find(ticket.id)->ticket.note, ticket.note);
  EXPECT_EQ(worklist->cursor(), 3U);
}

TEST_F(WorklistTest, the_store_writes_the_text_and_the_station_the_state) {
  auto worklist = open();
  ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist->apply({1, ticket, true}).ok());
  ASSERT_TRUE(worklist->set_state(ticket.id, TicketState::kScanning, 2).ok());
  ticket.note = "shade A2";
  ticket.revision = 1;
  ASSERT_TRUE(worklist->apply({2, ticket, true}).ok());
  const auto item = worklist->find(ticket.id);
  EXPECT_EQ(item->ticket.note, "shade A2");
  EXPECT_EQ(item->state, TicketState::kScanning);
  EXPECT_EQ(item->ticket.revision, 2U);
}

TEST_F(WorklistTest, a_closed_ticket_goes_unless_work_was_done_here) {
  auto worklist = open();
  const ScanTicket untouched = make_ticket(), worked = make_ticket();
  ASSERT_TRUE(worklist->apply({1, untouched, true}).ok());
  ASSERT_TRUE(worklist->apply({2, worked, true}).ok());
  ASSERT_TRUE(worklist->set_state(worked.id, TicketState::kPaused, 1).ok());
  ASSERT_TRUE(worklist->apply({3, untouched, false}).ok());
  ASSERT_TRUE(worklist->apply({4, worked, false}).ok());
  EXPECT_EQ(worklist->find(untouched.id).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(worklist->find(worked.id).ok());
  EXPECT_TRUE(worklist->find(worked.id)->withdrawn);
  ASSERT_TRUE(worklist->apply({5, worked, true}).ok());
  EXPECT_FALSE(worklist->find(worked.id)->withdrawn);
  ASSERT_TRUE(worklist->apply({6, worked, false}).ok());
  ASSERT_TRUE(worklist->set_state(worked.id, TicketState::kCancelled, 1).ok());
  EXPECT_EQ(worklist->find(worked.id).error().code, ErrorCode::kNotFound);
}

TEST_F(WorklistTest, another_store_epoch_forgets_the_place_and_keeps_the_work) {
  auto worklist = open();
  const ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist->restart("epoch-a").ok());
  ASSERT_TRUE(worklist->apply({9, ticket, true}).ok());
  ASSERT_TRUE(worklist->set_state(ticket.id, TicketState::kReady, 1).ok());
  ASSERT_TRUE(worklist->restart("epoch-b").ok());
  EXPECT_EQ(worklist->cursor(), 0U);
  EXPECT_EQ(worklist->find(ticket.id)->state, TicketState::kReady);
  ASSERT_TRUE(worklist->apply({1, ticket, true}).ok());
  EXPECT_EQ(worklist->cursor(), 1U);
  EXPECT_EQ(worklist->find(ticket.id)->state, TicketState::kReady);
}

TEST_F(WorklistTest, tickets_made_here_wait_for_the_store_to_file_them) {
  auto worklist = open();
  const ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist->add(ticket).ok());
  EXPECT_TRUE(worklist->find(ticket.id)->made_here);
  EXPECT_EQ(worklist->add(ticket).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(worklist->set_state(ticket.id, TicketState::kScanning, 1).ok());
  ASSERT_TRUE(worklist->apply({1, ticket, true}).ok());
  EXPECT_FALSE(worklist->find(ticket.id)->made_here);
  EXPECT_EQ(worklist->find(ticket.id)->state, TicketState::kScanning);
}

TEST_F(WorklistTest, advances_only_where_the_life_of_a_ticket_allows) {
  auto worklist = open();
  const ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist->add(ticket).ok());
  EXPECT_EQ(worklist->advance(ticket.id, 1, TicketEvent::kReceipt).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(worklist->advance(ticket.id, 2, TicketEvent::kClaim).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(*worklist->advance(ticket.id, 1, TicketEvent::kClaim), TicketState::kClaimed);
  EXPECT_EQ(worklist->find(ticket.id)->state, TicketState::kClaimed);
  EXPECT_EQ(worklist->advance(new_uuid(), 1, TicketEvent::kClaim).error().code,
            ErrorCode::kNotFound);
}

TEST_F(WorklistTest, refuses_tickets_that_break_their_rules) {
  auto worklist = open();
  ScanTicket ticket = make_ticket();
  ticket.stages.clear();
  EXPECT_FALSE(worklist->add(ticket).ok());
  EXPECT_FALSE(worklist->apply({1, ticket, true}).ok());
  EXPECT_EQ(worklist->cursor(), 0U);
}

TEST_F(WorklistTest, delivered_tickets_do_not_pile_up) {
  auto worklist = open();
  std::vector<std::string> ids;
  for (int i = 0; i < kDeliveredKept + 3; ++i) {
    const ScanTicket ticket = make_ticket();
    ids.push_back(ticket.id);
    ASSERT_TRUE(worklist->add(ticket).ok());
    ASSERT_TRUE(worklist->set_state(ticket.id, TicketState::kDelivered, 1).ok());
  }
  EXPECT_EQ(worklist->list().size(), static_cast<std::size_t>(kDeliveredKept));
  EXPECT_FALSE(worklist->find(ids.front()).ok());
  EXPECT_TRUE(worklist->find(ids.back()).ok());
}

TEST_F(WorklistTest, lists_the_oldest_first) {
  auto worklist = open();
  const ScanTicket a = make_ticket(), b = make_ticket();
  ASSERT_TRUE(worklist->apply({1, a, true}).ok());
  ASSERT_TRUE(worklist->apply({2, b, true}).ok());
  ASSERT_TRUE(worklist->apply({3, a, true}).ok());
  const auto items = worklist->list();
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].ticket.id, a.id);
}

}  // namespace
}  // namespace cusp::delivery
