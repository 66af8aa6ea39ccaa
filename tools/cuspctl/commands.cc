#include "tools/cuspctl/commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <thread>

#include "core/file_system.h"
#include "core/uuid.h"
#include "tools/cuspctl/answers.h"

namespace cusp::cuspctl {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 250ms;

std::string patient_of(const json& ticket) {
  const auto patient = ticket.find("patient");
  if (patient == ticket.end() || !patient->is_object() || shown(*patient, "name").empty())
    return "no patient yet";
  const std::string born = shown(*patient, "date_of_birth");
  return shown(*patient, "name") + ", born " + (born.empty() ? "?" : born);
}

std::string stages_of(const json& ticket) {
  std::string text;
  if (const json& progress = list_of(ticket, "progress"); !progress.empty()) {
    for (const json& one : progress) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", shown(one, "stage"),
                          shown(one, "state"));
      if (const auto share = one.find("share"); share != one.end() && share->is_number())
        text += fmt::format(" {:.0f} %", 100 * share->get<double>());
    }
    return text;
  }
  for (const json& stage : list_of(ticket, "stages"))
    if (stage.is_string()) text += (text.empty() ? "" : ", ") + stage.get<std::string>();
  return text;
}

void print_ticket(const json& ticket) {
  fmt::print("{}  {:<12} {}\n", shown(ticket, "id"), shown(ticket, "state"), patient_of(ticket));
  fmt::print("    {} {}; stages: {}\n", shown(ticket, "kind"), shown(ticket, "case_type"),
             stages_of(ticket));
  if (ticket.contains("held_by") && ticket["held_by"].is_string())
    fmt::print("    station {} works on it\n", ticket["held_by"].get<std::string>());
  if (is_set(ticket, "withdrawn")) fmt::print("    the clinic has closed this ticket\n");
}

// Asks again and again until `enough`; kTimeout says that `wish` did not come true.
Result<json> wait_until(const Client& client, const std::string& target, int wait_s,
                        const std::string& wish, const std::function<bool(const json&)>& enough) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(wait_s);
  for (;;) {
    CUSP_ASSIGN(json answer, client.get(target));
    if (enough(answer) || wait_s == 0) return answer;
    if (std::chrono::steady_clock::now() >= end)
      return error(ErrorCode::kTimeout, "{} within {} s", wish, wait_s);
    std::this_thread::sleep_for(kLookEvery);
  }
}

// A ticket id goes into an address: nothing else may.
std::optional<int> refuse_ticket_id(const std::string& ticket) {
  if (is_uuid(ticket)) return std::nullopt;
  std::cerr << "cuspctl: \"" << ticket
            << "\" is not a ticket's id (36 characters; \"cuspctl tickets\" lists them)\n";
  return kUsage;
}

// As a segment of an address: cameras without a good serial number have all sorts of them.
std::string percent_encoded(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string encoded;
  for (const char c : text)
    encoded += kPlain.find(c) != std::string_view::npos
                   ? std::string(1, c)
                   : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return encoded;
}

Result<std::string> only_camera(const Client& client) {
  CUSP_ASSIGN(const json answer, client.get("/api/v1/devices"));
  std::vector<std::string> cameras;
  std::string list;
  for (const json& device : list_of(answer, "devices")) {
    if (shown(device, "kind") != "photo" || shown(device, "serial").empty()) continue;
    cameras.push_back(shown(device, "serial"));
    list += (list.empty() ? "" : ", ") + cameras.back();
  }
  if (cameras.size() == 1) return cameras.front();
  if (cameras.empty()) return error(ErrorCode::kNotFound, "no camera for photos is plugged in");
  return error(ErrorCode::kConflict, "{} cameras are plugged in: say which with --device: {}",
               cameras.size(), list);
}

