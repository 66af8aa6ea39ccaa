#include "delivery/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/flush_stats.h"

namespace cusp::delivery {

struct Statement::Connection {
  sqlite3* handle = nullptr;
  std::filesystem::path path;
  bool broken = false;

  ~Connection() { sqlite3_close_v2(handle); }

  Error fault(int status) {
    const int primary = status & 0xFF;
    if (primary == SQLITE_IOERR) broken = true;
    switch (primary) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return error(ErrorCode::kUnavailable, "database {} is in use by another program",
                     path.string());
      case SQLITE_FULL:
        return error(ErrorCode::kNoSpace, "database {}: the disk is full", path.string());
      case SQLITE_CONSTRAINT:
        return text(ErrorCode::kConflict);
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return text(ErrorCode::kCorrupt);
      case SQLITE_PERM:
      case SQLITE_READONLY:
      case SQLITE_AUTH:
        return text(ErrorCode::kPermission);
      default:
        return text(ErrorCode::kIo);
    }
  }

  [[nodiscard]] Error text(ErrorCode code) const {
    return error(code, "database {}: {}", path.string(), sqlite3_errmsg(handle));
  }
};

namespace {

// SQLite would create it readable for all, and would not flush the folder.
Result<void> create_private(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return error(errno == ENOSPC                     ? ErrorCode::kNoSpace
                 : errno == EACCES || errno == EROFS ? ErrorCode::kPermission
                                                     : ErrorCode::kIo,
                 "can't open database {}: {}", path.string(),
                 std::generic_category().message(errno));
  const bool narrowed = ::fchmod(file, 0600) == 0;
  ::close(file);
  if (!narrowed)
    return error(ErrorCode::kPermission, "database {} can't be kept from other users' eyes",
                 path.string());
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = folder >= 0 && ::fsync(folder) == 0;
  if (folder >= 0) ::close(folder);
  if (!flushed) return error(ErrorCode::kIo, "can't flush folder {}", parent.string());
  return {};
}

void check_bound(int status) {
  CUSP_CHECK(status == SQLITE_OK, "a statement has more values than parameters");
}

}  // namespace

Statement::Statement(Connection& connection, sqlite3_stmt* statement)
    : connection_(&connection), statement_(statement) {}
Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}
Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(statement_, other.statement_);
  return *this;
}
Statement::~Statement() { sqlite3_finalize(statement_); }

Result<bool> Statement::step() {
  if (connection_->broken)
    return error(ErrorCode::kIo, "database {} failed before and must be opened anew",
                 connection_->path.string());
  const int status = sqlite3_step(statement_);
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) return false;
  return connection_->fault(status);
}

