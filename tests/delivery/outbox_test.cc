#include "delivery/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/delivery/samples.h"
#include "tests/fakes/faulty_file_system.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

using fakes::Fault;
using testing::HasSubstr;

class OutboxTest : public testing::Test {
 protected:
  std::unique_ptr<Outbox> open() {
    auto outbox = Outbox::open(folder_.path(), "room-1", files_, clock_);
    EXPECT_TRUE(outbox.ok()) << outbox.error().message;
    return std::move(*outbox);
  }
  std::size_t files_on_disk() { return PosixFileSystem().list(folder_ / "blobs")->size(); }
  static Receipt receipt_for(Outbox& outbox, const OutboxEntry& entry) {
    return {entry.ticket_id,
            entry.revision,
            99,
            sha256_hex(*outbox.envelope(entry.seq)),
            "2026-01-31T09:20:00.000Z",
            "http://127.0.0.1/records/99"};
  }

  static void deliver(Outbox& outbox, const OutboxEntry& entry) {
    EXPECT_TRUE(outbox.mark_delivered(entry.seq, receipt_for(outbox, entry)).ok());
  }

  fakes::TempFolder folder_;
  fakes::FaultyFileSystem files_;
  ManualClock clock_{WallTime(std::chrono::hours(24 * 365 * 56))};
};

TEST_F(OutboxTest, keeps_what_it_committed_over_a_restart) {
  const Finished finished = make_finished({50'000, 70'000});
  std::string epoch;
  OutboxEntry saved;
  {
    auto outbox = open();
    const auto entry = outbox->commit(finished.parcel, finished.files);
    ASSERT_TRUE(entry.ok()) << entry.error().message;
    saved = *entry;
    epoch = outbox->epoch();
  }
  auto outbox = open();
  EXPECT_EQ(outbox->epoch(), epoch);
  const auto next = outbox->next_to_send(Outbox::Which::kOldest);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->seq, saved.seq);
  EXPECT_EQ(next->state, OutboxState::kReady);
  EXPECT_GT(next->size_bytes, 120'000U);
  const auto parcel = decode_parcel(*outbox->envelope(next->seq));
  ASSERT_TRUE(parcel.ok());
  EXPECT_EQ(parcel->station_id, "room-1");
  EXPECT_EQ(parcel->outbox_epoch, epoch);
  EXPECT_EQ(parcel->outbox_seq, saved.seq);
  for (const OutboxFile& file : finished.files)
    EXPECT_EQ(*sha256_hex_of_file(outbox->blob_path(file.blob.sha256)), file.blob.sha256);
}

TEST_F(OutboxTest, the_same_commit_again_answers_the_first_entry) {
  auto outbox = open();
  const Finished finished = make_finished({1000});
  const auto first = outbox->commit(finished.parcel, finished.files);
  const auto second = outbox->commit(finished.parcel, finished.files);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->seq, second->seq);
  EXPECT_EQ(outbox->list().size(), 1U);
}

TEST_F(OutboxTest, the_same_revision_with_other_content_is_a_conflict) {
  auto outbox = open();
  const Finished finished = make_finished({1000});
  ASSERT_TRUE(outbox->commit(finished.parcel, finished.files).ok());
  const Finished other = make_finished({1000}, 2, finished.parcel.ticket_id);
  const auto refused = outbox->commit(other.parcel, other.files);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_EQ(outbox->list().size(), 1U);
  EXPECT_EQ(files_on_disk(), 1U);
}