std::string live_line(const json& status) {
  const auto ticket = status.find("ticket");
  if (ticket == status.end() || !ticket->is_object()) return "no ticket is worked on";
  const auto scan = status.find("scan");
  if (scan == status.end() || !scan->is_object())
    return fmt::format("{}: {}; {}", patient_of(*ticket), shown(*ticket, "state"),
                       stages_of(*ticket));
  return fmt::format(
      "{}: {} {}  frames {}  {:.0f} fps  tracked {}  lost {}{}  dropped {}  triangles {}",
      patient_of(*ticket), shown(*scan, "stage"), shown(*scan, "state"), count_of(*scan, "frames"),
      number_of(*scan, "fps"), count_of(*scan, "tracked"), count_of(*scan, "lost"),
      shown(*scan, "verdict") == "lost" && count_of(*scan, "lost") > 0 ? " (now)" : "",
      count_of(*scan, "dropped"), count_of(*scan, "triangles"));
}

void print_status(const json& status) {
  fmt::print("Station  {} (cuspd {})\n", shown(status, "station_id"),
             shown(status, "software_version"));
  for (const json& device : list_of(status, "devices"))
    fmt::print("Device   {} {}: {} {}\n", shown(device, "model"), shown(device, "serial"),
               shown(device, "status"), shown(device, "problem"));
  if (list_of(status, "devices").empty()) fmt::print("Device   none is plugged in\n");
  if (const auto store = status.find("store"); store != status.end() && store->is_object())
    fmt::print(
        "Store    {}: {}\n", shown(*store, "endpoint"),
        is_set(*store, "connected") ? "connected" : "not connected: " + shown(*store, "problem"));
  if (const auto outbox = status.find("outbox"); outbox != status.end() && outbox->is_object())
    fmt::print("Outbox   {} to send, {} being sent, {} parked, {} delivered\n",
               count_of(*outbox, "ready"), count_of(*outbox, "sending"),
               count_of(*outbox, "parked"), count_of(*outbox, "delivered"));
  fmt::print("Work     {}\n", live_line(status));
  if (!shown(status, "notice").empty()) fmt::print("Notice   {}\n", shown(status, "notice"));
  if (const auto scan = status.find("scan");
      scan != status.end() && scan->is_object() && !shown(*scan, "journal_problem").empty())
    fmt::print("Journal  {}\n", shown(*scan, "journal_problem"));
  if (const auto ticket = status.find("ticket"); ticket != status.end() && ticket->is_object())
    for (const json& one : list_of(*ticket, "progress"))
      if (!shown(one, "problem").empty())
        fmt::print("         {}: {}\n", shown(one, "stage"), shown(one, "problem"));
}

void print_device(const json& device) {
  const std::string user = shown(device, "user");
  const std::string name = shown(device, "model").empty()
                               ? fmt::format("a device at {} for driver {}", shown(device, "port"),
                                             shown(device, "driver"))
                               : fmt::format("{}  {} ({})", shown(device, "serial"),
                                             shown(device, "model"), shown(device, "kind"));
  fmt::print("{}: {}{}\n", name, shown(device, "status"), user.empty() ? "" : " by " + user);
  const auto line = [](const char* name, const std::string& text) {
    if (!text.empty()) fmt::print("  {:<12} {}\n", name, text);
  };
  line("problem", shown(device, "problem"));
  for (const json& problem : list_of(device, "device_problems")) line("it says", shown(problem));
  line("firmware", shown(device, "firmware"));
  line("port", fmt::format("{}  {}", shown(device, "port"), shown(device, "speed")));
  std::string temperatures;
  for (const json& one : list_of(device, "temperatures"))
    temperatures += fmt::format("{}{} {:.1f} C", temperatures.empty() ? "" : ", ",
                                shown(one, "where"), number_of(one, "celsius"));
  line("temperature", temperatures);
  if (const auto made = device.find("calibration"); made != device.end() && made->is_object()) {
    const std::string date = shown(*made, "made_on");
    line("calibration", shown(*made, "id") + (date.empty() ? "" : " of " + date) +
                            (has_number(*made, "age_days")
                                 ? fmt::format(", {} days old", count_of(*made, "age_days"))
                                 : ""));
  }
  if (const auto tip = device.find("tip"); tip != device.end() && tip->is_object())
    line("tip",
         shown(*tip, "id") +
             (has_number(*tip, "uses") ? fmt::format(", used {} times", count_of(*tip, "uses"))
                                       : "") +
             (has_number(*tip, "uses_allowed")
                  ? fmt::format(" of {} allowed", count_of(*tip, "uses_allowed"))
                  : ""));
  if (const auto frames = device.find("frames"); frames != device.end() && frames->is_object()) {
    line("frames", fmt::format("{} captured, {} dropped by a full queue, {} missing, {} restarts",
                               count_of(*frames, "captured"), count_of(*frames, "dropped"),
                               count_of(*frames, "missing"), count_of(*frames, "restarts")));
    line("broken",
         fmt::format("{} on the bus, {} by header, {} by size, {} said by the device",
                     count_of(*frames, "broken_on_bus"), count_of(*frames, "broken_header"),
                     count_of(*frames, "broken_size"), count_of(*frames, "broken_by_device")));
  }
  line("bandwidth", fmt::format("{:.1f} MB/s", number_of(device, "bytes_per_second") / 1e6));
}

