#include "records/api_json.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "delivery/statement_json.h"

namespace cusp::records {
namespace {

Error wrong(std::string_view field, std::string_view what) {
  return error(ErrorCode::kInvalidArgument, "{} {}", field, what);
}

// An object whose fields are taken one by one; what is left over nobody knows.
class Body {
 public:
  static Result<Body> parse(const std::string& text) {
    auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return error(ErrorCode::kInvalidArgument, "the body is not JSON");
    if (!json.is_object())
      return error(ErrorCode::kInvalidArgument, "the body must be a JSON object");
    return Body(std::move(json));
  }

  // Missing is empty.
  Result<void> take(std::string_view field, std::string& text) {
    const auto* value = find(field);
    if (value == nullptr) return {};
    if (!value->is_string()) return wrong(field, "must be text");
    text = value->get<std::string>();
    return {};
  }

  Result<void> take(std::string_view field, std::vector<std::string>& texts) {
    const auto* value = find(field);
    if (value == nullptr) return {};
    if (!value->is_array()) return wrong(field, "must be a list of texts");
    for (const auto& item : *value) {
      if (!item.is_string()) return wrong(field, "must be a list of texts");
      texts.push_back(item.get<std::string>());
    }
    return {};
  }

  Result<void> take(std::string_view field, std::vector<int>& numbers) {
    const auto* value = find(field);
    if (value == nullptr) return {};
    if (!value->is_array()) return wrong(field, "must be a list of whole numbers");
    for (const auto& item : *value) {
      if (!item.is_number_integer()) return wrong(field, "must be a list of whole numbers");
      const auto number = item.get<std::int64_t>();
      if (number < 0 || number > 99) return wrong(field, "must hold FDI tooth numbers (11 to 85)");
      numbers.push_back(static_cast<int>(number));
    }
    return {};
  }

  // Call it last: whoever misspells an optional field must hear of it.
  [[nodiscard]] Result<void> check_nothing_left() const {
    for (const auto& [name, value] : json_.items())
      if (taken_.find(name) == taken_.end())
        return error(ErrorCode::kInvalidArgument, "{} is not a known field; known are: {}",
                     name.substr(0, 64), fmt::join(taken_, ", "));
    return {};
  }

 private:
  explicit Body(Json json) : json_(std::move(json)) {}

  const Json* find(std::string_view field) {
    taken_.emplace(field);
    const auto found = json_.find(std::string(field));
    return found == json_.end() ? nullptr : &*found;
  }

  Json json_;
  std::set<std::string> taken_;
};

Result<std::uint64_t> read_count(std::string_view field, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size())
    return wrong(field, "must be a whole number");
  return value;
}

// Column and JSON names are the same, so that the API reads like the store.
Json label_json(const std::optional<Patient>& patient) {
  if (!patient) return nullptr;
  return {{"id", patient->id},
          {"name", patient->name},
          {"date_of_birth", patient->date_of_birth},
          {"gender", to_string(patient->gender)}};
}

Json file_json(const std::string& record_id, const delivery::BlobRef& blob) {
  return {{"file_name", blob.file_name},
          {"role", blob.role},
          {"media_type", blob.media_type},
          {"size_bytes", blob.size_bytes},
          {"sha256", blob.sha256},
          {"url", fmt::format("/api/v1/records/{}/files/{}", record_id, blob.sha256)}};
}

}  // namespace

Result<Patient> read_patient(const std::string& text) {
  CUSP_ASSIGN(auto body, Body::parse(text));
  Patient patient;
  std::string gender;
  CUSP_TRY(body.take("name", patient.name));
  CUSP_TRY(body.take("date_of_birth", patient.date_of_birth));
  CUSP_TRY(body.take("gender", gender));
  CUSP_TRY(body.take("mobile", patient.mobile));
  CUSP_TRY(body.take("landline", patient.landline));
  CUSP_TRY(body.take("email", patient.email));
  CUSP_TRY(body.take("id_number", patient.id_number));
  CUSP_TRY(body.take("insurance_number", patient.insurance_number));
  CUSP_TRY(body.take("address", patient.address));
  CUSP_TRY(body.take("note", patient.note));
  CUSP_TRY(body.check_nothing_left());
  if (!gender.empty()) {
    const auto known = gender_from(gender);
    if (!known) return wrong("gender", "must be female, male, other or unknown");
    patient.gender = *known;
  }
  return patient;
}

Result<TicketBody> read_ticket(const std::string& text) {
  CUSP_ASSIGN(auto body, Body::parse(text));
  TicketBody ticket;
  ScanTicket& order = ticket.order;
  std::string kind;
  std::vector<std::string> stages;
  CUSP_TRY(body.take("patient_id", ticket.patient_id));
  CUSP_TRY(body.take("kind", kind));
  CUSP_TRY(body.take("case_type", order.case_type));
  CUSP_TRY(body.take("visit_type", order.visit_type));
  CUSP_TRY(body.take("doctor", order.doctor));
  CUSP_TRY(body.take("case_ref", order.case_ref));
  CUSP_TRY(body.take("note", order.note));
  CUSP_TRY(body.take("teeth_fdi", order.teeth_fdi));
  CUSP_TRY(body.take("stages", stages));
  CUSP_TRY(body.check_nothing_left());
  if (ticket.patient_id.empty()) return wrong("patient_id", "is missing");
  const auto known_kind = ticket_kind_from(kind);
  if (!known_kind) return wrong("kind", "must be intraoral or face");
  order.kind = *known_kind;
  for (const auto& name : stages) {
    const auto stage = scan_stage_from(name);
    if (!stage)
      return wrong("stages", fmt::format("holds an unknown stage \"{}\"", name.substr(0, 64)));
    order.stages.push_back(*stage);
  }
  return ticket;
}

