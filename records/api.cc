#include "records/api.h"

#include <algorithm>

#include "core/flush_stats.h"
#include "delivery/digest.h"
#include "http/metrics.h"
#include "records/api_json.h"

namespace cusp::records {
namespace {

using http::Request;
using http::Response;

Response answer(const Json& json, unsigned status = 200) {
  Response response;
  response.status = status;
  response.body = dump(json);
  return response;
}

template <typename T>
Response answer(const Result<T>& result) {
  return result ? answer(to_json(*result)) : http::problem(result.error());
}

template <typename T>
Response created(const Result<T>& result, std::string_view folder, const std::string& id) {
  auto response = answer(to_json(*result), 201);
  response.headers["Location"] = fmt::format("/api/v1/{}/{}", folder, id);
  return response;
}

template <typename T, typename ToJson>
Response answer_page(const Result<Page<T>>& page, std::string_view name, ToJson item_json) {
  if (!page) return http::problem(page.error());
  Json items = Json::array();
  for (const auto& item : page->items) items.push_back(item_json(item));
  Json json;
  json[std::string(name)] = std::move(items);
  json["next"] = page->next ? Json(*page->next) : Json(nullptr);
  return answer(json);
}

// A form of another site can't send this type without asking first (CORS), so it can't write here.
bool is_json(const Request& request) {
  const auto type = request.headers.find("content-type");
  return type != request.headers.end() &&
         type->second.substr(0, type->second.find(';')) == "application/json";
}

http::Handler with_json(http::Handler handler) {
  return [handler = std::move(handler)](const Request& request) {
    if (!is_json(request)) return http::problem(415, "the body must be application/json");
    return handler(request);
  };
}

// What browsers may see as itself; everything else is a download of bytes. Never what the station
// says alone: a page or a script among the files would otherwise run with the reader's rights.
std::string_view served_type(std::string_view media_type) {
  for (const std::string_view known : {"model/stl", "application/x-ply", "image/png", "image/jpeg"})
    if (media_type == known) return known;
  return "application/octet-stream";
}

// RFC 8187: names may hold any character.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

const delivery::BlobRef* find_blob(const std::vector<delivery::BlobRef>& blobs, auto is_it) {
  const auto found = std::find_if(blobs.begin(), blobs.end(), is_it);
  return found == blobs.end() ? nullptr : &*found;
}

// Without a Cache-Control of its own, so it leaves as no-store: no patient's picture stays in the
// cache of a browser.
Response send_blob(const std::filesystem::path& data_folder, const delivery::BlobRef& blob) {
  Response response;
  response.content_type = served_type(blob.media_type);
  response.file = delivery::cas_path(data_folder, blob.sha256);
  return response;
}

void add_patients(http::Router& router, RecordsStore& store) {
  router.add("GET", "/api/v1/patients", [&store](const Request& request) {
    const auto page = read_page(request.query);
    if (!page) return http::problem(page.error());
    return answer_page(store.list_patients(*page), "patients",
                       [](const Patient& patient) { return to_json(patient); });
  });
  router.add("POST", "/api/v1/patients", with_json([&store](const Request& request) {
               auto patient = read_patient(request.body);
               if (!patient) return http::problem(patient.error());
               const auto added = store.add_patient(*std::move(patient));
               if (!added) return http::problem(added.error());
               return created(added, "patients", added->id);
             }));
  router.add("GET", "/api/v1/patients/{id}", [&store](const Request& request) {
    return answer(store.find_patient(request.params.at("id")));
  });
}

void add_tickets(http::Router& router, RecordsStore& store) {
  router.add("GET", "/api/v1/tickets", [&store](const Request& request) {
    const auto page = read_page(request.query, {"status"});
    if (!page) return http::problem(page.error());
    std::optional<TicketStatus> status;
    if (const auto wanted = request.query.find("status"); wanted != request.query.end()) {
      status = ticket_status_from(wanted->second);
      if (!status) return http::problem(400, "status must be open, delivered or cancelled");
    }
    return answer_page(store.list_tickets(status, *page), "tickets",
                       [](const Ticket& ticket) { return to_json(ticket); });
  });
  router.add("POST", "/api/v1/tickets", with_json([&store](const Request& request) {
               auto body = read_ticket(request.body);
               if (!body) return http::problem(body.error());
               const auto added = store.add_ticket(body->patient_id, std::move(body->order));
               if (!added) return http::problem(added.error());
               return created(added, "tickets", added->order.id);
             }));
  router.add("GET", "/api/v1/tickets/{id}", [&store](const Request& request) {
    return answer(store.find_ticket(request.params.at("id")));
  });
  router.add("DELETE", "/api/v1/tickets/{id}", [&store](const Request& request) {
    return answer(store.cancel_ticket(request.params.at("id")));
  });
}

void add_records(http::Router& router, RecordsStore& store,
                 const std::filesystem::path& data_folder) {
  router.add("GET", "/api/v1/records", [&store](const Request& request) {
    const auto page = read_page(request.query);
    if (!page) return http::problem(page.error());
    return answer_page(store.list_records(*page), "records", summary_json);
  });
  router.add("GET", "/api/v1/records/{id}", [&store](const Request& request) {
    const auto record = store.find_record(request.params.at("id"));
    return record ? answer(detail_json(*record)) : http::problem(record.error());
  });
  router.add(
      "GET", "/api/v1/records/{id}/thumbnail", [&store, data_folder](const Request& request) {
        const auto record = store.find_record(request.params.at("id"));
        if (!record) return http::problem(record.error());
        const auto blobs = record->parcel.all_blobs();
        const auto* blob = find_blob(blobs, [](const auto& b) { return b.role == "thumbnail"; });
        if (blob == nullptr) return http::problem(404, "this record has no thumbnail");
        return send_blob(data_folder, *blob);
      });
  router.add(
      "GET", "/api/v1/records/{id}/files/{sha256}", [&store, data_folder](const Request& request) {
        const auto record = store.find_record(request.params.at("id"));
        if (!record) return http::problem(record.error());
        const auto& sha256 = request.params.at("sha256");
        const auto blobs = record->parcel.all_blobs();
        const auto* blob = find_blob(blobs, [&](const auto& b) { return b.sha256 == sha256; });
        if (blob == nullptr) return http::problem(404, "this record has no such file");
        auto response = send_blob(data_folder, *blob);
        response.headers["Content-Disposition"] =
            "attachment; filename*=UTF-8''" + percent_encoded(blob->file_name);
        return response;
      });
}

Response status(RecordsStore& store, FileSystem& files, const ApiOptions& options) {
  const auto counts = store.counts();
  if (!counts) return http::problem(counts.error());
  const auto free_bytes = files.free_bytes(options.data_folder);
  if (!free_bytes) return http::problem(free_bytes.error());
  Json json{
      {"clinic_name", options.clinic_name}, {"store_epoch", store.store_epoch()},
      {"patients", counts->patients},       {"tickets_open", counts->tickets_open},
      {"records", counts->records},         {"records_unassigned", counts->records_unassigned},
      {"file_bytes", counts->file_bytes},   {"free_bytes", *free_bytes}};
  if (options.gate_counts) {
    const auto gate = options.gate_counts();
    json["ingest"] = {{"stations_connected", gate.sessions},
                      {"bytes_received", gate.bytes_received},
                      {"parcels_committed", gate.commits},
                      {"parcels_repeated", gate.repeats},
                      {"conflicts", gate.conflicts},
                      {"handshakes_refused", gate.handshakes_refused},
                      {"problem", gate.problem}};
    json["feed"] = {{"subscribers_connected", gate.subscribers},
                    {"bytes_fetched", gate.bytes_fetched}};
  }
  if (options.upkeep != nullptr) {
    const UpkeepStatus upkeep = options.upkeep->status();
    json["upkeep"] = {{"files_read", upkeep.files_read},
                      {"files_damaged", upkeep.files_damaged},
                      {"last_backup_at",
                       upkeep.last_backup_at.empty() ? Json(nullptr) : Json(upkeep.last_backup_at)},
                      {"problem", upkeep.problem}};
  }
  return answer(json);
}

Response metrics(RecordsStore& store, FileSystem& files, const ApiOptions& options) {
  http::Metrics metrics;
  const auto number = [](auto value) { return static_cast<double>(value); };
  if (const auto counts = store.counts(); counts.ok()) {
    metrics.gauge("cusp_records", "Records that the store holds", number(counts->records));
    metrics.gauge("cusp_records_unassigned", "Records without a patient",
                  number(counts->records_unassigned));
    metrics.gauge("cusp_file_bytes", "Bytes of stored files", number(counts->file_bytes));
  }
  if (const auto free = files.free_bytes(options.data_folder); free.ok())
    metrics.gauge("cusp_disk_free_bytes", "Free bytes where they are stored", number(*free));
  if (options.gate_counts) {
    const auto gate = options.gate_counts();
    metrics.gauge("cusp_stations_connected", "Stations that are here now", number(gate.sessions));
    metrics.gauge("cusp_subscribers_connected", "Subscribers that are here now",
                  number(gate.subscribers));
    metrics.gauge("cusp_feed_lag_events", "Events that the slowest connected subscriber lacks",
                  number(gate.feed_lag));
    metrics.counter("cusp_bytes_received_total", "Bytes of files from stations",
                    number(gate.bytes_received));
    metrics.counter("cusp_bytes_fetched_total", "Bytes of files to subscribers",
                    number(gate.bytes_fetched));
    metrics.counter("cusp_parcels_committed_total", "Receipts given, not repeated",
                    number(gate.commits));
    metrics.counter("cusp_dedupe_hits_total", "Offers that had their receipt already",
                    number(gate.repeats));
    metrics.counter("cusp_conflicts_total", "Parcels refused: same key, other bytes",
                    number(gate.conflicts));
    metrics.counter("cusp_keys_denied_total", "Handshakes refused: unknown keys",
                    number(gate.handshakes_refused));
    metrics.counter("cusp_messages_dropped_total", "Messages that broke the rules",
                    number(gate.messages_dropped));
    metrics.counter("cusp_parcels_attested_total", "Parcels that were read again and are whole",
                    number(gate.attested));
    metrics.counter("cusp_files_mended_total", "Lost files that a station brought again",
                    number(gate.mended));
    metrics.counter("cusp_epochs_renewed_total",
                    "Times the store found that it had lost deliveries",
                    number(gate.epochs_renewed));
  }
  if (options.upkeep != nullptr) {
    const auto upkeep = options.upkeep->status();
    metrics.counter("cusp_files_scrubbed_total", "Files read again", number(upkeep.files_read));
    metrics.counter("cusp_files_damaged_total", "Of those, damaged or gone",
                    number(upkeep.files_damaged));
  }
  const FlushStats flushes = flush_stats();
  metrics.summary("cusp_fsync_seconds", "Waiting for the disk to flush", flushes.flushes,
                  std::chrono::duration<double>(flushes.waited).count());
  return metrics.response();
}

}  // namespace

http::Router make_router(RecordsStore& store, FileSystem& files, ApiOptions options) {
  http::Router router;
  add_patients(router, store);
  add_tickets(router, store);
  add_records(router, store, options.data_folder);
  router.serve_folder(options.web_folder);
  router.add("GET", "/metrics",
             [&store, &files, options](const Request&) { return metrics(store, files, options); });
  router.add("POST", "/api/v1/backup", [upkeep = options.upkeep](const Request&) {
    const auto asked = upkeep == nullptr
                           ? Result<void>(error(ErrorCode::kUnsupported, "there is no upkeep"))
                           : upkeep->back_up_now();
    if (!asked.ok()) return http::problem(asked.error());
    Response response = answer(Json::object());
    response.status = 202;
    return response;
  });
  router.add("GET", "/api/v1/status",
             [&store, &files, options = std::move(options)](const Request&) {
               return status(store, files, options);
             });
  return router;
}

std::string event_json(const StoreChange& change) {
  constexpr std::string_view kTypes[] = {"patient-added", "ticket-changed", "record-added"};
  return dump({{"type", kTypes[static_cast<int>(change.kind)]}, {"id", change.id}});
}

}  // namespace cusp::records
