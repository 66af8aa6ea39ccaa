// Station and store together: what is saved arrives once, whatever goes away in between.
#include <chrono>
#include <cstdio>
#include <set>

#include "tests/delivery/link_fixture.h"

namespace cusp::delivery {
namespace {

using testing::HasSubstr;

TEST_F(LinkTest, a_finished_ticket_arrives_with_its_files_and_its_receipt) {
  start_gate();
  ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist_->add(ticket).ok());
  ASSERT_TRUE(worklist_->set_state(ticket.id, TicketState::kReady, 1).ok());
  const Finished finished = make_finished({3'000'000, 2'500'001, 1}, 1, ticket.id);
  const OutboxEntry entry = commit(finished);
  start_link();
  ASSERT_TRUE(delivered(entry));
  expect_in_cas(finished);
  ASSERT_EQ(store_.stored_count(), 1U);
  const auto stored = store_.stored()[0];
  EXPECT_EQ(stored.envelope, *outbox_->envelope(entry.seq)) << "the bytes are not touched";
  EXPECT_EQ(stored.parcel.station_id, "room-1");
  const auto receipt = outbox_->find(entry.ticket_id, 1)->receipt;
  ASSERT_TRUE(receipt.has_value());
  EXPECT_EQ(receipt->store_seq, stored.receipt.store_seq);
  EXPECT_TRUE(
      eventually([&] { return worklist_->find(ticket.id)->state == TicketState::kDelivered; }));
  EXPECT_TRUE(eventually([&] { return (*link_)->status().receipts == 1; }));
  EXPECT_TRUE((*link_)->status().connected);
  EXPECT_EQ((*link_)->status().problem, "");
  EXPECT_EQ((*link_)->status().bytes_sent, 5'500'002U);
  EXPECT_EQ((*link_)->status().bytes_resent, 0U);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().commits == 1; }));
  EXPECT_EQ((*gate_)->counts().messages_dropped, 0U);
}

TEST_F(LinkTest, many_tickets_arrive_once_each) {
  start_gate();
  start_link();
  std::vector<OutboxEntry> entries;
  for (unsigned i = 0; i < 30; ++i)
    entries.push_back(commit(make_finished({10'000, 20'000}, i + 1)));
  for (const OutboxEntry& entry : entries) ASSERT_TRUE(delivered(entry));
  const auto stored = store_.stored();
  ASSERT_EQ(stored.size(), 30U);
  std::set<std::uint64_t> arrived;
  for (const auto& one : stored) arrived.insert(one.parcel.outbox_seq);
  for (const OutboxEntry& entry : entries) EXPECT_TRUE(arrived.contains(entry.seq)) << entry.seq;
}