Result<PageRequest> read_page(const std::map<std::string, std::string>& query,
                              std::initializer_list<std::string_view> known) {
  PageRequest request;
  for (const auto& [name, value] : query) {
    if (name == "limit") {
      CUSP_ASSIGN(request.limit, read_count("limit", value));
      if (request.limit < 1 || request.limit > kMaxPage)
        return wrong("limit", fmt::format("must lie between 1 and {}", kMaxPage));
    } else if (name == "before") {
      CUSP_ASSIGN(request.before, read_count("before", value));
    } else if (std::find(known.begin(), known.end(), name) == known.end()) {
      return wrong(name.substr(0, 64), "is not a known parameter");
    }
  }
  return request;
}

Json to_json(const Patient& patient) {
  return {{"id", patient.id},
          {"patient_ref", patient.patient_ref},
          {"name", patient.name},
          {"date_of_birth", patient.date_of_birth},
          {"gender", to_string(patient.gender)},
          {"mobile", patient.mobile},
          {"landline", patient.landline},
          {"email", patient.email},
          {"id_number", patient.id_number},
          {"insurance_number", patient.insurance_number},
          {"address", patient.address},
          {"note", patient.note},
          {"created_at", patient.created_at}};
}

Json to_json(const Ticket& ticket) {
  const ScanTicket& order = ticket.order;
  Json stages = Json::array();
  for (const ScanStage stage : order.stages) stages.push_back(to_string(stage));
  Json patient = nullptr;
  if (ticket.patient_id)
    patient = {{"id", *ticket.patient_id},
               {"name", order.patient.name},
               {"date_of_birth", order.patient.date_of_birth}};
  return {{"id", order.id},
          {"status", to_string(ticket.status)},
          {"patient", patient},
          {"kind", to_string(order.kind)},
          {"case_type", order.case_type},
          {"visit_type", order.visit_type},
          {"doctor", order.doctor},
          {"case_ref", order.case_ref},
          {"note", order.note},
          {"teeth_fdi", order.teeth_fdi},
          {"stages", stages},
          {"revision", order.revision},
          {"station_id", ticket.station_id.empty() ? Json(nullptr) : Json(ticket.station_id)},
          {"station_state",
           ticket.station_state ? Json(to_string(*ticket.station_state)) : Json(nullptr)},
          {"held_by", ticket.hold ? Json(ticket.hold->station_id) : Json(nullptr)},
          {"held_since", ticket.hold ? Json(ticket.hold->since) : Json(nullptr)},
          {"created_at", ticket.created_at}};
}

Json summary_json(const Record& record) {
  const auto& parcel = record.parcel;
  Json stages = Json::array();
  std::uint64_t triangles = 0;
  bool has_thumbnail = false;
  for (const auto& statement : parcel.stages) {
    stages.push_back(to_string(statement.stage));
    triangles += statement.triangles;
    for (const auto& blob : statement.blobs) has_thumbnail |= blob.role == "thumbnail";
  }
  return {{"id", record.id},
          {"store_seq", record.store_seq},
          {"title", record.title},
          {"visiting_time", record.visiting_time},
          {"committed_at", record.committed_at},
          {"patient", label_json(record.patient)},
          {"ticket_id", parcel.ticket_id},
          {"revision", parcel.revision},
          {"scanned_twice", record.scanned_twice},
          {"kind", to_string(parcel.kind)},
          {"case_type", parcel.case_type},
          {"visit_type", parcel.visit_type},
          {"doctor", parcel.doctor},
          {"station_id", parcel.station_id},
          {"stages", stages},
          {"triangles", triangles},
          {"has_thumbnail", has_thumbnail}};
}

Json detail_json(const Record& record) {
  const auto& parcel = record.parcel;
  Json json = summary_json(record);
  json["case_ref"] = parcel.case_ref;
  json["note"] = parcel.note;
  json["teeth_fdi"] = parcel.teeth_fdi;
  json["started_at"] = parcel.started_at;
  json["finished_at"] = parcel.finished_at;
  json["device"] = {{"maker", parcel.device_maker},
                    {"model", parcel.device_model},
                    {"serial", parcel.device_serial},
                    {"firmware", parcel.device_firmware},
                    {"calibration_id", parcel.calibration_id}};
  json["software_version"] = parcel.software_version;
  json["config_sha256"] = parcel.config_sha256;
  Json stages = Json::array();
  for (const auto& statement : parcel.stages) {
    Json files = Json::array();
    for (const auto& blob : statement.blobs) files.push_back(file_json(record.id, blob));
    Json stage = {{"stage", to_string(statement.stage)},
                  {"triangles", statement.triangles},
                  {"frames", statement.frames},
                  {"frames_tracked", statement.frames_tracked},
                  {"frames_lost", statement.frames_lost},
                  {"frames_dropped", statement.frames_dropped},
                  {"frames_broken", statement.frames_broken},
                  {"mean_residual_mm", statement.mean_residual_mm}};
    stage.update(delivery::model_json(statement));
    stage["files"] = files;
    stages.push_back(std::move(stage));
  }
  json["stages"] = stages;
  json["receipt"] = {{"store_seq", record.store_seq},
                     {"committed_at", record.committed_at},
                     {"envelope_sha256", record.envelope_sha256},
                     {"outbox_epoch", parcel.outbox_epoch},
                     {"outbox_seq", parcel.outbox_seq}};
  return json;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cusp::records
