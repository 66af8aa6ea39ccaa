// Reconstruction: frames in, poses and a growing volume out; the recipe of the pipeline.
//
//   decode (depth images, or fringe pictures) -> preprocess -> track -> screen -> fuse -> (mesh)
//
// Fringe pictures are decoded, prepared and tracked once more with the motion that tracking told.
// While the scan goes on, its passes are closed upon each other and the model is made anew from
// what was kept (live_closure.h).
//
// The model frame is the sensor frame of the first fused frame (of a later one, when nothing fitted
// the first: it is given up after 15 lost frames). A frame that can't be tracked is "lost": it is
// counted and never fused. The pose is then searched for; the frame that found it and the next are
// "relocalised" and not fused: the second that follows it is. Where the surface in view can slide
// on itself (a plane) and has no colours that hold it, the pose follows the motion for at most ten
// frames in a row, then it is lost. What stands in front of the model is kept out of it (screen.h).
// Nothing is drawn at random and the order of sums is fixed: the same frames give the same mesh,
// bit for bit, with any number of threads. Method: R. Newcombe et al., "KinectFusion", ISMAR 2011,
// doi:10.1109/ISMAR.2011.6092378; M. Niessner et al., "Real-time 3D reconstruction at scale using
// voxel hashing", ACM TOG 2013, doi:10.1145/2508363.2508374. Threads: one thread at a time; it uses
// up to options.threads of its own inside a call, and one between calls while it closes the scan.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/calibration.h"
#include "core/frame.h"
#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/scan_log.h"

namespace cusp {

class LiveMesh;

// The defaults are for a jaw under a short-range stereo camera. Nothing else in the pipeline has a
// size of its own: search distances and gates are multiples of the voxel and of the depth noise
// (noise_model.h: from the calibration's baseline and depth unit, or a quarter of a voxel at mid
// range when there is no baseline), keyframes are apart by a share of the distance to the object.
// For a room set voxel_mm to 8..16 and the depth range to 200..4500. The sensor may move about 10
// voxels between two frames beyond what its last motion predicts. Options that are not possible are
// our own bug (CUSP_CHECK).
inline constexpr double kMostHairAt = 100;
struct ReconstructionOptions {
  double voxel_mm = 0.2;
  double truncation_voxels = 4.0;
  double min_depth_mm = 45.0;                           // nearer is not measured by this device
  double max_depth_mm = 130.0;                          // farther is background
  std::size_t max_volume_bytes = std::size_t{1} << 30;  // kNoSpace beyond
  int threads = 2;
  // Hair goes from the finished model of a face: what frames contradict so many times as much as
  // they do skin (hair.h). 0: nothing goes.
  double hair_at = 0;
};
bool is_possible(const ReconstructionOptions& options);
// Between the nearest and the farthest that a fringe scanner is made for, if that leaves anything:
// its noise is told at the middle of that range.
ReconstructionOptions within_range_of(ReconstructionOptions options,
                                      const Calibration& calibration);

// What the steps of a frame took.
struct StepTimes {
  std::chrono::nanoseconds decode{};
  std::chrono::nanoseconds preprocess{};
  std::chrono::nanoseconds track{};  // or the search for the pose
  std::chrono::nanoseconds fuse{};
  std::chrono::nanoseconds mesh{};  // of what changed
  std::chrono::nanoseconds keep{};  // in the log
};

struct FrameOutcome {
  Pose pose{};
  bool fused = false;
  // Directions in which the surface in view can slide on itself (a plane: two slides and a turn)
  // and that its colours do not tell; in these the pose follows the motion.
  int free_slides = 0, free_turns = 0;
  // Share of the frame that was kept out of the model (screen.h): tongue, cheek, glove, a tool.
  double kept_out = 0;
  // When the scan was closed with this frame: how far that moved a part of the model, at most. The
  // pose above is as it was tracked, before.
  std::optional<double> closed_by_mm{};
  bool gathered = false;  // a picture of a fringe sequence that is not whole yet: there is no pose
  StepTimes times{};
  std::vector<ScanRecord> records{};  // what the log took up, for a journal
};

struct ReconstructionCounts {
  std::uint64_t frames = 0;   // depth frames: given to add(), or made of fringe pictures
  std::uint64_t tracked = 0;  // fused
  std::uint64_t relocalised = 0;
  std::uint64_t lost = 0;
  std::uint64_t obscured = 0;    // followed but not fused: too much stood in front of the model
  std::uint64_t incomplete = 0;  // fringe sequences of which a picture did not come
  std::uint64_t closures = 0;    // after which the model was made anew (live_closure.h)
  double largest_closure_mm = 0;
};

class Reconstruction {
 public:
  Reconstruction(const ReconstructionOptions& options, const Calibration& calibration);
  // Goes on with what an earlier one logged: made again from the log, and lost until a frame shows
  // something of it. Errors of fuse_log.h; kCorrupt, when no kept frame can be read.
  static Result<Reconstruction> go_on(const ReconstructionOptions& options,
                                      const Calibration& calibration, ScanLog log);
  ~Reconstruction();
  Reconstruction(Reconstruction&&) noexcept;
  Reconstruction& operator=(Reconstruction&&) noexcept;

  // kInvalidArgument: the frame doesn't fit the calibration. kNoSpace: the volume's budget is full
  // (what was fused stays and can be meshed). A lost frame is ok() with that verdict.
  Result<FrameOutcome> add(RawFrame frame);

  // What the operator does. The model is as it was `span` of scanning ago; the sensor is lost until
  // a frame shows something of it. What is undone is made again from the kept frames that saw it.
  Result<ScanRecord> undo(std::chrono::nanoseconds span);
  // A cut, a lock, or the end of all locks. kInvalidArgument, when the region can't be meant.
  // Frames come through add() alone (CUSP_CHECK).
  Result<ScanRecord> edit(ScanEntry edit);

  // What the scan is made of so far.
  [[nodiscard]] const ScanLog& log() const;
  [[nodiscard]] const ReconstructionOptions& options() const;

  // Triangles of the surface as fused so far, model frame, without clean-up (finish.h does that).
  [[nodiscard]] Mesh mesh() const;
  // The same surface with all that was seen but once, as it is after the last add().
  [[nodiscard]] const LiveMesh& live_mesh() const;
  // Of the live mesh: costs nothing.
  [[nodiscard]] std::uint64_t triangle_estimate() const;
  [[nodiscard]] ReconstructionCounts counts() const;
  [[nodiscard]] std::size_t volume_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cusp
