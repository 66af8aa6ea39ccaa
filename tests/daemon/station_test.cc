// The station from ticket to outbox, with the real driver, pipeline, worklist and outbox.
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "delivery/digest.h"
#include "pipeline/export.h"
#include "tests/daemon/station_fixture.h"

namespace cusp::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StationTest : public StationFixture {
 protected:
  void SetUp() override {
    StationFixture::SetUp();
    start_station();
  }
};

std::string message_of(const Result<void>& result) {
  return result.ok() ? "done" : result.error().message;
}

TEST_F(StationTest, TwoStagesBecomeASavedParcelWithTheirModels) {
  plug_in();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->claim(id, false).ok());
  EXPECT_EQ(state_of(id), TicketState::kClaimed);
  scan_stage(id, ScanStage::kUpper);

  const auto early = station_->models(id);
  ASSERT_TRUE(early.ok());
  ASSERT_EQ(early->size(), 1u) << "a finished stage is there before the ticket is";
  EXPECT_FALSE(early->front().saved);

  scan_stage(id, ScanStage::kLower);
  ASSERT_TRUE(station_->finish(id).ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));

  ASSERT_EQ(station_->outbox().size(), 1u);
  EXPECT_EQ(station_->outbox()[0].ticket_id, id);
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 2u);
  for (const ModelEntry& model : *models) {
    EXPECT_TRUE(model.saved);
    EXPECT_GT(model.statement.triangles, 1000u);
    EXPECT_GE(model.statement.frames, model.statement.frames_tracked);
    EXPECT_GE(model.statement.frames_tracked, 10u);
    ASSERT_TRUE(model.statement.quality.has_value());
    EXPECT_GE(model.statement.quality->grade, 2) << "a patch of a tooth is no jaw";
    EXPECT_FALSE(model.statement.quality->reasons.empty());
    EXPECT_GT(model.statement.quality->area_mm2, 100);
    ASSERT_EQ(model.paths.size(), 3u) << "nothing was smoothed, filled or decimated";
    for (std::size_t i = 0; i < model.paths.size(); ++i) {
      const auto sha256 = delivery::sha256_hex_of_file(model.paths[i]);
      ASSERT_TRUE(sha256.ok());
      EXPECT_EQ(*sha256, model.statement.blobs[i].sha256);
    }
    // The surface is where it was put: about 80 mm in front of the first frame.
    const auto stl = folder_ / "model.stl";
    std::filesystem::copy_file(model.paths[0], stl,
                               std::filesystem::copy_options::overwrite_existing);
    const auto mesh = read_mesh(stl);
    ASSERT_TRUE(mesh.ok()) << mesh.error().message;
    for (const auto& vertex : mesh->vertices_mm) {
      ASSERT_GT(vertex.z(), 68);
      ASSERT_LT(vertex.z(), 92);
    }
  }
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(folder_ / "data/sessions" / id); }))
      << "the stages' folder goes once the parcel is there";
  EXPECT_EQ(station_->session(), nullptr);
}

TEST_F(StationTest, PlacesAPreOperativeScanIntoItsJaw) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kPreopUpper, ScanStage::kUpper});
  scan_stage(id, ScanStage::kPreopUpper);
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish(id).ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 2u);
  EXPECT_FALSE((*models)[1].statement.placement.has_value());
  const auto& place = (*models)[0].statement.placement;
  ASSERT_TRUE(place.has_value()) << journal_;
  EXPECT_EQ(place->into, ScanStage::kUpper);
  for (const std::size_t diagonal : {0, 5, 10})  // the camera was not turned between them
    EXPECT_NEAR(place->into_from_stage[diagonal], 1, 0.01);
}

