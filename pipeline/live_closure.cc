#include "pipeline/live_closure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "pipeline/adjust.h"
#include "pipeline/background_priority.h"
#include "pipeline/fuse_log.h"
#include "pipeline/noise_model.h"
#include "pipeline/worker_pool.h"

namespace cusp {
namespace {

// Kept frames: with how many it first begins, how many more lead to the next, and how many more,
// and a few, there are when the scan changes over: at 30 frames/s and with two cores, its model
// has long been ready.
constexpr std::size_t kFirstFrames = 48;
constexpr double kGrowth = 2, kChangeGrowth = 1.75;
constexpr std::size_t kChangeAfter = 8;
// The last kept frame takes the thread longer than a frame may wait: the scan changes over when so
// many have come since, which is all but the next that is kept (KeepRule). Of a wand that moves so
// fast that there never are, with so many more kept.
constexpr int kRestFrames = 2;
static_assert(kRestFrames < KeepRule().every);
constexpr std::size_t kMostAfter = 8;
// Of the way to the change-over: there the thread is to have made the first frame, there to have
// caught up. Where the processor is too slow for that, each frame of the scan waits for it, for no
// longer than this: a slower scan rather than one that stands still for seconds in the end. If it
// comes to dropping frames, each gap puts the change-over off by so many kept ones.
constexpr double kBeginsAt = 0.15, kCaughtUpAt = 0.95;
constexpr std::chrono::milliseconds kMostWait{8};
constexpr std::size_t kPutOffBy = 8;
constexpr std::size_t kJustGiven = 3;
constexpr std::size_t kNodeEvery = 3;
// As at the end of a scan (refine.cc).
constexpr double kSearchVoxels = 10;
// A chain of frames from one side closes nothing: it takes this share of pairs from well apart.
constexpr double kMinCrossShare = 0.05;
// Smaller corrections don't show.
constexpr double kWorthVoxels = 0.5;
// A frame goes with the surface around the middle of its view: that of nodes this share of the
// depth away counts half.
constexpr double kCarryShare = 0.15;

std::vector<RigidTransform> poses_of(const ScanLog& log) {
  std::vector<RigidTransform> poses;
  for (const ScanEntry& entry : log.entries())
    if (const auto* frame = std::get_if<KeptFrame>(&entry))
      poses.push_back(frame->model_from_sensor);
  return poses;
}

// A sum of small motions with weights, in the model frame.
class Blend {
 public:
  void add(const RigidTransform& motion, double weight) {
    Eigen::Quaterniond turn(motion.linear());
    if (turn.w() < 0) turn.coeffs() = -turn.coeffs();
    turn_ += weight * turn.coeffs();
    shift_mm_ += weight * motion.translation();
    weight_ += weight;
  }
  [[nodiscard]] RigidTransform mean() const {
    RigidTransform motion = RigidTransform::Identity();
    motion.linear() = Eigen::Quaterniond(turn_.normalized()).toRotationMatrix();
    motion.translation() = shift_mm_ / weight_;
    return motion;
  }

 private:
  Eigen::Vector4d turn_ = Eigen::Vector4d::Zero();
  Eigen::Vector3d shift_mm_ = Eigen::Vector3d::Zero();
  double weight_ = 0;
};

// How the adjustment moved what the nodes saw.
struct Correction {
  struct Node {
    std::size_t frame = 0;
    Eigen::Vector3d middle_mm;                           // of its view, before
    RigidTransform motion = RigidTransform::Identity();  // new pose = motion * old pose
  };
  std::vector<Node> nodes{};
  double depth_mm = 0;  // of the views, mean
  DepthWarp warp{};