TEST_F(OutboxTest, refuses_files_that_are_not_what_the_parcel_says) {
  auto outbox = open();
  Finished finished = make_finished({1000, 2000});
  auto files = finished.files;
  files.pop_back();
  EXPECT_EQ(outbox->commit(finished.parcel, files).error().code, ErrorCode::kInvalidArgument);
  files = finished.files;
  files[0].bytes[10] ^= 1;
  EXPECT_EQ(outbox->commit(finished.parcel, files).error().code, ErrorCode::kInvalidArgument);
  files = finished.files;
  files.push_back(make_file(random_bytes(10, 9), "more.stl"));
  EXPECT_EQ(outbox->commit(finished.parcel, files).error().code, ErrorCode::kInvalidArgument);
  finished.parcel.doctor = "\xff";
  EXPECT_EQ(outbox->commit(finished.parcel, finished.files).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(outbox->list().empty());
  EXPECT_EQ(files_on_disk(), 0U);
}

TEST_F(OutboxTest, a_full_disk_is_said_before_anything_is_written) {
  auto outbox = open();
  const Finished finished = make_finished({100'000});
  files_.set_free_bytes(50'000);
  const auto refused = outbox->commit(finished.parcel, finished.files);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(refused.error().message, HasSubstr("50000 bytes free"));
  EXPECT_TRUE(outbox->list().empty());
  EXPECT_EQ(files_on_disk(), 0U);
  files_.set_free_bytes(std::nullopt);
  EXPECT_TRUE(outbox->commit(finished.parcel, finished.files).ok());
}

TEST_F(OutboxTest, whichever_call_fails_an_error_means_it_is_not_there_and_ok_that_it_is) {
  const ErrorCode codes[] = {ErrorCode::kIo, ErrorCode::kNoSpace};
  for (const ErrorCode code : codes)
    for (int n = 1;; ++n) {
      const Finished finished = make_finished({3000, 4000, 5000}, static_cast<unsigned>(n));
      bool struck = false;
      bool saved = false;
      {
        auto outbox = open();
        files_.break_call(n, Fault::kFails, code);
        const auto entry = outbox->commit(finished.parcel, finished.files);
        struck = files_.struck();
        files_.mend();
        saved = entry.ok();
        if (!saved) {
          EXPECT_EQ(entry.error().code, code);
        }
        EXPECT_EQ(saved, !struck) << "call " << n;
      }
      auto outbox = open();
      EXPECT_EQ(outbox->find(finished.parcel.ticket_id, 1).ok(), saved) << "call " << n;
      for (const OutboxFile& file : finished.files)
        EXPECT_EQ(std::filesystem::exists(outbox->blob_path(file.blob.sha256)), saved);
      if (!struck) break;
    }
}

TEST_F(OutboxTest, a_disk_that_forgets_a_file_is_noticed_and_the_ticket_is_not_sent) {
  for (int n = 1;; ++n) {
    const Finished finished = make_finished({3000, 4000}, static_cast<unsigned>(50 + n));
    bool struck = false;
    {
      auto outbox = open();
      files_.break_call(n, Fault::kForgets);
      ASSERT_TRUE(outbox->commit(finished.parcel, finished.files).ok());
      struck = files_.struck();
      files_.mend();
    }
    auto outbox = open();
    const auto entry = outbox->find(finished.parcel.ticket_id, 1);
    ASSERT_TRUE(entry.ok());
    EXPECT_EQ(entry->state, struck ? OutboxState::kParked : OutboxState::kReady) << "call " << n;
    if (struck) {
      EXPECT_THAT(entry->held_because, HasSubstr("is gone from this station's disk"));
    }
    if (!struck) break;
  }
}

TEST_F(OutboxTest, clears_away_halves_of_a_commit_that_never_was) {
  open();
  std::ofstream(folder_ / "blobs" / std::string(64, 'a')) << "half";
  std::ofstream(folder_ / "blobs" / "b.123-0.tmp") << "half";
  ASSERT_EQ(files_on_disk(), 2U);
  open();
  EXPECT_EQ(files_on_disk(), 0U);
}

TEST_F(OutboxTest, a_second_process_hears_that_the_outbox_is_in_use) {
  auto outbox = open();
  const auto second = Outbox::open(folder_.path(), "room-1", files_, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

TEST_F(OutboxTest, belongs_to_one_station) {
  open();
  const auto other = Outbox::open(folder_.path(), "room-2", files_, clock_);
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("belongs to station room-1"));
}

TEST_F(OutboxTest, sends_in_order_and_a_revision_after_the_one_before_it) {
  auto outbox = open();
  const Finished a1 = make_finished({1000}, 1);
  const Finished a2 = make_finished({1000}, 2, a1.parcel.ticket_id, 2);
  const Finished b = make_finished({1000}, 3);
  const auto first = outbox->commit(a1.parcel, a1.files);
  const auto second = outbox->commit(a2.parcel, a2.files);
  const auto third = outbox->commit(b.parcel, b.files);
  ASSERT_TRUE(first.ok() && second.ok() && third.ok());
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, first->seq);
  ASSERT_TRUE(outbox->mark_held(first->seq, "the store says no", true).ok());
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, third->seq);
  ASSERT_TRUE(outbox->mark_delivered(third->seq, receipt_for(*outbox, *third)).ok());
  EXPECT_FALSE(outbox->next_to_send(Outbox::Which::kOldest).has_value());
  EXPECT_EQ(outbox->find(a1.parcel.ticket_id, 1)->held_because, "the store says no");
  ASSERT_TRUE(outbox->release(first->seq).ok());
  EXPECT_EQ(outbox->release(first->seq).error().code, ErrorCode::kConflict);
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, first->seq);
  ASSERT_TRUE(outbox->mark_delivered(first->seq, receipt_for(*outbox, *first)).ok());
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, second->seq);
}

TEST_F(OutboxTest, the_newest_ticket_may_go_first_but_never_a_revision_before_an_earlier_one) {
  auto outbox = open();
  const Finished first = make_finished({10}, 1), second = make_finished({10}, 2);
  const auto oldest = outbox->commit(first.parcel, first.files);
  const auto newer = outbox->commit(second.parcel, second.files);
  const Finished redo = make_finished({10}, 3, first.parcel.ticket_id, 2);
  ASSERT_TRUE(outbox->commit(redo.parcel, redo.files).ok());
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kNewest)->seq, newer->seq);
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, oldest->seq);
}

