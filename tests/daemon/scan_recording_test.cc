// A scan that cuspd recorded gives the same model again, bit for bit.
#include <sys/wait.h>

#include <cstdio>
#include <fstream>

#include "core/check.h"
#include "daemon/api_json.h"
#include "daemon/control_api.h"
#include "delivery/digest.h"
#include "tests/daemon/station_fixture.h"
#include "tests/drivers/recording_fixture.h"
#include "tools/cuspctl/replay.h"

namespace cusp::daemon {
namespace {

using recording::Capture;
using recording::RecordingEntry;

class RecordedScan : public StationFixture {
 protected:
  void SetUp() override {
    StationFixture::SetUp();
    // Frames are drawn beforehand and come four at once, of which the queue holds two.
    std::vector<std::uint16_t> z16(static_cast<std::size_t>(kWidthPx) * kHeightPx);
    for (std::uint64_t i = 0; i <= 60; ++i) bumpy_frame(i, z16);
    realsense_d400::EmulatorOptions options;
    options.serial = "000000000001";
    options.depth = small_camera();
    options.max_rate_hz = 30;
    options.real_time = false;
    scanner_ = realsense_d400::make_emulator(options, [](std::uint64_t index, auto pixels) {
      if (index % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return bumpy_frame(index, pixels);
    });
  }

  void begin(const std::string& ticket) {
    const auto started = station_->start_scan(ticket, ScanStage::kUpper, "");
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // Until so many frames more are in the volume.
  void scan_frames(std::uint64_t more) {
    const std::uint64_t now = station_->scan()->counts.tracked;
    ASSERT_TRUE(eventually([&] { return has_frames(now + more); }));
  }
  // What is said of the finished model.
  delivery::StageStatement finish_stage() {
    CUSP_CHECK(station_->finish_stage("").ok(), "a stage can be finished");
    EXPECT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kDone; }));
    const auto models = station_->models("");
    CUSP_CHECK(models.ok() && models->size() == 1, "one model");
    return models->front().statement;
  }
  static std::string ply_sha256(const delivery::StageStatement& statement) {
    for (const auto& blob : statement.blobs)
      if (blob.file_name == "upper.ply") return blob.sha256;
    return "no model";
  }
  std::shared_ptr<const Capture> recorded() {
    const auto entries = station_->recordings();
    CUSP_CHECK(entries.size() == 1, "one recording");
    EXPECT_EQ(entries[0].state, RecordingEntry::State::kWhole);
    const auto capture = Capture::open(entries[0].path);
    CUSP_CHECK(capture.ok(), "a recording can be read");
    return *capture;
  }
  void expect_replays_to(const delivery::StageStatement& live, bool real_time, int threads) {
    cuspctl::ReplayWish wish;
    wish.real_time = real_time;
    wish.threads = threads;
    const auto replayed = cuspctl::replay_scan(recorded(), wish);
    ASSERT_TRUE(replayed.ok()) << replayed.error().message;
    EXPECT_EQ(replayed->frames, live.frames) << replayed->ended;
    EXPECT_EQ(replayed->missing, 0U);
    EXPECT_GT(replayed->skipped, 0U);
    EXPECT_EQ(replayed->mesh_sha256, ply_sha256(live));
    EXPECT_EQ(replayed->recorded_sha256, ply_sha256(live));
    EXPECT_EQ(replayed->counts.tracked, live.frames_tracked);
    EXPECT_EQ(replayed->device.serial, "000000000001");
  }
};

TEST_F(RecordedScan, ReplaysToTheSameModelAtAnySpeedAlthoughFramesWereDropped) {
  start_station();
  plug_in();
  begin(make_ticket());
  scan_frames(15);
  const delivery::StageStatement live = finish_stage();
  EXPECT_GT(live.frames_dropped, 0U);
  expect_replays_to(live, false, 2);
  expect_replays_to(live, false, 1);
  expect_replays_to(live, true, 2);
}

// What a command printed, and its exit code.
std::pair<std::string, int> run(const std::string& command) {
  std::string output;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  CUSP_CHECK(pipe != nullptr, "a command can be run");
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  const int status = ::pclose(pipe);
  return {output, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST_F(RecordedScan, IsReplayedAndComparedByCuspctl) {
  start_station();
  plug_in();
  begin(make_ticket());
  scan_frames(5);
  const delivery::StageStatement live = finish_stage();
  const std::string cuspctl = CUSPCTL_PATH " ";
  const std::string file = recorded()->path().string();
  const std::string ply = (folder_ / "again.ply").string();

  const auto [list, listed] = run(cuspctl + "replay --list " + file);
  EXPECT_EQ(listed, 0) << list;
  EXPECT_THAT(list, testing::HasSubstr("8086:0b5b 000000000001"));
  EXPECT_THAT(list, testing::HasSubstr("stage upper"));
  EXPECT_THAT(list, testing::HasSubstr(ply_sha256(live)));

  const auto [text, replayed] = run(cuspctl + "replay " + file + " --out " + ply);
  EXPECT_EQ(replayed, 0) << text;
  EXPECT_THAT(text, testing::HasSubstr("the very model"));
  const auto written = delivery::sha256_hex_of_file(ply);
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(*written, ply_sha256(live));

  const auto [broken, refused] = run(cuspctl + "replay " + ply);
  EXPECT_EQ(refused, 1) << broken;
  EXPECT_THAT(broken, testing::HasSubstr("no capture file"));
}

TEST_F(RecordedScan, ReplaysOverAPauseAndAPulledCable) {
  start_station();
  plug_in();
  begin(make_ticket());
  scan_frames(8);
  ASSERT_TRUE(station_->pause("").ok());
  ASSERT_TRUE(eventually([&] { return station_->scan()->phase == ScanStatus::Phase::kHeld; }));
  ASSERT_TRUE(station_->resume("").ok());
  scan_frames(8);
  bus_.unplug(*scanner_.function);
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kInterrupted; }));
  bus_.plug(*scanner_.function, 2);
  ASSERT_TRUE(eventually([&] { return stage_of(ScanStage::kUpper) == StageState::kScanning; }));
  scan_frames(8);
  const delivery::StageStatement live = finish_stage();
  EXPECT_EQ(recorded()->openings().size(), 3U);
  expect_replays_to(live, false, 2);
}

