#include "tools/bench/wand_stream.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "tools/sim/arch_scene.h"
#include "tools/sim/fringe_scene.h"

namespace cusp::bench {
namespace {

constexpr std::size_t kRenderThreads = 2;
constexpr double kResolutionMm = 0.1;
constexpr std::size_t kHead = 4096;  // bytes before the pictures: what they follow from

// Changes whenever the simulator makes other pictures of the same request.
constexpr int kEdition = 3;
// Who sees the picture fog up holds still until the tip is warm.
constexpr double kFogSeenS = 1, kFogClearsS = 8;

std::string told(const WandRequest& request, std::uint64_t patterns, std::size_t pixels) {
  return fmt::format("cusp-bench wand {}: {} Hz, {} mm/s, seed {}, effects {}, {} mm, {} x {}\n",
                     kEdition, request.picture_rate_hz, request.speed_mm_s, request.seed,
                     request.effects, kResolutionMm, patterns, pixels);
}

bool begins_with(MappedFile& file, const std::string& text) {
  return file.size() > kHead && std::memcmp(file.bytes(), text.data(), text.size()) == 0;
}

}  // namespace

Result<WandStream> WandStream::open(const WandRequest& request,
                                    const std::filesystem::path& cache_folder) {
  sim::FringeSceneOptions options;
  options.motion.rate_hz = request.picture_rate_hz;
  options.motion.speed_mm_s = request.speed_mm_s;
  options.motion.turning_arm_mm = options.motion.standoff_mm;
  options.motion.pauses = options.motion.lifts = 0;
  options.motion.seed = options.seed = request.seed;
  CUSP_ASSIGN(options.effects, sim::parse_effects(request.effects));
  if (options.effects.fog) {
    options.motion.wait_at_s = kFogSeenS;
    options.motion.wait_s = kFogClearsS;
  }
  const sim::ArchSceneOptions arch{.resolution_mm = kResolutionMm};
  WandStream stream;
  stream.truth_ = sim::make_arch(arch);
  options.tissues.of_vertex = sim::arch_tissues(arch, stream.truth_);
  CUSP_ASSIGN(sim::FringeScene scene, sim::make_fringe_scene("arch", stream.truth_, options));
  stream.calibration_ = scene.calibration;
  stream.pose_ = scene.pose;
  stream.patterns_ = scene.calibration.fringe->patterns.size();
  stream.sequences_ = scene.frames / stream.patterns_;
  if (request.sequences > 0) stream.sequences_ = std::min(stream.sequences_, request.sequences);
  const std::uint64_t pictures = stream.sequences_ * stream.patterns_;
  const std::size_t size = kHead + pictures * scene.fringe_bytes;

  const std::string text = told(request, stream.patterns_, scene.fringe_bytes);
  const auto path_of = [&](std::uint64_t sequences) {
    return cache_folder / fmt::format("wand-{}-{}-{}.cusp-bench", request.effects, request.seed,
                                      sequences == 0 ? "all" : std::to_string(sequences));
  };
  for (const std::uint64_t sequences : {std::uint64_t{0}, request.sequences}) {
    auto file = MappedFile::open(path_of(sequences));
    if (!file.ok() || (*file)->size() < size || !begins_with(**file, text)) continue;
    stream.file_ = std::move(file).value();
    break;
  }
  if (!stream.file_) {
    CUSP_ASSIGN(auto file, MappedFile::create(path_of(request.sequences), size));
    std::memcpy(file->bytes(), text.data(), text.size());
    // A scene belongs to one thread.
    std::vector<sim::FringeScene> scenes{std::move(scene)};
    while (scenes.size() < kRenderThreads) {
      CUSP_ASSIGN(sim::FringeScene another, sim::make_fringe_scene("arch", stream.truth_, options));
      scenes.push_back(std::move(another));
    }
    std::atomic<std::uint64_t> next{0};
    {
      std::vector<std::jthread> threads;
      for (sim::FringeScene& mine : scenes)
        threads.emplace_back([&] {
          for (std::uint64_t number = next++; number < pictures; number = next++)
            mine.picture(
                number,
                {static_cast<std::uint32_t>(number / stream.patterns_),
                 static_cast<int>(number % stream.patterns_), static_cast<int>(stream.patterns_)},
                {reinterpret_cast<std::uint8_t*>(file->bytes()) + kHead +
                     number * mine.fringe_bytes,
                 mine.fringe_bytes});
        });
    }
    CUSP_TRY(file->keep());
    stream.file_ = std::move(file);
  }
  stream.pictures_ = reinterpret_cast<const std::uint8_t*>(stream.file_->bytes()) + kHead;
  return stream;
}

RawFrame WandStream::picture(std::uint64_t number) const {
  const Intrinsics& camera = calibration_.depth;
  const std::size_t pixels =
      static_cast<std::size_t>(camera.width_px) * static_cast<std::size_t>(camera.height_px);
  RawFrame frame{.sequence = number,
                 .format = PixelFormat::kGrey8,
                 .width_px = camera.width_px,
                 .height_px = camera.height_px};
  frame.fringe = FringeIndex{static_cast<std::uint32_t>(number / patterns_),
                             static_cast<int>(number % patterns_), static_cast<int>(patterns_)};
  const std::uint8_t* const from = pictures_ + number * pixels;
  frame.bytes.assign(from, from + pixels);
  return frame;
}

}  // namespace cusp::bench
