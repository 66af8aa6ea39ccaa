#include "daemon/api_json.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/text.h"

namespace cusp::daemon {
namespace {

constexpr double kLongestUndo_s = 3600;

using json = nlohmann::ordered_json;

constexpr int kMaxDepth = 8;  // of a request's body

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Null: the device does not say.
template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}
json or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

json age_days(const std::string& date, WallTime now) {
  std::istringstream text(date);
  std::chrono::sys_days day;
  int year = 0;
  unsigned month = 0;
  unsigned day_of_month = 0;
  char dash = 0;
  if (!(text >> year >> dash >> month >> dash >> day_of_month)) return nullptr;
  const std::chrono::year_month_day when{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day_of_month)};
  if (!when.ok()) return nullptr;
  return std::chrono::floor<std::chrono::days>(now - std::chrono::sys_days(when)).count();
}

json to_json(const DeviceEntry& entry, WallTime now) {
  json temperatures = json::array();
  for (const Temperature& one : entry.health.temperatures)
    temperatures.push_back({{"where", one.where}, {"celsius", one.celsius}});
  json tip = nullptr;
  if (!entry.health.tip_id.empty())
    tip = {{"id", entry.health.tip_id},
           {"uses", or_null(entry.health.tip_uses)},
           {"uses_allowed", or_null(entry.health.tip_uses_allowed)}};
  const CaptureCounts& c = entry.counts;
  return {{"serial", entry.info.serial},
          {"model", entry.info.model},
          {"maker", entry.info.maker},
          {"kind", entry.info.model.empty() ? json(nullptr) : json(to_string(entry.info.kind))},
          {"firmware", entry.info.firmware},
          {"driver", entry.address.driver},
          {"port", entry.address.port_path},
          {"speed", entry.speed ? json(to_string(*entry.speed)) : json(nullptr)},
          {"status", to_string(entry.status)},
          {"user", or_null(entry.user)},
          {"problem", entry.problem},
          {"has_button", entry.info.has_button},
          {"device_problems", entry.health.problems},
          {"temperatures", temperatures},
          {"calibration",
           {{"id", or_null(entry.health.calibration_id)},
            {"made_on", or_null(entry.health.calibrated_on)},
            {"age_days", age_days(entry.health.calibrated_on, now)}}},
          {"tip", tip},
          {"frames",
           {{"captured", c.frames},
            {"dropped", entry.dropped},
            {"missing", c.lost},
            {"broken_on_bus", c.broken_on_bus},
            {"broken_header", c.broken_header},
            {"broken_size", c.broken_size},
            {"broken_by_device", c.broken_by_device},
            {"restarts", c.restarts}}},
          {"bytes", c.bytes},
          {"bytes_per_second", entry.bytes_per_second}};
}

json to_json(const ScanTicket& ticket, TicketState state) {
  json stages = json::array();
  for (const ScanStage stage : ticket.stages) stages.push_back(to_string(stage));
  return {{"id", ticket.id},
          {"revision", ticket.revision},
          {"state", to_string(state)},
          {"kind", to_string(ticket.kind)},
          {"case_type", ticket.case_type},
          {"visit_type", ticket.visit_type},
          {"doctor", ticket.doctor},
          {"patient_ref", ticket.patient_ref},
          {"case_ref", ticket.case_ref},
          {"teeth_fdi", ticket.teeth_fdi},
          {"note", ticket.note},
          {"stages", stages},
          {"patient",
           {{"name", ticket.patient.name}, {"date_of_birth", ticket.patient.date_of_birth}}}};
}

json to_json(const delivery::WorklistItem& item) {
  json ticket = to_json(item.ticket, item.state);
  ticket["made_here"] = item.made_here;
  ticket["withdrawn"] = item.withdrawn;
  return ticket;
}

