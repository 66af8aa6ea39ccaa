#include "http/token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace cusp::http {
namespace {

namespace fs = std::filesystem;

class Token : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("cusp-token-" + std::to_string(::getpid()) + "-" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<std::string> load(const std::string& content, unsigned mode = 0600) {
    std::ofstream(folder_ / "token") << content;
    ::chmod((folder_ / "token").c_str(), mode);
    return load_or_make_token(folder_ / "token");
  }
  fs::path folder_;
};

TEST_F(Token, IsMadeOnceForItsOwnerAlone) {
  const auto made = load_or_make_token(folder_ / "token");
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->size(), 64u);
  struct stat about {};
  ASSERT_EQ(::stat((folder_ / "token").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_EQ(*load_or_make_token(folder_ / "token"), *made);
  EXPECT_NE(*load_or_make_token(folder_ / "other"), *made);
}

TEST_F(Token, IsOnlyReadByThoseWhoMayNotMakeIt) {
  EXPECT_EQ(load_token(folder_ / "token").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(folder_ / "token"));
  const auto made = load_or_make_token(folder_ / "token");
  EXPECT_EQ(*load_token(folder_ / "token"), *made);
}

TEST_F(Token, LeavesNothingElseBehind) {
  ASSERT_TRUE(load_or_make_token(folder_ / "token").ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(Token, IsTheFirstLine) {
  EXPECT_EQ(*load("abcdefgh01234567\nsecond line\n"), "abcdefgh01234567");
}

TEST_F(Token, IsRefusedWhenOthersCanReadIt) {
  EXPECT_EQ(load("abcdefgh01234567\n", 0640).error().code, ErrorCode::kPermission);
}

TEST_F(Token, IsRefusedWhenItIsNone) {
  for (const char* content :
       {"", "short", "\nabcdefgh01234567", "has a space in its middle", "a=b;c=d;e=f;g=h;i=j"})
    EXPECT_EQ(load(content).error().code, ErrorCode::kCorrupt) << content;
  EXPECT_EQ(load(std::string(5000, '\xff')).error().code, ErrorCode::kCorrupt);
}

TEST_F(Token, SaysWhereItCouldNotBeMade) {
  const auto failed = load_or_make_token(folder_ / "absent" / "token");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("absent"), std::string::npos);
}

}  // namespace
}  // namespace cusp::http
