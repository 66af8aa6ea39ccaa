#include "delivery/part_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Rights say nothing to root, and the store is not root.
class NotRoot {
 public:
  explicit NotRoot(const std::filesystem::path& folder) : was_root_(::geteuid() == 0) {
    constexpr uid_t kNobody = 65534;
    if (!was_root_) return;
    EXPECT_EQ(::chown(folder.c_str(), kNobody, kNobody), 0);
    EXPECT_EQ(::seteuid(kNobody), 0);
  }
  ~NotRoot() {
    if (!was_root_) return;
    EXPECT_EQ(::seteuid(0), 0);
  }
  NotRoot(const NotRoot&) = delete;
  NotRoot& operator=(const NotRoot&) = delete;

 private:
  const bool was_root_;
};

TEST(PartFileTest, goes_on_behind_what_was_there) {
  const fakes::TempFolder folder;
  ASSERT_TRUE(PartFile::open(folder / "part")->append(bytes_of("half ")).ok());
  auto part = PartFile::open(folder / "part");
  ASSERT_TRUE(part.ok()) << part.error().message;
  EXPECT_EQ(part->offset(), 5U);
  ASSERT_TRUE(part->append(bytes_of("whole")).ok());
  EXPECT_EQ(*part->finish(), sha256_hex(std::string_view("half whole")));
}

TEST(PartFileTest, one_that_was_finished_is_opened_again) {
  const fakes::TempFolder folder;
  const NotRoot rights(folder.path());
  const std::string hash = [&] {
    auto part = PartFile::open(folder / "part");
    EXPECT_TRUE(part->append(bytes_of("all of it")).ok());
    return *part->finish();
  }();
  struct stat about {};
  ASSERT_EQ(::stat((folder / "part").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0400U);
  auto again = PartFile::open(folder / "part");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again->finish(), hash);
}

TEST(PartFileTest, follows_no_link) {
  const fakes::TempFolder folder;
  std::filesystem::create_symlink(folder / "elsewhere", folder / "part");
  EXPECT_FALSE(PartFile::open(folder / "part").ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

}  // namespace
}  // namespace cusp::delivery
