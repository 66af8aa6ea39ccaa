// cusp-bench: what Cusp's reconstruction reaches, on scenes whose truth is known, beside its peers.
// Exit codes: 0 measured, 1 it could not be measured (one sentence on stderr), 2 wrong usage.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "core/file_system.h"
#include "core/heap.h"
#include "tools/bench/comparison.h"
#include "tools/bench/experiments.h"
#include "tools/bench/fringes.h"
#include "tools/bench/live.h"
#include "tools/bench/real_data.h"
#include "tools/bench/relocalisation.h"

namespace {

using namespace cusp;
using namespace cusp::bench;

struct Options {
  SceneRequest scene;
  std::optional<RecordedFrames> recorded;  // instead of a scene
  std::filesystem::path cache = std::filesystem::temp_directory_path() / "cusp-bench";
  std::optional<std::filesystem::path> json;
  std::optional<std::filesystem::path> data;
  std::string effects = "all";
  std::optional<double> pace_hz;  // the scene's rate; 0: not at any pace
  int threads = 2;
  int rounds = 3;
  int seeds = 10;
  int jumps = 50;
  std::size_t long_frames = 7200;  // four minutes at 30 Hz
};

Result<DepthStream> open_stream(const Options& options, const SceneRequest& scene) {
  return options.recorded ? DepthStream::read(*options.recorded, scene.frames)
                          : DepthStream::open(scene, options.cache);
}

Result<void> live_scene(const Options& options, const SceneRequest& scene, Figures& figures) {
  CUSP_ASSIGN(const DepthStream stream, open_stream(options, scene));
  CUSP_ASSIGN(const LiveRun run, run_live(stream, {.threads = options.threads}));
  add_speed(run, scene, figures);
  if (const double pace_hz = options.pace_hz.value_or(stream.scene().rate_hz); pace_hz > 0) {
    CUSP_ASSIGN(const LiveRun paced,
                run_live(stream, {.threads = options.threads, .pace_hz = pace_hz}));
    add_pace(paced, pace_hz, scene, figures);
  }
  const bool has_truth = !stream.truth().empty();
  if (has_truth) CUSP_TRY(add_accuracy(Which::kLive, run.mesh, run, stream, scene, figures));
  CUSP_ASSIGN(const FinishedScan finished,
              measure_finish(run, stream.scene(), scene, options.threads, figures));
  if (!has_truth) return {};
  return add_accuracy(Which::kFinished, finished.mesh, run, stream, scene, figures,
                      finished.expected_mm);
}

Result<void> live(const Options& options, Figures& figures) {
  return live_scene(options, options.scene, figures);
}
Result<void> peers(const Options& options, Figures& figures) {
  const ComparisonOptions comparison{.threads = options.threads, .rounds = options.rounds};
  SceneRequest scene = options.scene;
  if (scene.frames == 0) scene.frames = 60;
  CUSP_ASSIGN(const DepthStream stream, DepthStream::open(scene, options.cache));
  CUSP_TRY(compare_fusion(stream, comparison, figures));
  return compare_slam(stream, comparison, figures);
}
Result<void> long_scan(const Options& options, Figures& figures) {
  CUSP_ASSIGN(const DepthStream stream, open_stream(options, options.scene));
  return measure_flatness(stream, options.long_frames, options.threads, figures);
}
Result<void> relocalise(const Options& options, Figures& figures) {
  constexpr std::size_t kPassFrames = 300;
  SceneRequest other = options.scene;
  other.frames = kPassFrames;
  ++other.seed;
  CUSP_ASSIGN(const DepthStream stream, DepthStream::open(options.scene, options.cache));
  CUSP_ASSIGN(const DepthStream other_hand, DepthStream::open(other, options.cache));
  return measure_relocalisation(
      stream, other_hand,
      {.threads = options.threads, .pass_frames = kPassFrames, .jumps = options.jumps}, figures);
}
Result<void> precision(const Options& options, Figures& figures) {
  return measure_precision(options.scene, options.cache, options.seeds, options.threads, figures);
}
Result<void> exact(const Options& options, Figures& figures) {
  constexpr std::size_t kFrames = 60;
  SceneRequest scene = options.scene;
  if (scene.frames == 0) scene.frames = kFrames;
  CUSP_ASSIGN(const DepthStream stream, open_stream(options, scene));
  return measure_repeatability(stream, kFrames, options.threads, figures);
}
Result<void> decode(const Options& options, Figures& figures) {
  return measure_decoding(options.threads, 200, figures);
}
Result<void> wand(const Options& options, Figures& figures) {
  return measure_wand_scan(
      {.sequences = options.scene.frames, .seed = options.scene.seed, .effects = options.effects},
      options.threads, options.cache, figures);
}
Result<void> real(const Options& options, Figures& figures) {
  if (!options.data)
    return error(ErrorCode::kInvalidArgument, "real: where the data lies is not said (--data)");
  return measure_real_data(*options.data, options.threads, figures);
}
Result<void> all(const Options& options, Figures& figures);

struct Command {
  const char* name;
  const char* purpose;
  Result<void> (*run)(const Options&, Figures&);
};
constexpr std::array<Command, 10> kCommands{{
    {"live", "A scan as it comes: time of each step, memory, finish, error to the truth", live},
    {"peers", "Fusion and the whole line beside Open3D's, on the same frames", peers},
    {"long", "Cost of a frame at the end of a long scan over that at its start", long_scan},
    {"relocalise", "Taken away and brought back elsewhere: time until found, wrong poses",
     relocalise},
    {"precision", "The same jaw scanned again and again: intermolar distance, precision",
     precision},
    {"exact", "Whether two runs give the same mesh, bit for bit", exact},
    {"decode", "Fringe pictures to depth", decode},
    {"wand", "Fringe pictures of a whole arch, with every disturbance, to a model", wand},
    {"real", "Recorded frames of a board and of a room", real},
    {"all", "Every one of these (real with --data), and the table of bars", all},
}};

Result<void> all(const Options& options, Figures& figures) {
  for (const char* const name : {"arch10", "arch30", "face", "hair"}) {
    SceneRequest scene = options.scene;
    scene.name = name;
    CUSP_TRY(live_scene(options, scene, figures));
  }
  for (const Command& command : kCommands) {
    if (command.run == live || command.run == all) continue;
    if (command.run == real && !options.data) continue;
    CUSP_TRY(command.run(options, figures));
  }
  fmt::print("\n{}", figures.table());
  return {};
}

// Open3D's OpenMP reads its number of threads before main begins.
void restart_with_threads(int threads, char** arguments) {
  const std::string wanted = std::to_string(threads);
  const char* const given = std::getenv("OMP_NUM_THREADS");
  if (given != nullptr && wanted == given) return;
  setenv("OMP_NUM_THREADS", wanted.c_str(), 1);
  execv("/proc/self/exe", arguments);
}

Result<void> run(const Command& command, const Options& options) {
  Figures figures;
  CUSP_TRY(command.run(options, figures));
  if (!options.json) return {};
  PosixFileSystem files;
  const std::string text = figures.json() + "\n";
  return files.write_synced(
      *options.json, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

// Of live, long and exact.
void add_recorded(CLI::App& command, RecordedFrames& recorded) {
  auto* folder = command.add_option("--folder", recorded.folder,
                                    "Frames of your own instead of a scene: 16-bit PNG depth");
  const auto add = [&](const char* name, auto& value, const char* what) {
    return command.add_option(name, value, what)->needs(folder);
  };
  folder->needs(
      add("--optics", recorded.optics_px, "Of these: fx,fy,cx,cy in pixels")->delimiter(','));
  add("--depth-unit-mm", recorded.depth_unit_mm, "One count of theirs")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add("--rate-hz", recorded.rate_hz, "How fast they came")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add("--voxel-mm", recorded.reconstruction.voxel_mm, "For these")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add("--min-depth-mm", recorded.reconstruction.min_depth_mm, "Nearer is not used")
      ->capture_default_str();
  add("--max-depth-mm", recorded.reconstruction.max_depth_mm, "Farther is not used")
      ->capture_default_str();
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app{"What Cusp's reconstruction reaches, on scenes whose truth is known"};
  app.require_subcommand(1);
  Options options;
  RecordedFrames recorded;
  for (const Command& command : kCommands) {
    CLI::App& sub = *app.add_subcommand(command.name, command.purpose);
    sub.add_option("--scene", options.scene.name, "arch10, arch30, face or hair")
        ->capture_default_str();
    sub.add_option("--frames", options.scene.frames, "Only the first; 0: all")
        ->capture_default_str();
    sub.add_option("--seed", options.scene.seed, "Of the noise and of the hand")
        ->capture_default_str();
    sub.add_option("--threads", options.threads, "Of the reconstruction and of its peers")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    sub.add_option("--rounds", options.rounds, "Of the comparison")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    sub.add_option("--seeds", options.seeds, "Scans of the precision")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    sub.add_option("--jumps", options.jumps, "Of the relocalisation")
        ->check(CLI::Range(1, 10000))
        ->capture_default_str();
    sub.add_option("--long-frames", options.long_frames, "Of the long scan")
        ->check(CLI::Range(8, 1000000))
        ->capture_default_str();
    sub.add_option("--cache", options.cache, "Folder that keeps rendered scenes")
        ->capture_default_str();
    sub.add_option("--data", options.data, "Folder of the recorded sets (real, all)");
    if (command.run == wand)
      sub.add_option("--effects", options.effects, "Of the simulator: all, or all,-name and so on")
          ->capture_default_str();
    if (command.run == live || command.run == all)
      sub.add_option("--pace", options.pace_hz,
                     "Frames a second of a second run, through a queue as the daemon's; not said: "
                     "the camera's; 0: no such run")
          ->check(CLI::Range(0.0, 1000.0));
    if (command.run == live || command.run == long_scan || command.run == exact)
      add_recorded(sub, recorded);
    sub.add_option("--json", options.json, "Write the figures there as well");
  }
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }
  if (!recorded.folder.empty()) {
    options.recorded = recorded;
    options.scene.name = "recorded";
  }
  if (options.recorded && !is_possible(recorded.reconstruction)) {
    fmt::print(stderr, "cusp-bench: the depth range is empty\n");
    return 2;
  }
  restart_with_threads(options.threads, arguments);
  keep_freed_memory();  // as cuspd does
  const auto chosen =
      std::ranges::find_if(kCommands, [&](const Command& c) { return app.got_subcommand(c.name); });
  if (const Result<void> result = run(*chosen, options); !result.ok()) {
    fmt::print(stderr, "cusp-bench: {}\n", result.error().message);
    return 1;
  }
  return 0;
}
