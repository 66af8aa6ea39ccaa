// cusp-bench-usb: Cusp's USB transport against a bare libusb read loop on one emulated device, and
// frames a second through UVC reassembly. Both clients read in turns, each in a process of its own;
// the table gives medians, as the machine is shared. Exit codes: 0 measured, 1 it could not be
// measured (one sentence on stderr), 2 wrong usage.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "drivers/emulation/umock_bus.h"
#include "drivers/uvc/frame_assembler.h"
#include "tools/bench/usb/usb_bench_internal.h"

extern char** environ;  // NOLINT: POSIX names it so

namespace {

using namespace cusp;
using namespace cusp::bench;

constexpr const char* kPreload = "libumockdev-preload.so.0";
constexpr const char* kSelf = "/proc/self/exe";

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Reads with this very program as a client.
Result<Reading> run_client(const std::string& who, std::uint64_t bytes) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return error(ErrorCode::kIo, "no pipe for a client");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
  std::vector<std::string> words{kSelf, "--client", who, "--bytes", std::to_string(bytes)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int failure = posix_spawn(&pid, kSelf, &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  Reading reading;
  FILE* const output = fdopen(pipe_ends[0], "r");
  const bool told = std::fscanf(output, "%lu %lf %lf", &reading.bytes, &reading.seconds,
                                &reading.cpu_seconds) == 3;
  std::fclose(output);
  int status = 0;
  if (failure == 0) waitpid(pid, &status, 0);
  if (failure != 0 || status != 0 || !told)
    return error(ErrorCode::kIo, "the client \"{}\" did not finish", who);
  return reading;
}

int be_client(const std::string& who, std::uint64_t bytes) {
  const auto reading = who == "bare" ? read_with_bare_libusb(bytes) : read_with_transport(bytes);
  if (!reading) {
    fmt::print(stderr, "cusp-bench-usb: {}\n", reading.error().message);
    return 1;
  }
  fmt::print("{} {:.6f} {:.6f}\n", reading->bytes, reading->seconds, reading->cpu_seconds);
  return 0;
}

struct Figures {
  std::vector<double> rates;  // MB/s
  std::vector<double> costs;  // CPU seconds a GB
};

Result<void> compare(int rounds, std::uint64_t bytes) {
  const auto function = make_endless_function();
  CUSP_ASSIGN(const auto bus, UmockBus::create());
  CUSP_TRY(bus->plug(*function));
  setenv("UMOCKDEV_DIR", bus->folder().c_str(), 1);
  Figures bare, ours;
  for (int round = 0; round < rounds; ++round)
    for (const bool is_bare : {round % 2 == 0, round % 2 != 0}) {
      CUSP_ASSIGN(const Reading reading, run_client(is_bare ? "bare" : "cusp", bytes));
      Figures& figures = is_bare ? bare : ours;
      figures.rates.push_back(reading.megabytes_per_second());
      figures.costs.push_back(reading.cpu_seconds_per_gigabyte());
    }
  const double bare_rate = median(bare.rates), our_rate = median(ours.rates);
  const double bare_cost = median(bare.costs), our_cost = median(ours.costs);
  fmt::print(
      "bulk IN, {} transfers of {} KiB, {} rounds of {} MB each, medians\n"
      "{:<22}{:>10}{:>22}\n{:<22}{:>10.1f}{:>22.3f}\n{:<22}{:>10.1f}{:>22.3f}\n"
      "{:<22}{:>10.3f}{:>22.3f}\n\n",
      kTransfers, kTransferBytes / 1024, rounds, bytes / 1'000'000, "", "MB/s", "CPU s a GB",
      "bare libusb loop", bare_rate, bare_cost, "Cusp's transport", our_rate, our_cost, "ratio",
      our_rate / bare_rate, our_cost / bare_cost);
  return {};
}

// Frames a second through reassembly, whole frames in chunks as the transport gives them.
void reassemble(int rounds) {
  constexpr int kFramesARound = 200;
  const std::array payloads{payload_of_a_frame(false), payload_of_a_frame(true)};
  std::vector<double> rates;
  for (int round = 0; round < rounds; ++round) {
    std::uint64_t frames = 0;
    uvc::FrameAssembler assembler(kFrameBytes, payloads[0].size(),
                                  [&](uvc::AssembledFrame&&) { ++frames; });
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < kFramesARound; ++i) {
      const std::span<const std::uint8_t> payload(payloads[i % 2]);
      for (std::size_t at = 0; at < payload.size(); at += kTransferBytes) {
        const auto bytes =
            payload.subspan(at, std::min<std::size_t>(kTransferBytes, payload.size() - at));
        assembler.feed({.endpoint = kEndpoint,
                        .bytes = bytes,
                        .ends_payload = bytes.size() < kTransferBytes,
                        .arrival = start});
      }
    }
    const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
    CUSP_CHECK(frames == kFramesARound, "every frame came whole");
    rates.push_back(static_cast<double>(frames) / span.count());
  }
  const double rate = median(rates);
  fmt::print(
      "UVC reassembly, {}x{} Z16, median of {} rounds\n"
      "{:.0f} frames/s, {:.0f} MB/s: {:.1f} times the {} Hz that are needed\n",
      kWidthPx, kHeightPx, rounds, rate, rate * static_cast<double>(kFrameBytes) / 1e6,
      rate / kNeededRateHz, kNeededRateHz);
}

// The emulated device needs umockdev's preload in this process and the clients.
void restart_with_preload(char** argv) {
  const char* const preload = getenv("LD_PRELOAD");
  if (preload != nullptr && std::string_view(preload).find("umockdev") != std::string_view::npos)
    return;
  setenv("LD_PRELOAD", kPreload, 1);
  execv(kSelf, argv);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Cusp's USB transport against a bare libusb loop, and UVC reassembly"};
  int rounds = 7;
  std::uint64_t bytes = 300'000'000;
  std::string client;
  app.add_option("--rounds", rounds, "of each client")->check(CLI::Range(1, 1000));
  app.add_option("--bytes", bytes, "that a client reads a round")->check(CLI::PositiveNumber);
  app.add_option("--client", client, "be this client of a running benchmark")
      ->check(CLI::IsMember({"bare", "cusp"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!client.empty()) return be_client(client, bytes);
  restart_with_preload(argv);
  if (const auto compared = compare(rounds, bytes); !compared) {
    fmt::print(stderr, "cusp-bench-usb: {}\n", compared.error().message);
    return 1;
  }
  reassemble(rounds);
  return 0;
}
