#include "tools/sim/operator_sweeps.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tools/sim/random.h"
#include "tools/sim/scan_frame.h"
#include "tools/sim/spline.h"
#include "tools/sim/tooth_row.h"
#include "tools/sim/tremor.h"

namespace cusp::sim {
namespace {

using Eigen::Vector2d;
using Eigen::Vector3d;

constexpr double kRadians = std::numbers::pi / 180;
constexpr double kMostFrames = 1e6;
constexpr double kViewSpacingMm = 4;  // between the views of a sweep
constexpr double kViewRadiusMm = 6;   // round the axis: where the nearest point counts
constexpr double kSideAimMm = 3;      // lingual and buccal views aim this far below the crest
constexpr double kSoftStartS = 0.4;
constexpr double kLongestWayS = 0.7;    // into a pause or a lift, and out of it
constexpr double kLongestStepS = 1e-3;  // of the integration over time

// Point that is aimed at, direction ahead (both in the scan frame's plane), tilt towards the
// lingual side, distance from the aim, the aim's height.
using View = Eigen::Matrix<double, 7, 1>;

class Views {
 public:
  Views(const Mesh& mesh, const ScanFrame& frame, const SweepOptions& options)
      : frame_(frame), row_(mesh, frame), standoff_mm_(options.standoff_mm) {
    for (const auto& vertex : mesh.vertices_mm)
      vertices_.push_back(frame.axes.transpose() * (vertex.cast<double>() - frame.centre_mm));
    bool forward = true;
    for (const Sweep sweep : options.sweeps) {
      add_sweep(sweep, forward, options.tilt_deg * kRadians);
      forward = !forward;
    }
  }

  [[nodiscard]] const std::vector<View>& points() const { return points_; }

  [[nodiscard]] RigidTransform pose(const View& view, double lift_mm) const {
    const Axes axes = axes_of(view);
    RigidTransform pose = RigidTransform::Identity();
    pose.linear().col(0) = frame_.axes * axes.ahead;
    pose.linear().col(2) = -(frame_.axes * axes.out);
    pose.linear().col(1) = pose.linear().col(2).cross(pose.linear().col(0));
    const Vector3d local = aim(view) + (view[5] + lift_mm) * axes.out;
    pose.translation() = frame_.centre_mm + frame_.axes * local;
    return pose;
  }

 private:
  struct Axes {
    Vector3d ahead, out;
  };

  [[nodiscard]] Axes axes_of(const View& view) const {
    const Vector2d ahead = view.segment<2>(2).normalized();
    const Vector3d along(ahead.x(), ahead.y(), 0);
    const Vector3d lingual(-ahead.y(), ahead.x(), 0);
    return {along, std::cos(view[4]) * Vector3d::UnitZ() + std::sin(view[4]) * lingual};
  }
  [[nodiscard]] Vector3d aim(const View& view) const { return {view[0], view[1], view[6]}; }

  void add_sweep(Sweep sweep, bool forward, double tilt) {
    const int views = std::max(4, static_cast<int>(std::ceil(row_.length_mm() / kViewSpacingMm)));
    for (int i = 0; i <= views; ++i) {
      const double share = static_cast<double>(i) / views;
      const ToothRow::Place place = row_.place(forward ? share : 1 - share);
      const double side = sweep == Sweep::kLingual ? 1 : sweep == Sweep::kBuccal ? -1 : 0;
      View view;
      view << place.point_mm, place.ahead, side * tilt, 0,
          place.height_mm - (side == 0 ? 0 : kSideAimMm);
      view[5] = distance_for(view);
      points_.push_back(view);
    }
  }

  // The distance at which the nearest point of the view has the stand-off as its depth.
  [[nodiscard]] double distance_for(const View& view) const {
    const Vector3d out = axes_of(view).out, from = aim(view);
    double nearest = 0;
    for (const Vector3d& vertex : vertices_) {
      const Vector3d offset = vertex - from;
      const double along = offset.dot(out);
      if (along > nearest && (offset - along * out).squaredNorm() < kViewRadiusMm * kViewRadiusMm)
        nearest = along;
    }
    return nearest + standoff_mm_;
  }

