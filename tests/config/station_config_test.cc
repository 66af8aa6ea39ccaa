#include "config/station_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace cusp::config {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class StationConfig : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("cusp-config-{}", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<daemon::Options> load(const std::string& text) {
    std::ofstream(folder_ / "cuspd.yaml", std::ios::binary) << text;
    return load_station_config(folder_ / "cuspd.yaml");
  }
  std::string refusal(const std::string& text) {
    const auto result = load(text);
    return result.ok() ? "accepted" : result.error().message;
  }

  fs::path folder_;
};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_F(StationConfig, ShippedFileIsTheDefaults) {
  const fs::path shipped = fs::path(CUSP_CONFIG_FOLDER) / "cuspd.yaml";
  EXPECT_EQ(bytes_of(shipped), annotated(daemon::Options{}))
      << "write it anew: cuspd --print-config > config/cuspd.yaml";
  const auto loaded = load_station_config(shipped);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(annotated(*loaded), annotated(daemon::Options{}));
}

// Every key of the table is read back: all fields set to something else survive the way through the
// file.
TEST_F(StationConfig, EveryKeyMakesTheWayThroughTheFile) {
  daemon::Options o;
  o.station_id = "chair-2";
  o.data_folder = "/srv/cusp";
  o.control_socket = "/tmp/c.sock";
  o.http_port = 8471;
  o.token_file = "/tmp/token: \"odd\"";
  o.log_level = "debug";
  o.store_endpoint = "tcp://records.clinic:5671";
  o.key_stem = "/k/s";
  o.store_public_key = "/k/p.public";
  o.frame_queue = 5;
  o.keep_days = 30;
  o.keep_newest = 0;
  o.model.finish.min_component_share = 0.125;
  o.model.finish.target_triangles = 250000;
  o.model.base_mm = 4.5;
  o.reserve_bytes = std::uint64_t{5} << 20;
  daemon::DeviceProfile& profile = o.profiles["Wand 7: \"pro\""];
  profile.mode = {1280, 720, 15.5};
  profile.reconstruction = {0.1, 3.5, 10.25, 99.5, std::size_t{64} << 20, 7};
  const auto loaded = load(annotated(o));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(annotated(*loaded), annotated(o));
  EXPECT_EQ(loaded->station_id, "chair-2");
  EXPECT_EQ(loaded->model.finish.target_triangles, 250000u);
  EXPECT_EQ(loaded->token_file, "/tmp/token: \"odd\"");
  EXPECT_EQ(loaded->profiles.at("Wand 7: \"pro\"").reconstruction.threads, 7);
  EXPECT_EQ(loaded->reserve_bytes, std::uint64_t{5} << 20);
}