TEST_F(RecordedScan, ItsFileIsServedOnceItIsWhole) {
  start_station();
  plug_in();
  begin(make_ticket());
  const http::Router router = make_control_router(*station_);
  const auto ask = [&](const std::string& id) {
    http::Request request;
    request.method = "GET";
    request.path = "/api/v1/recordings/" + id + "/file";
    return router.route(std::move(request));
  };
  const std::string id = station_->recordings().at(0).id;
  EXPECT_EQ(ask(id).status, 409u) << "it still grows";
  scan_frames(3);
  finish_stage();
  const http::Response whole = ask(id);
  EXPECT_EQ(whole.status, 200u);
  EXPECT_EQ(whole.file, station_->recordings().at(0).path);
  EXPECT_EQ(ask("20200101T000000Z-none-upper").status, 404u);
}

TEST_F(RecordedScan, GoesWithWhatIsThrownAway) {
  start_station();
  plug_in();
  const std::string cancelled = make_ticket();
  begin(cancelled);
  scan_frames(2);
  EXPECT_EQ(station_->recordings().size(), 1U);
  ASSERT_TRUE(station_->cancel(cancelled).ok());
  EXPECT_TRUE(eventually([&] { return station_->recordings().empty(); }));

  const std::string id = make_ticket();
  begin(id);
  scan_frames(3);
  finish_stage();
  const std::string first = station_->recordings().at(0).id;
  // A redo takes the place of the first scan when its model is there, not before.
  ASSERT_TRUE(station_->redo(id, ScanStage::kUpper, "").ok());
  EXPECT_EQ(station_->recordings().size(), 2U);
  scan_frames(3);
  finish_stage();
  EXPECT_TRUE(eventually([&] { return station_->recordings().size() == 1; }));
  EXPECT_NE(station_->recordings().at(0).id, first);
  ASSERT_TRUE(station_->cancel(id).ok());
  EXPECT_TRUE(eventually([&] { return station_->recordings().empty(); }));
}

