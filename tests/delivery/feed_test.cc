// What subscribers see: everything that was committed, in its order, each parcel once, and its
// files as they are.
#include "delivery/messages.pb.h"
#include "delivery/subscriber.h"
#include "tests/delivery/link_fixture.h"
#include "tests/delivery/raw_peer.h"

namespace cusp::delivery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class FeedTest : public LinkTest {
 protected:
  FeedTest() {
    write_stations("room-1 " + station_keys_.public_z85 + "\nmirror " +
                   subscriber_keys_.public_z85 + " subscriber\n");
    gate_options_.feed_endpoint = "tcp://127.0.0.1:*";
    options_.keys = subscriber_keys_;
    options_.store_public_z85 = store_keys_.public_z85;
    options_.heartbeat = 200ms;
    options_.progress_deadline = 5s;
    options_.retry_min = 20ms;
    options_.retry_max = 100ms;
    options_.on_problem = [this](const std::string& problem) {
      const std::lock_guard lock(mutex_);
      problems_.push_back(problem);
    };
  }

  void start_store() {
    start_gate();
    gate_options_.feed_endpoint = options_.endpoint = (*gate_)->feed_endpoint();
  }
  Finished deliver(const std::vector<std::size_t>& sizes, unsigned seed) {
    if (!link_) start_link();
    Finished finished = make_finished(sizes, seed);
    EXPECT_TRUE(delivered(commit(finished)));
    return finished;
  }
  Subscriber subscriber(FeedPosition after = {}) {
    return Subscriber(options_, std::move(after), files_, clock_);
  }
  // Fails instead of waiting for ever.
  FeedEvent next(Subscriber& feed) {
    std::stop_source stop;
    std::jthread guard([&](std::stop_token done) {
      for (int i = 0; i < 60'000 && !done.stop_requested(); ++i) std::this_thread::sleep_for(1ms);
      stop.request_stop();
    });
    auto event = feed.next(stop.get_token());
    if (!event.ok()) throw std::runtime_error("no event: " + event.error().message);
    return std::move(*event);
  }
  std::vector<std::string> problems() {
    const std::lock_guard lock(mutex_);
    return problems_;
  }
  RawPeer raw() { return RawPeer(options_.endpoint, subscriber_keys_, store_keys_.public_z85); }
  // The door still serves who keeps to the rules.
  void expect_service() {
    Subscriber feed = subscriber();
    EXPECT_EQ(next(feed).position.seq, 1U);
  }

  const KeyPair subscriber_keys_ = make_key_pair();
  PosixFileSystem files_;
  SubscriberOptions options_;
  std::mutex mutex_;
  std::vector<std::string> problems_;
};

TEST_F(FeedTest, who_comes_late_reads_from_the_first_and_then_what_is_new) {
  start_store();
  const Finished first = deliver({1000}, 1);
  const Finished second = deliver({2000}, 2);
  Subscriber feed = subscriber();
  const FeedEvent one = next(feed);
  EXPECT_EQ(one.parcel->ticket_id, first.parcel.ticket_id);
  EXPECT_EQ(one.parcel->station_id, "room-1");
  EXPECT_EQ(one.envelope_sha256, sha256_hex(one.envelope));
  EXPECT_EQ(next(feed).parcel->ticket_id, second.parcel.ticket_id);
  const Finished third = deliver({3000}, 3);
  const FeedEvent three = next(feed);
  EXPECT_EQ(three.parcel->ticket_id, third.parcel.ticket_id);
  EXPECT_EQ(three.position.seq, 3U);
}

TEST_F(FeedTest, goes_on_behind_the_position_that_was_kept) {
  start_store();
  deliver({1000}, 1);
  FeedPosition kept;
  {
    Subscriber feed = subscriber();
    kept = next(feed).position;
  }
  ASSERT_TRUE(save_position(files_, folder_ / "position", kept).ok());
  const Finished second = deliver({1000}, 2);
  const auto loaded = load_position(files_, folder_ / "position");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  Subscriber feed = subscriber(*loaded);
  EXPECT_EQ(next(feed).parcel->ticket_id, second.parcel.ticket_id);
}

TEST_F(FeedTest, a_position_file_of_something_else_is_told) {
  const auto none = load_position(files_, folder_ / "position");
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->seq, 0U);
  for (const char* text : {"", "seven epoch", "7", "7 epoch more", "-"}) {
    std::ofstream(folder_ / "position") << text;
    const auto position = load_position(files_, folder_ / "position");
    ASSERT_FALSE(position.ok()) << text;
    EXPECT_EQ(position.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(position.error().message, HasSubstr("position"));
  }
}

TEST_F(FeedTest, many_events_come_in_order_across_restarts_of_the_store) {
  start_store();
  constexpr int kParcels = 300;
  for (int i = 0; i < kParcels; ++i) {
    Parcel parcel = make_finished({10}, 7).parcel;
    parcel.station_id = "room-1";
    parcel.outbox_epoch = outbox_->epoch();
    parcel.outbox_seq = static_cast<std::uint64_t>(i) + 1;
    const auto envelope = encode(parcel);
    ASSERT_TRUE(store_.commit(parcel, envelope, sha256_hex(envelope)).ok());
  }
  Subscriber feed = subscriber();
  for (std::uint64_t seq = 1; seq <= kParcels; ++seq) {
    if (seq % 100 == 50) {
      stop_gate();
      start_store();
    }
    ASSERT_EQ(next(feed).position.seq, seq);
  }
}

TEST_F(FeedTest, files_arrive_as_they_are) {
  start_store();
  const Finished finished = deliver({3'000'001, 17}, 1);
  Subscriber feed = subscriber();
  const FeedEvent event = next(feed);
  for (const BlobRef& blob : event.parcel->all_blobs()) {
    const fs::path target = folder_ / blob.file_name;
    const auto fetched = feed.fetch(blob, target, {});
    ASSERT_TRUE(fetched.ok()) << fetched.error().message;
    EXPECT_EQ(*sha256_hex_of_file(target), blob.sha256);
    EXPECT_EQ(fs::file_size(target), blob.size_bytes);
  }
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().bytes_fetched == 3'000'018U; }));
}