  [[nodiscard]] double largest_mm() const {
    double largest = 0;
    for (const Node& node : nodes)
      largest = std::max(largest, (node.motion * node.middle_mm - node.middle_mm).norm());
    return largest;
  }
  // Of a kept frame that the nodes are among: between those before and after it.
  [[nodiscard]] RigidTransform between(std::size_t frame) const {
    const auto after =
        std::ranges::lower_bound(nodes, frame, {}, [](const Node& node) { return node.frame; });
    if (after == nodes.end()) return nodes.back().motion;
    if (after == nodes.begin() || after->frame == frame) return after->motion;
    const auto before = after - 1;
    Blend blend;
    blend.add(before->motion, static_cast<double>(after->frame - frame));
    blend.add(after->motion, static_cast<double>(frame - before->frame));
    return blend.mean();
  }
  // Of a frame that was tracked against what the nodes' frames left.
  [[nodiscard]] RigidTransform carried(const RigidTransform& model_from_sensor) const {
    const Eigen::Vector3d middle = model_from_sensor * Eigen::Vector3d(0, 0, depth_mm);
    const double half2 = std::pow(kCarryShare * depth_mm, 2);
    Blend blend;
    for (const Node& node : nodes)
      blend.add(node.motion, std::pow(1 + (node.middle_mm - middle).squaredNorm() / half2, -2));
    return blend.mean();
  }
};

// What the passes say about each other; nothing, when there is nothing to be closed.
std::optional<Correction> find_correction(const ScanLog& log, const ReconstructionOptions& options,
                                          const NoiseModel& noise, WorkerPool& pool,
                                          const std::stop_token& stop) {
  const double middle_mm = std::sqrt(std::max(options.min_depth_mm, 1.0) * options.max_depth_mm);
  Adjustment adjustment({.search_mm = kSearchVoxels * options.voxel_mm,
                         .sigma_mm = noise.sigma_mm(static_cast<float>(middle_mm)),
                         .warp = log.warp()});
  Correction correction;
  std::vector<RigidTransform> before;
  std::size_t next = 0;
  const auto is_node = [&](const KeptFrame&) {
    const bool node = (log.frames() - 1 - next) % kNodeEvery == 0;  // the last is one
    if (node) correction.nodes.push_back({.frame = next, .middle_mm = Eigen::Vector3d::Zero()});
    ++next;
    return node;
  };
  const auto read = read_log(log, noise, pool,
                             {.wants = is_node,
                              .on_frame =
                                  [&](const KeptFrame& frame, const MeasuredSurface& surface) {
                                    adjustment.add(surface, frame.model_from_sensor, pool);
                                    before.push_back(frame.model_from_sensor);
                                    correction.depth_mm += surface.mean_depth_mm;
                                  },
                              .stop = stop,
                              .at_once = 1});
  if (!read.ok() || read->damaged > 0) return std::nullopt;
  correction.depth_mm /= static_cast<double>(before.size());

  const auto report = adjustment.run(pool, stop, [](double) {});
  if (!report.ok() || report->rms_after_um >= report->rms_before_um ||
      static_cast<double>(report->cross_pairs) <
          kMinCrossShare * static_cast<double>(report->pairs))
    return std::nullopt;
  for (std::size_t i = 0; i < before.size(); ++i) {
    correction.nodes[i].middle_mm = before[i] * Eigen::Vector3d(0, 0, correction.depth_mm);
    correction.nodes[i].motion = adjustment.poses()[i] * before[i].inverse();
  }
  correction.warp = adjustment.warp();
  return correction;
}

}  // namespace

// One closing, on a thread of its own.
struct LiveClosure::Job {
  Job(const ReconstructionOptions& options, const Calibration& calibration, float min_live_weight,
      ScanLog so_far)
      : log(std::move(so_far)), entries(log.entries().size()) {
    thread = std::jthread([this, options, calibration, min_live_weight](std::stop_token stop) {
      const int self = this_thread();
      lower_priority(self);
      set_number(self);
      close(options, calibration, min_live_weight, stop);
      set_number(std::nullopt);
    });
  }

  void close(const ReconstructionOptions& options, const Calibration& calibration,
             float min_live_weight, const std::stop_token& stop) {
    const NoiseModel noise(options, calibration);
    WorkerPool pool(options.threads);  // as low as this thread
    const auto correction = find_correction(log, options, noise, pool, stop);
    if (!correction || correction->largest_mm() < kWorthVoxels * options.voxel_mm) return;

    std::vector<RigidTransform> poses = poses_of(log);
    for (std::size_t i = 0; i < poses.size(); ++i) poses[i] = correction->between(i) * poses[i];
    log.apply(NewPoses{poses, correction->warp});
    auto closed = std::make_unique<ClosedScan>(options, min_live_weight);
    closed->largest_mm = correction->largest_mm();
    LogRun run{.on_frame =
                   [&](const KeptFrame& frame, const MeasuredSurface& surface) {
                     closed->keyframes.offer(frame.model_from_sensor, surface);
                     count_frame();
                   },
               .stop = stop,
               .at_once = 1};
    if (!fuse_log(log, noise, closed->volume, pool, run).ok()) return;
    closed->live_mesh.update_all(closed->volume, pool);

    // What comes meanwhile is meshed as the scan itself does it.
    while (std::optional<ScanEntry> entry = next_entry(stop)) {
      const bool is_frame = std::holds_alternative<KeptFrame>(*entry);
      run.on_changed = [&](const std::vector<std::uint32_t>& blocks) {
        if (is_frame)
          closed->live_mesh.follow(closed->volume, blocks, pool);
        else
          closed->live_mesh.update(closed->volume, blocks, pool);
      };
      if (auto* frame = std::get_if<KeptFrame>(&*entry)) {
        frame->model_from_sensor =
            correction->carried(frame->model_from_sensor) * frame->model_from_sensor;
        poses.push_back(frame->model_from_sensor);
      }
      ScanLog one;
      one.apply(NewPoses{{}, correction->warp});
      one.apply(std::move(*entry));
      if (!fuse_log(one, noise, closed->volume, pool, run).ok()) return;
    }
    if (stop.stop_requested()) return;
    closed->poses = {.model_from_sensor = std::move(poses), .warp = correction->warp};
    result = std::move(closed);
  }

