// cusp-records: the records store of a clinic.
//
// Exit codes: 0 done or stopped on request, 1 it could not be done, 2 usage, 4 configuration
// refused.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "config/store_config.h"
#include "records/commands.h"
#include "records/serve.h"

namespace cusp::records {
namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUsage = 2, kBadConfig = 4 };

int say(ExitCode code, const Error& error) {
  std::cerr << "cusp-records: " << error.message << '\n';
  return code;
}

int done(const Result<void>& result) { return result ? kDone : say(kFailed, result.error()); }

void start_log() {
  auto logger = spdlog::stderr_logger_mt("cusp-records");
  logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int run(int argc, char** argv) {
  CLI::App app{
      "Keeps a clinic's patients, scan tickets and records; takes finished scans from stations.\n"
      "Without a command it serves until SIGTERM or Ctrl-C."};
  std::filesystem::path config = "/etc/cusp/cusp-records.yaml";
  std::filesystem::path stem;
  std::filesystem::path public_key;
  std::string station_id;
  std::string subscriber_id;
  app.add_option("--config", config, "The YAML file; its shipped form explains every key")
      ->capture_default_str();
  app.set_version_flag("--version", CUSP_VERSION);
  app.fallthrough();
  app.require_subcommand(0, 1);
  auto* keygen_command =
      app.add_subcommand("keygen", "Make a key pair for a store, a station or a subscriber");
  keygen_command->add_option("--out", stem, "File name without .public and .secret")->required();
  auto* enroll_command =
      app.add_subcommand("enroll", "Let a station deliver to this store, or a subscriber read it");
  auto* who = enroll_command->add_option_group("who")->require_option(1);
  who->add_option("--station", station_id, "The station's id");
  who->add_option("--subscriber", subscriber_id, "The subscriber's id");
  enroll_command->add_option("--public-key", public_key, "Its .public file")->required();
  auto* address_command = app.add_subcommand(
      "address", "Print the page's address with its token, to open in a browser");
  std::filesystem::path folder;
  std::string snapshot;
  auto* backup_command = app.add_subcommand("backup", "Back up a store that does not run");
  backup_command->add_option("--to", folder, "Folder of the backups")->required();
  auto* restore_command =
      app.add_subcommand("restore", "Make a store out of a backup, in an empty data folder");
  restore_command->add_option("--from", folder, "Folder of the backups")->required();
  restore_command->add_option("--snapshot", snapshot, "records-....db; without: the newest");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? kDone : kUsage;
  }

  PosixFileSystem files;
  if (keygen_command->parsed()) return done(keygen(files, stem));
  const auto options = config::load_store_config(config);
  if (!options) return say(kBadConfig, options.error());
  if (enroll_command->parsed())
    return done(
        subscriber_id.empty()
            ? enroll(files, *options, delivery::Role::kStation, station_id, public_key)
            : enroll(files, *options, delivery::Role::kSubscriber, subscriber_id, public_key));
  if (backup_command->parsed()) return done(back_up(files, *options, folder));
  if (restore_command->parsed()) return done(restore(files, *options, folder, snapshot));
  if (address_command->parsed()) return done(print_address(*options));
  start_log();
  return done(serve(*options));
}

}  // namespace
}  // namespace cusp::records

int main(int argc, char** argv) {
  try {
    return cusp::records::run(argc, argv);
  } catch (const std::exception& failure) {  // out of memory, or a bug of a library
    std::cerr << "cusp-records: " << failure.what() << '\n';
    return 1;
  }
}