TEST_F(StationTest, SaysWhichModelDoesNotLieInTheOthers) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kPreopUpper, ScanStage::kUpper});
  scan_stage(id, ScanStage::kPreopUpper);
  another_surface_ = true;
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish(id).ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); })) << "it is saved all the same";
  EXPECT_FALSE((*station_->models(id))[0].statement.placement.has_value());
  EXPECT_THAT(journal_, HasSubstr("event=model_not_placed"));
  EXPECT_THAT(station_->notice(), HasSubstr("preop-upper"));
}

TEST_F(StationTest, SavesAJawOnABaseWhereThatIsAskedFor) {
  options_.model.base_mm = 3;
  restart_station();
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper, ScanStage::kBiteLeft});
  scan_stage(id, ScanStage::kUpper);
  scan_stage(id, ScanStage::kBiteLeft);
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  const auto based = [&](std::size_t stage) {
    const auto& blobs = (*models)[stage].statement.blobs;
    return std::ranges::find(blobs, "based", &delivery::BlobRef::role) - blobs.begin();
  };
  ASSERT_LT(based(0), std::ssize((*models)[0].statement.blobs)) << journal_;
  EXPECT_EQ(based(1), std::ssize((*models)[1].statement.blobs)) << "a bite scan is no jaw";
  EXPECT_FALSE((*models)[0].statement.anatomical_from_stage) << "a patch is no arch";
  const auto stl = folder_ / "based.stl";
  std::filesystem::copy_file((*models)[0].paths[static_cast<std::size_t>(based(0))], stl);
  const auto solid = read_mesh(stl);
  ASSERT_TRUE(solid.ok()) << solid.error().message;
  float farthest = 0;
  for (const auto& vertex : solid->vertices_mm) farthest = std::max(farthest, vertex.z());
  EXPECT_GT(farthest, 88) << "the base lies behind the surface, as the camera saw it";
}

TEST_F(StationTest, KeepsTheSurfaceAsItWasMeasuredBesideADecimatedModel) {
  options_.model.finish.target_triangles = 500;
  restart_station();
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 1u);
  const ModelEntry& model = models->front();
  ASSERT_EQ(model.statement.blobs.size(), 4u);
  EXPECT_EQ(model.statement.blobs[1].role, "model");
  EXPECT_EQ(model.statement.blobs[2].role, "original");
  EXPECT_EQ(model.statement.blobs[2].file_name, "upper-original.ply");
  EXPECT_LE(model.statement.triangles, 500u);
  EXPECT_GT(model.statement.blobs[2].size_bytes, 2 * model.statement.blobs[1].size_bytes);
}

TEST_F(StationTest, NothingOfThePatientLeavesTheWorklist) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish(id).ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_THAT(journal_, Not(HasSubstr("Ada")));
  EXPECT_THAT(journal_, Not(HasSubstr("1990")));
  station_.reset();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "data")) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("Ada")));
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with("worklist"))
      continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(bytes.find("Ada Quick"), std::string::npos) << entry.path();
  }
}

TEST_F(StationTest, NextStageStartsWhileTheLastOneIsProcessed) {
  plug_in();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kLower, "").ok()) << "no wait in between";
  ASSERT_TRUE(eventually(
      [&] { return has_frames(5) && stage_of(ScanStage::kUpper) == StageState::kDone; }));
  EXPECT_EQ(stage_of(ScanStage::kLower), StageState::kScanning);
}

TEST_F(StationTest, PauseClosesTheDeviceAndResumeGoesOnInTheSameVolume) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  EXPECT_TRUE(device_is("000000000001", DeviceStatus::kInUse));
  ASSERT_TRUE(station_->pause("").ok());
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  const auto paused_at = station_->scan()->counts.frames;
  EXPECT_EQ(state_of(id), TicketState::kPaused);
  EXPECT_THAT(message_of(station_->pause("")), HasSubstr("nothing is being scanned"));
  ASSERT_TRUE(station_->resume("").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->counts.frames > paused_at + 5; }));
  EXPECT_EQ(state_of(id), TicketState::kScanning);
}

