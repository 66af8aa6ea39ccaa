#include "pipeline/edit_marks.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "pipeline/point_groups.h"
#include "pipeline/region.h"
#include "pipeline/volume.h"

namespace cusp {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

class Replay {
 public:
  Replay(std::span<const Eigen::Vector3f> points_mm, double voxel_mm, WorkerPool& pool,
         const std::stop_token& stop)
      : points_mm_(points_mm),
        voxel_mm_(static_cast<float>(voxel_mm)),
        pool_(pool),
        stop_(stop),
        groups_(points_mm, pool),
        of_point_(points_mm.size()),
        touched_(points_mm.size()) {}

  void cut(const Region& region, std::uint32_t frame) {
    touch(region, 0, [this](const RegionTest& test, std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) touched_[i] = test.contains(points_mm_[i]) ? 1 : 0;
    });
    change([frame](EditMarks::History& history) {
      if (history.back().last == EditMarks::kOpen) history = {{.first = frame}};
    });
  }

  void lock(const Region& region, std::uint32_t frame) {
    const float half_diagonal_mm = 0.5F * std::sqrt(3.0F) * kBlockSide * voxel_mm_;
    touch(region, half_diagonal_mm,
          [this](const RegionTest& test, std::size_t begin, std::size_t end) {
            Eigen::Vector3i block = block_of(points_mm_[begin]);
            bool inside = test.contains(middle_of_block(block, voxel_mm_));
            for (std::size_t i = begin; i < end; ++i) {
              // Neighbours on a mesh share their block more often than not.
              if (const Eigen::Vector3i its = block_of(points_mm_[i]); its != block) {
                block = its;
                inside = test.contains(middle_of_block(block, voxel_mm_));
              }
              touched_[i] = inside ? 1 : 0;
            }
          });
    change([frame](EditMarks::History& history) {
      if (history.back().last == EditMarks::kOpen) history.back().last = frame;
    });
  }

  void unlock_all(std::uint32_t frame) {
    for (EditMarks::History& history : histories_)
      if (history.back().last == frame)  // no frame came meanwhile
        history.back().last = EditMarks::kOpen;
      else if (history.back().last != EditMarks::kOpen)
        history.push_back({.first = frame});
  }

  EditMarks take() && { return {std::move(histories_), std::move(of_point_)}; }

 private:
  [[nodiscard]] Eigen::Vector3i block_of(const Eigen::Vector3f& p) const {
    return block_of_voxel((p / voxel_mm_).array().round().cast<int>());
  }

  // Asks of the groups that the region may come within `reach_mm` of.
  template <typename Ask>
  void touch(const Region& region, float reach_mm, Ask ask) {
    const RegionTest test(region);
    constexpr std::size_t kSize = PointGroups::kSize;
    pool_.for_chunks(points_mm_.size(), kSize, [&](std::size_t begin, std::size_t end) {
      if (stop_.stop_requested()) return;
      if (groups_.may_touch(begin / kSize, test, reach_mm))
        ask(test, begin, end);
      else
        std::fill_n(touched_.begin() + static_cast<std::ptrdiff_t>(begin), end - begin, 0);
    });
  }

  template <typename Change>
  void change(Change change_one) {
    std::vector<std::uint32_t> next(histories_.size(), kNone);
    for (std::size_t i = 0; i < touched_.size(); ++i) {
      if (touched_[i] == 0) continue;
      std::uint32_t& to = next[of_point_[i]];
      if (to == kNone) {
        EditMarks::History changed = histories_[of_point_[i]];
        change_one(changed);
        to = of_point_[i];
        if (changed != histories_[to]) {
          to = static_cast<std::uint32_t>(histories_.size());
          histories_.push_back(std::move(changed));
        }
      }
      of_point_[i] = to;
    }
  }

  std::span<const Eigen::Vector3f> points_mm_;
  float voxel_mm_;
  WorkerPool& pool_;
  const std::stop_token& stop_;
  PointGroups groups_;
  std::vector<EditMarks::History> histories_{{EditMarks::Span{}}};
  std::vector<std::uint32_t> of_point_;
  std::vector<std::uint8_t> touched_;
};

}  // namespace

Result<EditMarks> edit_marks(std::span<const Eigen::Vector3f> points_mm, double voxel_mm,
                             const ScanLog& log, WorkerPool& pool, const std::stop_token& stop) {
  Replay replay(points_mm, voxel_mm, pool, stop);
  std::uint32_t frame = 0;
  for (const ScanEntry& entry : log.entries()) {
    if (std::holds_alternative<KeptFrame>(entry)) {
      ++frame;
      continue;
    }
    if (const auto* cut = std::get_if<Cut>(&entry))
      replay.cut(cut->region, frame);
    else if (const auto* lock = std::get_if<Lock>(&entry))
      replay.lock(lock->region, frame);
    else
      replay.unlock_all(frame);
    if (stop.stop_requested())
      return error(ErrorCode::kCancelled, "model: its making was cancelled");
  }
  return std::move(replay).take();
}

}  // namespace cusp