TEST_F(LinkTest, a_store_that_is_off_gets_it_when_it_is_back) {
  start_gate();
  stop_gate();
  const OutboxEntry entry = commit(make_finished({100'000}));
  start_link();
  ASSERT_TRUE(eventually([&] {
    return (*link_)->status().problem.find("no store listens at tcp://127.0.0.1:") == 0;
  })) << (*link_)->status().problem;
  EXPECT_FALSE((*link_)->status().connected);
  start_gate();
  EXPECT_TRUE(delivered(entry));
  EXPECT_TRUE((*link_)->status().connected);
}

TEST_F(LinkTest, a_store_killed_in_the_middle_goes_on_where_it_was) {
  gate_options_.chunk_bytes = 16 * 1024;
  gate_options_.window_bytes = 32 * 1024;
  constexpr std::size_t kSize = 24 << 20;
  const Finished finished = make_finished({kSize});
  start_gate();
  const OutboxEntry entry = commit(finished);
  start_link();
  ASSERT_TRUE(eventually([&] { return (*gate_)->counts().bytes_received > kSize / 3; }));
  stop_gate();
  ASSERT_EQ(store_.stored_count(), 0U) << "too late: all of it had arrived";
  gate_options_.chunk_bytes = 512 * 1024;
  gate_options_.window_bytes = 4 << 20;
  start_gate();
  ASSERT_TRUE(delivered(entry));
  expect_in_cas(finished);
  EXPECT_EQ(store_.stored_count(), 1U);
  EXPECT_LT((*gate_)->counts().bytes_received, kSize - kSize / 3 + 1);
  EXPECT_LT((*link_)->status().bytes_resent, 1U << 20);
}

TEST_F(LinkTest, a_half_file_that_rotted_meanwhile_is_sent_anew) {
  gate_options_.chunk_bytes = 16 * 1024;
  gate_options_.window_bytes = 32 * 1024;
  const Finished finished = make_finished({8 << 20});
  start_gate();
  const OutboxEntry entry = commit(finished);
  start_link();
  ASSERT_TRUE(eventually([&] { return (*gate_)->counts().bytes_received > 1 << 20; }));
  stop_gate();
  ASSERT_EQ(store_.stored_count(), 0U);
  {
    std::fstream part(gate_options_.folder / "part/room-1" / finished.files[0].blob.sha256,
                      std::ios::in | std::ios::out | std::ios::binary);
    part.seekp(1000);
    part.put(static_cast<char>(finished.files[0].bytes[1000] ^ 0x55));
  }
  start_gate();
  ASSERT_TRUE(delivered(entry));
  expect_in_cas(finished);
  EXPECT_EQ(store_.stored_count(), 1U);
}

TEST_F(LinkTest, a_receipt_that_got_lost_is_given_again_and_nothing_is_doubled) {
  start_gate();
  store_.after_commit([] { throw GateDies{}; });
  const OutboxEntry entry = commit(make_finished({200'000}));
  start_link();
  ASSERT_TRUE(eventually([&] { return gate_->died(); }));
  EXPECT_EQ(store_.stored_count(), 1U);
  EXPECT_NE(state_of(entry), OutboxState::kDelivered);
  stop_gate();
  store_.after_commit({});
  start_gate();
  ASSERT_TRUE(delivered(entry));
  EXPECT_EQ(store_.stored_count(), 1U);
  EXPECT_EQ(store_.commit_calls(), 1);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().repeats == 1; }));
  EXPECT_EQ((*gate_)->counts().bytes_received, 0U);
}

TEST_F(LinkTest, a_commit_that_failed_is_tried_again_without_sending_the_files_twice) {
  start_gate();
  store_.fail_next_commit(error(ErrorCode::kIo, "the database is asleep"));
  const Finished finished = make_finished({300'000, 200'000});
  const OutboxEntry entry = commit(finished);
  start_link();
  ASSERT_TRUE(delivered(entry));
  EXPECT_EQ(store_.commit_calls(), 2);
  EXPECT_EQ((*link_)->status().bytes_sent, 500'000U);
  expect_in_cas(finished);
}

TEST_F(LinkTest, whichever_disk_call_of_the_store_fails_the_ticket_arrives_once) {
  start_gate();
  start_link();
  bool struck = true;
  for (int n = 1; struck; ++n) {
    store_files_.break_call(n, fakes::Fault::kFails);
    const Finished finished = make_finished({60'000, 40'000}, static_cast<unsigned>(n));
    const OutboxEntry entry = commit(finished);
    ASSERT_TRUE(delivered(entry)) << "call " << n << ": " << held_because(entry);
    struck = store_files_.struck();
    store_files_.mend();
    expect_in_cas(finished);
    EXPECT_EQ(store_.stored_count(), static_cast<std::size_t>(n));
  }
}

TEST_F(LinkTest, a_store_without_room_says_so_and_takes_it_later) {
  store_files_.set_free_bytes(gate_options_.min_free_bytes + 1000);
  start_gate();
  const OutboxEntry entry = commit(make_finished({200'000}));
  start_link();
  ASSERT_TRUE(eventually([&] {
    return held_because(entry).find("the store's disk has") != std::string::npos;
  })) << held_because(entry);
  EXPECT_EQ(store_.stored_count(), 0U);
  store_files_.set_free_bytes(std::nullopt);
  EXPECT_TRUE(delivered(entry));
  EXPECT_EQ(held_because(entry), "");
}

TEST_F(LinkTest, a_conflict_is_parked_with_a_sentence_and_the_others_go_on) {
  start_gate();
  const Finished mine = make_finished({1000}, 1);
  Finished other = make_finished({1000}, 2, mine.parcel.ticket_id);
  other.parcel.station_id = "room-1";
  other.parcel.outbox_epoch = outbox_->epoch();
  other.parcel.outbox_seq = 99;
  ASSERT_TRUE(store_.commit(other.parcel, {1, 2, 3}, std::string(64, 'c')).ok());
  const OutboxEntry entry = commit(mine);
  const OutboxEntry next = commit(make_finished({1000}, 3));
  start_link();
  ASSERT_TRUE(delivered(next));
  ASSERT_TRUE(parked(entry));
  EXPECT_THAT(held_because(entry), HasSubstr("has other content for ticket"));
  EXPECT_EQ(store_.stored_count(), 2U);
  EXPECT_EQ((*link_)->status().bytes_sent, 1000U) << "found before its files were sent";
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().conflicts == 1; }));
}

TEST_F(LinkTest, a_file_that_rotted_on_the_station_is_parked_with_a_sentence) {
  start_gate();
  const Finished finished = make_finished({100'000});
  const OutboxEntry entry = commit(finished);
  {
    std::fstream blob(outbox_->blob_path(finished.files[0].blob.sha256),
                      std::ios::in | std::ios::out | std::ios::binary);
    blob.seekp(5);
    blob.put(static_cast<char>(finished.files[0].bytes[5] ^ 1));
  }
  start_link();
  ASSERT_TRUE(parked(entry));
  EXPECT_THAT(held_because(entry), HasSubstr("is damaged on this station's disk"));
  EXPECT_EQ(store_.stored_count(), 0U);
}

TEST_F(LinkTest, a_file_that_is_gone_is_parked) {
  start_gate();
  const Finished finished = make_finished({100'000});
  const OutboxEntry entry = commit(finished);
  std::filesystem::remove(outbox_->blob_path(finished.files[0].blob.sha256));
  start_link();
  ASSERT_TRUE(parked(entry));
  EXPECT_THAT(held_because(entry), HasSubstr("is lost"));
}

TEST_F(LinkTest, a_disk_that_cant_be_read_just_now_parks_nothing) {
  start_gate();
  const Finished finished = make_finished({100'000});
  const OutboxEntry entry = commit(finished);
  const std::filesystem::path blob = outbox_->blob_path(finished.files[0].blob.sha256);
  const std::filesystem::path aside = folder_ / "aside";
  std::filesystem::rename(blob, aside);
  std::filesystem::create_directory(blob);  // opens, and every read of it is an error
  start_link();
  ASSERT_TRUE(
      eventually([&] { return held_because(entry).find("can't read") != std::string::npos; }));
  EXPECT_NE(state_of(entry), OutboxState::kParked);
  std::filesystem::remove(blob);
  std::filesystem::rename(aside, blob);
  EXPECT_TRUE(delivered(entry));
}

TEST_F(LinkTest, a_file_too_large_for_the_store_is_parked) {
  gate_options_.max_blob_bytes = 5000;
  start_gate();
  const OutboxEntry entry = commit(make_finished({5001}));
  const OutboxEntry small = commit(make_finished({5000}, 2));
  start_link();
  ASSERT_TRUE(delivered(small));
  ASSERT_TRUE(parked(entry));
  EXPECT_THAT(held_because(entry), HasSubstr("at most 5000"));
}

TEST_F(LinkTest, a_parcel_too_large_for_the_store_is_parked) {
  gate_options_.max_parcel_bytes = 5000;
  start_gate();
  const OutboxEntry entry = commit(make_finished({3000, 2001}));
  const OutboxEntry small = commit(make_finished({3000, 2000}, 2));
  start_link();
  ASSERT_TRUE(delivered(small));
  ASSERT_TRUE(parked(entry));
  EXPECT_THAT(held_because(entry), HasSubstr("more than the 5000 bytes"));
}

TEST_F(LinkTest, a_store_back_from_a_backup_gets_what_it_forgot) {
  start_gate();
  const Finished finished = make_finished({50'000});
  const OutboxEntry entry = commit(finished);
  start_link();
  ASSERT_TRUE(delivered(entry));
  stop_link();
  stop_gate();
  fakes::MemoryDeliveryStore restored;
  restored.set_store_epoch("second-epoch");
  gate_.emplace(gate_options_, restored, store_files_);
  start_link();
  ASSERT_TRUE(eventually([&] { return restored.stored_count() == 1; }));
  EXPECT_TRUE(delivered(entry));
  EXPECT_EQ(worklist_->store_epoch(), "second-epoch");
  stop_link();
  stop_gate();
}

// Somebody put an older copy of the store's data in place, and it took new parcels since.
TEST_F(LinkTest, a_store_that_went_back_in_time_is_told_and_gets_what_it_forgot) {
  start_gate();
  start_link();
  std::vector<OutboxEntry> entries;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    entries.push_back(commit(make_finished({1000}, seed)));
    ASSERT_TRUE(delivered(entries.back()));
  }
  stop_link();
  stop_gate();
  store_.forget_after(1);
  Parcel other = make_finished({10}, 9).parcel;
  other.station_id = "room-2";
  other.outbox_epoch = new_uuid();
  other.outbox_seq = 1;
  ASSERT_TRUE(store_.commit(other, encode(other), sha256_hex(encode(other))).ok());
  start_gate();
  start_link();
  ASSERT_TRUE(eventually([&] { return store_.stored_count() == 4; }));
  EXPECT_EQ(worklist_->store_epoch(), "first-epoch-renewed");
  for (const OutboxEntry& entry : entries) EXPECT_TRUE(delivered(entry));
  ASSERT_EQ(store_.evidence().size(), 1U) << "once, and then all is known again";
  EXPECT_THAT(store_.evidence()[0], HasSubstr("room-1"));
  EXPECT_EQ((*gate_)->counts().epochs_renewed, 1U);
  EXPECT_EQ((*gate_)->counts().messages_dropped, 0U);
}

TEST_F(LinkTest, what_was_finished_just_now_does_not_wait_for_the_backlog) {
  std::vector<OutboxEntry> entries;
  for (unsigned seed = 1; seed <= 6; ++seed) entries.push_back(commit(make_finished({1000}, seed)));
  start_gate();
  start_link();
  for (const OutboxEntry& entry : entries) ASSERT_TRUE(delivered(entry));
  std::vector<std::uint64_t> order;
  for (const auto& stored : store_.stored()) order.push_back(stored.parcel.outbox_seq);
  EXPECT_THAT(order, testing::ElementsAre(6, 1, 5, 2, 4, 3));
}

TEST_F(LinkTest, the_worklist_reaches_the_station_and_stays_when_the_store_is_off) {
  const ScanTicket first = make_ticket();
  store_.change_worklist(first, true);
  start_gate();
  start_link();
  ASSERT_TRUE(eventually([&] { return worklist_->find(first.id).ok(); }));
  EXPECT_EQ(worklist_->find(first.id)->ticket.patient.name, first.patient.name);
  // Pushed while connected; more than fits into one message.
  std::vector<ScanTicket> more;
  for (int i = 0; i < 100; ++i) {
    ScanTicket ticket = make_ticket();
    ticket.note = std::string(3000, 'n');
    more.push_back(ticket);
    store_.change_worklist(ticket, true);
  }
  (*gate_)->notify();
  ASSERT_TRUE(eventually([&] { return worklist_->list().size() == 101; }));
  stop_gate();
  ASSERT_TRUE(eventually([&] { return !(*link_)->status().connected; }));
  EXPECT_EQ(worklist_->list().size(), 101U);
  // Closed while nobody was connected: one untouched, one begun.
  ASSERT_TRUE(worklist_->set_state(first.id, TicketState::kScanning, 1).ok());
  store_.change_worklist(first, false);
  store_.change_worklist(more[0], false);
  start_gate();
  ASSERT_TRUE(eventually([&] { return worklist_->find(first.id)->withdrawn; }));
  ASSERT_TRUE(eventually([&] { return !worklist_->find(more[0].id).ok(); }));
  EXPECT_EQ(worklist_->cursor(), 103U);
}

TEST_F(LinkTest, a_ticket_that_breaks_its_rules_does_not_keep_the_others_away) {
  ScanTicket bad = make_ticket();
  bad.teeth_fdi = {99};
  const ScanTicket good = make_ticket();
  store_.change_worklist(bad, true);
  store_.change_worklist(good, true);
  start_gate();
  start_link();
  ASSERT_TRUE(eventually([&] { return worklist_->find(good.id).ok(); }));
  EXPECT_FALSE(worklist_->find(bad.id).ok());
  EXPECT_TRUE(eventually([&] {
    return (*link_)->status().problem.find("is not an FDI tooth number") != std::string::npos;
  }));
  store_.change_worklist(make_ticket(), true);
  (*gate_)->notify();
  EXPECT_TRUE(eventually([&] { return (*link_)->status().problem.empty(); })) << "long past";
}

TEST_F(LinkTest, the_store_hears_how_far_its_tickets_got) {
  const ScanTicket ticket = make_ticket();
  store_.change_worklist(ticket, true);
  const ScanTicket here = make_ticket();
  ASSERT_TRUE(worklist_->add(here).ok());
  start_gate();
  start_link();
  ASSERT_TRUE(
      eventually([&] { return store_.reported_state(ticket.id) == TicketState::kCreated; }));
  ASSERT_TRUE(worklist_->advance(ticket.id, 1, TicketEvent::kClaim).ok());
  (*link_)->wake();
  ASSERT_TRUE(
      eventually([&] { return store_.reported_state(ticket.id) == TicketState::kClaimed; }));
  ASSERT_TRUE(worklist_->set_state(ticket.id, TicketState::kReady, 1).ok());
  commit(make_finished({1000}, 1, ticket.id));
  EXPECT_TRUE(
      eventually([&] { return store_.reported_state(ticket.id) == TicketState::kDelivered; }));
  EXPECT_FALSE(store_.reported_state(here.id).has_value()) << "the store does not know it";
}

TEST_F(LinkTest, a_station_hears_who_else_works_on_a_ticket) {
  const ScanTicket seen = make_ticket(), raced = make_ticket();
  store_.change_worklist(seen, true, Hold{"room-2", "2026-01-31T09:00:00.000Z"});
  store_.change_worklist(raced, true);
  start_gate();
  start_link();
  ASSERT_TRUE(eventually([&] { return worklist_->find(raced.id).ok(); }));
  ASSERT_TRUE(worklist_->find(seen.id)->hold.has_value());
  EXPECT_EQ(worklist_->find(seen.id)->hold->station_id, "room-2");
  // Both begin in the same moment: the answer to the report tells.
  store_.hold(raced.id, Hold{"room-3", "2026-01-31T09:01:00.000Z"});
  ASSERT_TRUE(worklist_->advance(raced.id, 1, TicketEvent::kClaim).ok());
  (*link_)->wake();
  ASSERT_TRUE(eventually([&] { return worklist_->find(raced.id)->hold.has_value(); }));
  EXPECT_EQ(worklist_->find(raced.id)->hold->station_id, "room-3");
  // The operator goes on.
  ASSERT_TRUE(worklist_->set_take_over(raced.id, true).ok());
  (*link_)->wake();
  ASSERT_TRUE(eventually([&] { return !worklist_->find(raced.id)->take_over; })) << "told";
  store_.change_worklist(raced, true, Hold{"room-1", "2026-01-31T09:02:00.000Z"});
  store_.change_worklist(seen, true);
  (*gate_)->notify();
  EXPECT_TRUE(eventually([&] { return worklist_->find(raced.id)->hold->station_id == "room-1"; }));
  EXPECT_TRUE(eventually([&] { return !worklist_->find(seen.id)->hold.has_value(); }));
}

TEST_F(LinkTest, a_receipt_that_the_worklist_missed_is_noted_at_the_next_start) {
  start_gate();
  const ScanTicket ticket = make_ticket();
  const OutboxEntry entry = commit(make_finished({1000}, 1, ticket.id));
  start_link();
  ASSERT_TRUE(delivered(entry));
  stop_link();
  ASSERT_TRUE(worklist_->add(ticket).ok());
  ASSERT_TRUE(worklist_->set_state(ticket.id, TicketState::kSending, 1).ok());
  start_link();
  EXPECT_TRUE(
      eventually([&] { return worklist_->find(ticket.id)->state == TicketState::kDelivered; }));
}

TEST_F(LinkTest, a_receipt_that_is_quicker_than_the_worklist_is_settled) {
  start_gate();
  start_link();
  const ScanTicket ticket = make_ticket();
  ASSERT_TRUE(worklist_->add(ticket).ok());
  ASSERT_TRUE(worklist_->set_state(ticket.id, TicketState::kProcessing, 1).ok());
  const OutboxEntry entry = commit(make_finished({1000}, 1, ticket.id));
  ASSERT_TRUE(delivered(entry));
  ASSERT_TRUE(worklist_->advance(ticket.id, 1, TicketEvent::kSaved).ok());
  (*link_)->wake();
  EXPECT_TRUE(
      eventually([&] { return worklist_->find(ticket.id)->state == TicketState::kDelivered; }));
}

TEST_F(LinkTest, tells_its_owner_about_every_change) {
  start_gate();
  std::atomic<int> told{0};
  StationLink link(link_options_, *outbox_, *worklist_, clock_);
  link.on_change([&] { ++told; });
  const OutboxEntry entry = commit(make_finished({1000}));
  std::jthread thread([&](std::stop_token stop) { link.run(stop); });
  ASSERT_TRUE(delivered(entry));
  EXPECT_TRUE(eventually([&] { return told >= 2; }));
}

TEST_F(LinkTest, a_second_gate_in_one_process_is_refused) {
  start_gate();
  auto options = gate_options_;
  options.endpoint = "tcp://127.0.0.1:*";
  const auto second = StoreGate::bind(options, store_, store_files_, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

TEST_F(LinkTest, prints_its_rate) {
  start_gate();
  const Finished finished = make_finished({32 << 20, 32 << 20});
  const OutboxEntry entry = commit(finished);
  const auto begin = std::chrono::steady_clock::now();
  start_link();
  ASSERT_TRUE(delivered(entry));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("64 MiB to disk and receipt over CURVE on loopback: %.0f MB/s\n",
              67.108864 / took.count());
}

}  // namespace
}  // namespace cusp::delivery
