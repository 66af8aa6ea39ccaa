// A clinic of one store and one station on loopback.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/delivery/running.h"
#include "tests/delivery/samples.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {

class LinkTest : public testing::Test {
 protected:
  LinkTest() {
    write_stations("room-1 " + station_keys_.public_z85 + "\n");
    auto outbox = Outbox::open(folder_ / "outbox", "room-1", station_files_, clock_);
    auto worklist = Worklist::open(folder_ / "worklist.db");
    EXPECT_TRUE(outbox.ok() && worklist.ok());
    outbox_ = std::move(*outbox);
    worklist_ = std::move(*worklist);
    gate_options_.endpoint = "tcp://127.0.0.1:*";
    gate_options_.folder = folder_ / "store";
    gate_options_.keys = store_keys_;
    gate_options_.stations_file = folder_ / "stations";
    gate_options_.min_free_bytes = 1 << 20;
    gate_options_.retry_after = std::chrono::milliseconds(50);
    link_options_.station_id = "room-1";
    link_options_.software_version = "0.1.0";
    link_options_.keys = station_keys_;
    link_options_.store_public_z85 = store_keys_.public_z85;
    link_options_.heartbeat = std::chrono::milliseconds(200);
    link_options_.progress_deadline = std::chrono::milliseconds(5000);
    link_options_.retry_min = std::chrono::milliseconds(20);
    link_options_.retry_max = std::chrono::milliseconds(100);
  }

  void write_stations(const std::string& text) {
    const std::string fresh = (folder_ / "stations.new").string();
    std::ofstream(fresh) << text;
    std::filesystem::rename(fresh, folder_ / "stations");
  }

  // The first one takes a free port, the later ones the same.
  void start_gate() {
    gate_.emplace(gate_options_, store_, store_files_);
    gate_options_.endpoint = (*gate_)->endpoint();
    link_options_.endpoint = gate_options_.endpoint;
  }
  void stop_gate() { gate_.reset(); }
  void start_link() { link_.emplace(link_options_, *outbox_, *worklist_); }
  void stop_link() { link_.reset(); }

  OutboxEntry commit(const Finished& finished) {
    auto entry = outbox_->commit(finished.parcel, finished.files);
    EXPECT_TRUE(entry.ok()) << entry.error().message;
    if (link_) (*link_)->wake();
    return *entry;
  }
  OutboxState state_of(const OutboxEntry& entry) {
    return outbox_->find(entry.ticket_id, entry.revision)->state;
  }
  bool delivered(const OutboxEntry& entry) {
    return eventually([&] { return state_of(entry) == OutboxState::kDelivered; });
  }
  bool parked(const OutboxEntry& entry) {
    return eventually([&] { return state_of(entry) == OutboxState::kParked; });
  }
  std::string held_because(const OutboxEntry& entry) {
    return outbox_->find(entry.ticket_id, entry.revision)->held_because;
  }
  void expect_in_cas(const Finished& finished) {
    for (const OutboxFile& file : finished.files)
      EXPECT_EQ(*sha256_hex_of_file(cas_path(gate_options_.folder, file.blob.sha256)),
                file.blob.sha256);
  }

  fakes::TempFolder folder_;
  const KeyPair station_keys_ = make_key_pair();
  const KeyPair store_keys_ = make_key_pair();
  SystemClock clock_;
  PosixFileSystem station_files_;
  fakes::FaultyFileSystem store_files_;
  fakes::MemoryDeliveryStore store_;
  StoreGateOptions gate_options_;
  StationLinkOptions link_options_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Worklist> worklist_;
  std::optional<RunningGate> gate_;
  std::optional<RunningLink> link_;
};

}  // namespace cusp::delivery