json to_json(const ScanStatus& scan) {
  const ScanCounts& c = scan.counts;
  return {{"phase", to_string(scan.phase)},
          {"device", scan.device.serial},
          {"calibration_id", scan.calibration_id},
          {"journal_problem", scan.journal_problem},
          {"frames", c.frames},
          {"fps", c.fps},
          {"tracked", c.tracked},
          {"relocalised", c.relocalised},
          {"lost", c.lost},
          {"obscured", c.obscured},
          {"dropped", c.dropped},
          {"broken", c.broken},
          {"missing", c.missing},
          {"incomplete", c.incomplete},
          {"restarts", c.restarts},
          {"triangles", c.triangles},
          {"volume_bytes", c.volume_bytes},
          {"verdict", to_string(c.verdict)},
          {"residual_mm", c.residual_mm},
          {"mean_residual_mm", c.mean_residual_mm}};
}

json to_json(const delivery::OutboxEntry& entry) {
  json receipt;
  if (entry.receipt)
    receipt = {{"store_seq", entry.receipt->store_seq},
               {"committed_at", entry.receipt->committed_at},
               {"envelope_sha256", entry.receipt->envelope_sha256},
               {"record_url", entry.receipt->record_url}};
  return {{"seq", entry.seq},
          {"ticket_id", entry.ticket_id},
          {"revision", entry.revision},
          {"state", to_string(entry.state)},
          {"size_bytes", entry.size_bytes},
          {"sent_bytes", entry.sent_bytes},
          {"saved_at", entry.saved_at},
          {"held_because", entry.held_because},
          {"receipt", receipt}};
}

json devices_of(const Station& station) {
  json devices = json::array();
  for (const DeviceEntry& entry : station.devices())
    devices.push_back(to_json(entry, station.now()));
  return devices;
}

// What somebody sent, for a sentence. A list or an object is not quoted: writing one recurses.
std::string quoted(const json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  return text_of(value).substr(0, 64);
}

Result<json> parse(std::string_view body) {
  bool too_deep = false;
  const auto within_depth = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json value = json::parse(body.empty() ? "{}" : body, within_depth, false);
  if (too_deep)
    return error(ErrorCode::kInvalidArgument, "the body is nested deeper than {} levels",
                 kMaxDepth);
  if (value.is_discarded()) return error(ErrorCode::kInvalidArgument, "the body is not JSON");
  return value;
}

Result<void> check_object(std::string_view what, const json& object,
                          std::initializer_list<std::string_view> known) {
  if (!object.is_object())
    return error(ErrorCode::kInvalidArgument, "{} is not a JSON object", what);
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string list;
      for (const std::string_view one : known)
        list += (list.empty() ? "" : ", ") + std::string(one);
      return error(ErrorCode::kInvalidArgument, "{} is not a key here; known: {}",
                   text_of(key.substr(0, 64)), list);
    }
  return {};
}

// A number, or a list of `count` of them.
Result<std::vector<double>> numbers_at(const json& object, const char* key, std::size_t count) {
  const auto found = object.find(key);
  const bool right =
      found != object.end() &&
      (count == 0
           ? found->is_number()
           : found->is_array() && found->size() == count &&
                 std::ranges::all_of(*found, [](const json& one) { return one.is_number(); }));
  if (!right)
    return error(ErrorCode::kInvalidArgument, "{} is not {}", key,
                 count == 0 ? std::string("a number") : fmt::format("a list of {} numbers", count));
  if (count == 0) return std::vector<double>{found->get<double>()};
  return found->get<std::vector<double>>();
}

Result<std::string> text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::string{};
  if (!found->is_string()) return error(ErrorCode::kInvalidArgument, "{} is not a text", key);
  auto text = found->get<std::string>();
  CUSP_TRY(check_text(key, text, kMaxTextBytes));
  return text;
}

Result<ScanStage> stage_from(const json& value) {
  const auto stage =
      value.is_string() ? scan_stage_from(value.get<std::string>()) : std::optional<ScanStage>{};
  if (stage) return *stage;
  return error(ErrorCode::kInvalidArgument,
               "stage {} is none of upper, lower, bite-left, bite-right, preop-upper, preop-lower, "
               "scan-body-upper, scan-body-lower, face-neutral, face-smile, face-retracted",
               quoted(value));
}

}  // namespace

