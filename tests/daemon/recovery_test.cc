// What a restart finds: after a stop, and after a crash that left worklist, sessions and outbox at
// odds.
#include <fstream>

#include "delivery/digest.h"
#include "tests/daemon/station_fixture.h"

namespace cusp::daemon {
namespace {

using ::testing::HasSubstr;

class Recovery : public StationFixture {
 protected:
  void SetUp() override {
    StationFixture::SetUp();
    start_station();
    plug_in();
  }
  // As a crash would leave it: the state in the worklist, without the station's good-bye.
  void force_state(const std::string& id, TicketState state) {
    station_.reset();
    auto worklist = delivery::Worklist::open(options_.data_folder / "worklist.db");
    ASSERT_TRUE(worklist.ok()) << worklist.error().message;
    ASSERT_TRUE((*worklist)->set_state(id, state, 1).ok());
  }
};

TEST_F(Recovery, StopInAScanLeavesAnInterruptedTicketWithItsFinishedStages) {
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kLower, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  restart_station();
  EXPECT_EQ(state_of(id), TicketState::kInterrupted);
  ASSERT_NE(station_->session(), nullptr);
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kDone);
  EXPECT_EQ(stage_of(ScanStage::kLower), StageState::kInterrupted);
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  // Goes on with what was scanned before.
  const std::uint64_t before = station_->scan()->counts.frames;
  EXPECT_GE(before, 1u);
  ASSERT_TRUE(station_->resume("").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->counts.frames >= before + 5; }));
  ASSERT_TRUE(
      eventually([&] { return station_->scan()->counts.verdict == PoseVerdict::kTracked; }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kLower) == StageState::kDone; }));
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_EQ(station_->models(id)->size(), 2u);
}

TEST_F(Recovery, AScanThatWasCutOffBecomesAModelWithoutItsDevice) {
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(15); }));
  force_state(id, TicketState::kScanning);
  start_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kInterrupted);
  ASSERT_TRUE(station_->finish_stage(id).ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_EQ(station_->models(id)->front().statement.frames > 0, true);
}

TEST_F(Recovery, AFinishedStageIsGoneOnWith) {
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  const auto earlier = station_->models(id)->front().statement;
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "", ScanStage::kUpper).ok());
  const std::uint64_t kept = station_->scan()->counts.frames;
  EXPECT_GE(kept, 10u) << "it begins with the frames that were kept";
  ASSERT_TRUE(eventually([&] { return station_->scan()->counts.frames >= kept + 5; }));
  restart_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kDone) << "the earlier model is still there";
  EXPECT_EQ(station_->models(id)->front().statement.blobs[0].sha256, earlier.blobs[0].sha256);
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "", ScanStage::kUpper).ok());
  ASSERT_TRUE(eventually([&] { return has_frames(kept + 15); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
  EXPECT_GE(station_->models(id)->front().statement.frames, kept + 15);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  const auto gone = station_->redo(id, ScanStage::kUpper, "", ScanStage::kUpper);
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(state_of(id), TicketState::kReady) << "a refused command changes nothing";
}

TEST_F(Recovery, AStageBeginsAsACopyOfAnotherAndIsTakenUpAfterACrash) {
  const std::string id = make_ticket({ScanStage::kPreopUpper, ScanStage::kUpper});
  const auto unscanned = station_->start_scan(id, ScanStage::kUpper, "", ScanStage::kPreopUpper);
  ASSERT_FALSE(unscanned.ok());
  EXPECT_EQ(unscanned.error().code, ErrorCode::kConflict);
  scan_stage(id, ScanStage::kPreopUpper);
  const auto before = station_->models(id)->front().statement;
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "", ScanStage::kPreopUpper).ok());
  const std::uint64_t kept = station_->scan()->counts.frames;
  EXPECT_GE(kept, 10u);
  ASSERT_TRUE(eventually([&] { return station_->scan()->counts.frames >= kept + 5; }));
  force_state(id, TicketState::kScanning);
  start_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kInterrupted);
  EXPECT_GT(station_->scan()->counts.frames, kept) << "copy and what was added";
  ASSERT_TRUE(station_->finish_stage(id).ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
  const auto models = station_->models(id);
  ASSERT_EQ(models->size(), 2u);
  for (const ModelEntry& model : *models)
    if (model.statement.stage == ScanStage::kPreopUpper) {
      EXPECT_EQ(model.statement.blobs[0].sha256, before.blobs[0].sha256);
    }
}

