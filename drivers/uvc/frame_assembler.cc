#include "drivers/uvc/frame_assembler.h"

#include <algorithm>
#include <utility>

#include "drivers/bytes.h"

namespace cusp::uvc {
namespace {

constexpr std::uint8_t kFrameId = 0x01, kEndOfFrame = 0x02, kHasPts = 0x04, kHasScr = 0x08,
                       kError = 0x40;
constexpr std::size_t kMinHeaderBytes = 2, kPtsBytes = 4, kScrBytes = 6;

// The length that a header's own flags ask for.
std::size_t least_header_bytes(std::uint8_t flags) {
  return kMinHeaderBytes + ((flags & kHasPts) != 0 ? kPtsBytes : 0) +
         ((flags & kHasScr) != 0 ? kScrBytes : 0);
}

}  // namespace

FrameAssembler::FrameAssembler(std::size_t frame_bytes, std::size_t max_payload_bytes, Sink sink)
    : frame_bytes_(frame_bytes), max_payload_bytes_(max_payload_bytes), sink_(std::move(sink)) {
  CUSP_CHECK(frame_bytes > 0 && max_payload_bytes > kMinHeaderBytes, "a stream has a size");
}

void FrameAssembler::feed(const StreamChunk& chunk) {
  arrival_ = chunk.arrival;
  auto bytes = chunk.bytes;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), max_payload_bytes_ - payload_bytes_));
    bytes = bytes.subspan(part.size());
    payload_bytes_ += part.size();
    const std::size_t used = take_header(part);
    if (header_complete_) take_pixels(part.subspan(used));
    if (payload_bytes_ == max_payload_bytes_) end_payload();
  }
  if (chunk.ends_payload && payload_bytes_ > 0) end_payload();
}

void FrameAssembler::interrupt() {
  if (open_ || payload_bytes_ > 0) {
    intact_ = false;
    end_frame();
  }
  header_.clear();
  header_complete_ = false;
  part_begun_ = false;
  payload_bytes_ = 0;
  frame_id_.reset();
  broken_in_a_row_ = 0;
}

// A header may be split between chunks; answers how many of the bytes belong to it.
std::size_t FrameAssembler::take_header(std::span<const std::uint8_t> bytes) {
  std::size_t used = 0;
  while (!header_complete_ && used < bytes.size()) {
    header_.push_back(bytes[used++]);
    header_complete_ = header_.size() >= kMinHeaderBytes && header_.size() >= header_[0];
  }
  return used;
}

void FrameAssembler::begin_frame() {
  open_ = true;
  intact_ = true;
  pts_ticks_.reset();
  bytes_.clear();
  bytes_.reserve(frame_bytes_);
}

// The first pixels of a payload: do they continue the open frame or begin another? A payload
// without pixels does neither: cameras send empty ones while they wait.
void FrameAssembler::begin_part() {
  part_begun_ = true;
  const std::uint8_t flags = header_[1];
  const bool sane = header_[0] >= least_header_bytes(flags);
  const bool frame_id = (flags & kFrameId) != 0;
  if (sane && open_ && frame_id != frame_id_) end_frame();
  if (!open_) {
    begin_frame();
    if (frame_id == frame_id_) intact_ = false;  // pixels of a frame that has ended already
  }
  if (!sane) {
    intact_ = false;
    return;
  }
  frame_id_ = frame_id;
  if ((flags & kHasPts) != 0 && !pts_ticks_)
    pts_ticks_ = read_le<std::uint32_t>(header_, kMinHeaderBytes);
}

void FrameAssembler::take_pixels(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  if (!part_begun_) begin_part();
  if (bytes.size() > frame_bytes_ - bytes_.size()) intact_ = false;
  if (intact_) bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void FrameAssembler::end_payload() {
  if (!header_complete_) {
    if (!open_) begin_frame();
    intact_ = false;
  } else {
    if ((header_[1] & kError) != 0) intact_ = false;
    if (open_ && (header_[1] & kEndOfFrame) != 0) end_frame();
  }
  header_.clear();
  header_complete_ = false;
  part_begun_ = false;
  payload_bytes_ = 0;
}

void FrameAssembler::end_frame() {
  open_ = false;
  const std::uint64_t sequence = next_sequence_++;
  if (!intact_ || bytes_.size() != frame_bytes_) {
    ++broken_;
    ++broken_in_a_row_;
    return;
  }
  broken_in_a_row_ = 0;
  sink_({.sequence = sequence,
         .pts_ticks = pts_ticks_,
         .arrival = arrival_,
         .bytes = std::exchange(bytes_, {})});
}

}  // namespace cusp::uvc
