#include "drivers/uvc/frame_assembler.h"

#include <algorithm>
#include <utility>

#include "drivers/bytes.h"

namespace cusp::uvc {
namespace {

constexpr std::uint8_t kFrameId = 0x01, kEndOfFrame = 0x02, kHasPts = 0x04, kHasScr = 0x08,
                       kStill = 0x20, kError = 0x40;
constexpr std::size_t kMinHeaderBytes = 2, kPtsBytes = 4, kScrBytes = 6;
// Frames of no fixed size: room is made for this much at first, then as they need it.
constexpr std::size_t kFirstRoomBytes = 64 * 1024;

// The length that a header's own flags ask for.
std::size_t least_header_bytes(std::uint8_t flags) {
  return kMinHeaderBytes + ((flags & kHasPts) != 0 ? kPtsBytes : 0) +
         ((flags & kHasScr) != 0 ? kScrBytes : 0);
}

}  // namespace

FrameAssembler::FrameAssembler(std::size_t frame_bytes, std::size_t max_payload_bytes, Sink sink,
                               FrameSize size)
    : frames_{frame_bytes, max_payload_bytes, size}, sink_(std::move(sink)) {
  CUSP_CHECK(frame_bytes > 0 && max_payload_bytes > kMinHeaderBytes, "a stream has a size");
}

void FrameAssembler::expect_stills(std::size_t frame_bytes, std::size_t max_payload_bytes,
                                   FrameSize size) {
  CUSP_CHECK(frame_bytes > 0 && max_payload_bytes > kMinHeaderBytes, "a still picture has a size");
  stills_ = {frame_bytes, max_payload_bytes, size};
}

// As long as the header has not come it may be the longer of the two.
std::size_t FrameAssembler::payload_limit() const {
  if (!stills_) return frames_.payload_bytes;
  if (header_.size() < kMinHeaderBytes)
    return std::max(frames_.payload_bytes, stills_->payload_bytes);
  return (header_[1] & kStill) != 0 ? stills_->payload_bytes : frames_.payload_bytes;
}

void FrameAssembler::feed(const StreamChunk& chunk) {
  arrival_ = chunk.arrival;
  if (chunk.damaged) {
    // Whatever came of it can't be trusted, not even to which frame it belonged.
    spoil(&BrokenFrames::on_bus);
    clear_payload();
    return;
  }
  auto bytes = chunk.bytes;
  while (!bytes.empty()) {
    if (!header_complete_) {
      const std::size_t room = payload_limit() - payload_bytes_;
      const std::size_t used = take_header(bytes.first(std::min(bytes.size(), room)));
      payload_bytes_ += used;
      bytes = bytes.subspan(used);
    }
    if (header_complete_) {
      const std::size_t room = payload_limit() - std::min(payload_limit(), payload_bytes_);
      const auto part = bytes.first(std::min(bytes.size(), room));
      payload_bytes_ += part.size();
      bytes = bytes.subspan(part.size());
      take_pixels(part);
    }
    if (payload_bytes_ >= payload_limit()) end_payload();
  }
  if (chunk.ends_payload && payload_bytes_ > 0) end_payload();
}

void FrameAssembler::interrupt() {
  if (open_) {
    spoil(doubt_ != nullptr ? doubt_ : &BrokenFrames::size);
    end_frame();
  }
  if (doubt_ != nullptr) count_unseen();
  stop();
  broken_in_a_row_ = 0;
}

void FrameAssembler::stop() {
  clear_payload();
  open_ = false;
  reason_ = nullptr;
  doubt_ = nullptr;
  id_.reset();
  last_id_.reset();
}

// A header may be split between chunks; answers how many of the bytes belong to it.
std::size_t FrameAssembler::take_header(std::span<const std::uint8_t> bytes) {
  std::size_t used = 0;
  while (!header_complete_ && used < bytes.size()) {
    header_.push_back(bytes[used++]);
    header_complete_ = header_.size() >= kMinHeaderBytes && header_.size() >= header_[0];
    if (header_complete_) header_sane_ = header_[0] >= least_header_bytes(header_[1]);
  }
  return used;
}

void FrameAssembler::begin_frame() {
  open_ = true;
  reason_ = nullptr;
  id_.reset();
  pts_ticks_.reset();
  metadata_.clear();
  bytes_.clear();
}

// The first reason counts. Between frames a fault may have hit the next one or nothing at all: that
// frame's size will tell.
void FrameAssembler::spoil(Reason why) {
  Reason& first = open_ ? reason_ : doubt_;
  if (first == nullptr) first = why;
}

// A frame of which nothing came but damage.
void FrameAssembler::count_unseen() {
  begin_frame();
  spoil(doubt_);
  end_frame();
}

// A payload without a readable header is a part of some frame, of the open one or the next.
void FrameAssembler::spoil_nameless(Reason why) {
  if (!open_) begin_frame();
  spoil(why);
}

// The first pixels of a payload: do they continue the open frame or begin another? A payload
// without pixels does neither: cameras send empty ones while they wait.
void FrameAssembler::begin_part() {
  part_begun_ = true;
  if (!header_sane_) return spoil_nameless(&BrokenFrames::header);
  const FrameId id{.bit = (header_[1] & kFrameId) != 0, .still = (header_[1] & kStill) != 0};
  // An open frame without an id had only broken headers. Ids alternate, so it has the id that the
  // frame before it had not.
  const bool another = id_ ? id != *id_ : id == last_id_;
  if (open_ && another) end_frame();
  if (!open_) {
    // Ids alternate: the frame between this one and the last was what the damage hit.
    if (doubt_ != nullptr && id == last_id_) count_unseen();
    begin_frame();
    if (id == last_id_) spoil(&BrokenFrames::size);  // it has ended already
  }
  if (!id_) {
    id_ = id;
    bytes_.reserve(limit().size == FrameSize::kExact ? limit().frame_bytes : kFirstRoomBytes);
  }
  read_header();
}

void FrameAssembler::read_header() {
  const std::uint8_t flags = header_[1];
  std::size_t at = kMinHeaderBytes;
  if ((flags & kHasPts) != 0) {
    if (!pts_ticks_) pts_ticks_ = read_le<std::uint32_t>(header_, at);
    at += kPtsBytes;
  }
  if ((flags & kHasScr) != 0) at += kScrBytes;  // the bus's clock beside the device's
  if (header_.size() - at > metadata_.size())
    metadata_.assign(header_.begin() + static_cast<std::ptrdiff_t>(at), header_.end());
}

void FrameAssembler::take_pixels(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  if (!part_begun_) begin_part();
  if (reason_ != nullptr) return;
  if (bytes.size() > limit().frame_bytes - std::min(bytes_.size(), limit().frame_bytes))
    return spoil(&BrokenFrames::size);
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void FrameAssembler::end_payload() {
  if (!header_complete_ || !header_sane_) spoil_nameless(&BrokenFrames::header);
  if (header_complete_) {
    if ((header_[1] & kError) != 0) spoil(&BrokenFrames::by_device);
    if (open_ && (header_[1] & kEndOfFrame) != 0) end_frame();
  }
  clear_payload();
}

void FrameAssembler::clear_payload() {
  header_.clear();
  header_complete_ = false;
  header_sane_ = false;
  part_begun_ = false;
  payload_bytes_ = 0;
}

bool FrameAssembler::whole() const {
  switch (limit().size) {
    case FrameSize::kExact:
      return bytes_.size() == limit().frame_bytes;
    case FrameSize::kAtMost:
      return !bytes_.empty() && doubt_ == nullptr;
    case FrameSize::kJpeg:
      return bytes_.size() >= 2 && bytes_[0] == 0xFF && bytes_[1] == 0xD8 && doubt_ == nullptr;
  }
  return false;
}

void FrameAssembler::end_frame() {
  open_ = false;
  const std::uint64_t sequence = next_sequence_++;
  last_id_ = id_;
  if (reason_ == nullptr && !whole()) reason_ = doubt_ != nullptr ? doubt_ : &BrokenFrames::size;
  doubt_ = nullptr;
  if (reason_ != nullptr) {
    ++(broken_.*reason_);
    ++broken_in_a_row_;
    return;
  }
  broken_in_a_row_ = 0;
  sink_({.sequence = sequence,
         .pts_ticks = pts_ticks_,
         .arrival = arrival_,
         .still = id_ && id_->still,
         .metadata = std::exchange(metadata_, {}),
         .bytes = std::exchange(bytes_, {})});
}

}  // namespace cusp::uvc
