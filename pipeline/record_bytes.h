// Records of bytes: how kept frames and a scan's journal put values one after the other, and close
// them into one Zstandard frame with a checksum (RFC 8878), so that a damaged record is told from a
// whole one. Native byte order is little-endian (checked). Threads: values and pure functions.
// Errors: kCorrupt, when sealed bytes are damaged, or hold more than `max_bytes`.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/pose.h"
#include "core/result.h"

namespace cusp {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

std::vector<std::uint8_t> seal(std::span<const std::uint8_t> bytes);
// `what` is named in the error: "kept frame".
Result<std::vector<std::uint8_t>> unseal(std::span<const std::uint8_t> sealed,
                                         std::size_t max_bytes, std::string_view what);

class RecordWriter {
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
  void put(const std::string& text) {
    put(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Answers zeros beyond the end, and remembers that it did.
class RecordReader {
 public:
  explicit RecordReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

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
  std::string text() {
    const std::vector<std::uint8_t> characters = bytes();
    return {characters.begin(), characters.end()};
  }
  std::size_t count(std::size_t bytes_each) {
    const auto wanted = get<std::uint64_t>();
    if (wanted > rest_.size() / bytes_each) {
      whole_ = false;
      return 0;
    }
    return static_cast<std::size_t>(wanted);
  }
  // What was read can't be meant.
  void refuse() { whole_ = false; }
  // Everything was there, and nothing is left.
  [[nodiscard]] bool whole() const { return whole_ && rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool whole_ = true;
};

}  // namespace cusp
