#include "pipeline/reconstruction.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/check.h"
#include "pipeline/align_colour.h"
#include "pipeline/decode.h"
#include "pipeline/edit.h"
#include "pipeline/frame_stack.h"
#include "pipeline/fringe.h"
#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/fuse_log.h"
#include "pipeline/gyro.h"
#include "pipeline/live_closure.h"
#include "pipeline/live_mesh.h"
#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/packed_frame.h"
#include "pipeline/pose_finder.h"
#include "pipeline/preprocess.h"
#include "pipeline/relocalise.h"
#include "pipeline/screen.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {
namespace {

// A first frame that no later one fits (a hand, a moved head) is given up after this many.
constexpr int kSeedPatience = 15;
// Whatever was seen at all is followed and shown, marked as thin.
constexpr float kMinLiveWeight = 0.0F;
constexpr std::chrono::nanoseconds kNoTime{0}, kPause = std::chrono::seconds(1);

// The time since it was last asked.
class Laps {
 public:
  std::chrono::nanoseconds lap() {
    const auto now = std::chrono::steady_clock::now();
    return now - std::exchange(since_, now);
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

}  // namespace

bool is_possible(const ReconstructionOptions& r) {
  return r.voxel_mm > 0 && r.truncation_voxels >= 1 && r.threads >= 1 && r.threads <= 1024 &&
         r.min_depth_mm >= 0 && r.max_depth_mm > r.min_depth_mm && r.hair_at >= 0 &&
         r.hair_at <= kMostHairAt;
}

ReconstructionOptions within_range_of(ReconstructionOptions options,
                                      const Calibration& calibration) {
  if (!calibration.fringe) return options;
  const FringeOptics& fringe = *calibration.fringe;
  ReconstructionOptions within = options;
  within.min_depth_mm = std::max(within.min_depth_mm, fringe.min_depth_mm);
  if (fringe.max_depth_mm > 0)
    within.max_depth_mm = std::min(within.max_depth_mm, fringe.max_depth_mm);
  return is_possible(within) ? within : options;
}

struct Reconstruction::State {
  State(const ReconstructionOptions& chosen, const Calibration& device)
      : options(chosen),
        calibration(device),
        noise(chosen, device),
        volume(chosen.voxel_mm, chosen.voxel_mm * chosen.truncation_voxels,
               chosen.max_volume_bytes),
        live_mesh(volume.voxel_mm(), kMinLiveWeight),
        closure(chosen, device, kMinLiveWeight),
        finder(chosen, noise),
        pool(chosen.threads) {}

  // --- the recipe ---

  Result<FrameOutcome> add(RawFrame frame) {
    Laps laps;
    FrameOutcome outcome;
    gyro.add(frame);
    CUSP_ASSIGN(DepthFrame * depth, measure(std::move(frame)));
    outcome.times.decode = laps.lap();
    outcome.gathered = depth == nullptr;
    if (depth == nullptr) return outcome;
    surface = preprocess(corrected(*depth), noise, pool, std::move(surface));
    outcome.times.preprocess = laps.lap();
    frames_missing |= last_sequence && depth->sequence > *last_sequence + 1;
    last_sequence = depth->sequence;
    finder.turned(gyro.take());
    outcome.pose = locate(depth->sequence);
    outcome.times.track = laps.lap();
    // Now its motion is known, which bent what fringes measured.
    const auto motion = finder.motion();
    if (fringe && motion && outcome.pose.verdict == PoseVerdict::kTracked) {
      if (DepthFrame* const followed = fringe->follow(*motion, pool)) {
        depth = followed;
        outcome.times.decode += laps.lap();
        surface = preprocess(corrected(*depth), noise, pool, std::move(surface));
        outcome.times.preprocess += laps.lap();
        outcome.pose = finder.correct(surface, live_mesh, pool);
        outcome.times.track += laps.lap();
      }
    }
    ++counts.frames;
    if (!outcome.pose.usable()) ++counts.lost;
    if (outcome.pose.verdict == PoseVerdict::kRelocalised) ++counts.relocalised;
    outcome.free_slides = finder.free_slides();
    outcome.free_turns = finder.free_turns();
    // A pose that was found again must be followed before anything is built on it.
    if (outcome.pose.verdict != PoseVerdict::kTracked) {
      between.clear();  // a pose that is found again may be off against those before the loss
      return outcome;
    }
    if (fused > 0) {
      const Screened screened =
          screen.cut(finder.view(), outcome.pose.model_from_sensor, screen_limits(), surface, pool);
      outcome.kept_out = screened.unsound;
      if (!screened.fusable) {
        ++counts.obscured;
        return outcome;
      }
      cut_out(screened, surface, *depth);
    }
    CUSP_ASSIGN(const FuseReport report,
                fuse(surface, outcome.pose.model_from_sensor, volume, pool, FuseRhythm::kInTurns));
    keyframes.offer(outcome.pose.model_from_sensor, surface);
    fuse_colour(surface, outcome.pose.model_from_sensor, report.changed, volume, pool);
    outcome.times.fuse = laps.lap();
    live_mesh.follow(volume, report.changed, pool);
    outcome.times.mesh = laps.lap();
    ++counts.tracked;
    ++fused;
    outcome.fused = true;
    outcome.records = keep(*depth, outcome.pose);
    if (auto record = close(outcome.closed_by_mm)) outcome.records.push_back(std::move(*record));
    outcome.times.keep = laps.lap();
    return outcome;
  }

