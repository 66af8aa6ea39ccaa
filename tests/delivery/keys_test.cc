#include "delivery/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

using testing::HasSubstr;
using testing::Not;

class KeysTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  fakes::TempFolder folder_;
};

TEST_F(KeysTest, come_back_as_they_were_saved) {
  const KeyPair pair = make_key_pair();
  EXPECT_EQ(pair.public_z85.size(), 40U);
  ASSERT_TRUE(save_key_pair(folder_ / "station", pair).ok());
  const auto loaded = load_key_pair(folder_ / "station");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->public_z85, pair.public_z85);
  EXPECT_EQ(loaded->secret_z85, pair.secret_z85);
  EXPECT_EQ(*load_public_key(folder_ / "station.public"), pair.public_z85);
}

TEST_F(KeysTest, keep_the_secret_from_others) {
  ASSERT_TRUE(save_key_pair(folder_ / "station", make_key_pair()).ok());
  struct stat info {};
  ASSERT_EQ(stat((folder_ / "station.secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  for (const mode_t mode : {0640U, 0604U, 0644U, 0620U}) {
    ASSERT_EQ(chmod((folder_ / "station.secret").c_str(), mode), 0);
    const auto loaded = load_key_pair(folder_ / "station");
    ASSERT_FALSE(loaded.ok()) << mode;
    EXPECT_EQ(loaded.error().code, ErrorCode::kPermission);
    EXPECT_THAT(loaded.error().message, HasSubstr("station.secret"));
  }
}

TEST_F(KeysTest, never_replace_a_secret) {
  const KeyPair first = make_key_pair();
  ASSERT_TRUE(save_key_pair(folder_ / "station", first).ok());
  EXPECT_EQ(save_key_pair(folder_ / "station", make_key_pair()).error().code, ErrorCode::kConflict);
  EXPECT_EQ(load_key_pair(folder_ / "station")->secret_z85, first.secret_z85);
}

TEST_F(KeysTest, refuse_halves_of_two_pairs) {
  ASSERT_TRUE(save_key_pair(folder_ / "a", make_key_pair()).ok());
  write("a.public", make_key_pair().public_z85 + "\n");
  EXPECT_EQ(load_key_pair(folder_ / "a").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(KeysTest, refuse_what_is_no_key_without_showing_it) {
  const std::string secret = make_key_pair().secret_z85;
  for (const std::string& text : {std::string(), std::string("short"), secret + " " + secret,
                                  secret.substr(1), std::string(40, '\x01')}) {
    write("k.public", text);
    const auto key = load_public_key(folder_ / "k.public");
    ASSERT_FALSE(key.ok());
    EXPECT_THAT(key.error().message, Not(HasSubstr(secret.substr(1))));
  }
  EXPECT_EQ(load_public_key(folder_ / "none").error().code, ErrorCode::kNotFound);
}

TEST_F(KeysTest, list_who_may_connect) {
  const std::string a = make_key_pair().public_z85, b = make_key_pair().public_z85;
  const std::string c = make_key_pair().public_z85;
  write("stations", "# who may connect\n\nroom-1 " + a + "\n  room-2\t" + b + "  station\nmirror " +
                        c + " subscriber\n");
  const auto peers = load_peers(folder_ / "stations");
  ASSERT_TRUE(peers.ok()) << peers.error().message;
  ASSERT_EQ(peers->size(), 3U);
  EXPECT_EQ((*peers)[0].role, Role::kStation) << "as files of before were written";
  EXPECT_EQ((*peers)[1].id, "room-2");
  EXPECT_EQ((*peers)[1].public_z85, b);
  EXPECT_EQ((*peers)[1].role, Role::kStation);
  EXPECT_EQ((*peers)[2].role, Role::kSubscriber);
}

TEST_F(KeysTest, name_the_line_that_is_wrong_in_that_list) {
  const std::string a = make_key_pair().public_z85, b = make_key_pair().public_z85;
  for (const std::string& line :
       {std::string("room-1"), "room-1 " + a.substr(1), "../etc " + a, "a/b " + a, ".hidden " + a,
        "room-1 " + a + " king", "room-1 " + a + " station more", "room-0 " + b, "room-1 " + b}) {
    write("stations", "room-0 " + b + "\n" + line + "\n");
    const auto stations = load_peers(folder_ / "stations");
    ASSERT_FALSE(stations.ok()) << line;
    EXPECT_THAT(stations.error().message, HasSubstr("line 2"));
  }
}

}  // namespace
}  // namespace cusp::delivery
