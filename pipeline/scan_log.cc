#include "pipeline/scan_log.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/check.h"

namespace cusp {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

enum class Kind : std::uint8_t { kFrame = 1, kCut, kLock, kUnlockAll, kRewind, kNewPoses };
enum class Shape : std::uint8_t { kBrush = 1, kLasso };

// Records but for frames are small; whoever says more is not to be believed.
constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 28;

class Writer {
 public:
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void put(std::span<const std::uint8_t> bytes) {
    put(static_cast<std::uint64_t>(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  template <typename Vector>
  void put_points(const std::vector<Vector>& points) {
    put(static_cast<std::uint64_t>(points.size()));
    for (const Vector& point : points)
      for (const float part : point) put(part);
  }
  void put(const RigidTransform& pose) {
    for (int row = 0; row < 3; ++row)
      for (int column = 0; column < 4; ++column) put(pose.matrix()(row, column));
  }
  void put(const Region& region) {
    if (const auto* brush = std::get_if<Brush>(&region)) {
      put(Shape::kBrush);
      put(brush->radius_mm);
      put_points(brush->path_mm);
      return;
    }
    const auto& lasso = std::get<Lasso>(region);
    put(Shape::kLasso);
    put(lasso.view_from_model);
    put(lasso.focal);
    put(lasso.near_mm);
    put(lasso.far_mm);
    put_points(lasso.outline);
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Answers zeros beyond the end, and remembers that it did.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  template <typename T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value{};
    if (rest_.size() < sizeof value) {
      whole_ = false;
      rest_ = {};
      return value;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(sizeof value);
    return value;
  }
  std::vector<std::uint8_t> bytes() {
    const std::size_t size = count(1);
    std::vector<std::uint8_t> bytes(rest_.begin(),
                                    rest_.begin() + static_cast<std::ptrdiff_t>(size));
    rest_ = rest_.subspan(size);
    return bytes;
  }
  template <typename Vector>
  std::vector<Vector> points() {
    std::vector<Vector> points(count(sizeof(Vector)));
    for (Vector& point : points)
      for (float& part : point) part = get<float>();
    return points;
  }
  RigidTransform pose() {
    RigidTransform pose = RigidTransform::Identity();
    for (int row = 0; row < 3; ++row)
      for (int column = 0; column < 4; ++column) pose.matrix()(row, column) = get<double>();
    const Eigen::Matrix3d turn = pose.linear();
    if (!pose.matrix().allFinite() || !(turn.transpose() * turn).isIdentity(1e-6)) whole_ = false;
    return pose;
  }
  Region region() {
    const auto shape = get<Shape>();
    if (shape == Shape::kBrush) {
      Brush brush{.path_mm = {}, .radius_mm = get<float>()};
      brush.path_mm = points<Eigen::Vector3f>();
      return brush;
    }
    if (shape != Shape::kLasso) whole_ = false;
    Lasso lasso{.view_from_model = pose(), .outline = {}};
    lasso.focal = get<double>();
    lasso.near_mm = get<double>();
    lasso.far_mm = get<double>();
    lasso.outline = points<Eigen::Vector2f>();
    return lasso;
  }
  std::size_t count(std::size_t bytes_each) {
    const auto wanted = get<std::uint64_t>();
    if (wanted > rest_.size() / bytes_each) {
      whole_ = false;
      return 0;
    }
    return static_cast<std::size_t>(wanted);
  }
  // Everything was there, and nothing is left.
  [[nodiscard]] bool whole() const { return whole_ && rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool whole_ = true;
};

void put_entry(Writer& writer, const ScanEntry& entry) {
  if (const auto* frame = std::get_if<KeptFrame>(&entry)) {
    writer.put(Kind::kFrame);
    writer.put(frame->model_from_sensor);
    writer.put(static_cast<std::int64_t>(frame->scan_time.count()));
    writer.put(std::span<const std::uint8_t>(*frame->packed));
  } else if (const auto* cut = std::get_if<Cut>(&entry)) {
    writer.put(Kind::kCut);
    writer.put(cut->region);
  } else if (const auto* lock = std::get_if<Lock>(&entry)) {
    writer.put(Kind::kLock);
    writer.put(lock->region);
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
  const auto& poses = std::get<NewPoses>(record).model_from_sensor;
  if (poses.size() > frames_) return false;
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
  Writer writer;
  if (const auto* entry = std::get_if<ScanEntry>(&record)) {
    put_entry(writer, *entry);
  } else if (const auto* rewind = std::get_if<Rewind>(&record)) {
    writer.put(Kind::kRewind);
    writer.put(rewind->entries);
  } else {
    const auto& poses = std::get<NewPoses>(record).model_from_sensor;
    writer.put(Kind::kNewPoses);
    writer.put(static_cast<std::uint64_t>(poses.size()));
    for (const RigidTransform& pose : poses) writer.put(pose);
  }
  const std::vector<std::uint8_t>& raw = writer.bytes();
  ZSTD_CCtx* context = ZSTD_createCCtx();
  CUSP_CHECK(context != nullptr, "memory for a compressor");
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::vector<std::uint8_t> bytes(ZSTD_compressBound(raw.size()));
  const std::size_t size =
      ZSTD_compress2(context, bytes.data(), bytes.size(), raw.data(), raw.size());
  ZSTD_freeCCtx(context);
  CUSP_CHECK(ZSTD_isError(size) == 0, "there is room for the compressed record");
  bytes.resize(size);
  return bytes;
}

Result<ScanRecord> scan_record(std::span<const std::uint8_t> bytes) {
  const unsigned long long content = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (content == ZSTD_CONTENTSIZE_ERROR || content == ZSTD_CONTENTSIZE_UNKNOWN ||
      content > kMaxRecordBytes)
    return damaged("it is none");
  std::vector<std::uint8_t> raw(content);
  const std::size_t size = ZSTD_decompress(raw.data(), raw.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) return damaged(ZSTD_getErrorName(size));
  raw.resize(size);
  Reader reader{raw};
  ScanRecord record;
  switch (reader.get<Kind>()) {
    case Kind::kFrame: {
      KeptFrame frame{.model_from_sensor = reader.pose(), .packed = nullptr};
      frame.scan_time = std::chrono::nanoseconds(reader.get<std::int64_t>());
      frame.packed = std::make_shared<const std::vector<std::uint8_t>>(reader.bytes());
      record = ScanEntry(std::move(frame));
      break;
    }
    case Kind::kCut:
      record = ScanEntry(Cut{reader.region()});
      break;
    case Kind::kLock:
      record = ScanEntry(Lock{reader.region()});
      break;
    case Kind::kUnlockAll:
      record = ScanEntry(UnlockAll{});
      break;
    case Kind::kRewind:
      record = Rewind{reader.get<std::uint64_t>()};
      break;
    case Kind::kNewPoses: {
      NewPoses poses;
      poses.model_from_sensor.resize(reader.count(12 * sizeof(double)));
      for (RigidTransform& pose : poses.model_from_sensor) pose = reader.pose();
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

bool KeepRule::keeps(const RigidTransform& last, const RigidTransform& now,
                     double mean_depth_mm) const {
  // A turn moves what is seen as a shift does: look at the middle of the view.
  const Eigen::Vector3d middle(0, 0, mean_depth_mm);
  const double moved = std::max((last * middle - now * middle).norm(),
                                (last.translation() - now.translation()).norm());
  return moved >= moved_share * mean_depth_mm ||
         Eigen::AngleAxisd(last.linear().transpose() * now.linear()).angle() >= turned_rad;
}

}  // namespace cusp
