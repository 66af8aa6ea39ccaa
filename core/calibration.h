// Calibration: what the device says about its own optics, read from it and never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/pose.h"

namespace cusp {

// Lens distortion of D. Brown ("Decentering Distortion of Lenses", Photogrammetric Engineering
// 32(3), 1966) in the order of OpenCV: x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 +
// 2 x^2), y' likewise with p1 and p2 exchanged; x and y in front of the lens at z = 1.
struct LensDistortion {
  double k1 = 0, k2 = 0, p1 = 0, p2 = 0, k3 = 0;

  bool operator==(const LensDistortion&) const = default;
};

// The colour camera beside a depth camera.
struct ColourOptics {
  Intrinsics intrinsics;
  LensDistortion distortion;
  RigidTransform colour_from_depth = RigidTransform::Identity();

  bool operator==(const ColourOptics& other) const {
    return intrinsics == other.intrinsics && distortion == other.distortion &&
           colour_from_depth.matrix() == other.colour_from_depth.matrix();
  }
};

// A camera and a projector that looks like one backwards. The camera's intrinsics are
// Calibration::depth.
struct FringeOptics {
  LensDistortion camera_distortion;
  Intrinsics projector;
  LensDistortion projector_distortion;
  RigidTransform projector_from_camera = RigidTransform::Identity();
  // Of each fringe picture of a sequence: intensity 0.5 (1 + cos(2 pi u / pitch - phase)), u the
  // projector's column.
  struct Pattern {
    double pitch_px = 0;
    double phase_rad = 0;
    bool operator==(const Pattern&) const = default;
  };
  std::vector<Pattern> patterns;
  // The working range in which the absolute phase is meant to be unambiguous.
  double min_depth_mm = 0;
  double max_depth_mm = 0;

  bool operator==(const FringeOptics& other) const {
    return camera_distortion == other.camera_distortion && projector == other.projector &&
           projector_distortion == other.projector_distortion &&
           projector_from_camera.matrix() == other.projector_from_camera.matrix() &&
           patterns == other.patterns && min_depth_mm == other.min_depth_mm &&
           max_depth_mm == other.max_depth_mm;
  }
};

struct Calibration {
  std::string id;            // names this very table: "d400-coefficients-1a2b3c4d" (its CRC)
  double depth_unit_mm = 0;  // one count of a Z16 pixel; 0 of a fringe device
  double baseline_mm = 0;    // between the two imagers; 0 when the device has none
  Intrinsics depth;          // of the configured depth or fringe stream
  std::string made_on{};     // ISO 8601 date; empty when the device does not say
  std::optional<ColourOptics> colour{};
  std::optional<FringeOptics> fringe{};
};

// Whether what was measured with one may be put together with what is measured with the other. One
// id is not enough: the count of depth is no part of the table that it names. Colour may be missing
// from either, for it is added where there is any.
inline bool measure_alike(const Calibration& a, const Calibration& b) {
  return a.id == b.id && a.depth_unit_mm == b.depth_unit_mm && a.baseline_mm == b.baseline_mm &&
         a.depth == b.depth && a.fringe == b.fringe &&
         (!a.colour || !b.colour || a.colour == b.colour);
}

}  // namespace cusp
