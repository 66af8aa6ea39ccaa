#include "pipeline/scan_log.h"

#include <algorithm>
#include <cmath>

#include "pipeline/record_bytes.h"

namespace cusp {
namespace {

enum class Kind : std::uint8_t { kFrame = 1, kCut, kLock, kUnlockAll, kRewind, kNewPoses, kClosed };
enum class Shape : std::uint8_t { kBrush = 1, kLasso };

// Records but for frames are small; whoever says more is not to be believed.
constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 28;

void put(RecordWriter& writer, const Region& region) {
  if (const auto* brush = std::get_if<Brush>(&region)) {
    writer.put(Shape::kBrush);
    writer.put(brush->radius_mm);
    writer.put_points(brush->path_mm);
    return;
  }
  const auto& lasso = std::get<Lasso>(region);
  writer.put(Shape::kLasso);
  writer.put(lasso.view_from_model);
  writer.put(lasso.focal);
  writer.put(lasso.near_mm);
  writer.put(lasso.far_mm);
  writer.put_points(lasso.outline);
}

Region get_region(RecordReader& reader) {
  const auto shape = reader.get<Shape>();
  if (shape == Shape::kBrush) {
    Brush brush{.path_mm = {}, .radius_mm = reader.get<float>()};
    brush.path_mm = reader.points<Eigen::Vector3f>();
    return brush;
  }
  if (shape != Shape::kLasso) reader.refuse();
  Lasso lasso{.view_from_model = reader.pose(), .outline = {}};
  lasso.focal = reader.get<double>();
  lasso.near_mm = reader.get<double>();
  lasso.far_mm = reader.get<double>();
  lasso.outline = reader.points<Eigen::Vector2f>();
  return lasso;
}

void put(RecordWriter& writer, const DepthWarp& warp) {
  writer.put(warp.width_px());
  writer.put(warp.height_px());
  for (const double term_um : warp.coefficients_um()) writer.put(term_um);
}

DepthWarp get_warp(RecordReader& reader) {
  const int width_px = reader.get<int>(), height_px = reader.get<int>();
  DepthWarp::Terms terms_um{};
  for (double& term_um : terms_um) {
    term_um = reader.get<double>();
    if (!std::isfinite(term_um)) reader.refuse();
  }
  if (width_px > 0 && height_px > 0) return {width_px, height_px, terms_um};
  reader.refuse();
  return {};
}

void put_entry(RecordWriter& writer, const ScanEntry& entry) {
  if (const auto* frame = std::get_if<KeptFrame>(&entry)) {
    writer.put(Kind::kFrame);
    writer.put(frame->model_from_sensor);
    writer.put(static_cast<std::int64_t>(frame->scan_time.count()));
    writer.put(std::span<const std::uint8_t>(*frame->packed));
  } else if (const auto* cut = std::get_if<Cut>(&entry)) {
    writer.put(Kind::kCut);
    put(writer, cut->region);
  } else if (const auto* lock = std::get_if<Lock>(&entry)) {
    writer.put(Kind::kLock);
    put(writer, lock->region);
  } else {
    writer.put(Kind::kUnlockAll);
  }
}

std::size_t size_of(const ScanEntry& entry) {
  const auto* frame = std::get_if<KeptFrame>(&entry);
  return sizeof(ScanEntry) + (frame == nullptr ? 0 : frame->packed->size());
}

bool is_frame(const ScanEntry& entry) { return std::holds_alternative<KeptFrame>(entry); }

Error damaged(std::string_view how) {
  return error(ErrorCode::kCorrupt, "scan journal: a record is damaged: {}", how);
}

}  // namespace

bool ScanLog::apply(ScanRecord record) {
  if (auto* entry = std::get_if<ScanEntry>(&record)) {
    frames_ += is_frame(*entry) ? 1 : 0;
    bytes_ += size_of(*entry);
    entries_.push_back(std::move(*entry));
    return true;
  }
  if (const auto* rewind = std::get_if<Rewind>(&record)) {
    if (rewind->entries > entries_.size()) return false;
    while (entries_.size() > rewind->entries) {
      frames_ -= is_frame(entries_.back()) ? 1 : 0;
      bytes_ -= size_of(entries_.back());
      entries_.pop_back();
    }
    return true;
  }
  const auto& [poses, warp] = std::get<NewPoses>(record);
  if (poses.size() > frames_) return false;
  warp_ = warp;
  auto next = poses.begin();
  for (ScanEntry& entry : entries_) {
    if (next == poses.end()) break;
    if (auto* frame = std::get_if<KeptFrame>(&entry)) frame->model_from_sensor = *next++;
  }
  return true;
}

std::chrono::nanoseconds ScanLog::scan_time() const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
    if (const auto* frame = std::get_if<KeptFrame>(&*entry)) return frame->scan_time;
  return {};
}