int print_outbox(Output output, const json& answer) {
  if (output.as_json) return print_json(answer);
  for (const json& entry : list_of(answer, "entries")) {
    fmt::print("{:>4} {} revision {} {:<10} {} bytes, saved {} {}\n", count_of(entry, "seq"),
               shown(entry, "ticket_id"), count_of(entry, "revision"), shown(entry, "state"),
               count_of(entry, "size_bytes"), shown(entry, "saved_at"),
               shown(entry, "held_because"));
    if (const auto receipt = entry.find("receipt"); receipt != entry.end() && receipt->is_object())
      fmt::print("    stored as {} at {}  {}\n", count_of(*receipt, "store_seq"),
                 shown(*receipt, "committed_at"), shown(*receipt, "record_url"));
  }
  if (list_of(answer, "entries").empty()) fmt::print("the outbox is empty\n");
  return kOk;
}

}  // namespace

int devices(const Client& client, Output output, int wait_s) {
  const auto answer = wait_until(
      client, "/api/v1/devices", wait_s, "no scanner was available", [](const json& value) {
        return std::any_of(list_of(value, "devices").begin(), list_of(value, "devices").end(),
                           [](const json& device) {
                             return shown(device, "status") == "available" &&
                                    shown(device, "kind") != "photo";
                           });
      });
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  for (const json& device : list_of(*answer, "devices")) print_device(device);
  if (list_of(*answer, "devices").empty()) fmt::print("no device is plugged in\n");
  return kOk;
}

int tickets(const Client& client, Output output, int wait_s, const std::string& wait_for_id) {
  const std::string wish =
      wait_for_id.empty() ? "no open ticket came" : "ticket " + wait_for_id + " did not come";
  const auto answer = wait_until(client, "/api/v1/tickets", wait_s, wish, [&](const json& value) {
    const json& list = list_of(value, "tickets");
    return std::any_of(list.begin(), list.end(), [&](const json& ticket) {
      return wait_for_id.empty() ? shown(ticket, "state") == "created"
                                 : shown(ticket, "id") == wait_for_id;
    });
  });
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  for (const json& ticket : list_of(*answer, "tickets")) print_ticket(ticket);
  if (list_of(*answer, "tickets").empty()) fmt::print("no tickets\n");
  return kOk;
}

int make_ticket(const Client& client, Output output, const TicketWish& wish) {
  json body = {{"kind", wish.kind},
               {"case_type", wish.case_type},
               {"visit_type", wish.visit_type},
               {"doctor", wish.doctor},
               {"patient_ref", wish.patient_ref},
               {"note", wish.note},
               {"teeth_fdi", wish.teeth_fdi},
               {"patient", {{"name", wish.patient_name}, {"date_of_birth", wish.date_of_birth}}}};
  if (!wish.stages.empty()) body["stages"] = wish.stages;
  const auto answer = client.post("/api/v1/tickets", body);
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  print_ticket(*answer);
  return kOk;
}

