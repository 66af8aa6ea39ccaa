// cuspd: the capture station's daemon. Reads its arguments, makes the few things that live as long
// as the process, and runs them on one thread until it is told to stop. It alone logs.
//
// Exit codes: 0 stopped on request, 1 can't run, 2 usage, 3 another cuspd has the data folder, 4
// configuration refused.
#include <fcntl.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <csignal>
#include <iostream>
#include <mutex>
#include <thread>

#include "config/station_config.h"
#include "core/heap.h"
#include "core/notify.h"
#include "daemon/api_json.h"
#include "daemon/control_api.h"
#include "daemon/log_text.h"
#include "daemon/station.h"
#include "delivery/digest.h"
#include "http/token.h"

namespace cusp::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

enum ExitCode { kStopped = 0, kCanNotRun = 1, kUsage = 2, kAlreadyRunning = 3, kBadConfig = 4 };

constexpr auto kStatusEvery = 200ms;
// Models that are being made when the stop comes are finished; a stop that takes longer is a fault.
// Ten seconds before systemd's TimeoutStopSec.
constexpr auto kStopWithin = 170s;

// Called again and again on the io_context's thread.
class Every {
 public:
  Every(asio::io_context& io, std::chrono::microseconds period, std::function<void()> call)
      : timer_(io), period_(period), call_(std::move(call)) {
    arm();
  }

 private:
  void arm() {
    timer_.expires_after(period_);
    timer_.async_wait([this](const boost::system::error_code& failure) {
      if (failure) return;
      call_();
      arm();
    });
  }
  asio::steady_timer timer_;
  const std::chrono::microseconds period_;
  const std::function<void()> call_;
};

// Ends a process whose stop takes too long, and says what that costs.
class StopLimit {
 public:
  void start() {
    thread_ = std::jthread([](std::stop_token stop) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any stopped;
      stopped.wait_for(lock, stop, kStopWithin, [] { return false; });
      if (stop.stop_requested()) return;
      spdlog::error("event=stage_lost why={}",
                    in_quotes(fmt::format("a model was not finished within {} s of the stop: scan "
                                          "the stage of event=finishing_stage again",
                                          kStopWithin.count())));
      ::_exit(kCanNotRun);
    });
  }

 private:
  std::jthread thread_;
};

void start_log(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("cuspd");
  logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int fail(ExitCode code, const Error& error) {
  spdlog::error("event=failed code={} why={}", to_string(error.code), in_quotes(error.message));
  return code;
}

// Held as long as the process lives.
Result<int> lock_data_folder(const Options& options, FileSystem& files) {
  CUSP_TRY(files.make_folder(options.data_folder));
  const std::string path = options.data_folder / "cuspd.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return error(ErrorCode::kPermission, "{}: can't be opened: {}", path, std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return error(ErrorCode::kConflict, "{}: another cuspd works with this data folder",
               options.data_folder.string());
}

int run(const Options& options, asio::io_context& io, asio::signal_set& signals) {
  PosixFileSystem files;
  const SystemClock clock;
  if (const auto lock = lock_data_folder(options, files); !lock.ok())
    return fail(lock.error().code == ErrorCode::kConflict ? kAlreadyRunning : kCanNotRun,
                lock.error());

  auto bus = UsbBus::start();
  if (!bus.ok()) return fail(kCanNotRun, bus.error());
  const Seams seams{
      **bus, files, clock, [&io](std::function<void()> call) { asio::post(io, std::move(call)); },
      [](bool is_warning, const std::string& line) {
        spdlog::log(is_warning ? spdlog::level::warn : spdlog::level::info, "{}", line);
      }};
  const Origin origin{delivery::sha256_hex(config::annotated(options)), CUSP_VERSION};
  auto station = Station::start(options, origin, seams);
  if (!station.ok()) return fail(kCanNotRun, station.error());

  http::ServerOptions server_options;
  server_options.max_body_bytes = 256 << 10;
  server_options.websocket_path = kEventsPath;
  if (options.http_port != 0) {
    auto token = http::load_or_make_token(
        options.token_file.empty() ? options.data_folder / "control.token" : options.token_file);
    if (!token.ok()) return fail(kCanNotRun, token.error());
    server_options.token = std::move(*token);
  }
  http::Server server(io, make_control_router(**station), server_options);
  server.set_greeting([&] { return status_json(**station); });
  if (const auto done = server.listen_unix(options.control_socket); !done.ok())
    return fail(kCanNotRun, done.error());
  if (options.http_port != 0)
    if (const auto port = server.listen_loopback(options.http_port); !port.ok())
      return fail(kCanNotRun, port.error());

  std::string last_status;
  const Every tell(io, kStatusEvery, [&] {
    std::string status = status_json(**station);
    if (status == last_status) return;
    last_status = status;
    server.broadcast(std::move(status));
  });
  std::optional<Every> watchdog;
  if (const auto period = watchdog_period())
    watchdog.emplace(io, *period / 3, [&] {
      if ((*station)->healthy()) notify_systemd("WATCHDOG=1");
    });
  StopLimit stop_limit;
  signals.async_wait([&](const boost::system::error_code& failure, int signal) {
    if (failure) return;
    spdlog::info("event=stopping signal={}", signal);
    notify_systemd("STOPPING=1");
    stop_limit.start();
    signals.clear();  // a second one ends the process at once
    server.stop();
    asio::post(io, [&io] { io.stop(); });  // after what the server has posted
  });

  notify_systemd("READY=1");
  spdlog::info("event=started version={} station={} socket={}", CUSP_VERSION, options.station_id,
               in_quotes(options.control_socket.string()));
  io.run();
  station->reset();
  spdlog::info("event=stopped");
  return kStopped;
}

int main(int argc, char** argv) {
  // Before anything else, so that a signal at any moment finds its handler, even one that was
  // blocked by our parent.
  asio::io_context io(1);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGINT);
  sigaddset(&stop_signals, SIGTERM);
  ::pthread_sigmask(SIG_UNBLOCK, &stop_signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  keep_freed_memory();

  CLI::App app(
      "cuspd: scans with the devices of this capture station and delivers to the records store.\n"
      "Exit codes: 0 stopped on request, 1 can't run, 2 usage, 3 another cuspd has the data "
      "folder, "
      "4 configuration refused.");
  std::string config_file = "/etc/cusp/cuspd.yaml";
  bool check = false;
  bool print_config = false;
  app.add_option("--config", config_file, "the configuration file")->capture_default_str();
  app.add_flag("--check", check, "read the configuration, say whether it is right, and end");
  app.add_flag("--print-config", print_config, "print an annotated file of the defaults, and end");
  app.set_version_flag("--version", CUSP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kStopped : kUsage;
  }
  if (print_config) {
    std::cout << config::annotated(Options{});
    return kStopped;
  }
  const auto options = config::load_station_config(config_file);
  if (!options.ok()) {
    std::cerr << "cuspd: " << options.error().message << "\n";
    return kBadConfig;
  }
  if (check) {
    std::cout << config_file << ": right\n";
    return kStopped;
  }
  start_log(options->log_level);
  return run(*options, io, signals);
}

}  // namespace
}  // namespace cusp::daemon

int main(int argc, char** argv) { return cusp::daemon::main(argc, argv); }
