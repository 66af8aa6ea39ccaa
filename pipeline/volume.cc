#include "pipeline/volume.h"

#include <sys/mman.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <new>
#include <numbers>

#include "core/check.h"

namespace cusp {
namespace {

constexpr int kKeyBits = 21;
constexpr int kKeyOffset = 1 << (kKeyBits - 1);
constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
constexpr std::size_t kFirstSlots = 1024;
constexpr float kMaxWeightSteps = std::numeric_limits<std::uint16_t>::max();

std::uint64_t key_of(const Eigen::Vector3i& place) {
  const auto part = [](int value) { return static_cast<std::uint64_t>(value + kKeyOffset); };
  return part(place.x()) | part(place.y()) << kKeyBits | part(place.z()) << (2 * kKeyBits);
}

// Finaliser of SplitMix64 (S. Vigna): every bit of the key moves every bit of the slot.
std::uint64_t mix(std::uint64_t key) {
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ULL;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebULL;
  return key ^ (key >> 31);
}

// The space in front of a pinhole, for balls that may reach into it.
class ViewCone {
 public:
  ViewCone(const Intrinsics& in, double max_depth_mm)
      : max_depth_mm_(static_cast<float>(max_depth_mm)) {
    const auto side = [](double x, double y, double z) -> Eigen::Vector3f {
      return Eigen::Vector3d(x, y, z).normalized().cast<float>();
    };
    // Inward; half a pixel beyond the outermost centres.
    sides_[0] = side(in.fx_px, 0, in.cx_px + 0.5);
    sides_[1] = side(-in.fx_px, 0, in.width_px - 0.5 - in.cx_px);
    sides_[2] = side(0, in.fy_px, in.cy_px + 0.5);
    sides_[3] = side(0, -in.fy_px, in.height_px - 0.5 - in.cy_px);
  }
  [[nodiscard]] bool reaches(const Eigen::Vector3f& middle, float radius) const {
    return middle.z() > -radius && middle.z() < max_depth_mm_ + radius &&
           std::ranges::all_of(
               sides_, [&](const Eigen::Vector3f& inward) { return inward.dot(middle) > -radius; });
  }

 private:
  float max_depth_mm_;
  std::array<Eigen::Vector3f, 4> sides_;
};

}  // namespace

void ViewSpread::add(const Eigen::Vector3f& towards_sensor) {
  if (!seen_) {
    for (std::size_t k = 0; k < 3; ++k)
      first_[k] = static_cast<std::int8_t>(
          std::lround(127.0F * towards_sensor[static_cast<Eigen::Index>(k)]));
    seen_ = true;
    return;
  }
  const Eigen::Vector3f known = first();
  const float cosine = std::clamp(known.dot(towards_sensor) / known.norm(), -1.0F, 1.0F);
  const float angle_deg = std::acos(cosine) * (180.0F / std::numbers::pi_v<float>);
  widest_deg_ = std::max(widest_deg_, static_cast<std::uint8_t>(angle_deg));
}

void* InPages::operator new(std::size_t bytes) {
  void* const pages =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return pages;
}
void InPages::operator delete(void* pages, std::size_t bytes) { munmap(pages, bytes); }

PlaceTable::PlaceTable() : slots_(kFirstSlots, Slot{.key = kEmpty, .number = kNoBlock}) {}

bool PlaceTable::fits(const Eigen::Vector3i& place) {
  return (place.array() >= -kKeyOffset).all() && (place.array() < kKeyOffset).all();
}

std::size_t PlaceTable::slot_of(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = mix(key) & mask;
  while (slots_[slot].key != key && slots_[slot].key != kEmpty) slot = (slot + 1) & mask;
  return slot;
}

std::uint32_t PlaceTable::find(const Eigen::Vector3i& place) const {
  return fits(place) ? slots_[slot_of(key_of(place))].number : kNoBlock;
}

std::size_t PlaceTable::bytes_after_add() const {
  return (2 * (used_ + 1) > slots_.size() ? 2 : 1) * bytes();
}

void PlaceTable::add(const Eigen::Vector3i& place, std::uint32_t number) {
  if (2 * (used_ + 1) > slots_.size()) {
    std::vector<Slot> old(2 * slots_.size(), Slot{.key = kEmpty, .number = kNoBlock});
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.key != kEmpty) slots_[slot_of(slot.key)] = slot;
  }
  slots_[slot_of(key_of(place))] = {.key = key_of(place), .number = number};
  ++used_;
}

Volume::Volume(double voxel_mm, double truncation_mm, std::size_t max_bytes)
    : voxel_mm_(static_cast<float>(voxel_mm)),
      truncation_mm_(static_cast<float>(truncation_mm)),
      mm_a_step_(truncation_mm_ / kDistanceSteps),
      max_bytes_(max_bytes) {
  CUSP_CHECK(voxel_mm > 0 && truncation_mm >= voxel_mm, "a volume needs voxels and a band of them");
}

std::size_t Volume::find(const Eigen::Vector3i& index) const {
  const std::uint32_t number = table_.find(index);
  return number == kNoBlock ? kNone : number;
}

std::size_t Volume::find_or_add(const Eigen::Vector3i& index) {
  if (!holds(index)) return kNone;
  if (const std::uint32_t known = table_.find(index); known != kNoBlock) return known;
  const bool new_slab = size_ == slabs_.size() * kSlab;
  const std::size_t grown = bytes() + (new_slab ? sizeof(Slab) : 0) + table_.bytes_after_add() -
                            table_.bytes() + cell_table_.bytes_after_add() - cell_table_.bytes() +
                            sizeof(Cell) + sizeof(std::uint32_t);
  if (grown > max_bytes_ || size_ + 1 == kNoBlock) return kNone;
  if (new_slab) slabs_.push_back(std::make_unique<Slab>());
  const auto number = static_cast<std::uint32_t>(size_++);
  info(number).index = index;
  table_.add(index, number);
  join_neighbours(number);
  put_in_cell(number);
  return number;
}