TEST_F(OutboxTest, a_receipt_is_kept_and_a_wrong_one_refused) {
  const Finished finished = make_finished({1000});
  Receipt receipt;
  {
    auto outbox = open();
    const auto entry = outbox->commit(finished.parcel, finished.files);
    receipt = receipt_for(*outbox, *entry);
    Receipt wrong = receipt;
    wrong.envelope_sha256 = std::string(64, '0');
    EXPECT_EQ(outbox->mark_delivered(entry->seq, wrong).error().code, ErrorCode::kProtocol);
    ASSERT_TRUE(outbox->mark_delivered(entry->seq, receipt).ok());
    EXPECT_TRUE(outbox->mark_delivered(entry->seq, receipt).ok());
    EXPECT_EQ(outbox->mark_held(entry->seq, "no", true).error().code, ErrorCode::kConflict);
  }
  auto outbox = open();
  const auto entry = outbox->find(finished.parcel.ticket_id, 1);
  ASSERT_TRUE(entry.ok() && entry->receipt.has_value());
  EXPECT_EQ(entry->state, OutboxState::kDelivered);
  EXPECT_EQ(entry->receipt->store_seq, 99U);
  EXPECT_EQ(entry->receipt->record_url, receipt.record_url);
  EXPECT_EQ(entry->receipt->envelope_sha256, receipt.envelope_sha256);
  EXPECT_TRUE(std::filesystem::exists(outbox->blob_path(finished.files[0].blob.sha256)));
}

TEST_F(OutboxTest, progress_is_shown_and_a_restart_starts_over) {
  const Finished finished = make_finished({1000});
  {
    auto outbox = open();
    const auto entry = outbox->commit(finished.parcel, finished.files);
    ASSERT_TRUE(outbox->mark_sending(entry->seq, 400).ok());
    EXPECT_EQ(outbox->list()[0].state, OutboxState::kSending);
    EXPECT_EQ(outbox->list()[0].sent_bytes, 400U);
  }
  EXPECT_EQ(open()->list()[0].state, OutboxState::kReady);
}

