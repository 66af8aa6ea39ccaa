#include "pipeline/reconstruction.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/check.h"
#include "pipeline/align_colour.h"
#include "pipeline/decode.h"
#include "pipeline/edit.h"
#include "pipeline/fringe.h"
#include "pipeline/fuse.h"
#include "pipeline/fuse_colour.h"
#include "pipeline/fuse_log.h"
#include "pipeline/live_mesh.h"
#include "pipeline/mesh.h"
#include "pipeline/noise_model.h"
#include "pipeline/packed_frame.h"
#include "pipeline/predict.h"
#include "pipeline/preprocess.h"
#include "pipeline/relocalise.h"
#include "pipeline/screen.h"
#include "pipeline/track.h"
#include "pipeline/volume.h"
#include "pipeline/worker_pool.h"

namespace cusp {
namespace {

constexpr int kViewStep = 2;
// A model begins with a frame that shows something: this share of its pixels.
constexpr double kMinSeedShare = 0.01;
// A first frame that no later one fits (a hand, a moved head) is given up after this many.
constexpr int kSeedPatience = 15;
// Longer gaps say nothing about the motion any more.
constexpr double kMaxGapFrames = 5;
// Whatever was seen at all is followed and shown, marked as thin.
constexpr float kMinLiveWeight = 0.0F;
// After the pose was found again so many frames must confirm it before one is fused: few when it
// was looked for where the sensor must be, many when most of what it sees is new.
constexpr int kConfirmingNear = 1, kConfirmingFrames = 2, kConfirmingAtRim = 5;
// A surface that can slide on itself is followed by the motion alone for so many frames, and only
// when so many before them told the motion.
constexpr int kMaxFreeFrames = 10;
constexpr int kMinFirmFrames = 5;
// A tracked frame's residual may be this much above what was usual so far to count as found again.
constexpr double kUsualFactor = 1.4;
constexpr double kUsualMemory = 0.05;
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

// The motion between two frames, a share of it, or several times it.
RigidTransform scaled(const RigidTransform& motion, double factor) {
  const Eigen::AngleAxisd turn(motion.rotation());
  RigidTransform result = RigidTransform::Identity();
  result.linear() = Eigen::AngleAxisd(turn.angle() * factor, turn.axis()).toRotationMatrix();
  result.translation() = motion.translation() * factor;
  return result;
}

}  // namespace

bool is_possible(const ReconstructionOptions& r) {
  return r.voxel_mm > 0 && r.truncation_voxels >= 1 && r.threads >= 1 && r.threads <= 1024 &&
         r.min_depth_mm >= 0 && r.max_depth_mm > r.min_depth_mm;
}

struct Reconstruction::State {
  State(const ReconstructionOptions& chosen, const Calibration& device)
      : options(chosen),
        calibration(device),
        noise(chosen, device),
        volume(chosen.voxel_mm, chosen.voxel_mm * chosen.truncation_voxels,
               chosen.max_volume_bytes),
        live_mesh(volume.voxel_mm(), kMinLiveWeight),
        pool(chosen.threads) {}

  // --- the recipe ---

  Result<FrameOutcome> add(const RawFrame& frame) {
    Laps laps;
    FrameOutcome outcome;
    CUSP_ASSIGN(DepthFrame* const depth, measure(frame));
    outcome.times.decode = laps.lap();
    outcome.gathered = depth == nullptr;
    if (depth == nullptr) return outcome;
    surface = preprocess(*depth, noise, pool, std::move(surface));
    outcome.times.preprocess = laps.lap();
    outcome.pose = locate(depth->sequence);
    outcome.times.track = laps.lap();
    ++counts.frames;
    if (!outcome.pose.usable()) ++counts.lost;
    if (outcome.pose.verdict == PoseVerdict::kRelocalised) ++counts.relocalised;
    outcome.free_slides = free_slides;
    outcome.free_turns = free_turns;
    // A pose that was found again must be followed before anything is built on it.
    if (outcome.pose.verdict != PoseVerdict::kTracked) return outcome;
    if (fused > 0) {
      const Screened screened =
          screen.cut(view, outcome.pose.model_from_sensor, screen_limits(), surface, pool);
      outcome.kept_out = screened.unsound;
      if (!screened.fusable) {
        ++counts.obscured;
        return outcome;
      }
      cut_out(screened, surface, *depth);
    }
    CUSP_ASSIGN(const FuseReport report, fuse(surface, outcome.pose.model_from_sensor, volume, pool,
                                              FuseRhythm::kKnownInTurns));
    keyframes.offer(outcome.pose.model_from_sensor, surface);
    fuse_colour(surface, outcome.pose.model_from_sensor, report.changed, volume, pool);
    outcome.times.fuse = laps.lap();
    live_mesh.follow(volume, report.changed, pool);
    outcome.times.mesh = laps.lap();
    ++counts.tracked;
    ++fused;
    outcome.fused = true;
    outcome.records = keep(*depth, outcome.pose);
    outcome.times.keep = laps.lap();
    return outcome;
  }

