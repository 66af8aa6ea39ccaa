// A head to scan: an ellipsoid of a grown person's size with brow, eyes, nose, lips and chin, and
// hair on it where asked.
//
// No portrait and no model of anybody: bumps of Gaussian shape on an ellipsoid, smooth everywhere,
// steep beside the nose. Hair is a coat with clumps a few millimetres across, above a hairline that
// comes down at the temples; a beard covers cheeks and chin up to a finger below the lips. A neck
// is a cylinder that ends inside the head. Frame (mm): origin in the middle of the head, x to the
// person's left, y up, z forward. Only the front half exists, an open surface. Threads: a pure
// function.
#pragma once

#include <cstdint>

#include "core/mesh.h"

namespace cusp::sim {

enum class Expression { kNeutral, kSmile };

struct HeadOptions {
  double resolution_mm = 0.5;
  Expression expression = Expression::kNeutral;
  bool hair = false;
  bool beard = false;
  bool neck = false;
};
struct Head {
  Mesh mesh;
  std::uint32_t first_hairy = 0;  // triangles from here on are hair or beard
};
Head make_head(const HeadOptions& options);

}  // namespace cusp::sim
