#include "daemon/api_json.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

#include "delivery/statement_json.h"

namespace cusp::daemon {
namespace {

using json = nlohmann::ordered_json;

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
  ticket["held_by"] = item.hold ? json(item.hold->station_id) : json(nullptr);
  ticket["held_since"] = item.hold ? json(item.hold->since) : json(nullptr);
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
          {"closures", c.closures},
          {"largest_closure_mm", c.largest_closure_mm},
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
    json model = {{"ticket_id", entry.ticket_id},
                  {"revision", entry.revision},
                  {"stage", to_string(s.stage)},
                  {"saved", entry.saved},
                  {"triangles", s.triangles},
                  {"frames", s.frames},
                  {"tracked", s.frames_tracked},
                  {"lost", s.frames_lost},
                  {"dropped", s.frames_dropped},
                  {"broken", s.frames_broken},
                  {"mean_residual_mm", s.mean_residual_mm}};
    model.update(delivery::model_json(s));
    model["files"] = files;
    models.push_back(std::move(model));
  }
  return text_of({{"models", models}});
}

}  // namespace cusp::daemon
