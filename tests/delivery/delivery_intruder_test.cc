// Those who should not be let in, and those who are let in and misbehave.
#include "tests/delivery/link_fixture.h"
#include "tests/delivery/raw_peer.h"

namespace cusp::delivery {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class IntruderTest : public LinkTest {
 protected:
  IntruderTest() {
    write_stations("room-1 " + station_keys_.public_z85 + "\nrogue " + rogue_keys_.public_z85 +
                   "\n");
  }

  RawPeer rogue() { return RawPeer((*gate_)->endpoint(), rogue_keys_, store_keys_.public_z85); }
  std::vector<std::uint8_t> envelope_of(Parcel parcel, const RawPeer& peer, std::uint64_t seq,
                                        const std::string& station = "rogue") {
    parcel.station_id = station;
    parcel.outbox_epoch = peer.epoch();
    parcel.outbox_seq = seq;
    return encode(parcel);
  }
  bool dropped(std::uint64_t at_least) {
    return eventually([&] { return (*gate_)->counts().messages_dropped >= at_least; });
  }
  // The honest station is served all the same.
  void expect_service() {
    const std::size_t before = store_.stored_count();
    const OutboxEntry entry = commit(make_finished({50'000}, ++seed_));
    if (!link_) start_link();
    ASSERT_TRUE(delivered(entry));
    EXPECT_EQ(store_.stored_count(), before + 1);
  }

  const KeyPair rogue_keys_ = make_key_pair();
  unsigned seed_ = 1000;
};

TEST_F(IntruderTest, an_unknown_key_is_refused_and_told_so) {
  start_gate();
  link_options_.keys = make_key_pair();
  commit(make_finished({1000}));
  start_link();
  ASSERT_TRUE(eventually([&] {
    return (*link_)->status().problem.find("does not know our key") != std::string::npos;
  })) << (*link_)->status().problem;
  EXPECT_FALSE((*link_)->status().connected);
  EXPECT_GE((*gate_)->counts().handshakes_refused, 1U);
  EXPECT_EQ((*gate_)->counts().sessions, 0U);
  EXPECT_EQ((*gate_)->counts().messages_dropped, 0U) << "nothing reached the gate";
  EXPECT_EQ(store_.stored_count(), 0U);
}

TEST_F(IntruderTest, a_wrong_store_key_never_gets_a_parcel) {
  start_gate();
  link_options_.store_public_z85 = make_key_pair().public_z85;
  commit(make_finished({1000}));
  start_link();
  ASSERT_TRUE(eventually([&] {
    return (*link_)->status().problem.find("is its public key the right one") != std::string::npos;
  })) << (*link_)->status().problem;
  EXPECT_EQ((*gate_)->counts().sessions, 0U);
  EXPECT_EQ(store_.stored_count(), 0U);
}

TEST_F(IntruderTest, a_peer_without_a_key_is_not_heard) {
  start_gate();
  zmq::socket_t plain(process_context(), zmq::socket_type::dealer);
  plain.set(zmq::sockopt::linger, 0);
  plain.connect((*gate_)->endpoint());
  sxp::Hello hello;
  hello.set_outbox_epoch(new_uuid());
  send_message(plain, {}, make_message(MessageType::kHello, hello));
  expect_service();
  EXPECT_EQ((*gate_)->counts().sessions, 1U);
  EXPECT_EQ((*gate_)->counts().messages_dropped, 0U);
}

TEST_F(IntruderTest, a_key_that_is_taken_away_counts_no_more) {
  start_gate();
  expect_service();
  write_stations("rogue " + rogue_keys_.public_z85 + "\n");
  ASSERT_TRUE(eventually([&] { return (*gate_)->counts().sessions == 0; }));
  const OutboxEntry entry = commit(make_finished({1000}, 5));
  ASSERT_TRUE(eventually([&] { return (*gate_)->counts().handshakes_refused > 0; }));
  EXPECT_NE(state_of(entry), OutboxState::kDelivered);
  write_stations("room-1 " + station_keys_.public_z85 + "\n");
  EXPECT_TRUE(delivered(entry));
}

TEST_F(IntruderTest, a_broken_list_of_stations_keeps_the_last_good_one_and_says_so) {
  start_gate();
  expect_service();
  write_stations("room-1\n");
  ASSERT_TRUE(eventually([&] { return !(*gate_)->counts().problem.empty(); }));
  EXPECT_THAT((*gate_)->counts().problem, HasSubstr("line 1"));
  expect_service();
}

TEST_F(IntruderTest, frames_that_are_no_messages_are_counted_and_dropped) {
  start_gate();
  RawPeer peer = rogue();
  const auto noise = random_bytes(64, 9);
  auto bad_magic = encode_header({.type = MessageType::kPing});
  bad_magic[0] = 'X';
  Header lying{.type = MessageType::kOffer};
  lying.body_bytes = 0xFFFFFFFF;
  lying.chunk_bytes = 0xFFFFFFFF;
  const auto lies = encode_header(lying);
  const std::vector<std::uint8_t> lie(lies.begin(), lies.end()),
      magic(bad_magic.begin(), bad_magic.end());
  peer.send_frames({noise});
  peer.send_frames({magic, {}});
  peer.send_frames({lie, {1, 2, 3}});
  peer.send_frames({lie, {}, {}});
  peer.send_frames({{}});
  peer.send_frames(std::vector<std::vector<std::uint8_t>>(500, {1}));
  EXPECT_TRUE(dropped(6));
  peer.hello();
  EXPECT_EQ(peer.answer(), MessageType::kWelcome);
  peer.send_frames({noise});
  EXPECT_EQ(peer.answer(), MessageType::kBye);
  expect_service();
}

TEST_F(IntruderTest, a_frame_beyond_every_limit_costs_only_its_sender) {
  start_gate();
  RawPeer peer = rogue();
  peer.hello();
  EXPECT_EQ(peer.answer(), MessageType::kWelcome);
  peer.send_frames({std::vector<std::uint8_t>(8 << 20)});
  expect_service();
}

TEST_F(IntruderTest, messages_outside_of_a_session_end_it) {
  start_gate();
  RawPeer peer = rogue();
  peer.send(empty_message(MessageType::kPing));
  EXPECT_EQ(peer.answer(), MessageType::kBye) << "before HELLO";
  peer.hello();
  EXPECT_EQ(peer.answer(), MessageType::kWelcome);
  peer.set_session(78);
  peer.send(empty_message(MessageType::kPing));
  EXPECT_EQ(peer.answer(), MessageType::kBye) << "another session's number";
  peer.set_session(77);
  peer.send(empty_message(MessageType::kPing));
  EXPECT_EQ(peer.answer(), MessageType::kPong) << "its own goes on";
  peer.send(empty_message(static_cast<MessageType>(999)));
  EXPECT_EQ(peer.answer(), MessageType::kBye) << "unknown type";
  EXPECT_TRUE(dropped(3));
  expect_service();
}

TEST_F(IntruderTest, another_major_version_is_answered_with_ours) {
  start_gate();
  RawPeer peer = rogue();
  Message message = empty_message(MessageType::kHello);
  message.header.major = 9;
  peer.send(message);
  EXPECT_EQ(peer.rejection(), RejectCode::kVersion);
}

TEST_F(IntruderTest, chunks_are_taken_only_as_they_were_agreed) {
  start_gate();
  const Finished finished = make_finished({2'000'000});
  const std::string hash = finished.files[0].blob.sha256;
  struct Fault {
    const char* name;
    std::string sha256;
    std::uint64_t request, offset;
    std::size_t size;
  };
  const Fault faults[] = {{"another file", std::string(64, 'a'), 0, 0, 1000},
                          {"a path", "../../../etc/passwd", 0, 0, 1000},
                          {"a hole", hash, 0, 500, 1000},
                          {"behind the end", hash, 0, 1'999'999, 1000},
                          {"an offset that overflows", hash, 0, ~std::uint64_t{0} - 10, 1000},
                          {"nothing", hash, 0, 0, 0},
                          {"too much at once", hash, 0, 0, 512 * 1024 + 1},
                          {"without an offer", hash, 999, 0, 1000}};
  std::uint64_t drops = 0;
  for (const Fault& fault : faults) {
    RawPeer peer = rogue();
    peer.hello();
    ASSERT_EQ(peer.answer(), MessageType::kWelcome) << fault.name;
    peer.offer(envelope_of(finished.parcel, peer, 1), 1);
    ASSERT_EQ(peer.answer(), MessageType::kWant) << fault.name;
    const std::uint64_t request = fault.request != 0 ? fault.request : peer.last_request();
    peer.chunk(fault.sha256, request, fault.offset, fault.size);
    EXPECT_EQ(peer.answer(), MessageType::kBye) << fault.name;
    EXPECT_TRUE(dropped(++drops)) << fault.name;
  }
  EXPECT_EQ((*gate_)->counts().bytes_received, 0U);
  expect_service();
}

TEST_F(IntruderTest, more_bytes_than_were_granted_end_the_session) {
  gate_options_.window_bytes = 64 * 1024;
  gate_options_.chunk_bytes = 64 * 1024;
  start_gate();
  RawPeer peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  const Finished finished = make_finished({2'000'000});
  peer.offer(envelope_of(finished.parcel, peer, 1), 1);
  const auto want = peer.receive();
  ASSERT_TRUE(want && want->header.type == MessageType::kWant);
  EXPECT_EQ(want->header.credit, 64U * 1024);
  peer.chunk(finished.files[0].blob.sha256, peer.last_request(), 0, 10'000);
  peer.chunk(finished.files[0].blob.sha256, peer.last_request(), 10'000, 60'000);
  EXPECT_EQ(peer.answer(), MessageType::kBye);
  expect_service();
}

TEST_F(IntruderTest, a_file_that_is_not_what_its_name_says_never_reaches_the_cas) {
  start_gate();
  RawPeer peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  const Finished finished = make_finished({1000});
  peer.offer(envelope_of(finished.parcel, peer, 1), 1);
  ASSERT_EQ(peer.answer(), MessageType::kWant);
  peer.chunk(finished.files[0].blob.sha256, peer.last_request(), 0, 1000);
  EXPECT_EQ(peer.rejection(), RejectCode::kBlobHash);
  EXPECT_FALSE(
      std::filesystem::exists(cas_path(gate_options_.folder, finished.files[0].blob.sha256)));
  EXPECT_EQ(store_.stored_count(), 0U);
}

TEST_F(IntruderTest, offers_that_lie_are_rejected_with_their_reason) {
  start_gate();
  RawPeer peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  const Parcel good = make_finished({1000}).parcel;

  peer.offer(envelope_of(good, peer, 1, "room-1"), 1);
  EXPECT_EQ(peer.rejection(), RejectCode::kIdentity) << "another station's name";
  peer.offer(envelope_of(good, peer, 1), 2);
  EXPECT_EQ(peer.rejection(), RejectCode::kMalformed) << "another entry";
  Parcel path = good;
  path.stages[0].blobs[0].sha256 = "../../" + std::string(58, 'a');
  peer.offer(envelope_of(path, peer, 1), 1);
  EXPECT_EQ(peer.rejection(), RejectCode::kMalformed) << "a path";
  Parcel huge = good;
  huge.stages[0].blobs[0].size_bytes = ~std::uint64_t{0};
  peer.offer(envelope_of(huge, peer, 1), 1);
  EXPECT_EQ(peer.rejection(), RejectCode::kTooLarge);
  peer.offer(random_bytes(60'000, 3), 1);
  EXPECT_EQ(peer.rejection(), RejectCode::kMalformed) << "noise";
  sxp::Offer lie;
  lie.set_envelope("abc");
  lie.set_envelope_sha256(std::string(64, '0'));
  peer.send(make_message(MessageType::kOffer, lie));
  EXPECT_EQ(peer.answer(), MessageType::kBye) << "a wrong hash";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(gate_options_.folder))
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  EXPECT_EQ(store_.stored_count(), 0U);
}

TEST_F(IntruderTest, naming_a_hash_does_not_get_hold_of_another_stations_file) {
  start_gate();
  const Finished secret = make_finished({40'000});
  const OutboxEntry entry = commit(secret);
  start_link();
  ASSERT_TRUE(delivered(entry));
  RawPeer peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  Parcel claim = make_finished({1}).parcel;
  claim.stages[0].blobs[0] = secret.files[0].blob;
  peer.offer(envelope_of(claim, peer, 1), 1);
  const auto want = peer.receive();
  ASSERT_TRUE(want && want->header.type == MessageType::kWant);
  const auto missing = parse_body<sxp::Want>(*want);
  ASSERT_EQ(missing->missing_size(), 1);
  EXPECT_EQ(missing->missing(0).durable_offset(), 0U);
}

TEST_F(IntruderTest, the_newest_connection_of_a_station_counts) {
  start_gate();
  RawPeer first = rogue();
  first.hello();
  ASSERT_EQ(first.answer(), MessageType::kWelcome);
  RawPeer second = rogue();
  second.hello();
  ASSERT_EQ(second.answer(), MessageType::kWelcome);
  EXPECT_EQ(first.answer(), MessageType::kBye);
  EXPECT_TRUE(eventually([&] { return (*gate_)->counts().sessions == 1; }));
}

TEST_F(IntruderTest, half_files_of_an_older_offer_do_not_pile_up) {
  start_gate();
  RawPeer peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  for (unsigned i = 1; i <= 5; ++i) {
    const Finished finished = make_finished({100'000}, i);
    peer.offer(envelope_of(finished.parcel, peer, i), i);
    ASSERT_EQ(peer.answer(), MessageType::kWant);
    peer.chunk(finished.files[0].blob.sha256, peer.last_request(), 0, 1000);
    peer.send(empty_message(MessageType::kPing));
    ASSERT_EQ(peer.answer(), MessageType::kPong);
  }
  EXPECT_EQ(PosixFileSystem().list(gate_options_.folder / "part/rogue")->size(), 1U);
}

TEST_F(IntruderTest, a_store_that_accepts_and_never_answers_is_left_again_and_again) {
  zmq::socket_t hung(process_context(), zmq::socket_type::router);
  hung.set(zmq::sockopt::linger, 0);
  hung.set(zmq::sockopt::curve_server, true);
  hung.set(zmq::sockopt::curve_secretkey, store_keys_.secret_z85);
  hung.bind("tcp://127.0.0.1:*");
  link_options_.endpoint = hung.get(zmq::sockopt::last_endpoint);
  link_options_.progress_deadline = 200ms;
  const OutboxEntry entry = commit(make_finished({1000}));
  start_link();
  ASSERT_TRUE(eventually([&] { return (*link_)->status().problem == "no store answers"; }))
      << (*link_)->status().problem;
  EXPECT_EQ(state_of(entry), OutboxState::kReady);
}

// The library's own behaviour, so that an update which changes it is seen.
TEST_F(IntruderTest, a_gate_without_its_zap_handler_lets_nobody_in) {
  zmq::socket_t server(process_context(), zmq::socket_type::router);
  server.set(zmq::sockopt::linger, 0);
  server.set(zmq::sockopt::curve_server, true);
  server.set(zmq::sockopt::curve_secretkey, store_keys_.secret_z85);
  server.set(zmq::sockopt::zap_domain, "ingest");
  const int enforce = 1;
  ASSERT_EQ(zmq_setsockopt(server.handle(), 93, &enforce, sizeof enforce), 0);
  server.bind("tcp://127.0.0.1:*");
  RawPeer peer(server.get(zmq::sockopt::last_endpoint), station_keys_, store_keys_.public_z85);
  peer.hello();
  zmq::pollitem_t item{server.handle(), 0, ZMQ_POLLIN, 0};
  poll_items(&item, 1, 500ms);
  EXPECT_EQ(item.revents, 0) << "a message came through without a handler that vouches";
}

TEST_F(IntruderTest, room_that_is_promised_to_one_station_is_not_promised_to_another) {
  store_files_.set_free_bytes(gate_options_.min_free_bytes + 1'000'000);
  start_gate();
  auto peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  peer.offer(envelope_of(make_finished({900'000}).parcel, peer, 1), 1);
  ASSERT_EQ(peer.answer(), MessageType::kWant);
  const OutboxEntry entry = commit(make_finished({200'000}, 2));
  start_link();
  ASSERT_TRUE(eventually([&] {
    return held_because(entry).find("for what is arriving already") != std::string::npos;
  })) << held_because(entry);
  peer.send(empty_message(MessageType::kBye));
  EXPECT_TRUE(delivered(entry));
}

TEST_F(IntruderTest, a_key_that_gets_another_name_starts_anew) {
  start_gate();
  auto peer = rogue();
  peer.hello();
  ASSERT_EQ(peer.answer(), MessageType::kWelcome);
  write_stations("room-1 " + station_keys_.public_z85 + "\nroom-9 " + rogue_keys_.public_z85 +
                 "\n");
  EXPECT_EQ(peer.answer(), MessageType::kBye);
}

}  // namespace
}  // namespace cusp::delivery
