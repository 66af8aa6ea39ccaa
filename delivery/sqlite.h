// SQLite as Cusp depends on it: one connection to a file, nobody else beside it, every commit
// flushed.
//
// locking_mode=EXCLUSIVE (a second opener gets a clear error, and the WAL-reset bug of SQLite 3.7.0
// to 3.51.2, which needs two connections, can't happen), WAL with synchronous=FULL, foreign keys
// on, trusted_schema off, quick_check at open. The file is mode 0600. The schema is a list of
// steps, of which user_version counts those that were taken. After an I/O error nobody knows what
// reached the disk: the database then refuses everything until the process starts again (fsync
// lesson of PostgreSQL, 2018). Threads: one at a time; the owner holds a lock. Errors: kUnavailable
// (someone else has it open), kNoSpace, kConflict (a constraint), kCorrupt, kUnsupported (written
// by a newer Cusp), kPermission, kIo.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

struct sqlite3;
struct sqlite3_backup;
struct sqlite3_stmt;

namespace cusp::delivery {

// One prepared SQL statement. Parameters count from 1 and are bound in order; columns count from 0.
class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // bind(7, "text", bytes, std::nullopt, ...): all parameters at once; text and bytes are copied.
  template <typename... Args>
  Statement& bind(const Args&... args) {
    int position = 0;
    (bind_one(++position, args), ...);
    return *this;
  }

  // True: a row can be read. False: the end.
  Result<bool> step();
  // To the end; rows are not looked at.
  Result<void> run();

  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::vector<std::uint8_t> blob(int column) const;

 private:
  friend class Database;
  struct Connection;
  Statement(Connection& connection, sqlite3_stmt* statement);

  template <std::integral T>
  void bind_one(int position, T value) {
    bind_integer(position, static_cast<std::int64_t>(value));
  }
  void bind_one(int position, double value) { bind_real(position, value); }
  void bind_one(int position, std::string_view value) { bind_text(position, value); }
  void bind_one(int position, std::nullopt_t) { bind_null(position); }
  void bind_one(int position, const std::vector<std::uint8_t>& value) {
    bind_blob(position, value);
  }
  template <typename T>
  void bind_one(int position, const std::optional<T>& value) {
    if (value)
      bind_one(position, *value);
    else
      bind_null(position);
  }
  void bind_integer(int position, std::int64_t value);
  void bind_real(int position, double value);
  void bind_text(int position, std::string_view value);
  void bind_blob(int position, std::span<const std::uint8_t> value);
  void bind_null(int position);

  Connection* connection_;
  sqlite3_stmt* statement_;
};

class Database {
 public:
  // Creates the file when it is missing. Each step is one SQL script; steps are only ever appended.
  static Result<Database> open(const std::filesystem::path& path,
                               std::span<const std::string_view> schema_steps);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  template <typename... Args>
  Result<Statement> query(std::string_view sql, const Args&... args) {
    auto statement = prepare(sql);
    if (statement.ok()) statement->bind(args...);
    return statement;
  }
  template <typename... Args>
  Result<void> run(std::string_view sql, const Args&... args) {
    CUSP_ASSIGN(Statement statement, prepare(sql));
    return statement.bind(args...).run();
  }
  // Several statements without parameters.
  Result<void> script(std::string_view sql);

  // An I/O error happened: everything is refused from now on.
  [[nodiscard]] bool broken() const;

  // Rows that the last statement changed; id of the last inserted row.
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] std::int64_t last_insert_id() const;

 private:
  friend class DatabaseCopy;
  using Connection = Statement::Connection;
  explicit Database(std::unique_ptr<Connection> connection);
  Result<Statement> prepare(std::string_view sql);
  Result<void> take_steps(std::span<const std::string_view> schema_steps);

  std::unique_ptr<Connection> connection_;
};

// Copies a database into a new file, a piece at a time; the owner may use it between the pieces,
// and what it changes then is in the copy too. The copy is whole and flushed once step() answers
// false.
class DatabaseCopy {
 public:
  static Result<DatabaseCopy> begin(Database& source, const std::filesystem::path& target);
  DatabaseCopy(DatabaseCopy&& other) noexcept;
  DatabaseCopy& operator=(DatabaseCopy&&) = delete;
  ~DatabaseCopy();

  // True: there is more.
  Result<bool> step();

 private:
  DatabaseCopy() = default;
  Result<bool> failed(int status);

  std::filesystem::path target_;
  sqlite3* handle_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

// Everything between begin() and commit(), or nothing of it: going out of scope takes it back.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;  // null once it is over
};

}  // namespace cusp::delivery
