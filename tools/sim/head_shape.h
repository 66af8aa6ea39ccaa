// A head to scan: an ellipsoid of a grown person's size with brow, eyes, nose, lips and chin.
//
// No portrait and no model of anybody: bumps of Gaussian shape on an ellipsoid, smooth everywhere,
// steep beside the nose. Frame (mm): origin in the middle of the head, x to the person's left, y
// up, z forward. Only the front half exists, an open surface. Threads: a pure function.
#pragma once

#include "core/mesh.h"

namespace cusp::sim {

enum class Expression { kNeutral, kSmile };

Mesh make_head(double resolution_mm, Expression expression = Expression::kNeutral);

}  // namespace cusp::sim