std::string status_json(const Station& station) {
  const delivery::LinkStatus link = station.link();
  json status = {{"station_id", station.options().station_id},
                 {"software_version", station.software_version()},
                 {"devices", devices_of(station)},
                 {"store",
                  {{"endpoint", station.options().store_endpoint},
                   {"connected", link.connected},
                   {"problem", link.problem},
                   {"bytes_sent", link.bytes_sent},
                   {"bytes_resent", link.bytes_resent},
                   {"receipts", link.receipts}}}};
  std::map<std::string_view, int> states = {
      {"ready", 0}, {"sending", 0}, {"delivered", 0}, {"parked", 0}};
  for (const delivery::OutboxEntry& entry : station.outbox()) ++states[to_string(entry.state)];
  status["outbox"] = states;
  status["notice"] = station.notice();
  status["ticket"] = nullptr;
  status["scan"] = nullptr;
  if (const Session* session = station.session()) {
    json ticket = to_json(session->ticket(), session->state());
    ticket["progress"] = json::array();
    for (const StageProgress& one : session->stages())
      ticket["progress"].push_back(
          {{"stage", to_string(one.stage)},
           {"state", to_string(one.state)},
           {"share", one.state == StageState::kProcessing ? json(station.processed_share(one.stage))
                                                          : json(nullptr)},
           {"problem", one.problem}});
    status["ticket"] = std::move(ticket);
    if (const auto scan = station.scan(); scan && session->current()) {
      status["scan"] = to_json(*scan);
      status["scan"]["stage"] = to_string(*session->current());
      status["scan"]["state"] = to_string(session->stage_state(*session->current()));
    }
  }
  return text_of(status);
}

std::string devices_json(const Station& station) {
  return text_of({{"devices", devices_of(station)}});
}

std::string tickets_json(Station& station) {
  json tickets = json::array();
  for (const delivery::WorklistItem& item : station.tickets()) tickets.push_back(to_json(item));
  return text_of({{"tickets", tickets}});
}

std::string ticket_json(const delivery::WorklistItem& item) { return text_of(to_json(item)); }

std::string outbox_json(const Station& station) {
  json entries = json::array();
  for (const delivery::OutboxEntry& entry : station.outbox()) entries.push_back(to_json(entry));
  return text_of({{"entries", entries}});
}

std::string recordings_json(const Station& station) {
  json recordings = json::array();
  for (const recording::RecordingEntry& entry : station.recordings())
    recordings.push_back({{"id", entry.id},
                          {"device", entry.serial},
                          {"stage", entry.what},
                          {"started_at", entry.started_at},
                          {"size_bytes", entry.size_bytes},
                          {"state", to_string(entry.state)},
                          {"path", entry.path.string()}});
  return text_of({{"recordings", recordings}});
}

json quality_json(const std::optional<delivery::StageQuality>& quality) {
  if (!quality) return nullptr;
  return {{"grade", quality->grade},
          {"reasons", quality->reasons},
          {"area_mm2", quality->area_mm2},
          {"holes", quality->holes},
          {"largest_hole_mm", quality->largest_hole_mm},
          {"drift_mm", quality->drift_mm ? json(*quality->drift_mm) : json(nullptr)}};
}

Result<std::string> models_json(Station& station, const std::string& ticket_id) {
  CUSP_ASSIGN(const auto entries, station.models(ticket_id));
  json models = json::array();
  for (const ModelEntry& entry : entries) {
    const delivery::StageStatement& s = entry.statement;
    json files = json::array();
    for (std::size_t i = 0; i < s.blobs.size(); ++i)
      files.push_back({{"name", s.blobs[i].file_name},
                       {"role", s.blobs[i].role},
                       {"media_type", s.blobs[i].media_type},
                       {"size_bytes", s.blobs[i].size_bytes},
                       {"sha256", s.blobs[i].sha256},
                       {"path", entry.paths[i].string()}});
    models.push_back({{"quality", quality_json(s.quality)},
                      {"ticket_id", entry.ticket_id},
                      {"revision", entry.revision},
                      {"stage", to_string(s.stage)},
                      {"saved", entry.saved},
                      {"triangles", s.triangles},
                      {"frames", s.frames},
                      {"tracked", s.frames_tracked},
                      {"lost", s.frames_lost},
                      {"dropped", s.frames_dropped},
                      {"broken", s.frames_broken},
                      {"mean_residual_mm", s.mean_residual_mm},
                      {"files", files}});
  }
  return text_of({{"models", models}});
}