  // What the log takes of a fused frame: the frame itself, when it is kept; before that the end of
  // a model that was given up.
  std::vector<ScanRecord> keep(DepthFrame& depth, const Pose& pose) {
    std::vector<ScanRecord> records;
    if (fused == 1 && !log.entries().empty()) records.emplace_back(Rewind{0});
    // A pause is no scanning.
    if (last_fused_at) scan_time += std::clamp(depth.host_time - *last_fused_at, kNoTime, kPause);
    last_fused_at = depth.host_time;
    ++fused_since_kept;
    ++fused_since_colour;
    // Where few frames have colours, those that do are kept.
    const bool coloured = !depth.rgb.empty() && fused_since_colour >= KeepRule().every;
    if (!last_kept || coloured ||
        KeepRule().keeps(*last_kept, pose.model_from_sensor, surface.mean_depth_mm, fused,
                         fused_since_kept)) {
      last_kept = pose.model_from_sensor;
      fused_since_kept = 0;
      if (!depth.rgb.empty()) fused_since_colour = 0;
      between.average(depth, pose.model_from_sensor, noise, pool);
      records.emplace_back(
          ScanEntry(KeptFrame{.model_from_sensor = pose.model_from_sensor,
                              .scan_time = scan_time,
                              .packed = std::make_shared<const std::vector<std::uint8_t>>(
                                  pack(depth, packing_step(noise, options.min_depth_mm)))}));
    } else {
      between.push(depth, pose.model_from_sensor);
    }
    for (const ScanRecord& record : records) take(record);
    return records;
  }
  // Changes over to a model that was closed meanwhile; what the log takes of that.
  std::optional<ScanRecord> close(std::optional<double>& moved_by_mm) {
    std::unique_ptr<ClosedScan> closed =
        closure.took_up(log, fused_since_kept, std::exchange(frames_missing, false));
    if (!closed) return std::nullopt;
    ++counts.closures;
    counts.largest_closure_mm = std::max(counts.largest_closure_mm, closed->largest_mm);
    moved_by_mm = closed->largest_mm;
    std::swap(volume, closed->volume);
    live_mesh.swap_in(closed->live_mesh);
    std::swap(keyframes, closed->keyframes);
    screen.clear();
    between.clear();
    // What is tracked goes with the last frame that was kept.
    finder.move(closed->poses.model_from_sensor.back() * last_kept->inverse());
    last_kept = closed->poses.model_from_sensor.back();
    ScanRecord record(std::move(closed->poses));
    take(record);
    note_made_anew();
    closure.release(std::move(closed));
    return record;
  }
  void take(const ScanRecord& record) {
    CUSP_CHECK(log.apply(record), "our own records fit the log");
    fused_at.resize(log.entries().size(), volume.frame());
  }

  // --- what the operator does ---

  Result<ScanRecord> undo(std::chrono::nanoseconds span) {
    const Rewind back{log.entries_before(span)};
    const bool locks = std::ranges::any_of(log.entries(), [](const ScanEntry& entry) {
      return std::holds_alternative<Lock>(entry) || std::holds_alternative<UnlockAll>(entry);
    });
    const std::uint32_t since = back.entries == 0 ? 0 : fused_at[back.entries - 1];
    take(back);
    closure.clear();
    CUSP_TRY(locks || back.entries == 0 || back.entries < made_again_at ? make_again()
                                                                        : make_again_since(since));
    return ScanRecord(back);
  }

