// What a bite scan sees of the built-in jaws while they are closed: the outer faces of the teeth
// and gums of one side, of both jaws.
//
// The lower jaw is turned over into the upper one's frame (dentition.h), set back by a normal
// overjet and lowered until it touches. mm, the upper jaw's frame. Threads: pure functions.
#pragma once

#include "core/mesh.h"
#include "core/pose.h"

namespace cusp::sim {

enum class Side { kLeft, kRight };  // the patient's

RigidTransform close_jaws(const Mesh& upper, const Mesh& lower);  // upper_from_lower
Mesh make_bite(const Mesh& upper, const Mesh& lower, Side side);

}  // namespace cusp::sim
