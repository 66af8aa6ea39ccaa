#include "records/serve.h"

#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "core/notify.h"
#include "http/token.h"
#include "records/api.h"
#include "records/commands.h"
#include "records/upkeep.h"

namespace cusp::records {
namespace {

constexpr unsigned kLooksBetweenExpiry = 30;      // of holds: half a minute more is no harm
constexpr std::size_t kMaxBodyBytes = 256 << 10;  // the largest body is a patient with a long note

// Looks each second for what no caller would tell: the stations file can't be read, or the database
// broke. Of the latter only a fresh process recovers. Threads: the io_context's.
class Watch {
 public:
  Watch(boost::asio::io_context& io, RecordsStore& store, const delivery::StoreGate& gate,
        std::function<void()> on_broken)
      : timer_(io), store_(store), gate_(gate), on_broken_(std::move(on_broken)) {
    wait();
  }

  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  void wait() {
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([this](const boost::system::error_code& failure) {
      // It may have run out already when it was stopped.
      if (failure || stopped_) return;
      look();
      if (!stopped_) wait();
    });
  }

  void look() {
    const auto counts = gate_.counts();
    // The gate goes round once a second, and this timer runs: both are alive.
    if (std::exchange(turns_, counts.turns) != counts.turns) notify_systemd("WATCHDOG=1");
    auto problem = counts.problem;
    if (problem != problem_) {
      if (problem.empty())
        spdlog::info("event=stations-file-mended");
      else
        spdlog::error("event=stations-file-problem why=\"{}\"", problem);
      problem_ = std::move(problem);
    }
    if (++looks_ % kLooksBetweenExpiry == 0)
      if (const auto freed = store_.expire_holds(); !freed)
        spdlog::error("event=holds-not-freed why=\"{}\"", freed.error().message);
    if (store_.broken()) {
      spdlog::critical(
          "event=database-broken why=\"an I/O error: the store ends, to be started again\"");
      on_broken_();
    }
  }

  boost::asio::steady_timer timer_;
  RecordsStore& store_;
  const delivery::StoreGate& gate_;
  const std::function<void()> on_broken_;
  std::string problem_;
  unsigned looks_ = 0;
  std::uint64_t turns_ = 0;
  bool stopped_ = false;
};

void log(const StoreChange& change) {
  constexpr std::string_view kEvents[] = {"patient-added", "ticket-changed", "record-added"};
  spdlog::info("event={} id={}", kEvents[static_cast<int>(change.kind)], change.id);
}

void log(Upkeep::Event event, const std::string& detail) {
  switch (event) {
    case Upkeep::Event::kFileDamaged:
      return spdlog::error("event=file-damaged sha256={}", detail);
    case Upkeep::Event::kBackedUp:
      return spdlog::info("event=backed-up snapshot={}", detail);
    case Upkeep::Event::kProblem:
      return spdlog::error("event=upkeep-problem why=\"{}\"", detail);
  }
}

}  // namespace

Result<void> serve(const Options& options) {
  PosixFileSystem files;
  const SystemClock clock;
  // First of all threads, so that a signal at any moment ends the program in order.
  boost::asio::io_context io;
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);

  CUSP_TRY(files.make_folder(options.data_folder));
  CUSP_ASSIGN(const auto token, http::load_or_make_token(token_file(options)));
  CUSP_ASSIGN(auto keys, delivery::load_key_pair(options.key_stem));
  CUSP_ASSIGN(auto store, RecordsStore::open(options.data_folder / "records.db", clock));
  if (const auto audit = store->check_audit(); !audit)
    spdlog::error("event=audit-broken why=\"{}\"", audit.error().message);

  delivery::StoreGateOptions gate_options;
  gate_options.endpoint = options.ingest_endpoint;
  gate_options.feed_endpoint = options.feed_endpoint;
  gate_options.folder = options.data_folder;
  gate_options.keys = std::move(keys);
  gate_options.stations_file = options.stations_file;
  gate_options.min_free_bytes = options.min_free_bytes;
  CUSP_ASSIGN(auto gate, delivery::StoreGate::bind(std::move(gate_options), *store, files, clock));

  Upkeep upkeep(
      {options.data_folder, options.scrub_days, options.backup_folder, options.backup_hour}, *store,
      files, clock, [&gate](Upkeep::Event event, const std::string& detail) {
        log(event, detail);
        if (event == Upkeep::Event::kFileDamaged) gate->notify();
      });
  http::ServerOptions server_options;
  server_options.max_body_bytes = kMaxBodyBytes;
  server_options.token = token;
  server_options.websocket_path = "/api/v1/events";
  ApiOptions api_options{options.clinic_name, options.data_folder, options.web_folder,
                         [&gate] { return gate->counts(); }, &upkeep};
  http::Server server(io, make_router(*store, files, std::move(api_options)), server_options);
  CUSP_ASSIGN(const auto port, server.listen_loopback(options.http_port));
  store->set_page_address(fmt::format("http://127.0.0.1:{}", port));
  store->set_listener([&](const StoreChange& change) {
    log(change);
    if (change.kind == StoreChange::Kind::kTicketChanged) gate->notify();
    server.broadcast(event_json(change));
  });
  std::optional<Watch> watch;
  const auto finish = [&] {
    watch->stop();
    signals.cancel();
    signals.clear();  // a signal from now on ends the process at once
    server.stop();
  };
  watch.emplace(io, *store, *gate, finish);
  signals.async_wait([&](const boost::system::error_code& failure, int signal) {
    if (failure) return;
    spdlog::info("event=stopping signal={}", signal);
    notify_systemd("STOPPING=1");
    finish();
  });

  upkeep.start();
  std::jthread ingest([&](std::stop_token stop) { gate->run(stop); });
  spdlog::info("event=started version={} page=http://127.0.0.1:{} ingest={} feed={} store_epoch={}",
               CUSP_VERSION, port, gate->endpoint(), gate->feed_endpoint(), store->store_epoch());
  notify_systemd("READY=1");
  io.run();
  ingest.request_stop();
  ingest.join();
  if (store->broken())
    return error(ErrorCode::kIo, "database {} had an I/O error: look at its disk",
                 (options.data_folder / "records.db").string());
  spdlog::info("event=stopped");
  return {};
}

}  // namespace cusp::records
