// When may a station remove what it delivered, and what happens to what a store lost?

#include "tests/delivery/link_fixture.h"
#include "tests/delivery/raw_peer.h"

namespace cusp::delivery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
namespace fs = std::filesystem;

class RetentionTest : public LinkTest {
 protected:
  RetentionTest() { link_options_.retention = {std::chrono::hours(0), 0}; }

  bool removed(const OutboxEntry& entry) {
    return eventually([&] { return outbox_->find(entry.ticket_id, 1)->files_removed; });
  }
  fs::path stored(const OutboxFile& file) {
    return cas_path(gate_options_.folder, file.blob.sha256);
  }
  void flip_a_bit(const fs::path& path) {
    fs::permissions(path, fs::perms::owner_all);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(7);
    const int byte = file.get();
    file.seekp(7);
    file.put(static_cast<char>(byte ^ 4));
  }
};

TEST_F(RetentionTest, files_go_when_the_store_has_read_its_own_again) {
  start_gate();
  start_link();
  const Finished finished = make_finished({9'000'000, 10});
  const OutboxEntry entry = commit(finished);
  ASSERT_TRUE(removed(entry));
  for (const OutboxFile& file : finished.files)
    EXPECT_FALSE(fs::exists(outbox_->blob_path(file.blob.sha256)));
  expect_in_cas(finished);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().attested == 1; }));
}

TEST_F(RetentionTest, nothing_goes_before_its_time) {
  link_options_.retention = Retention{};
  start_gate();
  start_link();
  const OutboxEntry entry = commit(make_finished({1000}));
  ASSERT_TRUE(delivered(entry));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_FALSE(outbox_->find(entry.ticket_id, 1)->files_removed);
  EXPECT_EQ((*gate_)->counts().attested, 0U);
}

TEST_F(RetentionTest, a_file_that_rotted_at_the_store_comes_again_before_ours_goes) {
  link_options_.retention = Retention{};
  start_gate();
  start_link();
  const Finished finished = make_finished({50'000, 60'000});
  const OutboxEntry entry = commit(finished);
  ASSERT_TRUE(delivered(entry));
  stop_link();
  flip_a_bit(stored(finished.files[1]));
  link_options_.retention = {std::chrono::hours(0), 0};
  start_link();
  ASSERT_TRUE(removed(entry));
  expect_in_cas(finished);
  EXPECT_THAT(store_.damaged(), IsEmpty());
  EXPECT_EQ(store_.stored_count(), 1U) << "one record, one receipt";
  EXPECT_TRUE(fs::exists(gate_options_.folder / "damaged" / finished.files[1].blob.sha256))
      << "kept for whoever wants to know";
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().mended == 1; }));
  EXPECT_EQ((*gate_)->counts().damaged, 1U);
}

TEST_F(RetentionTest, a_file_that_is_gone_at_the_store_comes_again) {
  link_options_.retention = Retention{};
  start_gate();
  start_link();
  const Finished finished = make_finished({50'000});
  ASSERT_TRUE(delivered(commit(finished)));
  fs::remove(stored(finished.files[0]));
  // As a scrub does.
  ASSERT_TRUE(store_.mark_damaged(finished.files[0].blob.sha256, true).ok());
  (*gate_)->notify();
  ASSERT_TRUE(eventually([&] { return store_.damaged().empty(); }));
  expect_in_cas(finished);
  stop_link();
  // And for a station that was off when it was found.
  fs::remove(stored(finished.files[0]));
  ASSERT_TRUE(store_.mark_damaged(finished.files[0].blob.sha256, true).ok());
  start_link();
  ASSERT_TRUE(eventually([&] { return store_.damaged().empty(); }));
  expect_in_cas(finished);
  EXPECT_EQ(store_.stored_count(), 1U);
}

TEST_F(RetentionTest, what_is_lost_on_both_sides_is_still_known_to_be_lost) {
  start_gate();
  start_link();
  const Finished finished = make_finished({50'000});
  const OutboxEntry entry = commit(finished);
  ASSERT_TRUE(removed(entry));
  fs::remove(stored(finished.files[0]));
  ASSERT_TRUE(store_.mark_damaged(finished.files[0].blob.sha256, true).ok());
  (*gate_)->notify();
  const OutboxEntry next = commit(make_finished({1000}, 2));
  ASSERT_TRUE(delivered(next)) << "the others go on";
  EXPECT_THAT(store_.damaged(), ElementsAre(finished.files[0].blob.sha256));
}

TEST_F(RetentionTest, a_store_of_before_is_not_asked_and_a_station_of_before_not_told) {
  start_gate();
  const Finished finished = make_finished({1000});
  commit(finished);
  start_link();
  ASSERT_TRUE(eventually([&] { return store_.stored_count() == 1; }));
  ASSERT_TRUE(eventually([&] { return store_.damaged().empty(); }));
  stop_link();
  ASSERT_TRUE(store_.mark_damaged(finished.files[0].blob.sha256, true).ok());
  RawPeer old((*gate_)->endpoint(), station_keys_, store_keys_.public_z85);
  sxp::Hello hello;
  hello.set_outbox_epoch(outbox_->epoch());
  Message message = make_message(MessageType::kHello, hello);
  message.header.minor = 0;
  old.send(message);
  ASSERT_EQ(old.answer(), MessageType::kWelcome);
  old.send(empty_message(MessageType::kPing));
  EXPECT_EQ(old.answer(), MessageType::kPong) << "no RECALL in between";
  message.header.minor = 1;
  message.header.request = 0;
  old.send(message);
  ASSERT_EQ(old.answer(), MessageType::kWelcome);
  EXPECT_EQ(old.answer(), MessageType::kRecall);
}

TEST_F(RetentionTest, a_station_may_ask_for_what_it_never_delivered) {
  start_gate();
  RawPeer peer((*gate_)->endpoint(), station_keys_, store_keys_.public_z85);
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  sxp::Verify verify;
  verify.set_envelope_sha256(std::string(64, 'a'));
  Message message = make_message(MessageType::kVerify, verify);
  message.header.seq = 4711;
  peer.send(message);
  const auto answer = peer.receive();
  ASSERT_TRUE(answer && answer->header.type == MessageType::kAttest);
  EXPECT_FALSE(parse_body<sxp::Attest>(*answer)->whole());
  EXPECT_EQ(answer->header.seq, 4711U);
}

}  // namespace
}  // namespace cusp::delivery
