#include "delivery/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <fstream>

#include "tests/fakes/temp_folder.h"

namespace cusp::delivery {
namespace {

using testing::HasSubstr;

constexpr std::array<std::string_view, 1> kFirst{
    "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, bytes BLOB, size REAL) "
    "STRICT;"};
constexpr std::array<std::string_view, 2> kSecond{
    kFirst[0], "ALTER TABLE note ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;"};

// No file of this process grows beyond so many bytes: a write that would answers an error.
class FilesEndHere {
 public:
  explicit FilesEndHere(std::uintmax_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FilesEndHere() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }
  FilesEndHere(const FilesEndHere&) = delete;
  FilesEndHere& operator=(const FilesEndHere&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class SqliteTest : public testing::Test {
 protected:
  std::int64_t count(Database& database) {
    auto row = database.query("SELECT count(*) FROM note");
    EXPECT_TRUE(row.ok() && *row->step());
    return row->integer(0);
  }
  fakes::TempFolder folder_;
  std::filesystem::path path_ = folder_ / "test.db";
};

TEST_F(SqliteTest, values_come_back) {
  auto database = Database::open(path_, kFirst);
  ASSERT_TRUE(database.ok()) << database.error().message;
  const std::vector<std::uint8_t> bytes{0, 1, 255};
  ASSERT_TRUE(database->run("INSERT INTO note VALUES (?, ?, ?, ?)", 5, "a\0b", bytes, 0.5).ok());
  ASSERT_TRUE(database
                  ->run("INSERT INTO note VALUES (?, ?, ?, ?)", 6, std::string(),
                        std::vector<std::uint8_t>{}, std::optional<double>())
                  .ok());
  EXPECT_EQ(database->last_insert_id(), 6);
  auto rows = database->query("SELECT id, text, bytes, size FROM note ORDER BY id");
  ASSERT_TRUE(*rows->step());
  EXPECT_EQ(rows->integer(0), 5);
  EXPECT_EQ(rows->text(1), "a");
  EXPECT_EQ(rows->blob(2), bytes);
  EXPECT_EQ(rows->real(3), 0.5);
  ASSERT_TRUE(*rows->step());
  EXPECT_EQ(rows->text(1), "");
  EXPECT_FALSE(rows->is_null(2));
  EXPECT_TRUE(rows->is_null(3));
  EXPECT_FALSE(*rows->step());
}

TEST_F(SqliteTest, the_second_opener_hears_that_it_is_in_use) {
  auto first = Database::open(path_, kFirst);
  ASSERT_TRUE(first.ok());
  const auto second = Database::open(path_, kFirst);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr("in use by another program"));
  EXPECT_TRUE(first->run("INSERT INTO note VALUES (1, 'still mine', NULL, NULL)").ok());
}

TEST_F(SqliteTest, is_for_its_owner_alone) {
  std::ofstream(path_).close();
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  auto database = Database::open(path_, kFirst);
  ASSERT_TRUE(database.ok());
  for (const char* suffix : {"", "-wal"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_.string() + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << suffix;
  }
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-shm"));
}

TEST_F(SqliteTest, flushes_every_commit) {
  auto database = Database::open(path_, kFirst);
  const std::pair<std::string, std::string> settings[] = {{"journal_mode", "wal"},
                                                          {"synchronous", "2"},
                                                          {"locking_mode", "exclusive"},
                                                          {"foreign_keys", "1"},
                                                          {"trusted_schema", "0"}};
  for (const auto& [name, value] : settings) {
    auto row = database->query("PRAGMA " + name);
    ASSERT_TRUE(row.ok() && *row->step());
    EXPECT_EQ(row->text(0), value) << name;
  }
}

TEST_F(SqliteTest, a_transaction_is_whole_or_not_at_all) {
  auto database = Database::open(path_, kFirst);
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(database->run("INSERT INTO note VALUES (1, 'a', NULL, NULL)").ok());
  }
  EXPECT_EQ(count(*database), 0);
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(database->run("INSERT INTO note VALUES (1, 'a', NULL, NULL)").ok());
    ASSERT_TRUE(transaction->commit().ok());
  }
  EXPECT_EQ(count(*database), 1);
  EXPECT_EQ(database->run("INSERT INTO note VALUES (2, 'a', NULL, NULL)").error().code,
            ErrorCode::kConflict);
}

TEST_F(SqliteTest, takes_the_steps_that_are_new_and_refuses_a_newer_file) {
  ASSERT_TRUE(
      Database::open(path_, kFirst)->run("INSERT INTO note(id, text) VALUES (1, 'old')").ok());
  {
    auto database = Database::open(path_, kSecond);
    ASSERT_TRUE(database.ok()) << database.error().message;
    auto row = database->query("SELECT stars FROM note");
    ASSERT_TRUE(row.ok() && *row->step());
    EXPECT_EQ(row->integer(0), 3);
  }
  EXPECT_EQ(Database::open(path_, kFirst).error().code, ErrorCode::kUnsupported);
}

TEST_F(SqliteTest, a_full_disk_changes_nothing) {
  auto database = Database::open(path_, kFirst);
  ASSERT_TRUE(database->run("INSERT INTO note VALUES (1, 'kept', NULL, NULL)").ok());
  ASSERT_TRUE(database->script("PRAGMA max_page_count=20").ok());
  const auto failed = [&]() -> Result<void> {
    CUSP_ASSIGN(Transaction transaction, Transaction::begin(*database));
    CUSP_TRY(database->run("INSERT INTO note VALUES (2, 'small', NULL, NULL)"));
    CUSP_TRY(database->run("INSERT INTO note VALUES (3, 'large', ?, NULL)",
                           std::vector<std::uint8_t>(1 << 20)));
    return transaction.commit();
  }();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(count(*database), 1);
  EXPECT_TRUE(database->run("INSERT INTO note VALUES (4, 'goes on', NULL, NULL)").ok());
}

TEST_F(SqliteTest, says_that_it_is_broken_after_an_io_error) {
  auto database = Database::open(path_, kFirst);
  EXPECT_FALSE(database->broken());
  {
    const FilesEndHere limit(std::filesystem::file_size(path_.string() + "-wal"));
    EXPECT_FALSE(database->run("INSERT INTO note VALUES (1, 'a', NULL, NULL)").ok());
  }
  EXPECT_TRUE(database->broken());
  EXPECT_THAT(database->run("INSERT INTO note VALUES (2, 'b', NULL, NULL)").error().message,
              HasSubstr("must be opened anew"));
}

TEST_F(SqliteTest, refuses_what_is_no_database) {
  std::ofstream(path_) << std::string(8192, 'x');
  EXPECT_EQ(Database::open(path_, kFirst).error().code, ErrorCode::kCorrupt);
}

TEST_F(SqliteTest, sees_a_damaged_page_at_open) {
  {
    auto database = Database::open(path_, kFirst);
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(database
                      ->run("INSERT INTO note VALUES (?, ?, NULL, NULL)", i,
                            std::to_string(i) + std::string(100, 'y'))
                      .ok());
  }
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096 * 2);
  file << std::string(4096, '\x7F');
  file.close();
  EXPECT_EQ(Database::open(path_, kFirst).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace cusp::delivery
