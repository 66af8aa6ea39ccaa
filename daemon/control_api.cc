#include "daemon/control_api.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

#include "core/flush_stats.h"
#include "daemon/api_json.h"
#include "daemon/api_requests.h"
#include "http/metrics.h"

namespace cusp::daemon {
namespace {

using http::Request;
using http::Response;

Response json_response(std::string body, unsigned status = 200) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// Every command is answered with the status that it leads to.
Response answer(const Station& station, const Result<void>& result) {
  return result.ok() ? json_response(status_json(station)) : http::problem(result.error());
}

using TicketCommand = Result<void> (Station::*)(const std::string&);
using OnTicket = std::function<Result<void>(const std::string& id, const Request& request)>;

http::Handler ticket_command(Station& station, OnTicket command) {
  return [&station, command = std::move(command)](const Request& request) {
    const std::string& id = request.params.at("id");
    if (const auto done = command(id, request); !done.ok()) return http::problem(done.error());
    const auto item = station.ticket(id);
    // A ticket that the clinic had closed goes when it is given back.
    return item.ok() ? json_response(ticket_json(*item)) : json_response("{}");
  };
}

http::Handler scan_command(Station& station,
                           std::function<Result<void>(const ScanRequest&)> command) {
  return [&station, command = std::move(command)](const Request& request) {
    const auto wanted = scan_request_from_json(request.body);
    if (!wanted.ok()) return http::problem(wanted.error());
    return answer(station, command(*wanted));
  };
}

using StageCommand = std::function<Result<void>(const ScanRequest&, ScanStage)>;

http::Handler stage_command(Station& station, StageCommand command) {
  return scan_command(station,
                      [command = std::move(command)](const ScanRequest& wanted) -> Result<void> {
                        if (!wanted.stage)
                          return error(ErrorCode::kInvalidArgument, "stage is missing");
                        return command(wanted, *wanted.stage);
                      });
}

using Done = std::function<void(Result<void>)>;

// Answered when the model has changed. What can't be read is answered at once.
http::Handler edit_command(Station& station,
                           std::function<Result<void>(const Request&, Done)> command) {
  return [&station, command = std::move(command)](const Request& request) {
    Response response;
    response.later = [&station, command, request](http::Reply reply) {
      const auto begun = command(request, [&station, reply](const Result<void>& result) {
        reply(answer(station, result));
      });
      if (!begun.ok()) reply(http::problem(begun.error()));
    };
    return response;
  };
}

Response photo_response(const Result<Photo>& photo) {
  if (!photo.ok()) {
    // It was the camera that broke the rules, not who asked for the photo.
    const bool by_camera = photo.error().code == ErrorCode::kProtocol;
    return http::problem(by_camera ? Error{ErrorCode::kCorrupt, photo.error().message}
                                   : photo.error());
  }
  Response response;
  response.content_type = photo->content_type;
  response.body.assign(photo->bytes.begin(), photo->bytes.end());
  return response;
}

// A recording that still grows would break off anywhere.
Response recording_file(const Station& station, const std::string& id) {
  for (const recording::RecordingEntry& entry : station.recordings()) {
    if (entry.id != id) continue;
    if (entry.state == recording::RecordingEntry::State::kRunning)
      return http::problem(
          error(ErrorCode::kConflict, "recording {}: it is still being written", id));
    Response response;
    response.content_type = "application/x-pcapng";
    response.file = entry.path;
    return response;
  }
  return http::problem(error(ErrorCode::kNotFound, "recording {}: there is none of that name", id));
}

// 0 when it is not there.
template <typename T>
Result<T> number_in_query(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  T number = 0;
  if (found == request.query.end()) return number;
  const std::string& text = found->second;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size())
    return error(ErrorCode::kInvalidArgument, "{} is a whole number", name);
  return number;
}

}  // namespace