TEST_F(StationTest, PulledCableInterruptsAndTheScanGoesOnWhenItIsBack) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  bus_.unplug(*scanner_.function);
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  EXPECT_THAT(station_->session()->stages()[0].problem, HasSubstr("not plugged in any more"));
  EXPECT_TRUE(station_->devices().empty());
  const auto before = station_->scan()->counts.tracked;
  EXPECT_GE(before, 10u) << "what was scanned is still there";
  bus_.plug(*scanner_.function, 2);
  ASSERT_TRUE(
      eventually([&] { return state_of(id) == TicketState::kScanning && has_frames(before + 5); }));
}

TEST_F(StationTest, ReturningScannerLeavesTheTicketsOfOtherPatientsAlone) {
  plug_in();
  auto other = make_scanner("000000000002");
  bus_.plug(*other.function, 2);
  ASSERT_TRUE(eventually([&] { return device_is("000000000002", DeviceStatus::kAvailable); }));
  const std::string first = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(first, ScanStage::kUpper, "000000000001").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  bus_.unplug(*scanner_.function);
  ASSERT_TRUE(eventually([&] { return state_of(first) == TicketState::kInterrupted; }));
  const std::string second = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(second, ScanStage::kUpper, "000000000002").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  ASSERT_TRUE(station_->pause("").ok());
  bus_.plug(*scanner_.function, 1);
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  turn();
  EXPECT_EQ(state_of(first), TicketState::kInterrupted);
  EXPECT_EQ(station_->session()->ticket().id, second);
  ASSERT_TRUE(station_->resume(first).ok()) << "the operator may";
  station_.reset();
}

TEST_F(StationTest, AnotherScannerDoesNotTakeOverAnInterruptedScan) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  bus_.unplug(*scanner_.function);
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  auto other = make_scanner("000000000002");
  bus_.plug(*other.function, 2);
  ASSERT_TRUE(eventually([&] { return device_is("000000000002", DeviceStatus::kAvailable); }));
  turn();
  EXPECT_EQ(state_of(id), TicketState::kInterrupted);
  station_.reset();
}

TEST_F(StationTest, ScannerThatComesBackWithAnotherCountOfDepthDoesNotGoOnWithTheStage) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  bus_.unplug(*scanner_.function);
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  const auto before = station_->scan()->counts.frames;
  scanner_.camera->set_advanced_depth_unit(1000);  // ten times its own
  bus_.plug(*scanner_.function, 2);
  ASSERT_TRUE(eventually([&] {
    return station_->session()->stages()[0].problem.find("redo the stage") != std::string::npos;
  }));
  EXPECT_THAT(station_->session()->stages()[0].problem, HasSubstr("its count of depth"));
  EXPECT_EQ(state_of(id), TicketState::kInterrupted);
  // What had waited in the queue, and no more.
  EXPECT_LE(station_->scan()->counts.frames, before + options_.frame_queue + 1);
}

TEST_F(StationTest, SilentCameraInterruptsWithAnAdvice) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  frames_ = 15;
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  EXPECT_THAT(station_->session()->stages()[0].problem, HasSubstr("plug it in again"));
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kError); }));
  EXPECT_THAT(device("000000000001").problem, HasSubstr("plug it in again"));
  ASSERT_TRUE(station_->finish_stage("").ok()) << "what there is can be finished";
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
}

TEST_F(StationTest, WhoFollowsTheAdviceGoesOnWithTheScan) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  frames_ = 15;
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  const std::uint64_t before = station_->scan()->counts.tracked;
  frames_ = 1'000'000;
  bus_.unplug(*scanner_.function);
  bus_.plug(*scanner_.function, 2);
  ASSERT_TRUE(
      eventually([&] { return state_of(id) == TicketState::kScanning && has_frames(before + 5); }));
  EXPECT_TRUE(device("000000000001").problem.empty());
}

