// bite: the lower jaw in the upper one's frame, and how the two meet.
//
// A bite scan shows the outer faces of some upper and lower teeth while they are closed. Teeth are
// alike, above all left and right ones: each scan is placed on both jaws (align.h) wherever it
// fits, and the places are taken that together explain most of the scans and agree on where the
// lower jaw is. Then all scans and the lower jaw are moved together until all pairs of surfaces
// agree, so that a left and a right scan hold the jaw between them. The upper jaw stays. mm.
// Errors: kInvalidArgument, naming the scan that does not fit, or fits in two ways, or the two
// sides when they contradict each other. Threads: pure functions, use the pool. Same meshes, same
// result.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/mesh.h"
#include "core/pose.h"
#include "core/result.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct BiteScan {
  const Mesh* mesh = nullptr;
  const char* name = "bite";  // "bite left"
};

struct BiteOptions {
  double min_overlap = 0.15;  // of a bite scan, on each jaw
  // How far the lower jaw's vertices may differ, placed by one side alone or by the other; more and
  // the patient moved, or a scan is of another bite.
  double max_disagreement_mm = 0.6;
};

struct Bite {
  RigidTransform upper_from_lower = RigidTransform::Identity();
  std::vector<RigidTransform> upper_from_bite;  // of each scan
  double residual_mm = 0;                       // root mean square over all pairs of surfaces
  double disagreement_mm = 0;  // between the sides before they were joined; 0 with one scan
};

// One bite scan or more (left and right).
Result<Bite> align_bite(const Mesh& upper, const Mesh& lower, const std::vector<BiteScan>& scans,
                        const BiteOptions& options, WorkerPool& pool);

// Of each vertex of a jaw the distance to the other jaw in steps of 0.1 mm, rounded; negative where
// it is inside it: there the surfaces bite through each other.
inline constexpr double kBiteStepMm = 0.1;
inline constexpr std::int16_t kFarApart = std::numeric_limits<std::int16_t>::max();
struct BiteMap {
  std::vector<std::int16_t> steps;  // kFarApart: nothing within the limit, or only a border
  double through_mm2 = 0;           // area of the triangles that are inside with all corners
  double deepest_mm = 0;            // 0 or negative
  Eigen::Vector3f deepest_at_mm = Eigen::Vector3f::Zero();  // in the jaw's frame
  double contact_mm2 = 0;                                   // area nearer than one step, or inside
};

// A file: "CUSPBITE"; little-endian u32 format (1), u32 vertices; f32 step, contact, through
// (mm2) and deepest (mm); then an i16 a vertex, in the mesh's order.
std::vector<std::uint8_t> to_bytes(const BiteMap& map);

// The side is that of the nearest face, edge or vertex (J. Baerentzen, H. Aanaes, "Signed distance
// computation using the angle weighted pseudonormal", IEEE TVCG 11(3), 2005,
// doi:10.1109/TVCG.2005.49). Both meshes must be manifolds; limit_mm is at most 3000.
BiteMap map_bite(const Mesh& jaw, const Mesh& other, const RigidTransform& other_from_jaw,
                 double limit_mm, WorkerPool& pool);

}  // namespace cusp