namespace {

Response metrics(const Station& station) {
  http::Metrics metrics;
  const auto number = [](auto value) { return static_cast<double>(value); };
  std::uint64_t waiting = 0, parked = 0;
  std::string oldest;
  for (const delivery::OutboxEntry& entry : station.outbox()) {
    if (entry.state == delivery::OutboxState::kDelivered) continue;
    ++(entry.state == delivery::OutboxState::kParked ? parked : waiting);
    if (oldest.empty() || entry.saved_at < oldest) oldest = entry.saved_at;
  }
  const auto since = from_rfc3339(oldest);
  const double age_s = since ? std::chrono::duration<double>(station.now() - *since).count() : 0.0;
  const delivery::LinkStatus link = station.link();
  metrics.gauge("cusp_outbox_depth", "Parcels that wait for the store", number(waiting));
  metrics.gauge("cusp_outbox_parked", "Parcels that wait for a person", number(parked));
  metrics.gauge("cusp_outbox_oldest_seconds", "Age of the oldest of these", std::max(age_s, 0.0));
  metrics.gauge("cusp_store_connected", "1: the store answers", link.connected ? 1 : 0);
  metrics.counter("cusp_bytes_sent_total", "Bytes of files to the store", number(link.bytes_sent));
  metrics.counter("cusp_bytes_resent_total", "Of those, sent once more", number(link.bytes_resent));
  metrics.counter("cusp_receipts_total", "Receipts from the store", number(link.receipts));
  metrics.gauge("cusp_devices", "Scanners that are plugged in", number(station.devices().size()));
  const FlushStats flushes = flush_stats();
  metrics.summary("cusp_fsync_seconds", "Waiting for the disk to flush", flushes.flushes,
                  std::chrono::duration<double>(flushes.waited).count());
  return metrics.response();
}

}  // namespace

