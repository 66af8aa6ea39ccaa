// The drill: back up, lose the store, restore; scrub and what it finds.
#include "records/backup.h"

#include <gmock/gmock.h>

#include <fstream>

#include "delivery/cas.h"
#include "records/upkeep.h"
#include "tests/records/store_fixture.h"

namespace cusp::records {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using namespace std::chrono_literals;

class Backup : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    backups_ = folder_ / "backups";
    restored_ = folder_ / "restored";
  }
  // Delivers a parcel whose files are there.
  delivery::Parcel deliver(std::uint64_t seq) {
    auto parcel = parcel_of(add_ticket(add_patient()).order, seq);
    for (auto& stage : parcel.stages)
      for (auto& blob : stage.blobs) {
        const std::string bytes = blob.role + std::to_string(seq) + to_string(stage.stage).data();
        blob.sha256 = delivery::sha256_hex(std::string_view(bytes));
        blob.size_bytes = bytes.size();
        write(delivery::cas_path(folder_, blob.sha256), bytes);
      }
    EXPECT_TRUE(commit(parcel).ok());
    return parcel;
  }
  static void write(const fs::path& path, const std::string& bytes) {
    fs::create_directories(path.parent_path());
    fs::remove(path);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  BackupReport back_up() {
    auto report = records::back_up(*store_, files_, clock_, folder_, backups_, {});
    EXPECT_TRUE(report.ok()) << report.error().message;
    clock_.advance(1s);
    return *report;
  }
  fs::path in_backup(const delivery::BlobRef& blob) {
    return delivery::cas_path(backups_, blob.sha256);
  }
  std::string hash_in(const fs::path& folder, const delivery::BlobRef& blob) {
    const auto hash = delivery::sha256_hex_of_file(delivery::cas_path(folder, blob.sha256));
    return hash.ok() ? *hash : hash.error().message;
  }
  Upkeep upkeep(UpkeepOptions options) {
    options.data_folder = folder_;
    return Upkeep(std::move(options), *store_, files_, clock_,
                  [this](Upkeep::Event event, const std::string& detail) {
                    events_.emplace_back(event, detail);
                  });
  }

  PosixFileSystem files_;
  fs::path backups_, restored_;
  std::vector<std::pair<Upkeep::Event, std::string>> events_;
};

TEST_F(Backup, RestoresToAStoreThatKnowsEverything) {
  const auto first = deliver(1);
  const auto second = deliver(2);
  const auto epoch = store_->store_epoch();
  const auto report = back_up();
  EXPECT_EQ(report.files, 6u);
  EXPECT_EQ(report.copied_files, 6u);
  store_.reset();
  const auto restored = restore(files_, clock_, backups_, "", restored_);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  EXPECT_EQ(restored->records, 2u);
  EXPECT_EQ(restored->lost_files, 0u);
  auto store = RecordsStore::open(restored_ / "records.db", clock_);
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_NE((*store)->store_epoch(), epoch) << "stations offer again what they hold";
  EXPECT_TRUE((*store)->check_audit().ok());
  for (const auto& parcel : {first, second}) {
    const auto known = (*store)->find_receipt(parcel.station_id, outbox_epoch_, parcel.outbox_seq);
    EXPECT_TRUE(known.ok() && known->has_value());
    for (const auto& blob : parcel.all_blobs()) EXPECT_EQ(hash_in(restored_, blob), blob.sha256);
  }
}

TEST_F(Backup, CopiesOnlyWhatIsNew) {
  deliver(1);
  back_up();
  deliver(2);
  const auto report = back_up();
  EXPECT_EQ(report.files, 6u);
  EXPECT_EQ(report.copied_files, 3u);
  EXPECT_THAT(*snapshots(files_, backups_), SizeIs(2));
}

TEST_F(Backup, AnOlderOneCanBeChosen) {
  deliver(1);
  const auto old = back_up();
  deliver(2);
  back_up();
  store_.reset();
  EXPECT_EQ(restore(files_, clock_, backups_, old.snapshot, restored_)->records, 1u);
}