TEST_F(StationTest, StageWithoutAFrameFailsAndCanBeRedone) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  frames_ = 0;
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->phase == ScanStatus::Phase::kRunning; }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kProcessingFailed; }));
  EXPECT_THAT(station_->session()->stages()[0].problem, HasSubstr("nothing was scanned"));
  ASSERT_TRUE(station_->retry("", ScanStage::kUpper).ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kProcessingFailed; }));
  frames_ = 1'000'000;
  ASSERT_TRUE(station_->redo("", ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
}

TEST_F(StationTest, MakingAModelCanBeAbortedAndDoneAgain) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  EXPECT_THAT(message_of(station_->abort(id, ScanStage::kUpper)), HasSubstr("is being made"));
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  EXPECT_EQ(station_->processed_share(ScanStage::kUpper), 0);
  ASSERT_TRUE(station_->abort("", ScanStage::kUpper).ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kFailed; }));
  EXPECT_TRUE(station_->models(id)->empty());
  ASSERT_TRUE(station_->retry("", ScanStage::kUpper).ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
  EXPECT_EQ(station_->models(id)->size(), 1u);
}

TEST_F(StationTest, WronglyBegunStageIsDiscarded) {
  plug_in();
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  frames_ = 0;
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kLower, "").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->phase == ScanStatus::Phase::kRunning; }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kLower) == StageState::kFailed; }));
  EXPECT_THAT(message_of(station_->finish("")), HasSubstr("discard it first"));
  ASSERT_TRUE(station_->discard("", ScanStage::kLower).ok());
  EXPECT_EQ(stage_of(ScanStage::kLower), StageState::kPending);
  // A redo that failed gives the earlier model back.
  ASSERT_TRUE(station_->redo("", ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->phase == ScanStatus::Phase::kRunning; }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kFailed; }));
  ASSERT_TRUE(station_->discard("", ScanStage::kUpper).ok());
  EXPECT_EQ(stage_of(ScanStage::kUpper), StageState::kDone);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_EQ(station_->models(id)->size(), 1u);
}

TEST_F(StationTest, CancelledRedoGoesBackToTheSavedRevision) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  EXPECT_THAT(message_of(station_->cancel(id)), HasSubstr("ticket " + id));
  EXPECT_TRUE(is_saved(state_of(id)));
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  ASSERT_TRUE(station_->cancel(id).ok());
  EXPECT_TRUE(is_saved(state_of(id)));
  EXPECT_EQ(station_->ticket(id)->ticket.revision, 1u);
  EXPECT_EQ(station_->models(id)->size(), 1u);
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "").ok()) << "and it can be redone again";
  EXPECT_EQ(station_->ticket(id)->ticket.revision, 2u);
}

// No file grows any more, as on a full disk.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(StationTest, WhatHasHappenedIsKnownEvenWhenTheWorklistCanNotBeWritten) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(10); }));
  {
    const FullDisk disk;
    bus_.unplug(*scanner_.function);
    ASSERT_TRUE(
        eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kInterrupted; }));
  }
  EXPECT_THAT(journal_, HasSubstr("event=worklist_failed ticket=" + id));
  EXPECT_EQ(station_->session()->state(), TicketState::kInterrupted);
}

TEST_F(StationTest, RedoReplacesTheStagesModelAlone) {
  plug_in();
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  scan_stage(id, ScanStage::kLower);
  const auto before = station_->models(id);
  ASSERT_TRUE(station_->redo("", ScanStage::kLower, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(20); }));
  EXPECT_EQ(station_->models(id)->size(), 2u) << "the old model counts until the new one is there";
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kLower) == StageState::kDone; }));
  const auto after = station_->models(id);
  ASSERT_EQ(after->size(), 2u);
  EXPECT_EQ((*after)[0].statement.blobs[0].sha256, (*before)[0].statement.blobs[0].sha256);
  EXPECT_NE((*after)[1].statement.blobs[0].sha256, (*before)[1].statement.blobs[0].sha256);
}