  Result<ScanRecord> edit(ScanEntry entry) {
    CUSP_CHECK(!std::holds_alternative<KeptFrame>(entry), "frames come through add()");
    if (const auto* cut = std::get_if<Cut>(&entry)) {
      CUSP_TRY(validate(cut->region));
      live_mesh.update(volume, cut_away(cut->region, volume, pool), pool);
    } else if (const auto* locked = std::get_if<Lock>(&entry)) {
      CUSP_TRY(validate(locked->region));
      lock(locked->region, volume, pool);
    } else {
      unlock_all(volume);
    }
    take(entry);
    return ScanRecord(std::move(entry));
  }

  // The volume from the whole log.
  Result<void> make_again() {
    volume.clear();
    live_mesh.clear();
    keyframes.clear();
    CUSP_ASSIGN(const LogReport report,
                fuse_log(log, noise, volume, pool,
                         {.on_frame = [this](const KeptFrame& frame, const MeasuredSurface& seen) {
                           keyframes.offer(frame.model_from_sensor, seen);
                         }}));
    if (report.frames == 0 && report.damaged > 0)
      return error(ErrorCode::kCorrupt, "scan: none of its {} kept frames can be read",
                   report.damaged);
    live_mesh.update_all(volume, pool);
    continue_from_log();
    return {};
  }

  // Only the blocks that changed since that frame of the volume: all others are held meanwhile.
  Result<void> make_again_since(std::uint32_t since) {
    std::vector<std::uint32_t> changed, held;
    volume.next_frame();
    for (std::size_t i = 0; i < volume.size(); ++i) {
      const auto number = static_cast<std::uint32_t>(i);
      if (volume.info(i).changed > since) {
        volume.forget(i);
        changed.push_back(number);
      } else {
        volume.info(i).locked = true;
        held.push_back(number);
      }
    }
    std::vector<std::uint32_t> in_view;
    const auto sees_some = [&](const KeptFrame& frame) {
      in_view.clear();
      volume.blocks_in_view(frame.model_from_sensor, calibration.depth, options.max_depth_mm,
                            in_view);
      return std::ranges::any_of(in_view,
                                 [&](std::uint32_t number) { return !volume.info(number).locked; });
    };
    const auto report = fuse_log(log, noise, volume, pool, {.wants = sees_some});
    for (const std::uint32_t number : held) volume.info(number).locked = false;
    CUSP_TRY(report);
    live_mesh.update(volume, changed, pool);
    continue_from_log();
    return {};
  }

  void note_made_anew() {
    made_again_at = log.entries().size();
    fused_at.assign(made_again_at, volume.frame());
  }

  // As after a loss, where the last kept frame was.
  void continue_from_log() {
    fused = log.frames();
    note_made_anew();
    last_kept.reset();
    last_fused_at.reset();
    scan_time = log.scan_time();
    screen.clear();
    between.clear();
    for (const ScanEntry& entry : log.entries())
      if (const auto* frame = std::get_if<KeptFrame>(&entry)) last_kept = frame->model_from_sensor;
    if (last_kept)
      finder.lose_at(*last_kept);
    else
      finder.forget();
  }

  // Depth as the device sends it, or from the pictures of a fringe sequence once it is whole; null
  // before. It stands until the next frame.
  Result<DepthFrame*> measure(RawFrame frame) {
    if (!calibration.fringe) {
      CUSP_ASSIGN(measured, decode(frame, calibration, options.min_depth_mm, options.max_depth_mm));
      CUSP_TRY(align_colour(measured, frame, calibration));
      return &measured;
    }
    if (!fringe) {
      CUSP_ASSIGN(FringeDecoder made,
                  FringeDecoder::create(calibration, {.min_depth_mm = options.min_depth_mm,
                                                      .max_depth_mm = options.max_depth_mm}));
      fringe.emplace(std::move(made));
    }
    auto depth = fringe->add(std::move(frame), pool);
    counts.incomplete = fringe->incomplete();
    return depth;
  }