TEST_F(Backup, NeverReplacesAStore) {
  deliver(1);
  back_up();
  const auto refused = restore(files_, clock_, backups_, "", folder_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
}

TEST_F(Backup, FilesThatItHasNotWholeAreAskedBack) {
  const auto parcel = deliver(1);
  back_up();
  const auto blobs = parcel.all_blobs();
  write(in_backup(blobs[0]), std::string(blobs[0].size_bytes, 'x'));
  fs::remove(in_backup(blobs[1]));
  store_.reset();
  const auto restored = restore(files_, clock_, backups_, "", restored_);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  EXPECT_EQ(restored->lost_files, 2u);
  EXPECT_FALSE(fs::exists(delivery::cas_path(restored_, blobs[0].sha256)));
  auto store = RecordsStore::open(restored_ / "records.db", clock_);
  EXPECT_THAT(*(*store)->damaged_deliveries(parcel.station_id, outbox_epoch_), ElementsAre(1));
}

TEST_F(Backup, ADamagedDatabaseIsRefused) {
  deliver(1);
  const auto report = back_up();
  {
    std::fstream file(backups_ / report.snapshot, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('!');
  }
  const auto refused = restore(files_, clock_, backups_, "", restored_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(fs::exists(restored_ / "records.db"));
  fs::remove(backups_ / (report.snapshot + ".sha256"));
  EXPECT_EQ(restore(files_, clock_, backups_, "", restored_).error().code, ErrorCode::kNotFound)
      << "one without its seal was never finished";
}

TEST_F(Backup, DamageOfTheStoreDoesNotReachIt) {
  const auto parcel = deliver(1);
  const auto blob = parcel.all_blobs()[0];
  write(delivery::cas_path(folder_, blob.sha256), std::string(blob.size_bytes, 'x'));
  EXPECT_EQ(back_up().damaged_files, 1u);
  EXPECT_FALSE(fs::exists(in_backup(blob)));
}

TEST_F(Backup, KeepsAFortnight) {
  deliver(1);
  for (std::size_t i = 0; i < kSnapshotsKept + 3; ++i) back_up();
  const auto kept = snapshots(files_, backups_);
  ASSERT_THAT(*kept, SizeIs(kSnapshotsKept));
  EXPECT_EQ(restore(files_, clock_, backups_, kept->front(), restored_)->files, 3u);
}

TEST_F(Backup, ScrubFindsWhatRottedAndGoesOnAfterARestart) {
  const auto parcel = deliver(1);
  const auto blobs = parcel.all_blobs();
  for (const auto& blob : {blobs[0], blobs[2]}) {
    const auto path = delivery::cas_path(folder_, blob.sha256);
    if (blob.sha256 == blobs[0].sha256)
      write(path, std::string(blob.size_bytes, 'x'));
    else
      fs::remove(path);
  }
  {
    Upkeep first = upkeep({});
    ASSERT_TRUE(first.scrub_next().ok());
    ASSERT_TRUE(first.scrub_next().ok());
  }
  Upkeep second = upkeep({});
  ASSERT_TRUE(second.scrub_next().ok());
  std::vector<std::string> found;
  for (const auto& [event, detail] : events_) {
    EXPECT_EQ(event, Upkeep::Event::kFileDamaged);
    found.push_back(detail);
  }
  EXPECT_THAT(found, testing::UnorderedElementsAre(blobs[0].sha256, blobs[2].sha256));
  EXPECT_THAT(*store_->damaged_deliveries(parcel.station_id, outbox_epoch_), ElementsAre(1));
  EXPECT_TRUE(fs::exists(folder_ / "damaged" / blobs[0].sha256)) << "kept to look at";
  EXPECT_FALSE(fs::exists(delivery::cas_path(folder_, blobs[0].sha256)));
}

TEST_F(Backup, ComesAtItsHour) {
  const auto at = [](int day, int hour, int minute) {
    std::tm local{};
    local.tm_year = 126;
    local.tm_mon = 10;
    local.tm_mday = day;
    local.tm_hour = hour;
    local.tm_min = minute;
    local.tm_isdst = -1;
    return std::chrono::system_clock::from_time_t(std::mktime(&local));
  };
  EXPECT_EQ(Upkeep::next_backup(at(24, 14, 30), 2), at(25, 2, 0));
  EXPECT_EQ(Upkeep::next_backup(at(25, 1, 59), 2), at(25, 2, 0));
  EXPECT_EQ(Upkeep::next_backup(at(25, 2, 0), 2), at(26, 2, 0));
}

TEST_F(Backup, IsMadeOnRequestWhileTheStoreIsUsed) {
  deliver(1);
  Upkeep none = upkeep({.scrub_days = 0});
  EXPECT_EQ(none.back_up_now().error().code, ErrorCode::kUnsupported);
  fs::create_directories(backups_);
  Upkeep busy = upkeep({.scrub_days = 0, .backup_folder = backups_});
  ASSERT_TRUE(busy.back_up().ok());
  EXPECT_FALSE(busy.status().last_backup_at.empty());
  EXPECT_EQ(events_.back().first, Upkeep::Event::kBackedUp);
  std::ofstream(folder_ / "plain") << "a file";
  Upkeep wrong = upkeep({.scrub_days = 0, .backup_folder = folder_ / "plain"});
  EXPECT_FALSE(wrong.back_up().ok());
  EXPECT_THAT(wrong.status().problem, HasSubstr("backup: "));
}

}  // namespace
}  // namespace cusp::records