TEST_F(StationTest, RedoOfASavedTicketIsTheNextRevisionWithAllStages) {
  plug_in();
  const std::string id = make_ticket();
  scan_stage(id, ScanStage::kUpper);
  scan_stage(id, ScanStage::kLower);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  const auto redone = station_->redo(id, ScanStage::kUpper, "");
  ASSERT_TRUE(redone.ok()) << redone.error().message;
  ASSERT_TRUE(eventually([&] { return has_frames(15); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  ASSERT_EQ(station_->outbox().size(), 2u);
  const auto models = station_->models(id);
  ASSERT_EQ(models->size(), 4u);
  std::map<std::pair<unsigned, ScanStage>, std::string> hash;
  for (const ModelEntry& model : *models)
    hash[{model.revision, model.statement.stage}] = model.statement.blobs[0].sha256;
  EXPECT_EQ((hash[{1, ScanStage::kLower}]), (hash[{2, ScanStage::kLower}]));
  EXPECT_NE((hash[{1, ScanStage::kUpper}]), (hash[{2, ScanStage::kUpper}]));
}

TEST_F(StationTest, OneTicketIsScannedAtATime) {
  plug_in();
  const std::string first = make_ticket();
  const std::string second = make_ticket();
  ASSERT_TRUE(station_->start_scan(first, ScanStage::kUpper, "").ok());
  const auto refused = station_->start_scan(second, ScanStage::kUpper, "");
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr(first));
  EXPECT_EQ(state_of(second), TicketState::kCreated) << "a refused command changes nothing";
  ASSERT_TRUE(eventually([&] { return has_frames(5); }));
  ASSERT_TRUE(station_->pause(first).ok());
  ASSERT_TRUE(station_->start_scan(second, ScanStage::kUpper, "").ok()) << "an urgent patient";
  EXPECT_EQ(station_->session()->ticket().id, second);
  EXPECT_THAT(message_of(station_->resume(first)), HasSubstr(second));
  ASSERT_TRUE(station_->pause(second).ok());
  ASSERT_TRUE(station_->resume(first).ok());
  EXPECT_EQ(station_->session()->ticket().id, first);
}

TEST_F(StationTest, DevicesAreChosenBySerialWhenThereAreTwo) {
  plug_in();
  auto other = make_scanner("000000000002");
  bus_.plug(*other.function, 2);
  ASSERT_TRUE(eventually([&] { return device_is("000000000002", DeviceStatus::kAvailable); }));
  const std::string id = make_ticket();
  EXPECT_THAT(message_of(station_->start_scan(id, ScanStage::kUpper, "")),
              HasSubstr("say which: 000000000001, 000000000002"));
  EXPECT_THAT(message_of(station_->start_scan(id, ScanStage::kUpper, "x")),
              HasSubstr("not plugged in"));
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "000000000002").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  EXPECT_EQ(station_->scan()->device.serial, "000000000002");
  station_.reset();
}

TEST_F(StationTest, DeviceViewSaysWhoUsesItAndCountsItsFramesAlsoAfterTheScan) {
  plug_in();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  const DeviceEntry used = station_->devices().at(0);
  EXPECT_EQ(used.status, DeviceStatus::kInUse);
  EXPECT_EQ(used.user, "ticket " + id + ", stage upper");
  EXPECT_EQ(used.speed, UsbSpeed::kSuper);
  EXPECT_GE(used.counts.frames, 3u);
  ASSERT_TRUE(station_->pause(id).ok());
  ASSERT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  const DeviceEntry idle = station_->devices().at(0);
  EXPECT_EQ(idle.user, "");
  EXPECT_GE(idle.counts.frames, used.counts.frames);
  EXPECT_EQ(idle.bytes_per_second, 0);
}

TEST_F(StationTest, FramesThatNobodyHadTimeForStayInTheDeviceView) {
  realsense_d400::EmulatorOptions hasty;
  hasty.serial = "000000000009";
  hasty.depth = small_camera();
  hasty.real_time = false;
  const auto scanner = realsense_d400::make_emulator(
      hasty, [](std::uint64_t index, auto z16) { return bumpy_frame(index, z16); });
  bus_.plug(*scanner.function, 3);
  ASSERT_TRUE(eventually([&] { return device_is("000000000009", DeviceStatus::kAvailable); }));
  const std::string id = make_ticket({ScanStage::kUpper});
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->counts.dropped > 20; }));
  EXPECT_GT(device("000000000009").dropped, 20u);
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
  EXPECT_TRUE(device_is("000000000009", DeviceStatus::kAvailable));
  const auto models = station_->models(id);
  ASSERT_TRUE(models.ok());
  EXPECT_EQ(device("000000000009").dropped, models->front().statement.frames_dropped);
  station_.reset();
}