  // By what is known of the device's warp; what is kept stays as it was measured.
  const DepthFrame& corrected(const DepthFrame& depth) {
    if (log.warp().is_none() || !log.warp().fits(depth.intrinsics)) return depth;
    unwarped = depth;
    log.warp().apply(unwarped);
    return unwarped;
  }

  Pose locate(std::uint64_t sequence) {
    if (fused == 1 && finder.lost_in_a_row() >= kSeedPatience) forget();
    return fused == 0 ? finder.begin(surface, sequence)
                      : finder.find(surface, live_mesh, keyframes, sequence, pool);
  }
  [[nodiscard]] ScreenLimits screen_limits() const {
    return {.in_front_mm = std::max(3 * options.voxel_mm, 6 * finder.sigma_mm(surface)),
            .cell_mm = 16 * options.voxel_mm};
  }
  void forget() {
    closure.clear();
    volume.clear();
    live_mesh.clear();
    keyframes.clear();
    fused = 0;
    screen.clear();
    between.clear();
    finder.forget();
    last_kept.reset();
    last_fused_at.reset();
    scan_time = {};
  }

  ReconstructionOptions options;
  Calibration calibration;
  NoiseModel noise;
  DepthFrame measured;  // by a depth camera
  DepthFrame unwarped;
  std::optional<FringeDecoder> fringe;  // made with the first picture
  ScanLog log;
  std::vector<std::uint32_t> fused_at;  // Volume::frame() when the log's entry came
  std::size_t made_again_at = 0;        // entries of which the volume was made at once
  std::optional<RigidTransform> last_kept;
  int fused_since_kept = 0;
  int fused_since_colour = 0;  // was kept
  static_assert(KeepRule().every >= 2);
  // The frames fused since then, since a loss and since a closing.
  FrameStack between{static_cast<std::size_t>(KeepRule().every - 1)};
  std::optional<std::uint64_t> last_sequence;
  bool frames_missing = false;  // since one was fused
  std::chrono::nanoseconds scan_time{};
  std::optional<MonoTime> last_fused_at;
  Volume volume;
  LiveMesh live_mesh;
  Keyframes keyframes;
  Screen screen;
  LiveClosure closure;
  GyroTurn gyro;
  PoseFinder finder;
  mutable WorkerPool pool;
  // Of the last frame; their memory serves the next.
  MeasuredSurface surface;
  ReconstructionCounts counts;

  std::uint64_t fused = 0;  // into the present volume
};

Reconstruction::Reconstruction(const ReconstructionOptions& options,
                               const Calibration& calibration) {
  CUSP_CHECK(is_possible(options), "reconstruction options are out of range");
  state_ = std::make_unique<State>(within_range_of(options, calibration), calibration);
}
Reconstruction::~Reconstruction() = default;
Reconstruction::Reconstruction(Reconstruction&&) noexcept = default;
Reconstruction& Reconstruction::operator=(Reconstruction&&) noexcept = default;

Result<Reconstruction> Reconstruction::go_on(const ReconstructionOptions& options,
                                             const Calibration& calibration, ScanLog log) {
  Reconstruction made(options, calibration);
  State& state = *made.state_;
  state.log = std::move(log);
  CUSP_TRY(state.make_again());
  state.counts.frames = state.counts.tracked = state.log.frames();
  return made;
}

Result<FrameOutcome> Reconstruction::add(RawFrame frame) { return state_->add(std::move(frame)); }
Result<ScanRecord> Reconstruction::undo(std::chrono::nanoseconds span) {
  return state_->undo(span);
}
Result<ScanRecord> Reconstruction::edit(ScanEntry edit) { return state_->edit(std::move(edit)); }
const ScanLog& Reconstruction::log() const { return state_->log; }
const ReconstructionOptions& Reconstruction::options() const { return state_->options; }

Mesh Reconstruction::mesh() const {
  return extract_mesh(state_->volume, state_->made_again_at > 0 ? kMinKeptWeight : kMinMeshWeight,
                      state_->pool);
}

std::uint64_t Reconstruction::triangle_estimate() const {
  return state_->live_mesh.triangle_count();
}

ReconstructionCounts Reconstruction::counts() const { return state_->counts; }
std::size_t Reconstruction::volume_bytes() const { return state_->volume.bytes(); }
const LiveMesh& Reconstruction::live_mesh() const { return state_->live_mesh; }

}  // namespace cusp