int ticket_command(const Client& client, Output output, const std::string& command,
                   const std::string& ticket, bool insist) {
  if (const auto refused = refuse_ticket_id(ticket)) return *refused;
  json body = json::object();
  if (insist) body["insist"] = true;
  const auto answer = client.post("/api/v1/tickets/" + ticket + "/" + command, body);
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  if (answer->empty())
    fmt::print("{}  gone\n", ticket);
  else
    print_ticket(*answer);
  return kOk;
}

int scan_command(const Client& client, Output output, const std::string& command,
                 const ScanWish& wish) {
  if (!wish.ticket.empty())
    if (const auto refused = refuse_ticket_id(wish.ticket)) return *refused;
  json body = json::object();
  if (!wish.ticket.empty()) body["ticket_id"] = wish.ticket;
  if (!wish.stage.empty()) body["stage"] = wish.stage;
  if (!wish.device.empty()) body["device"] = wish.device;
  if (!wish.from.empty()) body["from"] = wish.from;
  if (command == "undo") body["seconds"] = wish.seconds;
  const auto answer = client.post("/api/v1/scan/" + command, body);
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  fmt::print("{}\n", live_line(*answer));
  return kOk;
}

int status(const Client& client, Output output, bool watch) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  std::string last;
  do {
    const auto answer = client.get("/api/v1/status");
    if (!answer.ok()) return fail(answer.error());
    if (!watch) {
      if (output.as_json) return print_json(*answer);
      print_status(*answer);
      return kOk;
    }
    std::string line = output.as_json ? answer->dump(-1, ' ', false, json::error_handler_t::replace)
                                      : live_line(*answer);
    if (line != last) {
      // On a terminal one line lives; into a file or pipe each change is a line.
      if (terminal && !output.as_json)
        std::cout << "\r\033[K" << line << std::flush;
      else
        std::cout << line << std::endl;
      last = std::move(line);
    }
    std::this_thread::sleep_for(kLookEvery);
  } while (std::cout.good());
  return kOk;
}

int models(const Client& client, Output output, const std::string& ticket) {
  if (!ticket.empty())
    if (const auto refused = refuse_ticket_id(ticket)) return *refused;
  const auto answer = client.get("/api/v1/models" + (ticket.empty() ? "" : "?ticket_id=" + ticket));
  if (!answer.ok()) return fail(answer.error());
  if (output.as_json) return print_json(*answer);
  for (const json& model : list_of(*answer, "models")) {
    fmt::print("{} revision {} {:<12} {} triangles, {} frames, {} lost, {} dropped{}\n",
               shown(model, "ticket_id"), count_of(model, "revision"), shown(model, "stage"),
               count_of(model, "triangles"), count_of(model, "frames"), count_of(model, "lost"),
               count_of(model, "dropped"), is_set(model, "saved") ? "" : " (not saved yet)");
    if (const auto quality = model.find("quality");
        quality != model.end() && quality->is_object()) {
      fmt::print("    grade {}\n", count_of(*quality, "grade"));
      for (const json& reason : list_of(*quality, "reasons"))
        if (reason.is_string()) fmt::print("      {}\n", shown(reason));
    }
    for (const json& file : list_of(model, "files"))
      fmt::print("    {:<20} {:>10} bytes  {}\n", shown(file, "name"), count_of(file, "size_bytes"),
                 shown(file, "path"));
  }
  if (list_of(*answer, "models").empty()) fmt::print("no models\n");
  return kOk;
}