  // What the log takes of a fused frame: the frame itself, when it is kept; before that the end of
  // a model that was given up.
  std::vector<ScanRecord> keep(const DepthFrame& depth, const Pose& pose) {
    std::vector<ScanRecord> records;
    if (fused == 1 && !log.entries().empty()) records.emplace_back(Rewind{0});
    // A pause is no scanning.
    if (last_fused_at) scan_time += std::clamp(depth.host_time - *last_fused_at, kNoTime, kPause);
    last_fused_at = depth.host_time;
    ++fused_since_kept;
    if (!last_kept || KeepRule().keeps(*last_kept, pose.model_from_sensor, surface.mean_depth_mm,
                                       fused, fused_since_kept)) {
      last_kept = pose.model_from_sensor;
      fused_since_kept = 0;
      records.emplace_back(
          ScanEntry(KeptFrame{.model_from_sensor = pose.model_from_sensor,
                              .scan_time = scan_time,
                              .packed = std::make_shared<const std::vector<std::uint8_t>>(pack(
                                  depth, packing_unit_mm(calibration, options.max_depth_mm)))}));
    }
    for (const ScanRecord& record : records) take(record);
    return records;
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
    CUSP_TRY(locks || back.entries == 0 ? make_again() : make_again_since(since));
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

  // As after a loss, where the last kept frame was.
  void continue_from_log() {
    fused = log.frames();
    fused_at.assign(log.entries().size(), volume.frame());
    motion_a_frame = RigidTransform::Identity();
    last_kept.reset();
    last_fused_at.reset();
    scan_time = log.scan_time();
    screen.clear();
    lost_in_a_row = fused == 0 ? 0 : 1;
    confirming = free_in_a_row = firm_frames = 0;
    for (const ScanEntry& entry : log.entries())
      if (const auto* frame = std::get_if<KeptFrame>(&entry)) last_kept = frame->model_from_sensor;
    if (last_kept) last_pose = *last_kept;
  }

  // Depth as the device sends it, or from the pictures of a fringe sequence once it is whole; null
  // before. It stands until the next frame.
  Result<DepthFrame*> measure(const RawFrame& frame) {
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
    auto depth = fringe->add(frame, pool);
    counts.incomplete = fringe->incomplete();
    return depth;
  }

  Pose locate(std::uint64_t sequence) {
    if (fused == 1 && lost_in_a_row >= kSeedPatience) forget();
    if (fused == 0) return seed(sequence);

    std::optional<Fit> found;
    if (lost_in_a_row == 0) {
      found = track(predicted(sequence));
      const bool as_predicted = found.has_value();
      if (!found) found = find_near(surface, live_mesh, likely(sequence), near_search(), pool);
      if (confirming > 0)
        --confirming;
      else if (!as_predicted)
        confirming = kConfirmingNear;
    }
    const bool followed = found.has_value();
    if (!followed) {
      const RelocaliseSearch search = relocalise_search();
      found = relocalise(surface, live_mesh, keyframes, likely(sequence), search, pool);
      confirming =
          found && passes(*found, search.gates.front()) ? kConfirmingFrames : kConfirmingAtRim;
    }
    if (!found) {
      ++lost_in_a_row;
      free_slides = free_turns = 0;
      return Pose{};
    }
    const PoseVerdict verdict = confirming > 0 ? PoseVerdict::kRelocalised : PoseVerdict::kTracked;
    remember(*found, followed, sequence);
    return Pose{.verdict = verdict,
                .model_from_sensor = found->model_from_sensor,
                .residual_mm = found->rms_mm,
                .overlap = found->overlap};
  }

  Pose seed(std::uint64_t sequence) {
    const double pixels = static_cast<double>(calibration.depth.width_px) *
                          static_cast<double>(calibration.depth.height_px);
    // A fine sample stands for four pixels.
    if (4.0 * static_cast<double>(surface.fine.count) < kMinSeedShare * pixels) return Pose{};
    last_pose = RigidTransform::Identity();
    last_sequence = sequence;
    return Pose{.verdict = PoseVerdict::kTracked,
                .model_from_sensor = last_pose,
                .residual_mm = 0,
                .overlap = 1};
  }

  std::optional<Fit> track(const RigidTransform& start) {
    view = predict_view(live_mesh, start, surface.intrinsics, kViewStep, options.max_depth_mm, pool,
                        std::move(view));
    const Fit found = fit(surface, view, start, track_limits(), pool);
    const bool good =
        confirming > 0 ? passes_one(found, relocalise_search().gates) : passes(found, track_gate());
    return good ? std::optional(found) : std::nullopt;
  }

  // --- limits, all in voxels and noise ---

  [[nodiscard]] double sigma_mm() const {
    return noise.sigma_mm(static_cast<float>(surface.mean_depth_mm));
  }
  [[nodiscard]] TrackLimits track_limits() const {
    return {.wide_mm = 10 * options.voxel_mm,
            .narrow_mm = narrow_mm(),
            .coarse_steps = 8,
            .fine_steps = 5};
  }
  [[nodiscard]] double narrow_mm() const { return std::max(2 * options.voxel_mm, 5 * sigma_mm()); }
  [[nodiscard]] Gate track_gate() const {
    return {.min_overlap = 0.3,
            .min_agreement = 0.6,
            .max_rms_mm = std::max(0.75 * options.voxel_mm, 2.5 * sigma_mm()),
            .max_free_directions =
                firm_frames >= kMinFirmFrames && free_in_a_row < kMaxFreeFrames ? 3 : 0};
  }
  // A place of the model, beyond doubt.
  [[nodiscard]] Gate sure_gate() const {
    Gate gate = track_gate();
    gate.min_overlap = 0.5;
    gate.min_agreement = 0.85;
    gate.max_free_directions = 0;
    if (usual_rms_mm > 0) gate.max_rms_mm = std::min(gate.max_rms_mm, kUsualFactor * usual_rms_mm);
    return gate;
  }
  // Its rim: little of what is seen is known, but that fits well and holds the pose firmly.
  [[nodiscard]] Gate rim_gate() const {
    Gate gate = sure_gate();
    gate.min_overlap = 0.2;
    gate.min_agreement = 0.95;
    gate.min_stiffness = 0.01;
    return gate;
  }
  [[nodiscard]] RelocaliseSearch near_search() const {
    TrackLimits limits = track_limits();
    limits.wide_mm *= 3;
    limits.coarse_steps = 20;
    return {.limits = limits,
            .gates = {sure_gate()},
            .view_step = kViewStep,
            .max_depth_mm = options.max_depth_mm};
  }
  [[nodiscard]] RelocaliseSearch relocalise_search() const {
    RelocaliseSearch search = near_search();
    search.gates.push_back(rim_gate());
    return search;
  }

  [[nodiscard]] ScreenLimits screen_limits() const {
    return {.in_front_mm = std::max(3 * options.voxel_mm, 6 * sigma_mm()),
            .cell_mm = 16 * options.voxel_mm};
  }

  // --- what is known about the motion ---

  [[nodiscard]] double gap_frames(std::uint64_t sequence) const {
    if (sequence <= last_sequence) return 1;
    return std::min(static_cast<double>(sequence - last_sequence), kMaxGapFrames);
  }
  [[nodiscard]] RigidTransform predicted(std::uint64_t sequence) const {
    return last_pose * scaled(motion_a_frame, gap_frames(sequence));
  }
  // Where the sensor may be when it did not go on as it went: it stopped, or half did.
  [[nodiscard]] std::vector<RigidTransform> likely(std::uint64_t sequence) const {
    if (motion_a_frame.matrix().isIdentity(0)) return {last_pose};
    return {predicted(sequence), last_pose * scaled(motion_a_frame, 0.5 * gap_frames(sequence)),
            last_pose};
  }
  // A pose that has just been found says nothing about the motion; those that confirm it do.
  void remember(const Fit& found, bool followed, std::uint64_t sequence) {
    motion_a_frame =
        followed ? scaled(last_pose.inverse() * found.model_from_sensor, 1.0 / gap_frames(sequence))
                 : RigidTransform::Identity();
    if (confirming == 0)
      usual_rms_mm += (found.rms_mm - usual_rms_mm) * (usual_rms_mm == 0 ? 1.0 : kUsualMemory);
    free_slides = found.free_slides;
    free_turns = found.free_turns;
    free_in_a_row = found.free_directions() > 0 ? free_in_a_row + 1 : 0;
    firm_frames = !followed ? 0 : firm_frames + (found.free_directions() == 0 ? 1 : 0);
    last_pose = found.model_from_sensor;
    last_sequence = sequence;
    lost_in_a_row = 0;
  }
  void forget() {
    volume.clear();
    live_mesh.clear();
    keyframes.clear();
    fused = 0;
    screen.clear();
    lost_in_a_row = confirming = free_in_a_row = firm_frames = 0;
    motion_a_frame = RigidTransform::Identity();
    usual_rms_mm = 0;
    last_kept.reset();
    last_fused_at.reset();
    scan_time = {};
  }

  ReconstructionOptions options;
  Calibration calibration;
  NoiseModel noise;
  DepthFrame measured;                  // by a depth camera
  std::optional<FringeDecoder> fringe;  // made with the first picture
  ScanLog log;
  std::vector<std::uint32_t> fused_at;  // Volume::frame() when the log's entry came
  std::optional<RigidTransform> last_kept;
  int fused_since_kept = 0;
  std::chrono::nanoseconds scan_time{};
  std::optional<MonoTime> last_fused_at;
  Volume volume;
  LiveMesh live_mesh;
  Keyframes keyframes;
  Screen screen;
  mutable WorkerPool pool;
  // Of the last frame; their memory serves the next.
  MeasuredSurface surface;
  ModelView view;
  ReconstructionCounts counts;

  std::uint64_t fused = 0;  // into the present volume
  int lost_in_a_row = 0;
  int confirming = 0;                   // frames that must still follow before one is fused
  int free_slides = 0, free_turns = 0;  // of the last fit
  int free_in_a_row = 0;
  int firm_frames = 0;  // since the pose was found, that told all of the motion
  RigidTransform last_pose = RigidTransform::Identity();
  RigidTransform motion_a_frame = RigidTransform::Identity();  // in the sensor's frame
  std::uint64_t last_sequence = 0;
  double usual_rms_mm = 0;
};

Reconstruction::Reconstruction(const ReconstructionOptions& options,
                               const Calibration& calibration) {
  CUSP_CHECK(is_possible(options), "reconstruction options are out of range");
  state_ = std::make_unique<State>(options, calibration);
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

Result<FrameOutcome> Reconstruction::add(const RawFrame& frame) { return state_->add(frame); }
Result<ScanRecord> Reconstruction::undo(std::chrono::nanoseconds span) {
  return state_->undo(span);
}
Result<ScanRecord> Reconstruction::edit(ScanEntry edit) { return state_->edit(std::move(edit)); }
const ScanLog& Reconstruction::log() const { return state_->log; }
const ReconstructionOptions& Reconstruction::options() const { return state_->options; }

Mesh Reconstruction::mesh() const {
  return extract_mesh(state_->volume, kMinMeshWeight, state_->pool);
}

std::uint64_t Reconstruction::triangle_estimate() const {
  return state_->live_mesh.triangle_count();
}

ReconstructionCounts Reconstruction::counts() const { return state_->counts; }
std::size_t Reconstruction::volume_bytes() const { return state_->volume.bytes(); }
const LiveMesh& Reconstruction::live_mesh() const { return state_->live_mesh; }

}  // namespace cusp