TEST_F(StationTest, WithoutADeviceOrSpaceNoScanStarts) {
  const std::string id = make_ticket();
  const auto none = station_->start_scan(id, ScanStage::kUpper, "");
  EXPECT_EQ(none.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(state_of(id), TicketState::kCreated);
  station_.reset();
  options_.reserve_bytes = std::uint64_t{1} << 60;
  start_station();
  plug_in();
  EXPECT_EQ(station_->start_scan(id, ScanStage::kUpper, "").error().code, ErrorCode::kNoSpace);
}

TEST_F(StationTest, DeviceThatCanNotBeOpenedSaysWhyAndIsTriedAgain) {
  bus_.deny(true);
  bus_.plug(*scanner_.function, 1);
  ASSERT_TRUE(eventually([&] {
    return station_->devices().size() == 1 &&
           station_->devices()[0].status == DeviceStatus::kUnavailable;
  }));
  EXPECT_THAT(station_->devices()[0].problem, HasSubstr("udev rule"));
  EXPECT_THAT(message_of(station_->start_scan(make_ticket(), ScanStage::kUpper, "")),
              HasSubstr("udev rule"));
  bus_.deny(false);
  EXPECT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
}

TEST_F(StationTest, ModeThatTheDeviceLacksInterruptsWithItsModes) {
  station_.reset();
  options_.profiles["default"].mode = {111, 99, 30};
  start_station();
  plug_in();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  EXPECT_THAT(station_->session()->stages()[0].problem, HasSubstr("320x240"));
}

TEST_F(StationTest, FullVolumeInterruptsAndKeepsWhatIsThere) {
  station_.reset();
  options_.profiles["default"].reconstruction.max_volume_bytes = 1 << 20;
  options_.profiles["default"].reconstruction.voxel_mm = 0.1;
  start_station();
  plug_in();
  const std::string id = make_ticket();
  ASSERT_TRUE(station_->start_scan(id, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return state_of(id) == TicketState::kInterrupted; }));
  EXPECT_FALSE(station_->session()->stages()[0].problem.empty());
}

