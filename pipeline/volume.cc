#include "pipeline/volume.h"

#include <cmath>

#include "core/check.h"

namespace cusp {
namespace {

constexpr int kKeyBits = 21;
constexpr int kKeyOffset = 1 << (kKeyBits - 1);
constexpr std::size_t kFirstSlots = 1024;

bool fits_key(const Eigen::Vector3i& index) {
  return (index.array() >= -kKeyOffset).all() && (index.array() < kKeyOffset).all();
}

std::uint64_t key_of(const Eigen::Vector3i& index) {
  const auto part = [](int value) { return static_cast<std::uint64_t>(value + kKeyOffset); };
  return part(index.x()) | part(index.y()) << kKeyBits | part(index.z()) << (2 * kKeyBits);
}

// Finaliser of SplitMix64 (S. Vigna): every bit of the key moves every bit of the slot.
std::uint64_t mix(std::uint64_t key) {
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ULL;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebULL;
  return key ^ (key >> 31);
}

}  // namespace

Volume::Volume(double voxel_mm, double truncation_mm, std::size_t max_bytes)
    : voxel_mm_(static_cast<float>(voxel_mm)),
      truncation_mm_(static_cast<float>(truncation_mm)),
      max_bytes_(max_bytes),
      slots_(kFirstSlots) {
  CUSP_CHECK(voxel_mm > 0 && truncation_mm >= voxel_mm, "a volume needs voxels and a band of them");
}

std::size_t Volume::slot_of(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = mix(key) & mask;
  while (slots_[slot].key != key && slots_[slot].key != kEmpty) slot = (slot + 1) & mask;
  return slot;
}

std::size_t Volume::find(const Eigen::Vector3i& index) const {
  if (!fits_key(index)) return kNone;
  const Slot& slot = slots_[slot_of(key_of(index))];
  return slot.key == kEmpty ? kNone : slot.block;
}

std::size_t Volume::find_or_add(const Eigen::Vector3i& index) {
  if (!fits_key(index)) return kNone;
  const std::uint64_t key = key_of(index);
  std::size_t slot = slot_of(key);
  if (slots_[slot].key == key) return slots_[slot].block;
  if (bytes() + sizeof(Block) > max_bytes_) return kNone;
  if (2 * (blocks_.size() + 1) > slots_.size()) {
    grow();
    slot = slot_of(key);
  }
  slots_[slot] = {.key = key, .block = blocks_.size()};
  blocks_.push_back(std::make_unique<Block>());
  blocks_.back()->index = index;
  return blocks_.size() - 1;
}

void Volume::grow() {
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.key != kEmpty) slots_[slot_of(slot.key)] = slot;
}

std::size_t Volume::bytes() const {
  return blocks_.size() * (sizeof(Block) + sizeof(blocks_[0])) + slots_.size() * sizeof(Slot);
}

void Volume::clear() {
  blocks_.clear();
  slots_.assign(kFirstSlots, Slot{});
}

bool VolumeReader::interpolate(const Eigen::Vector3f& p_in_model, float& distance_mm) {
  const Eigen::Vector3f p = p_in_model * per_voxel_;
  const Eigen::Vector3i base(floor_to_int(p.x()), floor_to_int(p.y()), floor_to_int(p.z()));
  const Eigen::Vector3f f = p - base.cast<float>();
  std::array<Voxel, 8> corner;
  const Eigen::Vector3i local(base.x() & 7, base.y() & 7, base.z() & 7);
  if (local.maxCoeff() < kBlockSide - 1) {
    const Block* block = block_at(base);
    if (block == nullptr) return false;
    const Voxel* first = &block->voxels[Block::at(local.x(), local.y(), local.z())];
    constexpr int kRow = kBlockSide;
    constexpr int kSlice = kBlockSide * kBlockSide;
    corner = {first[0],      first[1],          first[kRow],          first[kRow + 1],
              first[kSlice], first[kSlice + 1], first[kSlice + kRow], first[kSlice + kRow + 1]};
  } else {
    for (int c = 0; c < 8; ++c)
      corner[static_cast<std::size_t>(c)] =
          voxel(base + Eigen::Vector3i(c & 1, (c >> 1) & 1, c >> 2));
  }
  for (const Voxel& v : corner)
    if (v.weight == 0) return false;
  const auto mix_x = [&](int c) {
    const auto i = static_cast<std::size_t>(c);
    return corner[i].distance_mm + f.x() * (corner[i + 1].distance_mm - corner[i].distance_mm);
  };
  const float near = mix_x(0) + f.y() * (mix_x(2) - mix_x(0));
  const float far = mix_x(4) + f.y() * (mix_x(6) - mix_x(4));
  distance_mm = near + f.z() * (far - near);
  return true;
}

bool VolumeReader::normal(const Eigen::Vector3f& p_in_model, Eigen::Vector3f& normal) {
  const float step = volume_.voxel_mm();
  for (int axis = 0; axis < 3; ++axis) {
    const Eigen::Vector3f offset = step * Eigen::Vector3f::Unit(axis);
    float ahead = 0;
    float behind = 0;
    if (!interpolate(p_in_model + offset, ahead) || !interpolate(p_in_model - offset, behind))
      return false;
    normal[axis] = ahead - behind;
  }
  const float length = normal.norm();
  if (!(length > 0)) return false;
  normal /= length;
  return true;
}

}  // namespace cusp