TEST_F(FeedTest, a_transfer_that_was_cut_goes_on_behind_what_is_there) {
  start_store();
  const Finished finished = deliver({4'000'000}, 1);
  const BlobRef blob = finished.files[0].blob;
  const fs::path target = folder_ / "model.stl";
  std::ofstream(folder_ / "model.stl.part", std::ios::binary)
      .write(reinterpret_cast<const char*>(finished.files[0].bytes.data()), 3'000'000);
  Subscriber feed = subscriber();
  ASSERT_TRUE(feed.fetch(blob, target, {}).ok());
  EXPECT_EQ(*sha256_hex_of_file(target), blob.sha256);
  EXPECT_TRUE(
      eventually([&] { return (*gate_)->counts().bytes_fetched == std::uint64_t{1'000'000}; }));
}

TEST_F(FeedTest, a_part_of_something_else_is_thrown_away) {
  start_store();
  const Finished finished = deliver({100'000}, 1);
  Subscriber feed = subscriber();
  for (const std::size_t size : {50'000U, 100'000U, 200'000U}) {
    const fs::path target = folder_ / std::to_string(size);
    std::ofstream(target.string() + ".part", std::ios::binary) << std::string(size, 'x');
    const auto fetched = feed.fetch(finished.files[0].blob, target, {});
    ASSERT_TRUE(fetched.ok()) << fetched.error().message;
    EXPECT_EQ(*sha256_hex_of_file(target), finished.files[0].blob.sha256);
  }
}

TEST_F(FeedTest, a_fetch_outlives_a_restart_of_the_store) {
  gate_options_.chunk_bytes = 1024;
  start_store();
  const Finished finished = deliver({6'000'000}, 1);
  Subscriber feed = subscriber();
  std::atomic<bool> done{false};
  std::jthread reader([&] {
    EXPECT_TRUE(feed.fetch(finished.files[0].blob, folder_ / "model.stl", {}).ok());
    done = true;
  });
  int restarts = 0;
  while (!done && restarts < 3) {
    const auto before = (*gate_)->counts().bytes_fetched;
    ASSERT_TRUE(eventually([&] { return done || (*gate_)->counts().bytes_fetched > before; }));
    stop_gate();
    start_store();
    ++restarts;
  }
  reader.join();
  EXPECT_EQ(*sha256_hex_of_file(folder_ / "model.stl"), finished.files[0].blob.sha256);
}

TEST_F(FeedTest, only_files_of_the_feed_can_be_had) {
  start_store();
  deliver({1000}, 1);
  // It lies in the CAS, but nothing that was committed names it.
  const auto bytes = random_bytes(500, 99);
  const std::string hash = sha256_hex(bytes);
  fs::create_directories(cas_path(gate_options_.folder, hash).parent_path());
  ASSERT_TRUE(files_.write_synced(cas_path(gate_options_.folder, hash), bytes).ok());
  Subscriber feed = subscriber();
  const auto fetched = feed.fetch({hash, 500, "", "", "x"}, folder_ / "x", {});
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(fetched.error().message, HasSubstr(hash));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  EXPECT_EQ(next(feed).position.seq, 1U) << "it goes on with the same subscriber";
}

TEST_F(FeedTest, a_damaged_file_is_never_handed_out_as_whole) {
  start_store();
  const Finished finished = deliver({100'000}, 1);
  const BlobRef blob = finished.files[0].blob;
  const fs::path stored = cas_path(gate_options_.folder, blob.sha256);
  fs::permissions(stored, fs::perms::owner_all);
  {
    std::fstream file(stored, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4711);
    file.put('!');
  }
  Subscriber feed = subscriber();
  const auto damaged = feed.fetch(blob, folder_ / "model.stl", {});
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(fs::exists(folder_ / "model.stl"));
  fs::resize_file(stored, 500);
  const auto cut = feed.fetch(blob, folder_ / "model.stl", {});
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(folder_ / "model.stl"));
}

TEST_F(FeedTest, another_epoch_begins_with_the_first_event) {
  start_store();
  const Finished first = deliver({1000}, 1);
  deliver({1000}, 2);
  Subscriber feed = subscriber();
  next(feed);
  EXPECT_EQ(next(feed).position.seq, 2U);
  stop_gate();
  store_.set_store_epoch("restored-epoch");
  start_store();
  const FeedEvent again = next(feed);
  EXPECT_EQ(again.position.seq, 1U);
  EXPECT_EQ(again.position.store_epoch, "restored-epoch");
  EXPECT_EQ(again.parcel->ticket_id, first.parcel.ticket_id);
}

TEST_F(FeedTest, doors_let_in_whom_they_are_for) {
  start_store();
  deliver({1000}, 1);
  // A station before the subscribers' door, a subscriber before the stations'.
  options_.keys = station_keys_;
  options_.endpoint = (*gate_)->feed_endpoint();
  Subscriber wrong = subscriber();
  std::stop_source stop;
  std::jthread waiting([&] { EXPECT_FALSE(wrong.next(stop.get_token()).ok()); });
  EXPECT_TRUE(eventually([&] {
    const auto told = problems();
    return std::any_of(told.begin(), told.end(), [](const std::string& problem) {
      return problem.find("does not know our key") != std::string::npos;
    });
  }));
  stop.request_stop();
  waiting.join();
  const auto refused = (*gate_)->counts().handshakes_refused;
  RawPeer stranger((*gate_)->endpoint(), subscriber_keys_, store_keys_.public_z85);
  stranger.hello();
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().handshakes_refused > refused; }));
  EXPECT_EQ((*gate_)->counts().subscribers, 0U);
}

TEST_F(FeedTest, a_subscriber_whose_key_was_taken_away_is_out) {
  start_store();
  deliver({1000}, 1);
  Subscriber feed = subscriber();
  next(feed);
  write_stations("room-1 " + station_keys_.public_z85 + "\n");
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().subscribers == 0; }));
}