Result<void> Statement::run() {
  while (true) {
    CUSP_ASSIGN(const bool row, step());
    if (!row) return {};
  }
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
std::string Statement::text(int column) const {
  const unsigned char* first = sqlite3_column_text(statement_, column);
  if (first == nullptr) return {};
  return {reinterpret_cast<const char*>(first),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}
std::vector<std::uint8_t> Statement::blob(int column) const {
  const auto* first = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (first == nullptr) return {};
  return {first, first + sqlite3_column_bytes(statement_, column)};
}

void Statement::bind_integer(int position, std::int64_t value) {
  check_bound(sqlite3_bind_int64(statement_, position, value));
}
void Statement::bind_real(int position, double value) {
  check_bound(sqlite3_bind_double(statement_, position, value));
}
void Statement::bind_text(int position, std::string_view value) {
  // An empty view may have no address, which SQLite would take for NULL.
  check_bound(sqlite3_bind_text64(statement_, position, value.empty() ? "" : value.data(),
                                  value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}
void Statement::bind_blob(int position, std::span<const std::uint8_t> value) {
  check_bound(value.empty() ? sqlite3_bind_zeroblob(statement_, position, 0)
                            : sqlite3_bind_blob64(statement_, position, value.data(), value.size(),
                                                  SQLITE_TRANSIENT));
}
void Statement::bind_null(int position) { check_bound(sqlite3_bind_null(statement_, position)); }

Database::Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::filesystem::path& path,
                                std::span<const std::string_view> schema_steps) {
  CUSP_TRY(create_private(path));
  auto connection = std::make_unique<Connection>();
  connection->path = path;
  const int status = sqlite3_open_v2(path.c_str(), &connection->handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, nullptr);
  if (status != SQLITE_OK) return connection->fault(status);
  sqlite3_extended_result_codes(connection->handle, 1);
  sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);

  Database database(std::move(connection));
  // The lock is taken by the first write transaction and then kept.
  CUSP_TRY(
      database.script("PRAGMA locking_mode=EXCLUSIVE;"
                      "PRAGMA trusted_schema=OFF;"
                      "PRAGMA cell_size_check=ON;"
                      "PRAGMA foreign_keys=ON;"));
  {
    CUSP_ASSIGN(Statement journal, database.query("PRAGMA journal_mode=WAL"));
    CUSP_ASSIGN(const bool answered, journal.step());
    if (!answered || journal.text(0) != "wal")
      return error(ErrorCode::kUnsupported,
                   "database {} can't keep a write-ahead log here (journal mode {})", path.string(),
                   journal.text(0));
  }
  CUSP_TRY(database.script("PRAGMA synchronous=FULL; BEGIN IMMEDIATE; COMMIT;"));
  CUSP_ASSIGN(Statement check, database.query("PRAGMA quick_check(1)"));
  CUSP_ASSIGN(const bool row, check.step());
  if (!row || check.text(0) != "ok")
    return error(ErrorCode::kCorrupt, "database {} is damaged: {}", path.string(), check.text(0));
  CUSP_TRY(check.run());
  CUSP_TRY(database.take_steps(schema_steps));
  return database;
}

Result<void> Database::take_steps(std::span<const std::string_view> schema_steps) {
  CUSP_ASSIGN(Statement version, query("PRAGMA user_version"));
  CUSP_TRY(version.step());
  const auto taken = static_cast<std::uint64_t>(version.integer(0));
  CUSP_TRY(version.run());
  if (taken > schema_steps.size())
    return error(ErrorCode::kUnsupported,
                 "database {} was written by a newer Cusp (schema {}, known up to {})",
                 connection_->path.string(), taken, schema_steps.size());
  for (std::size_t i = taken; i < schema_steps.size(); ++i) {
    CUSP_ASSIGN(Transaction transaction, Transaction::begin(*this));
    CUSP_TRY(script(schema_steps[i]));
    CUSP_TRY(script(fmt::format("PRAGMA user_version={}", i + 1)));
    CUSP_TRY(transaction.commit());
  }
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  if (connection_->broken)
    return error(ErrorCode::kIo, "database {} failed before and must be opened anew",
                 connection_->path.string());
  sqlite3_stmt* statement = nullptr;
  const int status = sqlite3_prepare_v2(connection_->handle, sql.data(),
                                        static_cast<int>(sql.size()), &statement, nullptr);
  if (status != SQLITE_OK) return connection_->fault(status);
  return Statement(*connection_, statement);
}

Result<void> Database::script(std::string_view sql) {
  if (connection_->broken)
    return error(ErrorCode::kIo, "database {} failed before and must be opened anew",
                 connection_->path.string());
  const int status =
      sqlite3_exec(connection_->handle, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return connection_->fault(status);
  return {};
}

bool Database::broken() const { return connection_->broken; }
std::int64_t Database::changes() const { return sqlite3_changes64(connection_->handle); }
std::int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_->handle);
}

Result<DatabaseCopy> DatabaseCopy::begin(Database& source, const std::filesystem::path& target) {
  CUSP_TRY(create_private(target));
  DatabaseCopy copy;
  copy.target_ = target;
  const int status = sqlite3_open_v2(target.c_str(), &copy.handle_,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, nullptr);
  if (status != SQLITE_OK) return copy.failed(status).error();
  copy.backup_ = sqlite3_backup_init(copy.handle_, "main", source.connection_->handle, "main");
  if (copy.backup_ == nullptr) return copy.failed(sqlite3_errcode(copy.handle_)).error();
  return copy;
}

DatabaseCopy::DatabaseCopy(DatabaseCopy&& other) noexcept
    : target_(std::move(other.target_)),
      handle_(std::exchange(other.handle_, nullptr)),
      backup_(std::exchange(other.backup_, nullptr)) {}

DatabaseCopy::~DatabaseCopy() {
  sqlite3_backup_finish(backup_);
  sqlite3_close(handle_);
}

Result<bool> DatabaseCopy::step() {
  constexpr int kPages = 1024;  // 4 MiB
  const int status = sqlite3_backup_step(backup_, kPages);
  if (status == SQLITE_OK) return true;
  if (status != SQLITE_DONE) return failed(status);
  const int finished = sqlite3_backup_finish(std::exchange(backup_, nullptr));
  const int closed = sqlite3_close(std::exchange(handle_, nullptr));
  if (finished != SQLITE_OK || closed != SQLITE_OK) return failed(finished);
  return false;
}

Result<bool> DatabaseCopy::failed(int status) {
  return error(status == SQLITE_FULL ? ErrorCode::kNoSpace : ErrorCode::kIo,
               "can't copy the database to {}: {}", target_.string(), sqlite3_errstr(status));
}

Result<Transaction> Transaction::begin(Database& database) {
  CUSP_TRY(database.script("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  // SQLite may have rolled back by itself (disk full); the second rollback then answers an error.
  if (database_ != nullptr) static_cast<void>(database_->script("ROLLBACK"));
}

Result<void> Transaction::commit() {
  CUSP_CHECK(database_ != nullptr, "a transaction is committed once");
  const FlushTimer timer;
  CUSP_TRY(database_->script("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace cusp::delivery
