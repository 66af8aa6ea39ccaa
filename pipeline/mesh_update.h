// Mesh updates: what a viewer of a live mesh lacks, as bytes. daemon/API.md says the same for who
// reads them elsewhere.
//
// Little-endian, without gaps:
//     char[8]  "CUSPMESH"
//     u32      format, 1
//     u32      1: forget all patches that you have; 0: keep them
//     u64      mesh: which one this is, chosen when its scan began
//     u32      update: what to ask for with next
//     u32      patches in this message
//     f32      voxel, mm
// then each patch, in place of the one that the viewer has of that block; one without vertices
// goes:
//     i32[3]   block: its first voxel is 8 * block
//     u32      frame that measured it last (live_mesh.h)
//     u16      vertices, then u16 triangles
//     vertex:  u16[3] position, 1/4096 voxel from the block's first voxel; i8[3] normal, 127 a
//     unit;
//              u8[3] colour, black where none was seen; u8 level: 0 rim of a hole, 1 thin, 2 enough
//     triangle: u16[3] vertices of this patch, counter-clockwise from outside
// Vertices on a border are repeated in the patches that meet there, with the same bits.
// Threads: as LiveMesh's const calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/live_mesh.h"

namespace cusp {

// The viewer has everything up to update `since` of mesh `mesh_id`; 0: nothing. Ends after the
// first whole update that reaches `enough_bytes`; asked again, the rest follows.
std::vector<std::uint8_t> encode_mesh_update(const LiveMesh& mesh, std::uint64_t mesh_id,
                                             std::uint32_t since, std::size_t enough_bytes);

}  // namespace cusp