  const ScanFrame& frame_;
  ToothRow row_;
  double standoff_mm_;
  std::vector<Vector3d> vertices_;
  std::vector<View> points_;
};

double smooth(double x) {
  const double t = std::clamp(x, 0.0, 1.0);
  return t * t * t * (10 + t * (6 * t - 15));
}

// What the hand does besides going on: times in seconds of undisturbed going.
struct Event {
  double at_s = 0, lasts_s = 0, lift_mm = 0;
};

std::vector<Event> events_of(const SweepOptions& options, double undisturbed_s) {
  std::vector<Event> events;
  RandomStream random(options.seed, 0, 0, 11);
  const int count = options.pauses + options.lifts;
  for (int i = 0; i < count; ++i) {
    // One in each equal part of the way, somewhere in its middle.
    const double part = (i + random.between(0.3F, 0.7F)) / count;
    events.push_back({part * undisturbed_s, 0, 0});
  }
  // Which of them are lifts: a shuffle.
  for (int i = 0; i < count; ++i) {
    Event& event = events[static_cast<std::size_t>(i)];
    event.lasts_s = i < options.lifts ? options.lift_s : options.pause_s;
    event.lift_mm = i < options.lifts ? options.lift_mm : 0;
  }
  for (std::size_t i = events.size(); i > 1; --i) {
    Event& a = events[i - 1];
    Event& b = events[static_cast<std::size_t>(random.next() % i)];
    std::swap(a.lasts_s, b.lasts_s);
    std::swap(a.lift_mm, b.lift_mm);
  }
  if (options.wait_s > 0) events.push_back({options.wait_at_s, options.wait_s, 0});
  std::ranges::sort(events, {}, &Event::at_s);
  return events;
}

Result<void> check(const SweepOptions& options) {
  if (options.sweeps.empty())
    return error(ErrorCode::kInvalidArgument,
                 "sweeps: none of occlusal, lingual, buccal is chosen");
  if (!(options.rate_hz > 0) || !(options.speed_mm_s > 0) || !(options.standoff_mm > 0))
    return error(ErrorCode::kInvalidArgument,
                 "sweeps: rate {} Hz, speed {} mm/s and stand-off {} mm must be positive",
                 options.rate_hz, options.speed_mm_s, options.standoff_mm);
  if (!(options.tilt_deg >= 0 && options.tilt_deg <= 80))
    return error(ErrorCode::kInvalidArgument, "sweeps: a tilt of {} degrees is not in 0 to 80",
                 options.tilt_deg);
  if (options.pauses < 0 || options.lifts < 0 || !(options.pause_s > 0) || !(options.lift_s > 0))
    return error(ErrorCode::kInvalidArgument,
                 "sweeps: {} pauses of {} s and {} lifts of {} s are not possible", options.pauses,
                 options.pause_s, options.lifts, options.lift_s);
  if (!(options.wait_at_s >= 0 && options.wait_s >= 0 && std::isfinite(options.wait_s)))
    return error(ErrorCode::kInvalidArgument, "sweeps: a wait of {} s after {} s is not possible",
                 options.wait_s, options.wait_at_s);
  return {};
}

}  // namespace

Result<OperatorPath> sweep_teeth(const Mesh& mesh, const SweepOptions& options) {
  CUSP_TRY(check(options));
  CUSP_ASSIGN(const ScanFrame frame, find_scan_frame(mesh));
  const Views views(mesh, frame, options);

  // Way of the sensor, by the spline's parameter.
  const std::size_t samples = 32 * views.points().size();
  std::vector<double> way(samples + 1, 0.0);
  RigidTransform before = views.pose(views.points().front(), 0);
  for (std::size_t i = 1; i <= samples; ++i) {
    const double s = static_cast<double>(i) / static_cast<double>(samples);
    const RigidTransform here = views.pose(spline(views.points(), s), 0);
    const double turned_rad =
        Eigen::AngleAxisd(before.linear().transpose() * here.linear()).angle();
    way[i] = way[i - 1] + std::max((here.translation() - before.translation()).norm(),
                                   options.turning_arm_mm * turned_rad);
    before = here;
  }
  const auto parameter_at = [&](double gone_mm) {
    const auto above = std::upper_bound(way.begin() + 1, way.end() - 1, gone_mm);
    const double step = *above - *(above - 1);
    const double part = step > 0 ? std::min(1.0, (gone_mm - *(above - 1)) / step) : 0;
    return (static_cast<double>(above - way.begin() - 1) + part) / static_cast<double>(samples);
  };

  const double undisturbed_s = way.back() / options.speed_mm_s;
  if (undisturbed_s * options.rate_hz > kMostFrames)
    return error(ErrorCode::kInvalidArgument,
                 "sweeps: {:.0f} mm at {} mm/s and {} Hz are more than a million poses", way.back(),
                 options.speed_mm_s, options.rate_hz);
  const std::vector<Event> events = events_of(options, undisturbed_s);
  const Tremor tremor(options.seed, options.tremor_scale);

  // Time passes in whole parts of the poses' period; while an event lasts, the hand slows down to
  // nothing and comes back to speed.
  const auto steps = static_cast<std::uint64_t>(std::ceil(1 / (options.rate_hz * kLongestStepS)));
  const double step_s = 1 / (options.rate_hz * static_cast<double>(steps));
  std::vector<RigidTransform> poses;
  double gone_mm = 0, event_since_s = 0;
  std::size_t next_event = 0;
  for (std::uint64_t step = 0; gone_mm < way.back(); ++step) {
    const double time_s = static_cast<double>(step) * step_s;
    double lift_mm = 0, pace = smooth(time_s / kSoftStartS);
    if (next_event < events.size() && gone_mm >= events[next_event].at_s * options.speed_mm_s) {
      const Event& event = events[next_event];
      event_since_s += step_s;
      // Out in the first third, back in the last.
      const double way_s = std::min(event.lasts_s / 3, kLongestWayS);
      const double left_s = event.lasts_s - event_since_s;
      const double away = smooth(event_since_s / way_s) * smooth(left_s / way_s);
      lift_mm = event.lift_mm * away;
      pace = std::min(pace, std::max(1 - away, event.lift_mm > 0 ? 0.05 : 0.0));
      if (left_s <= 0) {
        ++next_event;
        event_since_s = 0;
      }
    }
    // An even braking, which would never quite arrive.
    const double left_s = (way.back() - gone_mm) / options.speed_mm_s;
    pace = std::min(pace, std::max(std::sqrt(left_s / (0.5 * kSoftStartS)), 0.02));
    if (step % steps == 0) {
      poses.push_back(views.pose(spline(views.points(), parameter_at(gone_mm)), lift_mm) *
                      tremor.at(time_s));
      if (poses.size() == options.most_frames) break;
    }
    gone_mm += pace * options.speed_mm_s * step_s;
  }
  return OperatorPath(std::move(poses));
}

}  // namespace cusp::sim