TEST_F(OutboxTest, offers_everything_again_for_a_store_that_came_from_a_backup) {
  auto outbox = open();
  const Finished finished = make_finished({1000});
  const auto entry = outbox->commit(finished.parcel, finished.files);
  ASSERT_TRUE(outbox->mark_delivered(entry->seq, receipt_for(*outbox, *entry)).ok());
  ASSERT_FALSE(outbox->next_to_send(Outbox::Which::kOldest).has_value());
  ASSERT_TRUE(outbox->offer_again().ok());
  EXPECT_EQ(outbox->next_to_send(Outbox::Which::kOldest)->seq, entry->seq);
}

TEST_F(OutboxTest, files_of_old_deliveries_go_once_the_store_attested) {
  auto outbox = open();
  const Finished old = make_finished({10, 20}, 1), young = make_finished({30}, 2);
  const auto first = outbox->commit(old.parcel, old.files);
  const auto second = outbox->commit(young.parcel, young.files);
  const Retention keep{.keep_for = std::chrono::hours(48), .keep_newest = 1};
  EXPECT_EQ(outbox->remove_files(first->seq).error().code, ErrorCode::kConflict) << "not delivered";
  deliver(*outbox, *first);
  clock_.advance(std::chrono::hours(47));
  deliver(*outbox, *second);
  EXPECT_FALSE(outbox->next_to_verify(keep).has_value()) << "too young";
  clock_.advance(std::chrono::hours(2));
  ASSERT_TRUE(outbox->next_to_verify(keep).has_value());
  EXPECT_EQ(outbox->next_to_verify(keep)->seq, first->seq);
  EXPECT_FALSE(outbox->next_to_verify({std::chrono::hours(48), 2}).has_value())
      << "the newest ones stay";
  ASSERT_TRUE(outbox->remove_files(first->seq).ok());
  for (const OutboxFile& file : old.files)
    EXPECT_FALSE(std::filesystem::exists(outbox->blob_path(file.blob.sha256)));
  EXPECT_TRUE(std::filesystem::exists(outbox->blob_path(young.files[0].blob.sha256)));
  EXPECT_FALSE(outbox->next_to_verify(keep).has_value());
  EXPECT_TRUE(outbox->find(first->ticket_id, 1)->files_removed);
  // What is not here can't be offered; its row stays for dedupe.
  EXPECT_EQ(outbox->offer_again(first->seq).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(outbox->offer_again().ok());
  EXPECT_EQ(outbox->find(first->ticket_id, 1)->state, OutboxState::kDelivered);
  EXPECT_EQ(outbox->find(second->ticket_id, 1)->state, OutboxState::kReady);
  outbox.reset();
  outbox = open();
  EXPECT_EQ(outbox->find(first->ticket_id, 1)->state, OutboxState::kDelivered);
  EXPECT_EQ(outbox->find(first->ticket_id, 1)->held_because, "");
}

TEST_F(OutboxTest, a_file_that_another_ticket_needs_stays) {
  auto outbox = open();
  const Finished first = make_finished({10}, 1);
  Finished second = make_finished({10}, 1);
  const auto one = outbox->commit(first.parcel, first.files);
  const auto two = outbox->commit(second.parcel, second.files);
  deliver(*outbox, *one);
  ASSERT_TRUE(outbox->remove_files(one->seq).ok());
  const auto blob = outbox->blob_path(first.files[0].blob.sha256);
  EXPECT_TRUE(std::filesystem::exists(blob));
  deliver(*outbox, *two);
  ASSERT_TRUE(outbox->remove_files(two->seq).ok());
  EXPECT_FALSE(std::filesystem::exists(blob));
  // The same file again, later.
  const Finished third = make_finished({10}, 1);
  ASSERT_TRUE(outbox->commit(third.parcel, third.files).ok());
  EXPECT_TRUE(std::filesystem::exists(blob));
}

TEST_F(OutboxTest, a_removal_that_was_cut_leaves_no_file_for_ever) {
  auto outbox = open();
  const Finished finished = make_finished({10, 20}, 1);
  const auto entry = outbox->commit(finished.parcel, finished.files);
  deliver(*outbox, *entry);
  files_.break_call(1, fakes::Fault::kFails);
  EXPECT_FALSE(outbox->remove_files(entry->seq).ok());
  files_.mend();
  EXPECT_TRUE(std::filesystem::exists(outbox->blob_path(finished.files[0].blob.sha256)) ||
              std::filesystem::exists(outbox->blob_path(finished.files[1].blob.sha256)));
  outbox.reset();
  outbox = open();
  for (const OutboxFile& file : finished.files)
    EXPECT_FALSE(std::filesystem::exists(outbox->blob_path(file.blob.sha256)));
}

TEST_F(OutboxTest, two_tickets_may_share_a_file) {
  auto outbox = open();
  const Finished one = make_finished({5000}, 1);
  const Finished two = make_finished({5000}, 1);
  ASSERT_TRUE(outbox->commit(one.parcel, one.files).ok());
  files_.break_call(1, Fault::kFails);
  EXPECT_TRUE(outbox->commit(two.parcel, two.files).ok()) << "the file is there already";
  EXPECT_EQ(files_on_disk(), 1U);
}

TEST_F(OutboxTest, writes_a_file_again_that_the_disk_lost) {
  auto outbox = open();
  const Finished first = make_finished({5000}, 1);
  ASSERT_TRUE(outbox->commit(first.parcel, first.files).ok());
  const std::filesystem::path blob = outbox->blob_path(first.files[0].blob.sha256);
  std::filesystem::resize_file(blob, 100);
  Finished second = make_finished({5000}, 1);  // a ticket of its own, the same file
  ASSERT_TRUE(outbox->commit(second.parcel, second.files).ok());
  EXPECT_EQ(*sha256_hex_of_file(blob), first.files[0].blob.sha256);
  std::filesystem::remove(blob);
  ASSERT_TRUE(outbox->commit(first.parcel, first.files).ok()) << "committed again";
  EXPECT_EQ(*sha256_hex_of_file(blob), first.files[0].blob.sha256);
}

TEST_F(OutboxTest, says_which_revision_a_later_one_waits_for) {
  auto outbox = open();
  const Finished first = make_finished({1000}, 1);
  const Finished second = make_finished({1000}, 2, first.parcel.ticket_id, 2);
  const auto held = outbox->commit(first.parcel, first.files);
  ASSERT_TRUE(held.ok() && outbox->commit(second.parcel, second.files).ok());
  const auto why = [&] { return outbox->find(first.parcel.ticket_id, 2)->held_because; };
  EXPECT_EQ(why(), "");
  ASSERT_TRUE(outbox->mark_held(held->seq, "the store has other content", true).ok());
  EXPECT_THAT(why(), HasSubstr("revision 1"));
  ASSERT_TRUE(outbox->release(held->seq).ok());
  EXPECT_EQ(why(), "");
}

TEST_F(OutboxTest, a_sending_that_ends_without_a_reason_leaves_no_old_one) {
  auto outbox = open();
  const Finished finished = make_finished({1000});
  const auto entry = outbox->commit(finished.parcel, finished.files);
  ASSERT_TRUE(outbox->mark_held(entry->seq, "the store is off", false).ok());
  ASSERT_TRUE(outbox->mark_sending(entry->seq, 0).ok());
  ASSERT_TRUE(outbox->mark_held(entry->seq, "", false).ok());
  EXPECT_EQ(outbox->find(entry->ticket_id, 1)->held_because, "");
}

}  // namespace
}  // namespace cusp::delivery