Result<ScanTicket> ticket_from_json(std::string_view body) {
  CUSP_ASSIGN(const json object, parse(body));
  CUSP_TRY(check_object("the body", object,
                        {"kind", "case_type", "visit_type", "doctor", "patient_ref", "case_ref",
                         "teeth_fdi", "note", "stages", "patient"}));
  ScanTicket ticket;
  CUSP_ASSIGN(const std::string kind, text_at(object, "kind"));
  if (!kind.empty()) {
    const auto known = ticket_kind_from(kind);
    if (!known) return error(ErrorCode::kInvalidArgument, "kind is neither intraoral nor face");
    ticket.kind = *known;
  }
  const std::pair<const char*, std::string*> texts[] = {
      {"case_type", &ticket.case_type}, {"visit_type", &ticket.visit_type},
      {"doctor", &ticket.doctor},       {"patient_ref", &ticket.patient_ref},
      {"case_ref", &ticket.case_ref},   {"note", &ticket.note}};
  for (const auto& [key, text] : texts) {
    CUSP_ASSIGN(*text, text_at(object, key));
  }
  if (const auto teeth = object.find("teeth_fdi"); teeth != object.end()) {
    if (!teeth->is_array() || teeth->size() > 52)
      return error(ErrorCode::kInvalidArgument, "teeth_fdi is not a list of up to 52 FDI numbers");
    for (const json& tooth : *teeth) {
      if (!tooth.is_number_unsigned() || tooth.get<std::uint64_t>() > 99)
        return error(ErrorCode::kInvalidArgument, "teeth_fdi: {} is not an FDI number",
                     quoted(tooth));
      ticket.teeth_fdi.push_back(tooth.get<int>());
    }
  }
  if (const auto stages = object.find("stages"); stages != object.end()) {
    if (!stages->is_array() || stages->size() > 32)
      return error(ErrorCode::kInvalidArgument, "stages is not a list of stage names");
    for (const json& stage : *stages) {
      CUSP_ASSIGN(const ScanStage known, stage_from(stage));
      ticket.stages.push_back(known);
    }
  }
  if (const auto patient = object.find("patient"); patient != object.end()) {
    CUSP_TRY(check_object("patient", *patient, {"name", "date_of_birth"}));
    CUSP_ASSIGN(ticket.patient.name, text_at(*patient, "name"));
    CUSP_ASSIGN(ticket.patient.date_of_birth, text_at(*patient, "date_of_birth"));
  }
  return ticket;
}

Result<ScanRequest> scan_request_from_json(std::string_view body) {
  CUSP_ASSIGN(const json object, parse(body));
  CUSP_TRY(check_object("the body", object, {"ticket_id", "stage", "device"}));
  ScanRequest request;
  CUSP_ASSIGN(request.ticket_id, text_at(object, "ticket_id"));
  CUSP_ASSIGN(request.device, text_at(object, "device"));
  if (const auto stage = object.find("stage"); stage != object.end()) {
    CUSP_ASSIGN(const ScanStage known, stage_from(*stage));
    request.stage = known;
  }
  return request;
}

