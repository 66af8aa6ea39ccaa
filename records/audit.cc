#include "records/audit.h"

#include "delivery/digest.h"

namespace cusp::records {
namespace {

// Lengths in front, so that no two rows write the same text.
std::string hash_of(std::string_view previous_sha256, std::int64_t n, const AuditEntry& entry) {
  std::string text = fmt::format("{} {}", previous_sha256, n);
  for (const auto* field : {&entry.at, &entry.actor, &entry.action, &entry.object, &entry.detail})
    text += fmt::format(" {}:{}", field->size(), *field);
  return delivery::sha256_hex(std::string_view(text));
}

}  // namespace

Result<void> append(delivery::Database& database, const AuditEntry& entry) {
  CUSP_ASSIGN(auto last, database.query("SELECT n, sha256 FROM audit ORDER BY n DESC LIMIT 1"));
  CUSP_ASSIGN(const bool any, last.step());
  const std::int64_t n = any ? last.integer(0) + 1 : 1;
  const std::string previous = any ? last.text(1) : "";
  return database.run("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", n, entry.at, entry.actor,
                      entry.action, entry.object, entry.detail, hash_of(previous, n, entry));
}

Result<std::uint64_t> check_audit(delivery::Database& database) {
  CUSP_ASSIGN(auto rows, database.query("SELECT n, at, actor, action, object, detail, sha256 "
                                        "FROM audit ORDER BY n"));
  std::string previous;
  std::int64_t expected = 1;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return static_cast<std::uint64_t>(expected - 1);
    const AuditEntry entry{rows.text(1), rows.text(2), rows.text(3), rows.text(4), rows.text(5)};
    if (rows.integer(0) != expected || rows.text(6) != hash_of(previous, expected, entry))
      return error(ErrorCode::kCorrupt, "audit trail: entry {} was changed or taken out", expected);
    previous = rows.text(6);
    ++expected;
  }
}

}  // namespace cusp::records