void Volume::join_neighbours(std::uint32_t number) {
  BlockInfo& here = info(number);
  for (int dz = -1; dz <= 1; ++dz)
    for (int dy = -1; dy <= 1; ++dy)
      for (int dx = -1; dx <= 1; ++dx) {
        const std::uint32_t other = table_.find(here.index + Eigen::Vector3i(dx, dy, dz));
        here.around[BlockInfo::neighbour_at(dx, dy, dz)] = other;
        if (other != kNoBlock) info(other).around[BlockInfo::neighbour_at(-dx, -dy, -dz)] = number;
      }
}

void Volume::put_in_cell(std::uint32_t number) {
  const Eigen::Vector3i& block = info(number).index;
  const Eigen::Vector3i index(block.x() >> kCellShift, block.y() >> kCellShift,
                              block.z() >> kCellShift);
  std::uint32_t cell = cell_table_.find(index);
  if (cell == kNoBlock) {
    cell = static_cast<std::uint32_t>(cells_.size());
    cell_table_.add(index, cell);
    cells_.push_back({.index = index, .blocks = {}});
  }
  cells_[cell].blocks.push_back(number);
}

void Volume::add_colours(std::size_t i) {
  BlockInfo& here = info(i);
  if (here.colours != kNoBlock) return;
  if (colour_size_ == colour_slabs_.size() * kSlab) {
    if (bytes() + kSlab * sizeof(ColourBlock) > max_bytes_) return;
    colour_slabs_.push_back(std::make_unique<ColourSlab>());
  }
  here.colours = colour_size_++;
}

void Volume::set_voxel(std::size_t block_number, std::size_t k, const Voxel& voxel) {
  Block& to = block(block_number);
  BlockInfo& known = info(block_number);
  const auto steps = [](float value, float least, float most) {
    return std::lround(std::clamp(value, least, most));
  };
  to.distance[k] = static_cast<std::int16_t>(
      steps(voxel.distance_mm / mm_a_step_, -kDistanceSteps, kDistanceSteps));
  to.weight[k] =
      static_cast<std::uint16_t>(steps(voxel.weight * kWeightSteps, 0.0F, kMaxWeightSteps));
  if (to.weight[k] == 0) return;
  known.lowest = std::min(known.lowest, to.distance[k]);
  known.highest = std::max(known.highest, to.distance[k]);
}

void Volume::forget(std::size_t number) {
  block(number) = {};
  BlockInfo& known = info(number);
  BlockInfo fresh;
  fresh.index = known.index;
  fresh.around = known.around;
  fresh.wanted = known.wanted;
  fresh.locked = known.locked;
  fresh.changed = fresh.grown = frame_;
  fresh.colours = known.colours;
  known = fresh;
  if (ColourBlock* colours = this->colours(number)) *colours = {};
}

void Volume::measure_range(std::size_t block_number) {
  const Block& from = block(block_number);
  BlockInfo& known = info(block_number);
  known.lowest = BlockInfo{}.lowest;
  known.highest = BlockInfo{}.highest;
  for (std::size_t k = 0; k < from.distance.size(); ++k) {
    if (from.weight[k] == 0) continue;
    known.lowest = std::min(known.lowest, from.distance[k]);
    known.highest = std::max(known.highest, from.distance[k]);
  }
}

void Volume::blocks_in_view(const RigidTransform& model_from_sensor, const Intrinsics& sensor,
                            double max_depth_mm, std::vector<std::uint32_t>& numbers) const {
  const ViewCone cone(sensor, max_depth_mm);
  const RigidTransform sensor_from_model = model_from_sensor.inverse();
  const Eigen::Matrix3f rotation = sensor_from_model.rotation().cast<float>();
  const Eigen::Vector3f translation = sensor_from_model.translation().cast<float>();
  const float cell_mm = block_mm() * (1 << kCellShift);
  const float radius = 0.5F * std::sqrt(3.0F) * cell_mm;
  for (const Cell& cell : cells_) {
    const Eigen::Vector3f middle =
        (cell.index.cast<float>() + Eigen::Vector3f::Constant(0.5F)) * cell_mm;
    if (cone.reaches(rotation * middle + translation, radius))
      numbers.insert(numbers.end(), cell.blocks.begin(), cell.blocks.end());
  }
}

std::size_t Volume::bytes() const {
  // A cell's list of numbers may have room for twice as many.
  return slabs_.size() * (sizeof(Slab) + sizeof(slabs_[0])) +
         colour_slabs_.size() * (kSlab * sizeof(ColourBlock) + sizeof(colour_slabs_[0])) +
         table_.bytes() + cell_table_.bytes() + cells_.size() * sizeof(Cell) +
         2 * size_ * sizeof(std::uint32_t);
}

void Volume::clear() {
  slabs_.clear();
  size_ = 0;
  colour_slabs_.clear();
  colour_size_ = 0;
  table_ = PlaceTable();
  cells_.clear();
  cell_table_ = PlaceTable();
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
    const std::size_t first = Block::at(local.x(), local.y(), local.z());
    constexpr std::size_t kRow = kBlockSide;
    constexpr std::size_t kSlice = kBlockSide * kBlockSide;
    constexpr std::array<std::size_t, 8> kOffsets = {
        0, 1, kRow, kRow + 1, kSlice, kSlice + 1, kSlice + kRow, kSlice + kRow + 1};
    for (std::size_t c = 0; c < 8; ++c) corner[c] = volume_.voxel(*block, first + kOffsets[c]);
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
