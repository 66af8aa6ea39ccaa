#include "pipeline/deviation.h"

#include <algorithm>
#include <optional>

#include "pipeline/nearest.h"

namespace cusp {
namespace {

struct Sum {
  double max = 0;
  double total = 0;
  std::size_t beyond = 0;
  Sum& operator+=(const Sum& other) {
    max = std::max(max, other.max);
    total += other.total;
    beyond += other.beyond;
    return *this;
  }
};

// Most vertices have hardly moved: a short search passes over nearly all of the surface.
std::optional<NearestPoint> find_near_first(const NearestSurface& surface, const Eigen::Vector3f& p,
                                            float limit_mm) {
  for (float reach = limit_mm / 512; reach < limit_mm; reach *= 8)
    if (const auto nearest = surface.find(p, reach)) return nearest;
  return surface.find(p, limit_mm);
}

}  // namespace

Deviation measure_deviation(const Mesh& before, const Mesh& after, double limit_mm,
                            WorkerPool& pool) {
  constexpr std::size_t kGrain = 4096;
  const std::size_t count = before.vertices_mm.size();
  if (count == 0) return {};
  const NearestSurface surface(after, pool);
  const auto limit = static_cast<float>(limit_mm);
  const Sum sum = sum_chunks(pool, count, kGrain, Sum{}, [&](std::size_t begin, std::size_t end) {
    Sum part;
    for (std::size_t i = begin; i < end; ++i) {
      const auto nearest = find_near_first(surface, before.vertices_mm[i], limit);
      const double distance = nearest ? static_cast<double>(nearest->distance_mm) : limit_mm;
      part += {distance, distance, nearest ? 0U : 1U};
    }
    return part;
  });
  return {sum.max, sum.total / static_cast<double>(count), sum.beyond};
}

}  // namespace cusp