http::Router make_control_router(Station& station) {
  http::Router router;
  const std::string v1 = "/api/v1";
  router.add("GET", "/metrics", [&station](const Request&) { return metrics(station); });
  router.add("GET", v1 + "/status",
             [&station](const Request&) { return json_response(status_json(station)); });
  router.add("GET", v1 + "/devices",
             [&station](const Request&) { return json_response(devices_json(station)); });
  router.add("POST", v1 + "/devices/{serial}/photo", [&station](const Request& request) {
    Response response;
    response.later = [&station, serial = request.params.at("serial")](http::Reply reply) {
      station.take_photo(serial, [reply = std::move(reply)](const Result<Photo>& photo) {
        reply(photo_response(photo));
      });
    };
    return response;
  });
  router.add("GET", v1 + "/recordings",
             [&station](const Request&) { return json_response(recordings_json(station)); });
  router.add("GET", v1 + "/recordings/{id}/file", [&station](const Request& request) {
    return recording_file(station, request.params.at("id"));
  });
  router.add("GET", v1 + "/outbox",
             [&station](const Request&) { return json_response(outbox_json(station)); });
  router.add("POST", v1 + "/outbox/{seq}/release", [&station](const Request& request) {
    const std::string& text = request.params.at("seq");
    std::uint64_t seq = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, seq);
    if (parsed.ec != std::errc{} || parsed.ptr != end)
      return http::problem(
          error(ErrorCode::kInvalidArgument, "a parcel's seq is a whole number, see the outbox"));
    const auto released = station.release_parcel(seq);
    return released.ok() ? json_response(outbox_json(station)) : http::problem(released.error());
  });
  router.add("GET", v1 + "/models", [&station](const Request& request) {
    const auto ticket = request.query.find("ticket_id");
    auto models = models_json(station, ticket == request.query.end() ? "" : ticket->second);
    return models.ok() ? json_response(std::move(*models)) : http::problem(models.error());
  });

  router.add("GET", v1 + "/tickets",
             [&station](const Request&) { return json_response(tickets_json(station)); });
  router.add("GET", v1 + "/tickets/{id}", [&station](const Request& request) {
    const auto item = station.ticket(request.params.at("id"));
    return item.ok() ? json_response(ticket_json(*item)) : http::problem(item.error());
  });
  router.add("POST", v1 + "/tickets", [&station](const Request& request) {
    auto wanted = ticket_from_json(request.body);
    if (!wanted.ok()) return http::problem(wanted.error());
    const auto made = station.make_ticket(std::move(*wanted));
    if (!made.ok()) return http::problem(made.error());
    return json_response(ticket_json({*made, TicketState::kCreated, true, false}), 201);
  });
  router.add(
      "POST", v1 + "/tickets/{id}/claim",
      ticket_command(station,
                     [&station](const std::string& id, const Request& request) -> Result<void> {
                       CUSP_ASSIGN(const bool insist, insists(request.body));
                       return station.claim(id, insist);
                     }));
  router.add("POST", v1 + "/tickets/{id}/release",
             ticket_command(station, [&station](const std::string& id, const Request&) {
               return station.release(id);
             }));
  router.add("POST", v1 + "/tickets/{id}/cancel",
             ticket_command(station, [&station](const std::string& id, const Request&) {
               return station.cancel(id);
             }));

  router.add("POST", v1 + "/scan/start",
             stage_command(station, [&station](const ScanRequest& wanted, ScanStage stage) {
               return station.start_scan(wanted.ticket_id, stage, wanted.device, wanted.from);
             }));
  router.add("POST", v1 + "/scan/redo",
             stage_command(station, [&station](const ScanRequest& wanted, ScanStage stage) {
               return station.redo(wanted.ticket_id, stage, wanted.device, wanted.from);
             }));
  router.add("POST", v1 + "/scan/retry",
             stage_command(station, [&station](const ScanRequest& wanted, ScanStage stage) {
               return station.retry(wanted.ticket_id, stage);
             }));
  router.add("GET", v1 + "/scan/mesh", [&station](const Request& request) {
    const auto mesh = number_in_query<std::uint64_t>(request, "mesh");
    const auto since = number_in_query<std::uint32_t>(request, "since");
    if (!mesh.ok()) return http::problem(mesh.error());
    if (!since.ok()) return http::problem(since.error());
    Response response;
    response.later = [&station, mesh = *mesh, since = *since](http::Reply reply) {
      station.mesh_update(mesh, since, [reply = std::move(reply)](const auto& update) {
        if (!update.ok()) return reply(http::problem(update.error()));
        Response answer;
        answer.content_type = "application/octet-stream";
        answer.body.assign(update->begin(), update->end());
        reply(answer);
      });
    };
    return response;
  });
  router.add("POST", v1 + "/scan/abort",
             stage_command(station, [&station](const ScanRequest& wanted, ScanStage stage) {
               return station.abort(wanted.ticket_id, stage);
             }));
  router.add("POST", v1 + "/scan/discard",
             stage_command(station, [&station](const ScanRequest& wanted, ScanStage stage) {
               return station.discard(wanted.ticket_id, stage);
             }));
  router.add("POST", v1 + "/scan/undo",
             edit_command(station, [&station](const Request& request, Done done) -> Result<void> {
               CUSP_ASSIGN(const UndoRequest wanted, undo_request_from_json(request.body));
               station.undo(wanted.ticket_id, wanted.span, std::move(done));
               return {};
             }));
  router.add("POST", v1 + "/scan/edit",
             edit_command(station, [&station](const Request& request, Done done) -> Result<void> {
               CUSP_ASSIGN(EditRequest wanted, edit_request_from_json(request.body));
               station.edit(wanted.ticket_id, std::move(wanted.edit), std::move(done));
               return {};
             }));
  const std::pair<const char*, TicketCommand> commands[] = {
      {"pause", &Station::pause},
      {"resume", &Station::resume},
      {"finish-stage", &Station::finish_stage},
      {"finish", &Station::finish},
      {"cancel", &Station::cancel},
  };
  for (const auto& [name, command] : commands)
    router.add("POST", v1 + "/scan/" + name,
               scan_command(station, [&station, command = command](const ScanRequest& wanted) {
                 return (station.*command)(wanted.ticket_id);
               }));
  return router;
}

}  // namespace cusp::daemon
