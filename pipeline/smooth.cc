#include "pipeline/smooth.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/check.h"
#include "pipeline/mesh_edges.h"

namespace cusp {
namespace {

constexpr std::size_t kGrain = 8192;

struct Face {
  Eigen::Vector3f normal = Eigen::Vector3f::Zero();  // unit, zero without area
  float area = 0;
};

Face face_of(const Mesh& mesh, std::size_t t) {
  const auto& [a, b, c] = mesh.triangles[t];
  const Eigen::Vector3f cross =
      (mesh.vertices_mm[b] - mesh.vertices_mm[a]).cross(mesh.vertices_mm[c] - mesh.vertices_mm[a]);
  const float length = cross.norm();
  if (!(length > 0)) return {};
  return {cross / length, 0.5F * length};
}

Eigen::Vector3f middle_of(const Mesh& mesh, std::size_t t) {
  const auto& [a, b, c] = mesh.triangles[t];
  return (mesh.vertices_mm[a] + mesh.vertices_mm[b] + mesh.vertices_mm[c]) / 3;
}

class Smoother {
 public:
  Smoother(Mesh& mesh, const SmoothOptions& options, WorkerPool& pool)
      : mesh_(mesh),
        options_(options),
        pool_(pool),
        corners_(find_corners(mesh)),
        twins_(find_twins(mesh, corners_, pool)),
        faces_(mesh.triangles.size()),
        next_faces_(mesh.triangles.size()) {}

  void run() {
    pool_.for_chunks(faces_.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t t = begin; t < end; ++t) faces_[t] = face_of(mesh_, t);
    });
    find_vertex_normals();
    for (int i = 0; i < options_.normal_rounds; ++i) filter_normals();
    const std::vector<Eigen::Vector3f> start = mesh_.vertices_mm;
    for (int i = 0; i < options_.vertex_rounds; ++i) follow_normals(start);
    mesh_.normals.clear();
  }

 private:
  // The way each vertex may move: zero at a border.
  void find_vertex_normals() {
    ways_.assign(mesh_.vertices_mm.size(), Eigen::Vector3f::Zero());
    pool_.for_chunks(ways_.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t v = begin; v < end; ++v) {
        Eigen::Vector3f sum = Eigen::Vector3f::Zero();
        bool border = false;
        for (std::size_t k = corners_.first[v]; k < corners_.first[v + 1]; ++k) {
          const std::uint32_t h = corners_.half_edges[k];
          border = border || twins_.of[h] == kNoTwin || twins_.of[prev_in_triangle(h)] == kNoTwin;
          sum += faces_[h / 3].area * faces_[h / 3].normal;
        }
        const float length = sum.norm();
        if (!border && length > 0) ways_[v] = sum / length;
      }
    });
  }

  void filter_normals() {
    const auto edge = static_cast<float>(2 * std::sin(0.5 * options_.edge_angle_rad));
    const float fall = 1 / (2 * edge * edge);
    pool_.for_chunks(faces_.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (auto t = static_cast<std::uint32_t>(begin); t < end; ++t) {
        const Face& own = faces_[t];
        Eigen::Vector3f sum = own.area * own.normal;
        for (std::uint32_t h = 3 * t; h < 3 * t + 3; ++h) {
          if (twins_.of[h] == kNoTwin) continue;
          const Face& other = faces_[twins_.of[h] / 3];
          // exp(-x) to the first orders: only exactly rounded operations, so the same bits
          // everywhere.
          const float x = fall * (own.normal - other.normal).squaredNorm();
          const float half = 1 / (1 + x * (0.5F + x * 0.125F));
          sum += other.area * half * half * other.normal;
        }
        const float length = sum.norm();
        next_faces_[t] = {length > 0 ? Eigen::Vector3f(sum / length) : own.normal, own.area};
      }
    });
    faces_.swap(next_faces_);
  }

  void follow_normals(const std::vector<Eigen::Vector3f>& start) {
    const auto reach = static_cast<float>(options_.reach * options_.sigma_mm);
    std::vector<Eigen::Vector3f> middles(mesh_.triangles.size());
    pool_.for_chunks(middles.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t t = begin; t < end; ++t) middles[t] = middle_of(mesh_, t);
    });
    pool_.for_chunks(start.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t v = begin; v < end; ++v) {
        const std::size_t count = corners_.first[v + 1] - corners_.first[v];
        if (count == 0 || ways_[v].isZero()) continue;
        const Eigen::Vector3f at = mesh_.vertices_mm[v];
        Eigen::Vector3f step = Eigen::Vector3f::Zero();
        for (std::size_t k = corners_.first[v]; k < corners_.first[v + 1]; ++k) {
          const std::uint32_t t = corners_.half_edges[k] / 3;
          step += faces_[t].normal * faces_[t].normal.dot(middles[t] - at);
        }
        const Eigen::Vector3f to = at + step / static_cast<float>(count);
        const float along = std::clamp(ways_[v].dot(to - start[v]), -reach, reach);
        mesh_.vertices_mm[v] = start[v] + along * ways_[v];
      }
    });
  }

  Mesh& mesh_;
  const SmoothOptions& options_;
  WorkerPool& pool_;
  Corners corners_;
  Twins twins_;
  std::vector<Face> faces_;
  std::vector<Face> next_faces_;
  std::vector<Eigen::Vector3f> ways_;
};

}  // namespace

void smooth(Mesh& mesh, const SmoothOptions& options, WorkerPool& pool) {
  CUSP_CHECK(options.sigma_mm >= 0 && options.reach >= 0 && options.edge_angle_rad > 0,
             "smoothing options are out of range");
  if (mesh.empty() || options.sigma_mm == 0) return;
  Smoother(mesh, options, pool).run();
}

}  // namespace cusp
