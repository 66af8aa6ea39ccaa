#include "daemon/api_requests.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/text.h"

namespace cusp::daemon {
namespace {

using json = nlohmann::ordered_json;

constexpr int kMaxDepth = 8;
constexpr double kLongestUndo_s = 3600;

std::string shown(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// What somebody sent, for a sentence. A list or an object is not quoted: writing one recurses.
std::string quoted(const json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  return shown(value).substr(0, 64);
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
                   shown(key.substr(0, 64)), list);
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
  CUSP_TRY(check_object("the body", object, {"ticket_id", "stage", "device", "from"}));
  ScanRequest request;
  CUSP_ASSIGN(request.ticket_id, text_at(object, "ticket_id"));
  CUSP_ASSIGN(request.device, text_at(object, "device"));
  if (const auto stage = object.find("stage"); stage != object.end()) {
    CUSP_ASSIGN(const ScanStage known, stage_from(*stage));
    request.stage = known;
  }
  if (const auto from = object.find("from"); from != object.end()) {
    CUSP_ASSIGN(const ScanStage known, stage_from(*from));
    request.from = known;
  }
  return request;
}

Result<bool> insists(std::string_view body) {
  CUSP_ASSIGN(const json object, parse(body));
  CUSP_TRY(check_object("the body", object, {"insist"}));
  const auto found = object.find("insist");
  if (found == object.end()) return false;
  if (!found->is_boolean())
    return error(ErrorCode::kInvalidArgument, "insist is {}: true or false", quoted(*found));
  return found->get<bool>();
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
