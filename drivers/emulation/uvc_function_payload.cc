#include "drivers/emulation/uvc_function_payload.h"

#include <algorithm>
#include <utility>

#include "drivers/bytes.h"

namespace cusp {
namespace {

constexpr std::uint8_t kFrameId = 0x01, kEndOfFrame = 0x02, kHasPts = 0x04, kHasScr = 0x08,
                       kStill = 0x20, kEndOfHeader = 0x80;
constexpr std::uint32_t kBusFramesPerSecond = 1000;
constexpr std::uint32_t kBusFrameMask = 0x7FF;
constexpr std::size_t kMaxHeaderBytes = 255;

}  // namespace

void PayloadWriter::begin(MadeFrame frame) {
  CUSP_CHECK(kStandardHeaderBytes + frame.content.metadata.size() <= kMaxHeaderBytes,
             "a payload header has at most 255 bytes");
  frame_ = std::move(frame);
  frame_id_ = !frame_id_;
  pixels_sent_ = 0;
  first_payload_ = true;
  in_payload_ = false;
  zero_length_due_ = false;
}

void PayloadWriter::begin_payload(std::size_t max_payload_bytes, std::uint32_t now_ticks) {
  header_.assign(kStandardHeaderBytes, 0);
  if (first_payload_) {
    const auto& metadata = frame_->content.metadata;
    header_.insert(header_.end(), metadata.begin(), metadata.end());
  }
  CUSP_CHECK(max_payload_bytes > header_.size(), "a payload has room for pixels");
  const std::size_t left = frame_->content.pixels.size() - pixels_sent_;
  part_left_ = std::min(left, max_payload_bytes - header_.size());
  const bool last = part_left_ == left;
  header_[0] = static_cast<std::uint8_t>(header_.size());
  header_[1] =
      static_cast<std::uint8_t>((frame_id_ ? kFrameId : 0) | (last ? kEndOfFrame : 0) | kHasPts |
                                kHasScr | (frame_->still ? kStill : 0) | kEndOfHeader);
  write_le(header_, 2, frame_->pts_ticks);
  write_le(header_, 6, now_ticks);
  const std::uint64_t bus_frame = std::uint64_t{now_ticks} * kBusFramesPerSecond / clock_hz_;
  write_le(header_, 10, static_cast<std::uint16_t>(bus_frame & kBusFrameMask));
  header_sent_ = 0;
  must_end_short_ = header_.size() + part_left_ < max_payload_bytes;
  in_payload_ = true;
  first_payload_ = false;
}

std::size_t PayloadWriter::fill(std::span<std::uint8_t> data, std::size_t max_payload_bytes,
                                std::uint32_t now_ticks) {
  std::size_t used = 0;
  if (zero_length_due_) {
    zero_length_due_ = false;
  } else {
    if (!in_payload_) begin_payload(max_payload_bytes, now_ticks);
    const std::size_t head = std::min(data.size(), header_.size() - header_sent_);
    std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(header_sent_), head, data.begin());
    header_sent_ += head;
    const std::size_t part = std::min(data.size() - head, part_left_);
    std::copy_n(frame_->content.pixels.begin() + static_cast<std::ptrdiff_t>(pixels_sent_), part,
                data.begin() + static_cast<std::ptrdiff_t>(head));
    pixels_sent_ += part;
    part_left_ -= part;
    used = head + part;
    if (header_sent_ == header_.size() && part_left_ == 0) {
      in_payload_ = false;
      zero_length_due_ = must_end_short_ && used == data.size();
    }
  }
  if (!in_payload_ && !zero_length_due_ && pixels_sent_ == frame_->content.pixels.size()) {
    content_ = std::move(frame_->content);
    frame_.reset();
  }
  return used;
}

}  // namespace cusp
