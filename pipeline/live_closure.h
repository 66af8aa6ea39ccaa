// LiveClosure: closes a scan while it goes on, so that what is looked at is not bent until the end.
//
// Tracking frame to model carries small errors on from tooth to tooth, and a warp of the device's
// depth bends an arch (adjust.h). From time to time, when the kept frames have become more by a
// share, every third of them becomes a node of an adjustment of all pairs that see the same
// surface, with the device's warp. Where passes from different sides meet, and something moved by a
// share of a voxel, the volume is made anew from the kept frames at their better poses, as S. Choi,
// Q.-Y. Zhou, V. Koltun, "Robust reconstruction of indoor scenes", CVPR 2015,
// doi:10.1109/CVPR.2015.7299195, close a scene in the end, and A. Dai et al., "BundleFusion", ACM
// TOG 2017, doi:10.1145/3072959.3054739, while it is scanned.
//
// All of this is done beside the scan, by threads that give way to it (background_priority.h), on a
// volume of its own; frames that are kept meanwhile go into it too, each carried along with the
// surface that it was tracked against. The scan changes over after a fixed number of kept frames,
// and between two of them where it can, as the last one takes longer than a frame may. Should the
// closing fall behind, every frame waits for it a little, and a frame that did not come puts the
// change-over off: what happens follows from the frames and the gaps between them alone, and the
// same frames give the same bits, however fast they come. The price is memory: a second volume and
// mesh for as long.
//
// Model and sensor frames, mm. Threads: one caller; options.threads of its own while it closes, and
// one more that frees what was replaced. No errors: what can't be closed stays as it is.
#pragma once

#include <cstddef>
#include <memory>
#include <thread>

#include "core/calibration.h"
#include "pipeline/live_mesh.h"
#include "pipeline/reconstruction.h"
#include "pipeline/relocalise.h"
#include "pipeline/scan_log.h"
#include "pipeline/volume.h"

namespace cusp {

// What takes the place of the model so far.
struct ClosedScan {
  Volume volume;
  LiveMesh live_mesh;
  Keyframes keyframes{};
  NewPoses poses{};       // of all kept frames, and the warp
  double largest_mm = 0;  // that a view's middle was moved by

  ClosedScan(const ReconstructionOptions& options, float min_live_weight);
};

class LiveClosure {
 public:
  // The live mesh is to hold voxels of this weight.
  LiveClosure(const ReconstructionOptions& options, const Calibration& calibration,
              float min_live_weight);
  ~LiveClosure();  // gives up what is being closed
  LiveClosure(const LiveClosure&) = delete;
  LiveClosure& operator=(const LiveClosure&) = delete;

  // A frame was fused; so many were since the last that the log took up; whether some did not come.
  // Null, or else the log's frames are to get its poses, and the model is to be replaced.
  std::unique_ptr<ClosedScan> took_up(const ScanLog& log, int fused_since_kept,
                                      bool frames_missing);
  // The log was rewound: what was begun is given up.
  void clear();
  // Lets go of what it held, beside the scan: that takes longer than a frame may.
  void release(std::unique_ptr<ClosedScan> old);

 private:
  struct Job;

  ReconstructionOptions options_;
  Calibration calibration_;
  float min_live_weight_;
  std::size_t next_frames_;        // kept frames with which the next closing begins
  std::size_t begun_frames_ = 0;   // with which the present one began
  std::size_t change_frames_ = 0;  // with which the scan changes over
  std::unique_ptr<Job> job_;
  std::jthread releasing_;
};

}  // namespace cusp