TEST_F(StationTest, CancelThrowsEverythingAwayInEveryState) {
  plug_in();
  const auto is_gone = [&](const std::string& id) {
    return state_of(id) == TicketState::kCancelled &&
           !std::filesystem::exists(folder_ / "data/sessions" / id);
  };
  const std::string created = make_ticket();
  ASSERT_TRUE(station_->cancel(created).ok());
  EXPECT_TRUE(eventually([&] { return is_gone(created); }));

  const std::string scanning = make_ticket();
  ASSERT_TRUE(station_->start_scan(scanning, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(station_->cancel(scanning).ok()) << "while the device is being opened";
  EXPECT_TRUE(eventually([&] { return is_gone(scanning); }));

  const std::string paused = make_ticket();
  scan_stage(paused, ScanStage::kUpper);
  ASSERT_TRUE(station_->start_scan(paused, ScanStage::kLower, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  ASSERT_TRUE(station_->pause("").ok());
  ASSERT_TRUE(station_->cancel(paused).ok());
  EXPECT_TRUE(eventually([&] { return is_gone(paused); }));

  const std::string processing = make_ticket();
  ASSERT_TRUE(station_->start_scan(processing, ScanStage::kUpper, "").ok());
  ASSERT_TRUE(eventually([&] { return has_frames(3); }));
  ASSERT_TRUE(station_->finish_stage("").ok());
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(station_->cancel(processing).ok());
  EXPECT_TRUE(eventually([&] { return is_gone(processing); }));
  EXPECT_TRUE(station_->outbox().empty());
  EXPECT_TRUE(eventually([&] { return device_is("000000000001", DeviceStatus::kAvailable); }));
  EXPECT_THAT(message_of(station_->cancel(processing)), HasSubstr("at its end"));
}

TEST_F(StationTest, ATicketThatAnotherStationHoldsNeedsInsisting) {
  station_.reset();
  ScanTicket ticket;
  ticket.id = new_uuid();
  ticket.doctor = "Dr. Quick";
  ticket.stages = {ScanStage::kUpper};
  {
    auto worklist = delivery::Worklist::open(options_.data_folder / "worklist.db");
    ASSERT_TRUE(worklist.ok());
    ASSERT_TRUE(
        (*worklist)
            ->apply({1, ticket, true, delivery::Hold{"chair-2", "2026-01-31T09:00:00.000Z"}})
            .ok());
  }
  restart_station();
  plug_in();
  const auto refused = station_->claim(ticket.id, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("station chair-2 works on it since 2026-01-31"));
  EXPECT_THAT(message_of(station_->start_scan(ticket.id, ScanStage::kUpper, "")),
              HasSubstr("chair-2"));
  EXPECT_EQ(state_of(ticket.id), TicketState::kCreated);
  ASSERT_TRUE(station_->claim(ticket.id, true).ok());
  EXPECT_EQ(state_of(ticket.id), TicketState::kClaimed);
  EXPECT_TRUE(station_->start_scan(ticket.id, ScanStage::kUpper, "").ok());
}

TEST_F(StationTest, ADeliveryWhoseFilesWentIsNotRedoneWithoutItsOtherStages) {
  plug_in();
  const std::string id = make_ticket({ScanStage::kUpper});
  scan_stage(id, ScanStage::kUpper);
  ASSERT_TRUE(station_->finish("").ok());
  ASSERT_TRUE(eventually([&] { return is_saved(state_of(id)); }));
  station_.reset();
  {
    auto outbox = delivery::Outbox::open(options_.data_folder / "outbox", options_.station_id,
                                         files_, clock_);
    ASSERT_TRUE(outbox.ok());
    const auto entry = (*outbox)->find(id, 1);
    const auto sha256 = delivery::sha256_hex(*(*outbox)->envelope(entry->seq));
    ASSERT_TRUE((*outbox)
                    ->mark_delivered(entry->seq, {id, 1, 7, sha256, "2026-01-31T09:20:00.000Z", ""})
                    .ok());
    ASSERT_TRUE((*outbox)->remove_files(entry->seq).ok());
  }
  restart_station();
  EXPECT_EQ(state_of(id), TicketState::kDelivered);
  EXPECT_TRUE(station_->models(id)->empty());
  const auto refused = station_->redo(id, ScanStage::kUpper, "");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("delivered on 2026-01-31"));
}

TEST_F(StationTest, CommandsOnUnknownTicketsAreRefused) {
  const std::string unknown = new_uuid();
  EXPECT_EQ(station_->claim(unknown, false).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(station_->claim("../../etc", false).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(station_->start_scan(unknown, ScanStage::kUpper, "").error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(station_->models(unknown).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(message_of(station_->pause("")), HasSubstr("no ticket is worked on"));
  EXPECT_THAT(message_of(station_->finish("")), HasSubstr("no ticket is worked on"));
}

}  // namespace
}  // namespace cusp::daemon
