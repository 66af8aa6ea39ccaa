#include "drivers/realsense_d400/frame_maker.h"

#include "drivers/realsense_d400/frame_metadata.h"

namespace cusp::realsense_d400 {
namespace {

std::optional<uvc::DeviceClock> clock_of(const uvc::AgreedStream* stream) {
  if (stream == nullptr || stream->clock_hz == 0) return std::nullopt;
  return uvc::DeviceClock(stream->clock_hz);
}

std::optional<std::chrono::nanoseconds> time_of(const uvc::AssembledFrame& frame,
                                                std::optional<uvc::DeviceClock>& clock) {
  if (!frame.pts_ticks || !clock) return std::nullopt;
  return (*clock)(*frame.pts_ticks);
}

// Ticks of two streams can be compared when they count at one rate.
std::uint32_t common_clock_hz(const uvc::AgreedStream& depth, const uvc::AgreedStream* colour) {
  return colour != nullptr && colour->clock_hz == depth.clock_hz ? depth.clock_hz : 0;
}

}  // namespace

FrameMaker::FrameMaker(const uvc::AgreedStream& depth, const uvc::AgreedStream* colour,
                       std::uint64_t first, Give give)
    : depth_(depth),
      colour_(colour),
      give_(std::move(give)),
      numbers_(first),
      pairing_(std::chrono::nanoseconds(std::uint64_t{depth.control.interval_100ns} * 100),
               common_clock_hz(depth, colour),
               [this](RawFrame&& frame) { give_(std::move(frame)); }),
      depth_clock_(clock_of(&depth)),
      colour_clock_(clock_of(colour)) {}

void FrameMaker::depth(uvc::AssembledFrame&& frame, std::optional<double> temperature_c) {
  const FrameMetadata metadata = decode_frame_metadata(frame.metadata);
  RawFrame raw{.sequence = numbers_.number(frame.sequence, metadata.frame_counter),
               .format = PixelFormat::kZ16,
               .width_px = depth_.frame().width_px,
               .height_px = depth_.frame().height_px,
               .device_time = time_of(frame, depth_clock_),
               .host_time = frame.arrival,
               .bytes = std::move(frame.bytes),
               .exposure = metadata.exposure,
               .temperature_c = temperature_c};
  if (colour_ == nullptr)
    give_(std::move(raw));
  else
    pairing_.depth(std::move(raw), {frame.pts_ticks, frame.arrival});
}

void FrameMaker::colour(uvc::AssembledFrame&& frame) {
  pairing_.colour({.format = PixelFormat::kYuy2,
                   .width_px = colour_->frame().width_px,
                   .height_px = colour_->frame().height_px,
                   .device_time = time_of(frame, colour_clock_),
                   .bytes = std::move(frame.bytes)},
                  {frame.pts_ticks, frame.arrival});
}

}  // namespace cusp::realsense_d400
