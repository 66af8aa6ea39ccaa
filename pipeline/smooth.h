// smooth: takes measuring noise off a surface and leaves its edges where they are.
//
// Triangle normals are averaged with those beyond their edges, less with each the more it differs
// (Y. Zheng, H. Fu, O. Au, C. Tai, "Bilateral normal filtering for mesh denoising", IEEE TVCG
// 17(10), 2011, doi:10.1109/TVCG.2010.264); vertices then follow the normals (X. Sun, P. Rosin, R.
// Martin, F. Langbein, "Fast and effective feature-preserving mesh denoising", IEEE TVCG 13(5),
// 2007, doi:10.1109/TVCG.2007.1065). A vertex moves along its own normal only, and at most
// `reach` times the stated noise: smoothing may say what is noise, never what is there. Border
// vertices stay. mm, the mesh's own frame. Threads: pure function, uses the pool; same mesh, same
// result, with any number of threads.
#pragma once

#include "core/mesh.h"
#include "pipeline/worker_pool.h"

namespace cusp {

struct SmoothOptions {
  double sigma_mm = 0;  // of the noise along the normal; 0: nothing is moved
  double reach = 3;     // times sigma
  // How much two normals may differ to be one surface, radians: more is an edge.
  double edge_angle_rad = 0.35;
  int normal_rounds = 8;
  int vertex_rounds = 10;
};

// The mesh must be a manifold (clean.h). Normals are dropped.
void smooth(Mesh& mesh, const SmoothOptions& options, WorkerPool& pool);

}  // namespace cusp
