#include "config/store_config.h"

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

class StoreConfig : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = fs::temp_directory_path() / fmt::format("cusp-records-{}.yaml", ::getpid());
  }
  void TearDown() override { fs::remove(file_); }

  Result<records::Options> load(const std::string& text) {
    std::ofstream(file_, std::ios::binary) << text;
    return load_store_config(file_);
  }

  fs::path file_;
};

TEST_F(StoreConfig, ShippedFileIsTheDefaults) {
  const fs::path shipped = fs::path(CUSP_CONFIG_FOLDER) / "cusp-records.yaml";
  std::stringstream text;
  text << std::ifstream(shipped, std::ios::binary).rdbuf();
  EXPECT_EQ(text.str(), annotated(records::Options{}));
  const auto loaded = load_store_config(shipped);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(annotated(*loaded), annotated(records::Options{}));
}

TEST_F(StoreConfig, EveryKeyMakesTheWayThroughTheFile) {
  records::Options o;
  o.clinic_name = "Zahnärzte am Markt: Dr. \"A\" & B";
  o.data_folder = "/srv/r";
  o.web_folder = "/srv/w";
  o.http_port = 0;
  o.token_file = "/srv/t";
  o.ingest_endpoint = "tcp://*:*";
  o.key_stem = "/k/store";
  o.stations_file = "/k/stations";
  o.feed_endpoint = "tcp://*:5999";
  o.min_free_bytes = 0;
  o.scrub_days = 0;
  o.backup_folder = "/mnt/b";
  o.backup_hour = 23;
  const auto loaded = load(annotated(o));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(annotated(*loaded), annotated(o));
  EXPECT_EQ(loaded->clinic_name, o.clinic_name);
}

TEST_F(StoreConfig, WrongValuesNameTheLine) {
  const auto port = load("clinic:\n  name: A\nweb:\n  http_port: 99999\n");
  ASSERT_FALSE(port.ok());
  EXPECT_THAT(port.error().message,
              HasSubstr(":4: web.http_port is 99999: a whole number between 0 and 65535"));
  EXPECT_FALSE(load("clinic: {name: ''}\n").ok());
  EXPECT_FALSE(load("ingest: {endpoint: 5671}\n").ok());
  EXPECT_FALSE(load("feed: {endpoint: ''}\n").ok());
}

}  // namespace
}  // namespace cusp::config
