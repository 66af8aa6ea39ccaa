#include "tools/bench/relocalisation.h"

#include <chrono>
#include <cmath>

#include "tools/bench/statistics.h"
#include "tools/sim/random.h"

namespace cusp::bench {
namespace {

constexpr int kAwayFrames = 8;
constexpr double kPatienceS = 3;  // then this jump counts as never found
constexpr int kFollowedFrames = 5;
constexpr double kWrongMm = 0.5;
constexpr double kInTimeS = 0.5, kSoonS = 0.2;

// How far a point in the middle of what is seen is off.
double apart_mm(const RigidTransform& a, const RigidTransform& b, double depth_mm) {
  const Eigen::Vector3d point(0, 0, depth_mm);
  return (a * point - b * point).norm();
}

class Jumps {
 public:
  Jumps(const DepthStream& first_pass, const DepthStream& other_hand, int threads)
      : first_pass_(first_pass),
        other_hand_(other_hand),
        depth_mm_(std::sqrt(first_pass.scene().reconstruction.min_depth_mm *
                            first_pass.scene().reconstruction.max_depth_mm)),
        reconstruction_(with_threads(first_pass.scene().reconstruction, threads),
                        first_pass.scene().calibration) {}

  Result<void> build(std::size_t frames) {
    for (std::size_t i = 0; i < frames; ++i) {
      CUSP_ASSIGN(const FrameOutcome outcome, reconstruction_.add(first_pass_.raw(i, sequence_++)));
      if (!outcome.fused) continue;
      known_.push_back({i, outcome.pose.model_from_sensor});
    }
    if (known_.empty()) return error(ErrorCode::kInvalidArgument, "nothing was fused to find");
    return {};
  }

  // Seconds until a right pose was found; nothing when none was. Poses that were fused and wrong
  // are counted.
  Result<std::optional<double>> jump(std::size_t to_frame) {
    RawFrame nothing = other_hand_.raw(to_frame, 0);
    std::fill(nothing.bytes.begin(), nothing.bytes.end(), std::uint8_t{0});
    for (int i = 0; i < kAwayFrames; ++i) {
      nothing.sequence = sequence_++;
      CUSP_ASSIGN(const FrameOutcome away, reconstruction_.add(nothing));
      if (away.fused) ++wrong_;
    }
    const double period_s = 1 / other_hand_.scene().rate_hz;
    std::optional<double> found_s;
    double now_s = 0;
    int followed = 0;
    for (std::size_t i = 0; followed < kFollowedFrames && now_s < kPatienceS;) {
      if (to_frame + i >= other_hand_.size()) break;
      const RawFrame raw = other_hand_.raw(to_frame + i, sequence_ + i);
      const auto start = std::chrono::steady_clock::now();
      CUSP_ASSIGN(const FrameOutcome outcome, reconstruction_.add(raw));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      now_s = std::max(now_s, static_cast<double>(i) * period_s) + took.count();
      if (outcome.pose.usable()) {
        const bool right =
            apart_mm(outcome.pose.model_from_sensor, expected(to_frame + i), depth_mm_) < kWrongMm;
        if (!right && outcome.fused) ++wrong_;
        if (right && !found_s) found_s = now_s;
        if (right) ++followed;
      }
      // The newest frame that has come by now, or the next one.
      i = std::max(i + 1, static_cast<std::size_t>(now_s / period_s));
    }
    sequence_ += static_cast<std::uint64_t>(kPatienceS / period_s) + 1;
    return found_s;
  }

  [[nodiscard]] std::size_t wrong() const { return wrong_; }

 private:
  struct Known {
    std::size_t frame;
    RigidTransform model_from_sensor;
  };

  static ReconstructionOptions with_threads(ReconstructionOptions options, int threads) {
    options.threads = threads;
    return options;
  }
  [[nodiscard]] RigidTransform expected(std::size_t other_frame) const {
    const RigidTransform& truth = other_hand_.truth_from_sensor()[other_frame];
    const auto nearest = std::ranges::min_element(known_, {}, [&](const Known& known) {
      return apart_mm(first_pass_.truth_from_sensor()[known.frame], truth, depth_mm_);
    });
    return nearest->model_from_sensor * first_pass_.truth_from_sensor()[nearest->frame].inverse() *
           truth;
  }

  const DepthStream& first_pass_;
  const DepthStream& other_hand_;
  const double depth_mm_;
  Reconstruction reconstruction_;
  std::vector<Known> known_;
  std::uint64_t sequence_ = 0;
  std::size_t wrong_ = 0;
};

}  // namespace

Result<void> measure_relocalisation(const DepthStream& first_pass, const DepthStream& other_hand,
                                    const RelocalisationOptions& options, Figures& figures) {
  const std::size_t frames = std::min({options.pass_frames, first_pass.size(), other_hand.size()});
  constexpr std::size_t kRoom = 30;  // to follow, behind where it comes back
  if (frames <= kRoom)
    return error(ErrorCode::kInvalidArgument, "{} frames are too few to come back to", frames);
  Jumps jumps(first_pass, other_hand, options.threads);
  CUSP_TRY(jumps.build(frames));
  sim::RandomStream random(1, 0, 0, 21);
  std::vector<double> seconds;
  for (int i = 0; i < options.jumps; ++i) {
    CUSP_ASSIGN(const std::optional<double> found, jumps.jump(random.next() % (frames - kRoom)));
    seconds.push_back(found.value_or(kPatienceS));
  }
  const auto share_within = [&](double limit_s) {
    const auto count = std::ranges::count_if(seconds, [&](double s) { return s <= limit_s; });
    return 100 * static_cast<double>(count) / static_cast<double>(seconds.size());
  };
  figures.add({"relocalisation, jumps", static_cast<double>(seconds.size()), ""});
  figures.add(
      {"relocalised within 0.5 s", share_within(kInTimeS), "%", Bar{95, 99, Better::kMore}});
  figures.add({"relocalised within 0.2 s", share_within(kSoonS), "%"});
  figures.add({"time until relocalised, p50", quantile(seconds, 0.5), "s"});
  figures.add({"time until relocalised, p99", quantile(seconds, 0.99), "s"});
  figures.add({"wrong poses fused", static_cast<double>(jumps.wrong()), "frames", Bar{0, 0}});
  return {};
}

}  // namespace cusp::bench