int outbox(const Client& client, Output output, const std::string& wait_delivered, int timeout_s) {
  if (!wait_delivered.empty())
    if (const auto refused = refuse_ticket_id(wait_delivered)) return *refused;
  // The newest revision counts.
  const auto entry_of = [&](const json& value) -> const json* {
    const json* newest = nullptr;
    for (const json& entry : list_of(value, "entries"))
      if (shown(entry, "ticket_id") == wait_delivered &&
          (newest == nullptr || count_of(entry, "revision") > count_of(*newest, "revision")))
        newest = &entry;
    return newest;
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  json answer;
  for (;;) {
    auto now = client.get("/api/v1/outbox");
    if (!now.ok()) return fail(now.error());
    answer = std::move(*now);
    if (wait_delivered.empty()) break;
    const json* entry = entry_of(answer);
    const std::string state = entry != nullptr ? shown(*entry, "state") : "";
    const auto ticket = client.get("/api/v1/tickets/" + wait_delivered);
    // A delivered ticket may have left the worklist.
    const std::string ticket_state = ticket.ok() ? shown(*ticket, "state") : state;
    if (state == "delivered" && (ticket_state == "delivered" || !ticket.ok())) break;
    if (state == "parked")
      return fail(error(ErrorCode::kConflict, "ticket {}: not delivered: {}", wait_delivered,
                        shown(*entry, "held_because")));
    if (entry == nullptr && !ticket.ok()) return fail(ticket.error());
    if (ticket_state == "processing-failed" || ticket_state == "cancelled" ||
        ticket_state == "interrupted")
      return fail(error(ErrorCode::kConflict, "ticket {}: it is {}: nothing will be delivered",
                        wait_delivered, ticket_state));
    if (std::chrono::steady_clock::now() >= end) {
      const std::string why = entry != nullptr ? shown(*entry, "held_because") : "";
      return fail(error(ErrorCode::kTimeout, "ticket {}: not delivered within {} s: it is {}{}{}",
                        wait_delivered, timeout_s, ticket_state, why.empty() ? "" : ": ", why));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  return print_outbox(output, answer);
}

int recordings(const Client& client, Output output, const std::string& save_id,
               const std::string& file) {
  const auto answer = client.get("/api/v1/recordings");
  if (!answer.ok()) return fail(answer.error());
  const json& list = list_of(*answer, "recordings");
  if (save_id.empty()) {
    if (output.as_json) return print_json(*answer);
    for (const json& one : list)
      fmt::print("{:<48} {:<8} {:>6} MiB\n", shown(one, "id"), shown(one, "state"),
                 count_of(one, "size_bytes") >> 20);
    if (list.empty()) fmt::print("no recordings\n");
    return kOk;
  }
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const json& one) { return shown(one, "id") == save_id; });
  if (found == list.end())
    return fail(error(ErrorCode::kNotFound, "recording {}: there is none of that name", save_id));
  const auto saved =
      client.download("/api/v1/recordings/" + percent_encoded(save_id) + "/file", file);
  if (!saved.ok()) return fail(saved.error());
  fmt::print("{}: {} MiB\n", file, count_of(*found, "size_bytes") >> 20);
  return kOk;
}

int photo(const Client& client, Output output, const std::string& serial,
          const std::filesystem::path& file) {
  std::error_code failure;
  if (std::filesystem::symlink_status(file, failure).type() !=
      std::filesystem::file_type::not_found)
    return fail(
        error(ErrorCode::kConflict, "{}: is there already, and is not overwritten", file.string()));
  auto device = serial.empty() ? only_camera(client) : Result<std::string>(serial);
  if (!device.ok()) return fail(device.error());
  const auto picture =
      client.post_for_picture("/api/v1/devices/" + percent_encoded(*device) + "/photo");
  if (!picture.ok()) return fail(picture.error());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(picture->bytes.data());
  const auto saved = PosixFileSystem().write_synced(file, {bytes, picture->bytes.size()});
  if (!saved.ok()) return fail(error(ErrorCode::kIo, "{}", saved.error().message));
  if (output.as_json)
    return print_json({{"file", file.string()},
                       {"device", *device},
                       {"content_type", picture->content_type},
                       {"size_bytes", picture->bytes.size()}});
  fmt::print("{}: {}, {} KiB, from {}\n", file.string(), picture->content_type,
             picture->bytes.size() >> 10, *device);
  return kOk;
}

int release_parcel(const Client& client, Output output, std::uint64_t seq) {
  const auto answer = client.post(fmt::format("/api/v1/outbox/{}/release", seq), json::object());
  return answer.ok() ? print_outbox(output, *answer) : fail(answer.error());
}

}  // namespace cusp::cuspctl
