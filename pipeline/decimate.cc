#include "pipeline/decimate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "pipeline/clean.h"
#include "pipeline/collapse.h"
#include "pipeline/first_equal.h"

namespace cusp {
namespace {

constexpr std::size_t kTileTriangles = 30000;
// Meshes with fewer tiles than this are one patch.
constexpr std::size_t kMinTiles = 8;
// Tiles stop at this many times the target: which part needs more triangles shows only when all
// are seen together.
constexpr double kTileTarget = 3;
// The tiles and the whole patch after them share what error is allowed.
constexpr double kRoundShare = 0.5;
constexpr std::uint32_t kNoTile = ~std::uint32_t{0};
constexpr std::uint32_t kManyTiles = kNoTile - 1;

struct Tiles {
  std::vector<std::size_t> first;  // of each tile in `triangles`; one more than there are tiles
  std::vector<std::uint32_t> triangles;
  std::vector<std::uint32_t> of_vertex;  // kManyTiles when it is on a seam
};

// Cells of a grid that hold about kTileTriangles each.
Tiles cut(const Mesh& mesh, WorkerPool& pool) {
  const double size_mm = std::sqrt(area_mm2(mesh) / static_cast<double>(mesh.triangles.size()) *
                                   static_cast<double>(kTileTriangles));
  const auto cell = [&](std::size_t t) {
    const auto& [a, b, c] = mesh.triangles[t];
    const Eigen::Vector3d middle =
        (mesh.vertices_mm[a].cast<double>() + mesh.vertices_mm[b].cast<double>() +
         mesh.vertices_mm[c].cast<double>()) /
        (3 * size_mm);
    return std::array<std::int64_t, 3>{std::llround(middle.x()), std::llround(middle.y()),
                                       std::llround(middle.z())};
  };
  const std::vector<std::uint32_t> like = first_equal(
      mesh.triangles.size(),
      [&](std::size_t t) {
        std::uint64_t hash = 0;
        for (const std::int64_t part : cell(t))
          hash = mix_bits(hash + static_cast<std::uint64_t>(part));
        return hash;
      },
      [&](std::size_t a, std::size_t b) { return cell(a) == cell(b); }, pool);

  Tiles tiles;
  std::vector<std::uint32_t> tile_of(mesh.triangles.size());
  std::vector<std::size_t> sizes;
  tiles.of_vertex.assign(mesh.vertices_mm.size(), kNoTile);
  for (std::size_t t = 0; t < tile_of.size(); ++t) {
    if (like[t] == t) {
      tile_of[t] = static_cast<std::uint32_t>(sizes.size());
      sizes.push_back(0);
    } else {
      tile_of[t] = tile_of[like[t]];
    }
    ++sizes[tile_of[t]];
    for (const std::uint32_t v : mesh.triangles[t]) {
      std::uint32_t& tile = tiles.of_vertex[v];
      tile = tile == kNoTile || tile == tile_of[t] ? tile_of[t] : kManyTiles;
    }
  }
  tiles.first.assign(1, 0);
  for (const std::size_t size : sizes) tiles.first.push_back(tiles.first.back() + size);
  std::vector<std::size_t> next(tiles.first.begin(), tiles.first.end() - 1);
  tiles.triangles.resize(mesh.triangles.size());
  for (std::uint32_t t = 0; t < tile_of.size(); ++t) tiles.triangles[next[tile_of[t]]++] = t;
  return tiles;
}

struct Tile {
  Mesh patch;
  std::vector<std::uint8_t> marks;
  std::vector<std::uint32_t> number;  // of the patch's vertices in the mesh
};

// `local` is the whole mesh's: a vertex that has a tile to itself finds its number there.
Tile take(const Mesh& mesh, const std::vector<std::uint8_t>& marks, const Tiles& tiles,
          std::size_t which, std::vector<std::uint32_t>& local, std::vector<std::uint8_t>& locked) {
  Tile tile;
  std::unordered_map<std::uint32_t, std::uint32_t> seam;
  for (std::size_t i = tiles.first[which]; i < tiles.first[which + 1]; ++i) {
    std::array<std::uint32_t, 3> triangle = mesh.triangles[tiles.triangles[i]];
    for (std::uint32_t& v : triangle) {
      const bool own = tiles.of_vertex[v] != kManyTiles;
      std::uint32_t& number = own ? local[v] : seam.try_emplace(v, kNoTile).first->second;
      if (number == kNoTile) {
        number = static_cast<std::uint32_t>(tile.number.size());
        tile.number.push_back(v);
        tile.patch.vertices_mm.push_back(mesh.vertices_mm[v]);
        locked.push_back(own ? 0 : 1);
      }
      v = number;
    }
    tile.patch.triangles.push_back(triangle);
    if (!marks.empty()) tile.marks.push_back(marks[tiles.triangles[i]]);
  }
  return tile;
}

void decimate_tiles(Mesh& mesh, std::vector<std::uint8_t>& marks, const DecimateLimits& limits,
                    WorkerPool& pool, const std::stop_token& stop) {
  const Tiles tiles = cut(mesh, pool);
  const std::size_t count = tiles.first.size() - 1;
  const double share = kTileTarget * static_cast<double>(limits.target_triangles) /
                       static_cast<double>(mesh.triangles.size());
  std::vector<std::uint32_t> local(mesh.vertices_mm.size(), kNoTile);
  std::vector<Tile> done(count);
  pool.for_chunks(count, 1, [&](std::size_t which, std::size_t) {
    std::vector<std::uint8_t> locked;
    Tile tile = take(mesh, marks, tiles, which, local, locked);
    const CollapseLimits patch_limits{.target_triangles = static_cast<std::size_t>(
                                          share * static_cast<double>(tile.patch.triangles.size())),
                                      .max_error_mm = kRoundShare * limits.max_error_mm};
    collapse_edges(tile.patch, locked, tile.marks, patch_limits, stop);
    for (auto& triangle : tile.patch.triangles)
      for (std::uint32_t& v : triangle) v = tile.number[v];
    done[which] = std::move(tile);
  });
  mesh.triangles.clear();
  marks.clear();
  for (const Tile& tile : done) {
    for (std::size_t v = 0; v < tile.number.size(); ++v)
      mesh.vertices_mm[tile.number[v]] = tile.patch.vertices_mm[v];
    mesh.triangles.insert(mesh.triangles.end(), tile.patch.triangles.begin(),
                          tile.patch.triangles.end());
    marks.insert(marks.end(), tile.marks.begin(), tile.marks.end());
  }
  keep_triangles(mesh, std::vector<std::uint8_t>(mesh.triangles.size(), 1));
}

}  // namespace

void decimate(Mesh& mesh, std::vector<std::uint8_t>& marks, const DecimateLimits& limits,
              WorkerPool& pool, const std::stop_token& stop) {
  mesh.normals.clear();
  const std::size_t count = mesh.triangles.size();
  if (count > kMinTiles * kTileTriangles &&
      kTileTarget * static_cast<double>(limits.target_triangles) < static_cast<double>(count))
    decimate_tiles(mesh, marks, limits, pool, stop);
  collapse_edges(mesh, {}, marks,
                 {.target_triangles = static_cast<std::size_t>(limits.target_triangles),
                  .max_error_mm = kRoundShare * limits.max_error_mm},
                 stop);
  keep_triangles(mesh, std::vector<std::uint8_t>(mesh.triangles.size(), 1));
}

}  // namespace cusp
