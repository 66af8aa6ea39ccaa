// cusp-bench: what Cusp's reconstruction reaches, on scenes whose truth is known, beside its peers.
// Exit codes: 0 measured, 1 it could not be measured (one sentence on stderr), 2 wrong usage.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tools/bench/live.h"

namespace {

using namespace cusp;
using namespace cusp::bench;

struct Options {
  SceneRequest scene;
  std::filesystem::path cache = std::filesystem::temp_directory_path() / "cusp-bench";
  std::optional<std::filesystem::path> json;
  int threads = 2;
};

Result<void> live(const Options& options, Figures& figures) {
  CUSP_ASSIGN(const DepthStream stream, DepthStream::open(options.scene, options.cache));
  CUSP_ASSIGN(const LiveRun run, run_live(stream, {.threads = options.threads}));
  add_speed(run, stream.scene().rate_hz, options.scene.name, figures);
  return add_accuracy(run.mesh, run, stream, options.scene.name, figures);
}

void add_common(CLI::App& command, Options& options) {
  command.add_option("--cache", options.cache, "Folder that keeps rendered scenes")
      ->capture_default_str();
  command.add_option("--threads", options.threads, "Of the reconstruction and of its peers")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--json", options.json, "Write the figures there as well");
}
void add_scene(CLI::App& command, Options& options) {
  command.add_option("--scene", options.scene.name, "arch10, arch30")->capture_default_str();
  command.add_option("--frames", options.scene.frames, "Only the first; 0: all")
      ->capture_default_str();
  command.add_option("--seed", options.scene.seed, "Of the noise and of the hand")
      ->capture_default_str();
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app{"What Cusp's reconstruction reaches, on scenes whose truth is known"};
  app.require_subcommand(1);
  Options options;
  CLI::App* const live_command = app.add_subcommand(
      "live", "A scan as it comes: time of each step, memory, error to the truth");
  add_scene(*live_command, options);
  add_common(*live_command, options);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }
  Figures figures;
  const Result<void> result = live(options, figures);
  if (!result.ok()) {
    fmt::print(stderr, "cusp-bench: {}\n", result.error().message);
    return 1;
  }
  return 0;
}