std::uint64_t ScanLog::entries_before(std::chrono::nanoseconds span) const {
  const std::chrono::nanoseconds from = scan_time() - span;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (const auto* frame = std::get_if<KeptFrame>(&entries_[i]); frame && frame->scan_time > from)
      return i;
  return entries_.size();
}

std::vector<std::uint8_t> to_bytes(const ScanRecord& record) {
  RecordWriter writer;
  if (const auto* entry = std::get_if<ScanEntry>(&record)) {
    put_entry(writer, *entry);
  } else if (const auto* rewind = std::get_if<Rewind>(&record)) {
    writer.put(Kind::kRewind);
    writer.put(rewind->entries);
  } else {
    const auto& [poses, warp] = std::get<NewPoses>(record);
    writer.put(warp.is_none() ? Kind::kNewPoses : Kind::kClosed);
    writer.put(static_cast<std::uint64_t>(poses.size()));
    for (const RigidTransform& pose : poses) writer.put(pose);
    if (!warp.is_none()) put(writer, warp);
  }
  return seal(writer.bytes());
}

Result<ScanRecord> scan_record(std::span<const std::uint8_t> bytes) {
  CUSP_ASSIGN(const auto raw, unseal(bytes, kMaxRecordBytes, "scan journal's record"));
  RecordReader reader{raw};
  ScanRecord record = Rewind{};
  const auto kind = reader.get<Kind>();
  switch (kind) {
    case Kind::kFrame: {
      KeptFrame frame{.model_from_sensor = reader.pose(), .packed = nullptr};
      frame.scan_time = std::chrono::nanoseconds(reader.get<std::int64_t>());
      frame.packed = std::make_shared<const std::vector<std::uint8_t>>(reader.bytes());
      record = ScanEntry(std::move(frame));
      break;
    }
    case Kind::kCut:
      record = ScanEntry(Cut{get_region(reader)});
      break;
    case Kind::kLock:
      record = ScanEntry(Lock{get_region(reader)});
      break;
    case Kind::kUnlockAll:
      record = ScanEntry(UnlockAll{});
      break;
    case Kind::kRewind:
      record = Rewind{reader.get<std::uint64_t>()};
      break;
    case Kind::kNewPoses:
    case Kind::kClosed: {
      NewPoses poses;
      poses.model_from_sensor.resize(reader.count(12 * sizeof(double)));
      for (RigidTransform& pose : poses.model_from_sensor) pose = reader.pose();
      if (kind == Kind::kClosed) poses.warp = get_warp(reader);
      record = std::move(poses);
      break;
    }
    default:
      return damaged("its kind is not known");
  }
  if (!reader.whole()) return damaged("its parts do not fit");
  if (const auto* entry = std::get_if<ScanEntry>(&record)) {
    if (const auto* cut = std::get_if<Cut>(entry)) CUSP_TRY(validate(cut->region));
    if (const auto* lock = std::get_if<Lock>(entry)) CUSP_TRY(validate(lock->region));
  }
  return record;
}

bool KeepRule::keeps(const RigidTransform& last, const RigidTransform& now, double mean_depth_mm,
                     std::uint64_t fused, int fused_since) const {
  if (fused <= first || fused_since >= every) return true;
  // A turn moves what is seen as a shift does: look at the middle of the view.
  const Eigen::Vector3d middle(0, 0, mean_depth_mm);
  const double moved = std::max((last * middle - now * middle).norm(),
                                (last.translation() - now.translation()).norm());
  return moved >= moved_share * mean_depth_mm ||
         Eigen::AngleAxisd(last.linear().transpose() * now.linear()).angle() >= turned_rad;
}

}  // namespace cusp