TEST_F(FeedTest, a_subscriber_that_lags_is_seen) {
  start_store();
  deliver({1000}, 1);
  deliver({1000}, 2);
  RawPeer peer = raw();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  const auto ask = [&](std::uint64_t since) {
    sxp::Subscribe body;
    body.set_store_epoch("first-epoch");
    body.set_since(since);
    peer.send(make_message(MessageType::kSubscribe, body));
  };
  ask(0);
  ASSERT_EQ(peer.answer(), MessageType::kEvents);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().feed_lag == 2; }));
  ask(1);
  ASSERT_EQ(peer.answer(), MessageType::kEvents);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().feed_lag == 1; }));
  ask(2);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().feed_lag == 0; }));
}

TEST_F(FeedTest, waiting_ends_on_request) {
  start_store();
  Subscriber feed = subscriber();
  std::stop_source stop;
  std::jthread asked([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto event = feed.next(stop.get_token());
  ASSERT_FALSE(event.ok());
  EXPECT_EQ(event.error().code, ErrorCode::kCancelled);
}

TEST_F(FeedTest, subscribers_that_break_the_rules_are_sent_away) {
  start_store();
  const Finished finished = deliver({10'000}, 1);
  const auto fetch = [&](const std::string& sha256, std::uint64_t offset, std::uint64_t bytes) {
    sxp::Fetch body;
    body.set_sha256(sha256);
    Message message = make_message(MessageType::kFetch, body);
    message.header.offset = offset;
    message.header.credit = bytes;
    return message;
  };
  const auto subscribe = [](const std::string& epoch) {
    sxp::Subscribe body;
    body.set_store_epoch(epoch);
    return make_message(MessageType::kSubscribe, body);
  };
  const std::string hash = finished.files[0].blob.sha256;
  Message torn = subscribe("first-epoch");
  torn.body = "\xFF\xFF";
  const Message rude[] = {fetch("../../records.db", 0, 10),
                          fetch(hash, 0, 0),
                          fetch(hash, 0, gate_options_.chunk_bytes + 1),
                          fetch(hash, 10'000, 1),
                          fetch(hash, ~std::uint64_t{0}, 1),
                          subscribe("another-epoch"),
                          torn,
                          empty_message(MessageType::kOffer),
                          empty_message(MessageType::kWelcome),
                          empty_message(static_cast<MessageType>(999))};
  for (const Message& message : rude) {
    RawPeer peer = raw();
    peer.hello();
    ASSERT_EQ(peer.answer(), MessageType::kWelcome);
    peer.send(message);
    EXPECT_EQ(peer.answer(), MessageType::kBye);
    EXPECT_TRUE(eventually([&] { return (*gate_)->counts().subscribers == 0; }));
  }
  expect_service();
}

TEST_F(FeedTest, one_that_asks_and_never_reads_costs_a_bounded_queue) {
  start_store();
  const Finished finished = deliver({2'000'000}, 1);
  RawPeer peer = raw();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  sxp::Fetch body;
  body.set_sha256(finished.files[0].blob.sha256);
  for (int i = 0; i < 2000; ++i) {
    Message message = make_message(MessageType::kFetch, body);
    message.header.credit = gate_options_.chunk_bytes;
    peer.send(std::move(message));
  }
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().subscribers == 0; }))
      << "whoever does not read is dropped";
  EXPECT_LT((*gate_)->counts().bytes_fetched, std::uint64_t{200} << 20);
  expect_service();
}

}  // namespace
}  // namespace cusp::delivery