  // Nothing, when the last one has come.
  std::optional<ScanEntry> next_entry(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    if (!entry_came.wait(lock, stop, [this] { return taken < later.size() || complete; }))
      return std::nullopt;
    if (taken == later.size()) return std::nullopt;
    return later[taken++];
  }

  // Those of the log that it does not have yet.
  void give(const ScanLog& whole) {
    {
      const std::lock_guard lock(mutex);
      for (; entries < whole.entries().size(); ++entries) later.push_back(whole.entries()[entries]);
    }
    entry_came.notify_one();
  }
  // Waits, but not for long, until so many frames are in the model.
  void wait_for(std::size_t frames) {
    std::unique_lock lock(mutex);
    const auto enough = [&] { return ended || made >= frames; };
    if (enough()) return;
    if (number) raise_priority(*number);
    frame_made.wait_for(lock, kMostWait, enough);
    if (number) lower_priority(*number);
  }
  // No more come.
  std::unique_ptr<ClosedScan> finish() {
    {
      const std::lock_guard lock(mutex);
      complete = true;
      if (number) raise_priority(*number);
    }
    entry_came.notify_one();
    thread.join();
    return std::move(result);
  }
  void set_number(std::optional<int> value) {
    {
      const std::lock_guard lock(mutex);
      number = value;
      ended = !value;
    }
    frame_made.notify_one();
  }
  void count_frame() {
    {
      const std::lock_guard lock(mutex);
      ++made;
    }
    frame_made.notify_one();
  }

  ScanLog log;                         // the thread's alone
  std::size_t entries;                 // the caller's alone: those that it has been given
  std::unique_ptr<ClosedScan> result;  // of the thread, once it has ended
  std::mutex mutex;
  std::condition_variable_any entry_came;
  std::vector<ScanEntry> later;
  std::size_t taken = 0;
  bool complete = false;
  std::condition_variable frame_made;
  std::size_t made = 0;
  std::optional<int> number;  // of the thread, while it runs
  bool ended = false;
  std::jthread thread;  // the last member: it ends before what it uses
};

ClosedScan::ClosedScan(const ReconstructionOptions& options, float min_live_weight)
    : volume(options.voxel_mm, options.voxel_mm * options.truncation_voxels,
             options.max_volume_bytes),
      live_mesh(volume.voxel_mm(), min_live_weight) {}

LiveClosure::LiveClosure(const ReconstructionOptions& options, const Calibration& calibration,
                         float min_live_weight)
    : options_(options),
      calibration_(calibration),
      min_live_weight_(min_live_weight),
      next_frames_(kFirstFrames) {}
LiveClosure::~LiveClosure() = default;

std::unique_ptr<ClosedScan> LiveClosure::took_up(const ScanLog& log, int fused_since_kept,
                                                 bool frames_missing) {
  const auto grown = [&](double factor) {
    return static_cast<std::size_t>(factor * static_cast<double>(log.frames()));
  };
  if (job_) {
    job_->give(log);
    if (frames_missing) change_frames_ += kPutOffBy;
    if (log.frames() >= change_frames_ + (fused_since_kept < kRestFrames ? kMostAfter : 0))
      return std::exchange(job_, nullptr)->finish();
    const auto frames = static_cast<double>(log.frames());
    const double way = (frames - static_cast<double>(begun_frames_)) /
                       static_cast<double>(change_frames_ - begun_frames_);
    const double share = std::clamp((way - kBeginsAt) / (kCaughtUpAt - kBeginsAt), 0.0, 1.0);
    // But for the last ones, that it has just been given.
    const auto due = static_cast<std::size_t>(share * frames);
    job_->wait_for(std::min(due, log.frames() - kJustGiven));
    return nullptr;
  }
  if (log.frames() < next_frames_) return nullptr;
  begun_frames_ = log.frames();
  next_frames_ = grown(kGrowth);
  change_frames_ = grown(kChangeGrowth) + kChangeAfter;
  job_ = std::make_unique<Job>(options_, calibration_, min_live_weight_, log);
  return nullptr;
}

void LiveClosure::release(std::unique_ptr<ClosedScan> old) {
  releasing_ = std::jthread([kept = std::move(old)]() mutable {
    lower_priority(this_thread());
    kept.reset();
  });
}

void LiveClosure::clear() {
  job_.reset();
  next_frames_ = kFirstFrames;
}

}  // namespace cusp