TEST_F(StationConfig, KeysThatAreLeftOutKeepTheirDefault) {
  const auto loaded = load("station: {id: chair-2}\nstore:\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->station_id, "chair-2");
  daemon::Options expected;
  expected.station_id = "chair-2";
  EXPECT_EQ(annotated(*loaded), annotated(expected));
}

TEST_F(StationConfig, RelativePathsBelongToTheFilesFolder) {
  const auto loaded =
      load("station:\n  data_folder: var/data\nstore:\n  key_stem: ./keys/station\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->data_folder, folder_ / "var/data");
  EXPECT_EQ(loaded->key_stem, folder_ / "keys/station");
  EXPECT_TRUE(loaded->token_file.empty());
}

TEST_F(StationConfig, NewModelBeginsWithTheDefaultProfileWhereverThatStands) {
  const auto loaded = load(
      "profiles:\n  Face One:\n    stream: {rate_hz: 15}\n"
      "  default:\n    reconstruction: {voxel_mm: 1.5}\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->profiles.at("Face One").mode.rate_hz, 15);
  EXPECT_EQ(loaded->profiles.at("Face One").mode.width_px, 640);
  EXPECT_EQ(loaded->profiles.at("Face One").reconstruction.voxel_mm, 1.5);
  EXPECT_EQ(loaded->profiles.at("RealSense D405").reconstruction.voxel_mm, 0.2);
}

TEST_F(StationConfig, UnknownKeysAreNamedWithWhatIsKnown) {
  EXPECT_EQ(
      refusal("store:\n  endpont: tcp://a:1\n"),
      "cuspd.yaml:2: store.endpont is not a key; known in store: endpoint, key_stem, public_key");
  EXPECT_EQ(refusal("sotre: 1\n"),
            "cuspd.yaml:1: sotre is not a key; known: station, control, store, outbox, scan, "
            "recordings, finish, "
            "profiles");
  EXPECT_EQ(refusal("store: tcp://a:1\n"),
            "cuspd.yaml:1: store is a group, not a value; known in store: endpoint, key_stem, "
            "public_key");
  EXPECT_THAT(
      refusal("profiles:\n  X:\n    stream: {width: 3}\n"),
      HasSubstr("cuspd.yaml:3: profiles.X.stream.width is not a key; known in stream: width_px"));
  EXPECT_THAT(refusal("profiles: 3\n"), HasSubstr("profiles is a group, not a value"));
  EXPECT_THAT(refusal("profiles:\n  X: 3\n"), HasSubstr("profiles.X is a group, not a value"));
  EXPECT_THAT(refusal("store:\n  endpoint:\n    host: a\n"), HasSubstr("is not a key"));
}

TEST_F(StationConfig, ValuesOutOfRangeSayWhatIsAllowed) {
  EXPECT_EQ(refusal("profiles:\n  default:\n    reconstruction:\n      voxel_mm: 9 m\n"),
            "cuspd.yaml:4: profiles.default.reconstruction.voxel_mm is 9 m: a number between 0.02 "
            "and 50");
  const std::pair<const char*, const char*> bad[] = {
      {"scan: {frame_queue: 0}", "scan.frame_queue is 0: a whole number between 1 and 64"},
      {"scan: {frame_queue: -1}", "a whole number"},
      {"scan: {frame_queue: 2.5}", "a whole number"},
      {"scan: {frame_queue: 18446744073709551616}", "a whole number"},
      {"scan: {frame_queue: }", "scan.frame_queue is empty"},
      {"control: {http_port: 65536}", "between 0 and 65535"},
      {"finish: {min_component_share: nan}", "a number between 0 and 1"},
      {"finish: {min_component_share: inf}", "a number between 0 and 1"},
      {"finish: {min_component_share: yes}", "a number between 0 and 1"},
      {"station: {log_level: loud}", "debug, info, warn or error"},
      {"station: {id: ../etc}", "letters, digits"},
      {"station: {id: \"a b\"}", "letters, digits"},
      {"station: {data_folder: }", "station.data_folder is empty: a path"},
      {"store: {endpoint: http://x}", "tcp://host:port"},
      {"store: {endpoint: tcp://x}", "tcp://host:port"},
      {"profiles: {default: {reconstruction: {min_depth_mm: 900, max_depth_mm: 800}}}",
       "profiles.default: min_depth_mm 900 must be below max_depth_mm 800"},
      {"profiles: {default: {reconstruction: {threads: 1000000}}}", "between 1 and 64"},
  };
  for (const auto& [text, expected] : bad) {
    EXPECT_THAT(refusal(text), HasSubstr(expected)) << text;
    EXPECT_THAT(refusal(text), HasSubstr("cuspd.yaml:1: ")) << text;
  }
}

TEST_F(StationConfig, FilesThatCanNotBeReadSayWhy) {
  EXPECT_EQ(load_station_config(folder_ / "none.yaml").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(load_station_config(folder_ / "none.yaml").error().message, HasSubstr("none.yaml"));
  EXPECT_THAT(load_station_config(folder_).error().message, HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(""), HasSubstr("cuspd.yaml: the file is empty"));
  EXPECT_THAT(refusal(std::string(300 * 1024, ' ')), HasSubstr("at most"));
}

}  // namespace
}  // namespace cusp::config
