#include "records/commands.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "delivery/keys.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::records {
namespace {

constexpr auto kStation = delivery::Role::kStation;
constexpr auto kSubscriber = delivery::Role::kSubscriber;

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    options_.data_folder = folder_ / "data";
    options_.stations_file = folder_ / "stations";
    std::filesystem::create_directory(options_.data_folder);
    ASSERT_TRUE(keygen(files_, folder_ / "room-1").ok());
  }
  unsigned mode_of(const std::filesystem::path& file) {
    struct stat about {};
    EXPECT_EQ(::stat(file.c_str(), &about), 0);
    return about.st_mode & 0777;
  }

  fakes::TempFolder folder_;
  PosixFileSystem files_;
  Options options_;
};

TEST_F(Commands, EnrolForAStoreOfAnotherUser) {
  ASSERT_TRUE(enroll(files_, options_, kStation, "room-1", folder_ / "room-1.public").ok());
  EXPECT_EQ(mode_of(options_.stations_file), 0644u);
  EXPECT_EQ(delivery::load_peers(options_.stations_file)->at(0).id, "room-1");
  std::filesystem::permissions(options_.stations_file, std::filesystem::perms::owner_read);
  ASSERT_TRUE(enroll(files_, options_, kStation, "room-1", folder_ / "room-1.public").ok());
  EXPECT_EQ(mode_of(options_.stations_file), 0644u) << "doing it again mends it";
}

TEST_F(Commands, EnrolASubscriberBesideTheStations) {
  ASSERT_TRUE(keygen(files_, folder_ / "mirror").ok());
  ASSERT_TRUE(enroll(files_, options_, kStation, "room-1", folder_ / "room-1.public").ok());
  ASSERT_TRUE(enroll(files_, options_, kSubscriber, "mirror", folder_ / "mirror.public").ok());
  const auto peers = delivery::load_peers(options_.stations_file);
  ASSERT_EQ(peers->size(), 2U);
  EXPECT_EQ(peers->at(0).role, kStation);
  EXPECT_EQ(peers->at(1).role, kSubscriber);
  EXPECT_EQ(enroll(files_, options_, kStation, "mirror", folder_ / "mirror.public").error().code,
            ErrorCode::kConflict)
      << "one key, one role";
}

TEST_F(Commands, DoNotReplaceAStationsKey) {
  ASSERT_TRUE(enroll(files_, options_, kStation, "room-1", folder_ / "room-1.public").ok());
  ASSERT_TRUE(keygen(files_, folder_ / "other").ok());
  EXPECT_EQ(enroll(files_, options_, kStation, "room-1", folder_ / "other.public").error().code,
            ErrorCode::kConflict);
}

TEST_F(Commands, PrintTheAddressWithoutMakingATokenOfTheirOwn) {
  EXPECT_EQ(print_address(options_).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(token_file(options_)));
}

}  // namespace
}  // namespace cusp::records