TEST_F(Recovery, AScanWithoutAJournalSaysThatItWouldNotSurviveAndGoesOn) {
  const std::string id = make_ticket({ScanStage::kUpper});
  std::filesystem::create_directories(options_.data_folder / "sessions" / id);
  std::ofstream(options_.data_folder / "sessions" / id / "journals") << "in the way";
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  EXPECT_THAT(station_->scan()->journal_problem, HasSubstr("journals"));
  EXPECT_THAT(journal_, HasSubstr("event=journal_failed"));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
}

TEST_F(Recovery, AJournalThatCannotBeReadBeginsTheStageAnew) {
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  force_state(id, TicketState::kScanning);
  for (const auto& file :
       std::filesystem::directory_iterator(options_.data_folder / "sessions" / id / "journals"))
    std::ofstream(file.path()) << "no journal";
  start_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kPending);
}

TEST_F(Recovery, StopWhileAModelIsMadeKeepsTheModel) {
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  restart_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kDone);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
}

TEST_F(Recovery, EveryUnfinishedStateComesBackInterrupted) {
  for (const TicketState state :
       {TicketState::kScanning, TicketState::kPaused, TicketState::kProcessing}) {
    const std::string id = make_ticket();
    force_state(id, state);
    start_station();
    EXPECT_EQ(state_of(id), TicketState::kInterrupted) << to_string(state);
    ASSERT_TRUE(station_->cancel(id).ok());
  }
}

TEST_F(Recovery, ClaimedTicketsStayClaimed) {
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->claim(id, false).ok());
  restart_station();
  EXPECT_EQ(state_of(id), TicketState::kClaimed);
  ASSERT_TRUE(station_->release(id).ok());
}

TEST_F(Recovery, ParcelThatWasCommittedBeforeTheCrashHealsTheTicket) {
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  force_state(id, TicketState::kProcessing);
  start_station();
  EXPECT_EQ(state_of(id), TicketState::kReady);
  EXPECT_EQ(station_->session(), nullptr) << "nothing is left to be done";
  EXPECT_EQ(station_->outbox().size(), 1u);
}

TEST_F(Recovery, CrashAfterARedoKeepsTheOtherStagesOfTheSavedTicket) {
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  scan_stage(id, ScanStage::kLower);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "").ok());
  station_.reset();
  // The crash came before the finish thread had brought anything back.
  std::filesystem::remove_all(folder_ / "data/sessions" / id);
  start_station();
  EXPECT_EQ(state_of(id), TicketState::kInterrupted);
  EXPECT_EQ(stage_of(ScanStage::kLower), StageState::kDone);
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(15); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_EQ(station_->models(id)->size(), 4u) << "two stages in each of two revisions";
}

TEST_F(Recovery, DamagedStageIsMadeAgainFromItsJournalAndTheOthersStay) {
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  scan_stage(id, ScanStage::kLower);
  const auto models = station_->models(id);
  ASSERT_EQ(models->size(), 2u);
  std::fstream file((*models)[0].paths[0], std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(200);
  file.put('\x5A');
  file.close();
  restart_station();
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kInterrupted);
  EXPECT_EQ(stage_of(ScanStage::kLower), StageState::kDone);
  EXPECT_THAT(journal_, HasSubstr("do not match"));
  ASSERT_TRUE(station_->finish_stage(id).ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
}

TEST_F(Recovery, ModelThatVanishesBeforeSavingIsNotDelivered) {
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  std::filesystem::remove(station_->models(id)->front().paths[1]);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kProcessingFailed; }));
  EXPECT_TRUE(station_->outbox().empty());
  EXPECT_THAT(journal_, HasSubstr("event=save_failed"));
  ASSERT_TRUE(station_->redo("", ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
}

TEST_F(Recovery, MissingKeysStopTheStartWithTheFilesName) {
  station_.reset();
  std::filesystem::remove(folder_ / "store.public");
  const auto refused = Station::start(
      options_, {"", ""}, {bus_, files_, clock_, [](auto) {}, [](bool, const auto&) {}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("store.public"));
}

}  // namespace
}  // namespace cusp::daemon
