// What cuspctl can do, one function a command. Each prints what it found, as lines for a person or
// as the daemon's JSON, and answers with the exit code. Threads: one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/cuspctl/client.h"

namespace cusp::cuspctl {

// Documented in the help; scripts depend on them.
enum ExitCode {
  kOk = 0,
  kRefused = 1,  // the daemon said no, and why
  kUsage = 2,
  kNotReachable = 3,  // no daemon at the socket
  kTimeout = 4,       // what was waited for did not come
};

struct Output {
  bool as_json = false;
};

struct TicketWish {
  std::string kind = "intraoral";
  std::string case_type, visit_type, doctor, patient_ref, note;
  std::string patient_name, date_of_birth;
  std::vector<std::string> stages;
  std::vector<int> teeth_fdi;
};

struct ScanWish {
  std::string ticket;  // empty: the one that is worked on
  std::string stage;   // empty: not said
  std::string device;
  std::string from;    // a stage, of start and redo
  double seconds = 0;  // of undo
};

int devices(const Client& client, Output output, int wait_s);
int tickets(const Client& client, Output output, int wait_s, const std::string& wait_for_id);
int make_ticket(const Client& client, Output output, const TicketWish& wish);
// "claim", "release" or "cancel".
int ticket_command(const Client& client, Output output, const std::string& command,
                   const std::string& ticket, bool insist);
// "start", "pause", "resume", "undo", "finish-stage", "redo", "retry", "discard", "finish" or
// "cancel".
int scan_command(const Client& client, Output output, const std::string& command,
                 const ScanWish& wish);
int status(const Client& client, Output output, bool watch);
int models(const Client& client, Output output, const std::string& ticket);
int outbox(const Client& client, Output output, const std::string& wait_delivered, int timeout_s);
// Of scans. With a `save_id` that one is copied to `file`.
int recordings(const Client& client, Output output, const std::string& save_id,
               const std::string& file);
// Takes a photo and writes it. An empty serial means the only camera for photos.
int photo(const Client& client, Output output, const std::string& serial,
          const std::filesystem::path& file);
// A parked parcel is sent again.
int release_parcel(const Client& client, Output output, std::uint64_t seq);

}  // namespace cusp::cuspctl
