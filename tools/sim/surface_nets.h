// Surface nets: the zero surface of an implicit field as triangles.
// S. F. F. Gibson, "Constrained elastic surface nets", MICCAI 1998, LNCS 1496, pp. 888-898,
// doi:10.1007/BFb0056277: one vertex a cell that the surface crosses, one quad a grid edge that
// changes sign. Instead of relaxing the net, each vertex takes one Newton step onto the field,
// within its cell.
//
// The samples are first made well composed (L. Latecki, "3D well-composed pictures", Graphical
// Models and Image Processing 59, 1997, doi:10.1006/gmip.1997.0422): where the corners inside (or
// outside) a cell hang together by a diagonal only, a corner is filled. So the result is always a
// closed manifold, wound counter-clockwise seen from outside.
//
// Frame and units: the field's, mm. Threads: calls the field from two threads at once.
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <functional>

#include "core/mesh.h"

namespace cusp::sim {

// Negative inside. A block of the grid whose centre says that the surface is further off than the
// block reaches, were the slope kFieldSlopeLimit, is passed over at first and sampled only when a
// neighbour shows that the surface runs into it.
using Field = std::function<float(const Eigen::Vector3f& p_mm)>;
inline constexpr float kFieldSlopeLimit = 1.4f;

// The field must be positive on the faces of the box.
Mesh surface_nets(const Field& field, const Eigen::AlignedBox3f& box_mm, float spacing_mm);

// The connected part with the most triangles; drops enclosed cavities and crumbs.
Mesh largest_part(const Mesh& mesh);

}  // namespace cusp::sim