TEST_F(RecordedScan, IsKeptWithTheModelThatIsSaved) {
  start_station();
  plug_in();
  const std::string id = make_ticket();
  begin(id);
  scan_frames(3);
  finish_stage();
  ASSERT_TRUE(station_->finish(id).ok());
  ASSERT_TRUE(eventually([&] { return !station_->outbox().empty(); }));
  EXPECT_EQ(station_->recordings().size(), 1U);
}

TEST_F(RecordedScan, IsListedWithoutAWordAboutThePatient) {
  start_station();
  plug_in();
  const std::string id = make_ticket();
  begin(id);
  EXPECT_THAT(recordings_json(*station_), testing::HasSubstr("\"running\""));
  scan_frames(3);
  finish_stage();
  const std::string json = recordings_json(*station_);
  EXPECT_THAT(json, testing::HasSubstr("\"whole\""));
  EXPECT_THAT(json, testing::HasSubstr("\"upper\""));
  EXPECT_THAT(json, testing::HasSubstr("000000000001"));
  const auto capture = recorded();
  std::ifstream file(capture->path(), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  for (const char* secret : {"Ada", "Quick", "1990-12-10", "p-1"}) {
    EXPECT_THAT(json, testing::Not(testing::HasSubstr(secret)));
    for (const std::string& note : capture->notes())
      EXPECT_THAT(note, testing::Not(testing::HasSubstr(secret)));
  }
  EXPECT_EQ(bytes.find("Ada"), std::string::npos);
  EXPECT_EQ(bytes.find(id), std::string::npos);
}

TEST_F(RecordedScan, IsScannedAllTheSameWhenItCanNotBeRecorded) {
  start_station();
  plug_in();
  std::filesystem::remove_all(options_.data_folder / "recordings");
  const std::string id = make_ticket();
  begin(id);
  EXPECT_THAT(journal_, testing::HasSubstr("event=recording_failed"));
  scan_frames(3);
  EXPECT_EQ(ply_sha256(finish_stage()).size(), 64U);
  EXPECT_TRUE(station_->recordings().empty());
}

TEST_F(RecordedScan, IsNotRecordedWhenRecordingsAreOff) {
  options_.max_recordings_bytes = 0;
  start_station();
  plug_in();
  begin(make_ticket());
  scan_frames(3);
  EXPECT_EQ(ply_sha256(finish_stage()).size(), 64U);
  EXPECT_FALSE(std::filesystem::exists(options_.data_folder / "recordings"));
}

// Of another program's capture, in which nothing but the address tells two cameras apart.
TEST(ForeignCaptureOfTwoCameras, ReplaysTheOneThatWasAskedForAlone) {
  const fakes::TempFolder folder;
  recording::ForeignCapture made;
  made.plug_in(recording::some_device(), recording::some_config());
  made.address = {2, 9};
  made.plug_in(recording::some_device(), recording::some_config());
  recording::save(folder / "two.pcapng", made.bytes());
  const auto capture = Capture::open(folder / "two.pcapng");
  ASSERT_TRUE(capture.ok());
  EXPECT_EQ(*cuspctl::openings_of(**capture, "2:7"), (std::vector<std::size_t>{0}));
  EXPECT_EQ(*cuspctl::openings_of(**capture, "2:9"), (std::vector<std::size_t>{1}));
  EXPECT_EQ(*cuspctl::openings_of(**capture, ""), (std::vector<std::size_t>{0}));
  EXPECT_EQ(cuspctl::openings_of(**capture, "2:8").error().code, ErrorCode::kNotFound);

  // Descriptors are one device's: cuspctl asks which one's.
  const std::string file = (folder / "two.pcapng").string();
  const auto [said, code] = run(CUSPCTL_PATH " replay " + file + " --descriptors " + file);
  EXPECT_EQ(code, 2) << said;
  EXPECT_THAT(said, testing::HasSubstr("--device"));
}

}  // namespace
}  // namespace cusp::daemon
