// cuspctl: the operator's and the technician's command line. Talks to cuspd over its Unix socket;
// records and replays USB traffic by itself.
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "tools/cuspctl/commands.h"
#include "tools/cuspctl/recording_commands.h"

namespace cusp::cuspctl {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 refused (the reason is on stderr), 2 usage, 3 cuspd does not answer, "
    "4 what was waited for did not come.";

constexpr const char* kExample =
    "A whole scan:\n"
    "  cuspctl devices --wait 30\n"
    "  cuspctl tickets --wait 30\n"
    "  cuspctl claim TICKET\n"
    "  cuspctl scan start TICKET --stage upper\n"
    "  cuspctl status --watch                     (Ctrl-C when enough is seen)\n"
    "  cuspctl scan finish-stage\n"
    "  cuspctl scan start TICKET --stage lower\n"
    "  cuspctl scan finish-stage\n"
    "  cuspctl scan finish\n"
    "  cuspctl outbox --wait-delivered TICKET --timeout 120";

std::string default_socket() {
  const char* path = std::getenv("CUSP_SOCKET");
  return path != nullptr && *path != '\0' ? path : "/run/cuspd/control.sock";
}

int run(int argc, char** argv) {
  CLI::App app("cuspctl: scan with the station that cuspd runs.");
  app.footer(std::string(kExample) + "\n\n" + kExitCodes);
  app.require_subcommand(1);
  app.set_version_flag("--version", CUSP_VERSION);

  std::string socket = default_socket();
  Output output;
  app.add_option("--socket", socket, "control socket of cuspd; also $CUSP_SOCKET")
      ->capture_default_str();
  app.add_flag("--json", output.as_json, "print the daemon's JSON (tools and scripts read this)");
  app.fallthrough();

  int code = kOk;
  const auto does = [&](CLI::App* command, auto call) {
    command->callback([&, call] { code = call(Client(socket)); });
  };

  int wait_s = 0;
  CLI::App* command = app.add_subcommand("devices", "List the scanners that are plugged in");
  command->add_option("--wait", wait_s, "seconds to wait until one is available")
      ->check(CLI::Range(0, 86400));
  command->footer("Example: cuspctl devices --wait 30");
  does(command, [&](const Client& client) { return devices(client, output, wait_s); });

  std::string wait_id;
  command = app.add_subcommand("tickets", "List the scan tickets of this station");
  command->add_option("--wait", wait_s, "seconds to wait until an open one is there")
      ->check(CLI::Range(0, 86400));
  command->add_option("--id", wait_id, "with --wait: wait for this one");
  command->footer(
      "Compare the patient's name and date of birth with the person in the chair.\n"
      "Example: cuspctl tickets --wait 30");
  does(command, [&](const Client& client) { return tickets(client, output, wait_s, wait_id); });

  TicketWish wish;
  CLI::App* ticket = app.add_subcommand("ticket", "Make a ticket on this station");
  ticket->require_subcommand(1);
  command =
      ticket->add_subcommand("make", "Make a ticket; the clinic files it under a patient later");
  command->add_option("--kind", wish.kind, "intraoral or face")
      ->check(CLI::IsMember({"intraoral", "face"}))
      ->capture_default_str();
  command
      ->add_option("--stages", wish.stages,
                   "what to scan, in order (default: both jaws, or neutral face)")
      ->delimiter(',');
  command->add_option("--patient-name", wish.patient_name,
                      "shown to the operator, never sent in a parcel");
  command->add_option("--date-of-birth", wish.date_of_birth, "as 1990-12-31");
  command->add_option("--patient-ref", wish.patient_ref, "the store's reference, if known");
  command->add_option("--doctor", wish.doctor, "who ordered it");
  command->add_option("--case-type", wish.case_type, "such as aligner or crown");
  command->add_option("--visit-type", wish.visit_type, "such as first visit");
  command->add_option("--teeth", wish.teeth_fdi, "FDI numbers: 11,12,36")->delimiter(',');
  command->add_option("--note", wish.note, "for the laboratory");
  command->footer(
      "Example: cuspctl ticket make --stages upper,lower --patient-name \"Ada Quick\" "
      "--date-of-birth 1990-12-10");
  does(command, [&](const Client& client) { return make_ticket(client, output, wish); });

  std::string ticket_id;
  bool insist = false;
  const std::pair<const char*, const char*> ticket_commands[] = {
      {"claim", "Take a ticket from the worklist: this station will scan it"},
      {"release", "Give a claimed ticket back"},
      {"cancel", "Cancel a ticket and throw away what was scanned of it"},
  };
  for (const auto& [name, help] : ticket_commands) {
    command = app.add_subcommand(name, help);
    command->add_option("ticket", ticket_id, "the ticket's id")->required();
    command->footer(std::string("Example: cuspctl ") + name +
                    " 7b0c3a52-4a0c-4f6e-9f43-0c5f7a1f2b11");
    if (std::string_view(name) == "claim")
      command->add_flag("--insist", insist, "although another station works on it");
    does(command, [&, name = std::string(name)](const Client& client) {
      return ticket_command(client, output, name, ticket_id, insist);
    });
  }

  ScanWish scan_wish;
  CLI::App* scan = app.add_subcommand("scan", "Scan the stages of a ticket");
  scan->require_subcommand(1);
  scan->footer(kExample);
  struct ScanCommand {
    const char* name;
    const char* help;
    bool needs_stage;
    const char* example;
  };
  const ScanCommand scan_commands[] = {
      {"start", "Begin to scan a stage", true, "scan start TICKET --stage upper"},
      {"pause", "Stop the device; what is scanned stays", false, "scan pause"},
      {"resume", "Go on after a pause or an interruption", false, "scan resume"},
      {"undo", "Take the last seconds of scanning back", false, "scan undo --seconds 3"},
      {"finish-stage", "The stage is scanned: make its model in the background", false,
       "scan finish-stage"},
      {"redo", "Scan a stage again, or go on with it; after delivery as the next revision", true,
       "scan redo TICKET --stage lower --from lower"},
      {"retry", "Make the model of a failed stage once more", true, "scan retry --stage lower"},
      {"abort", "Make a stage's model no further; retry or discard it then", true,
       "scan abort --stage lower"},
      {"discard", "Give a failed stage up, such as one begun by mistake", true,
       "scan discard --stage bite-left"},
      {"finish", "Nothing more will be scanned: save the ticket and deliver it", false,
       "scan finish"},
      {"cancel", "Cancel the ticket and throw away what was scanned of it", false, "scan cancel"},
  };
  for (const ScanCommand& one : scan_commands) {
    command = scan->add_subcommand(one.name, one.help);
    command->add_option("ticket", scan_wish.ticket, "the ticket's id (default: the one worked on)");
    if (one.needs_stage)
      command->add_option("--stage", scan_wish.stage, "upper, lower, bite-left, face-neutral, ...")
          ->required();
    if (std::string_view(one.name) == "start" || std::string_view(one.name) == "redo") {
      command->add_option("--device", scan_wish.device, "serial (default: the only one)");
      command->add_option(
          "--from", scan_wish.from,
          "begin with what the finished scan of this stage holds (default: nothing)");
    }
    if (std::string_view(one.name) == "undo")
      command->add_option("--seconds", scan_wish.seconds, "how many")->required();
    command->footer(std::string("Example: cuspctl ") + one.example);
    does(command, [&, name = std::string(one.name)](const Client& client) {
      return scan_command(client, output, name, scan_wish);
    });
  }

  bool watch = false;
  command = app.add_subcommand("status", "Show the station, and the scan that runs");
  command->add_flag("--watch", watch, "keep a live line until Ctrl-C");
  command->footer("Example: cuspctl status --watch");
  does(command, [&](const Client& client) { return status(client, output, watch); });

  std::string models_ticket;
  command = app.add_subcommand("models", "List finished models and their files");
  command->add_option("--ticket", models_ticket, "of this ticket alone");
  command->footer("Example: cuspctl --json models --ticket TICKET");
  does(command, [&](const Client& client) { return models(client, output, models_ticket); });

  std::string save_id, save_file;
  command = app.add_subcommand("recordings", "List the recordings of scans on this station");
  command->footer("Example: cuspctl recordings");
  CLI::App* save = command->add_subcommand("save", "Copy a recording, for support");
  save->add_option("id", save_id, "as the list shows it")->required();
  save->add_option("file", save_file, "where to; not overwritten")->required();
  save->footer(
      "What it shows is a patient: handle it like one.\n"
      "Example: cuspctl recordings save 20261122T110508Z-012345678901-upper case.pcapng");
  does(command,
       [&](const Client& client) { return recordings(client, output, save_id, save_file); });

  std::string photo_device, photo_file;
  command = app.add_subcommand("photo", "Take a photo with a camera, such as an intraoral one");
  command->add_option("--out", photo_file, "the picture's file; not overwritten")->required();
  command->add_option("--device", photo_device, "serial (default: the only camera for photos)");
  command->footer(
      "The camera decides what it is: JPEG, or PNG where it sends raw pixels.\n"
      "What it shows is a patient: handle it like one.\n"
      "Example: cuspctl photo --out tooth-36.jpg");
  does(command,
       [&](const Client& client) { return photo(client, output, photo_device, photo_file); });

  RecordWish record_wish;
  command = app.add_subcommand("record", "Record a scanner's USB traffic, without cuspd");
  command->add_option("--out", record_wish.out, "the capture file (pcapng)")->required();
  command->add_option("--serial", record_wish.serial, "which scanner (default: the only one)");
  command->add_option("--seconds", record_wish.seconds, "how long (default: until Ctrl-C)")
      ->check(CLI::Range(0, 86400));
  command->add_option("--mode", record_wish.mode, "stream, as 848x480@30 (default: its first)");
  command->footer(
      "cuspd must not hold the scanner: it records its own scans (cuspctl recordings).\n"
      "Example: cuspctl record --out fault.pcapng --seconds 20");
  command->callback([&] { code = record(record_wish); });

  ReplayCommand replay_wish;
  command = app.add_subcommand("replay", "Replay a capture through the driver and reconstruct it");
  command->add_option("file", replay_wish.file, "a recording of ours, or a capture of usbmon")
      ->required();
  command->add_flag("--list", replay_wish.list, "only say what the file shows");
  command->add_option("--device", replay_wish.device, "bus:address (default: the first known one)");
  command->add_option("--descriptors", replay_wish.descriptors,
                      "/sys/bus/usb/devices/*/descriptors, when its plugging in was not captured");
  command->add_flag("--real-time", replay_wish.real_time, "as fast as it was then");
  command->add_option("--threads", replay_wish.threads, "of the reconstruction")
      ->check(CLI::Range(1, 64));
  command->add_option("--out", replay_wish.out, "write the model: .ply or .stl");
  CLI::Option_group* const unsaid =
      command->add_option_group("Where the capture does not say how it was scanned");
  unsaid->add_option("--mode", replay_wish.mode, "stream, as 848x480@30 (default: its first)");
  unsaid->add_option("--voxel", replay_wish.voxel_mm, "edge of a volume cell, mm")
      ->check(CLI::Range(0.02, 50.0));
  unsaid->add_option("--min-depth", replay_wish.min_depth_mm, "mm")
      ->check(CLI::Range(0.0, 20000.0));
  unsaid->add_option("--max-depth", replay_wish.max_depth_mm, "mm")
      ->check(CLI::Range(1.0, 20000.0));
  command->footer(
      "Says whether the model is the very one that was made then.\n"
      "Example: cuspctl replay case.pcapng --out upper.ply");
  command->callback([&] { code = replay(output, replay_wish); });

  std::string wait_delivered;
  int timeout_s = 120;
  command = app.add_subcommand("outbox", "List what is saved, and what the store has confirmed");
  command->add_option("--wait-delivered", wait_delivered, "wait for this ticket's receipt");
  command->add_option("--timeout", timeout_s, "seconds to wait")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  command->footer("Example: cuspctl outbox --wait-delivered TICKET --timeout 120");
  std::uint64_t seq = 0;
  CLI::App* release =
      command->add_subcommand("release", "Send a parked parcel again, once its cause is mended");
  release->add_option("seq", seq, "the parcel's number: first in the list")->required();
  release->footer("Example: cuspctl outbox release 7");
  does(command, [&](const Client& client) {
    return release->parsed() ? release_parcel(client, output, seq)
                             : outbox(client, output, wait_delivered, timeout_s);
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kOk : kUsage;
  }
  return code;
}

}  // namespace
}  // namespace cusp::cuspctl

int main(int argc, char** argv) { return cusp::cuspctl::run(argc, argv); }
