#include "drivers/wand/picture_maker.h"

#include <algorithm>

#include "drivers/wand/colour.h"

namespace cusp::wand {
namespace {

// A frame number that leaps farther, or back, has begun anew: the wand's firmware was restarted.
constexpr std::uint32_t kLargestStep = 1000;
constexpr int kMaxUnusableInARow = 30;

}  // namespace

PictureMaker::PictureMaker(int width_px, int height_px, int patterns)
    : width_px_(width_px), height_px_(height_px), patterns_(patterns) {}

void PictureMaker::begin() {
  last_.reset();
  colours_.clear();
  unusable_in_a_row_ = 0;
}

Result<PictureMaker::Taken> PictureMaker::take(uvc::AssembledFrame&& frame) {
  const auto metadata = read_metadata(frame);
  if (!metadata) {
    ++without_metadata_;
    if (++unusable_in_a_row_ < kMaxUnusableInARow) return Taken{};
    return error(ErrorCode::kProtocol, "{} frames in a row can't be used: {}", unusable_in_a_row_,
                 metadata.error().message);
  }
  unusable_in_a_row_ = 0;
  Taken taken{.picture = {}, .faults = metadata->faults};
  if (last_ && metadata->frame == last_->number) {  // the same once more
    last_->assembled = frame.sequence;
    return taken;
  }
  const bool follows = count(*metadata, frame.sequence);
  RawFrame raw{.format = PixelFormat::kGrey8,
               .width_px = width_px_,
               .height_px = height_px_,
               .device_time = metadata->time,
               .host_time = frame.arrival,
               .bytes = std::move(frame.bytes),
               .exposure = metadata->exposure,
               .temperature_c = metadata->projector_c,
               .fringe = metadata->index,
               .imu = metadata->imu};
  if (metadata->kind != FrameKind::kFringe) {
    taken.picture = add_colour(std::move(raw), *metadata, follows);
  } else {
    drop_colours();
    taken.picture = std::move(raw);
  }
  if (taken.picture) taken.picture->sequence = next_sequence_++;
  return taken;
}

Result<FrameMetadata> PictureMaker::read_metadata(const uvc::AssembledFrame& frame) const {
  CUSP_ASSIGN(FrameMetadata metadata, decode_metadata(frame.metadata));
  if (metadata.index.patterns != patterns_)
    return error(ErrorCode::kProtocol,
                 "wand frame metadata: a sequence of {} patterns, the capabilities say {}",
                 metadata.index.patterns, patterns_);
  return metadata;
}

// Whether the frame follows the last one without a gap. What is missing in between and was not
// counted as broken was lost before it came.
bool PictureMaker::count(const FrameMetadata& metadata, std::uint64_t assembled) {
  const Last now{.number = metadata.frame, .assembled = assembled};
  const Last last = last_.value_or(Last{.number = now.number - 1, .assembled = assembled - 1});
  last_ = now;
  const std::uint32_t step = now.number - last.number;
  if (step > kLargestStep) return false;
  const std::uint64_t missing = step - 1;
  const std::uint64_t broken = now.assembled - last.assembled - 1;
  lost_ += missing - std::min(missing, broken);
  next_sequence_ += missing;
  return missing == 0;
}

std::optional<RawFrame> PictureMaker::add_colour(RawFrame&& frame, const FrameMetadata& metadata,
                                                 bool follows) {
  const auto place = static_cast<std::size_t>(metadata.kind) - 1;  // 0 red, 1 green, 2 blue
  if (!follows || place != colours_.size()) drop_colours();
  if (place != colours_.size()) {  // the ones before it are missing
    ++lost_;
    ++next_sequence_;
    return std::nullopt;
  }
  colours_.push_back(std::move(frame));
  if (colours_.size() < 3) return std::nullopt;
  RawFrame picture = std::move(colours_[1]);
  picture.format = PixelFormat::kYuy2;
  picture.host_time = colours_[2].host_time;
  picture.bytes = yuy2_of(colours_[0].bytes, picture.bytes, colours_[2].bytes);
  colours_.clear();
  return picture;
}

// Colours whose picture will never be whole are lost.
void PictureMaker::drop_colours() {
  lost_ += colours_.size();
  next_sequence_ += colours_.size();
  colours_.clear();
}

}  // namespace cusp::wand
