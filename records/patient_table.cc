#include "records/patient_table.h"

#include <array>
#include <charconv>
#include <chrono>
#include <utility>

#include "core/text.h"

namespace cusp::records {
namespace {

constexpr std::array<std::pair<Gender, std::string_view>, 4> kGenders{
    {{Gender::kFemale, "female"},
     {Gender::kMale, "male"},
     {Gender::kOther, "other"},
     {Gender::kUnknown, "unknown"}}};

constexpr std::string_view kSelect =
    "SELECT id, patient_ref, name, date_of_birth, gender, mobile, landline, email, id_number, "
    "insurance_number, address, note, created_at, seq FROM patient ";

Result<Patient> read_patient(const delivery::Statement& row) {
  const auto gender = gender_from(row.text(4));
  if (!gender) return error(ErrorCode::kCorrupt, "patient {}: unknown gender", row.text(0));
  return Patient{row.text(0),  row.text(1),  row.text(2), row.text(3), *gender,
                 row.text(5),  row.text(6),  row.text(7), row.text(8), row.text(9),
                 row.text(10), row.text(11), row.text(12)};
}

Result<std::optional<Patient>> only_patient(Result<delivery::Statement> query) {
  CUSP_ASSIGN(auto row, std::move(query));
  CUSP_ASSIGN(const bool found, row.step());
  if (!found) return std::optional<Patient>();
  CUSP_ASSIGN(auto patient, read_patient(row));
  return std::optional<Patient>(std::move(patient));
}

bool is_date(std::string_view text) {
  const auto number = [&](std::size_t from, std::size_t count, int& value) {
    const auto* first = text.data() + from;
    const auto [end, failure] = std::from_chars(first, first + count, value);
    return failure == std::errc{} && end == first + count && *first != '-';
  };
  int year = 0;
  int month = 0;
  int day = 0;
  if (text.size() != 10 || text[4] != '-' || text[7] != '-' || !number(0, 4, year) ||
      !number(5, 2, month) || !number(8, 2, day))
    return false;
  using namespace std::chrono;
  return year_month_day{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                        std::chrono::day{static_cast<unsigned>(day)}}
      .ok();
}

Result<void> check_line(std::string_view field, const std::string& text) {
  CUSP_TRY(check_text(field, text, kMaxLineBytes));
  if (text.find_first_of("\n\t") != std::string::npos)
    return error(ErrorCode::kInvalidArgument, "{} must be a single line", field);
  return {};
}

}  // namespace

std::string_view to_string(Gender gender) {
  for (const auto& [value, name] : kGenders)
    if (value == gender) return name;
  CUSP_CHECK(false, "a gender without a name");
}

std::optional<Gender> gender_from(std::string_view name) {
  for (const auto& [value, known] : kGenders)
    if (known == name) return value;
  return std::nullopt;
}

Result<void> validate(const Patient& patient, std::string_view today) {
  CUSP_TRY(check_line("name", patient.name));
  if (patient.name.find_first_not_of(' ') == std::string::npos)
    return error(ErrorCode::kInvalidArgument, "name is missing");
  if (!is_date(patient.date_of_birth))
    return error(ErrorCode::kInvalidArgument, "date_of_birth must be a date such as 1990-12-31");
  if (patient.date_of_birth > today || patient.date_of_birth < "1850")
    return error(ErrorCode::kInvalidArgument, "date_of_birth must lie between 1850 and today");
  CUSP_TRY(check_line("mobile", patient.mobile));
  CUSP_TRY(check_line("landline", patient.landline));
  CUSP_TRY(check_line("email", patient.email));
  CUSP_TRY(check_line("id_number", patient.id_number));
  CUSP_TRY(check_line("insurance_number", patient.insurance_number));
  CUSP_TRY(check_text("address", patient.address, kMaxTextBytes));
  return check_text("note", patient.note, kMaxTextBytes);
}

Result<void> insert_patient(delivery::Database& database, const Patient& patient) {
  return database.run(
      "INSERT INTO patient(id, patient_ref, name, date_of_birth, gender, mobile, landline, email, "
      "id_number, insurance_number, address, note, created_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      patient.id, patient.patient_ref, patient.name, patient.date_of_birth,
      to_string(patient.gender), patient.mobile, patient.landline, patient.email, patient.id_number,
      patient.insurance_number, patient.address, patient.note, patient.created_at);
}

Result<std::optional<Patient>> patient_by_id(delivery::Database& database, const std::string& id) {
  return only_patient(database.query(std::string(kSelect) + "WHERE id = ?", id));
}

Result<std::optional<Patient>> patient_by_ref(delivery::Database& database,
                                              const std::string& patient_ref) {
  return only_patient(database.query(std::string(kSelect) + "WHERE patient_ref = ?", patient_ref));
}

Result<Page<Patient>> patient_page(delivery::Database& database, const PageRequest& request) {
  CUSP_ASSIGN(auto rows,
              database.query(std::string(kSelect) +
                                 "WHERE (?1 IS NULL OR seq < ?1) ORDER BY seq DESC LIMIT ?2",
                             request.before, request.limit + 1));
  Page<Patient> page;
  std::uint64_t last = 0;
  while (true) {
    CUSP_ASSIGN(const bool row, rows.step());
    if (!row) return page;
    if (page.items.size() == request.limit) {
      page.next = last;
      return page;
    }
    CUSP_ASSIGN(auto patient, read_patient(rows));
    page.items.push_back(std::move(patient));
    last = static_cast<std::uint64_t>(rows.integer(13));
  }
}

}  // namespace cusp::records