Result<UndoRequest> undo_request_from_json(std::string_view body) {
  CUSP_ASSIGN(const json object, parse(body));
  CUSP_TRY(check_object("the body", object, {"ticket_id", "seconds"}));
  UndoRequest request;
  CUSP_ASSIGN(request.ticket_id, text_at(object, "ticket_id"));
  CUSP_ASSIGN(const std::vector<double> seconds, numbers_at(object, "seconds", 0));
  if (!(seconds[0] > 0 && seconds[0] <= kLongestUndo_s))
    return error(ErrorCode::kInvalidArgument, "seconds is not between 0 and {}", kLongestUndo_s);
  request.span = std::chrono::nanoseconds(static_cast<std::int64_t>(seconds[0] * 1e9));
  return request;
}

namespace {

template <typename Point>
Result<std::vector<Point>> points_at(const json& object, const char* key) {
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array())
    return error(ErrorCode::kInvalidArgument, "{} is not a list of points", key);
  std::vector<Point> points;
  for (const json& one : *list) {
    Point point;
    if (!one.is_array() || one.size() != static_cast<std::size_t>(point.size()))
      return error(ErrorCode::kInvalidArgument, "{}: {} is not {} numbers", key, quoted(one),
                   point.size());
    for (std::size_t k = 0; k < one.size(); ++k) {
      if (!one[k].is_number())
        return error(ErrorCode::kInvalidArgument, "{}: {} is not a number", key, quoted(one[k]));
      point[static_cast<Eigen::Index>(k)] = one[k].get<float>();
    }
    points.push_back(point);
  }
  return points;
}

Result<Region> brush_from(const json& object) {
  CUSP_TRY(check_object("brush", object, {"path_mm", "radius_mm"}));
  Brush brush;
  CUSP_ASSIGN(brush.path_mm, points_at<Eigen::Vector3f>(object, "path_mm"));
  CUSP_ASSIGN(const auto radius, numbers_at(object, "radius_mm", 0));
  brush.radius_mm = static_cast<float>(radius[0]);
  return Region(std::move(brush));
}

Result<Region> lasso_from(const json& object) {
  CUSP_TRY(
      check_object("lasso", object, {"view_from_model", "focal", "outline", "near_mm", "far_mm"}));
  Lasso lasso;
  CUSP_ASSIGN(lasso.outline, points_at<Eigen::Vector2f>(object, "outline"));
  CUSP_ASSIGN(const auto view, numbers_at(object, "view_from_model", 12));
  for (int k = 0; k < 12; ++k)
    lasso.view_from_model.matrix()(k / 4, k % 4) = view[static_cast<std::size_t>(k)];
  const std::pair<const char*, double*> numbers[] = {
      {"focal", &lasso.focal}, {"near_mm", &lasso.near_mm}, {"far_mm", &lasso.far_mm}};
  for (const auto& [key, number] : numbers) {
    CUSP_ASSIGN(const auto value, numbers_at(object, key, 0));
    *number = value[0];
  }
  return Region(std::move(lasso));
}

}  // namespace

Result<EditRequest> edit_request_from_json(std::string_view body) {
  CUSP_ASSIGN(const json object, parse(body));
  CUSP_TRY(check_object("the body", object, {"ticket_id", "do", "brush", "lasso"}));
  EditRequest request;
  CUSP_ASSIGN(request.ticket_id, text_at(object, "ticket_id"));
  CUSP_ASSIGN(const std::string what, text_at(object, "do"));
  if (what == "unlock") {
    request.edit = UnlockAll{};
    return request;
  }
  if (what != "cut" && what != "lock")
    return error(ErrorCode::kInvalidArgument, "do is none of cut, lock, unlock");
  const auto brush = object.find("brush");
  const auto lasso = object.find("lasso");
  if ((brush == object.end()) == (lasso == object.end()))
    return error(ErrorCode::kInvalidArgument, "{} wants either a brush or a lasso", what);
  CUSP_ASSIGN(Region region, brush != object.end() ? brush_from(*brush) : lasso_from(*lasso));
  CUSP_TRY(validate(region));
  request.edit =
      what == "cut" ? ScanEntry(Cut{std::move(region)}) : ScanEntry(Lock{std::move(region)});
  return request;
}

}  // namespace cusp::daemon
