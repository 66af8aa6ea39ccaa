#include "drivers/realsense_d400/colour_pairing.h"

#include <algorithm>
#include <utility>

namespace cusp::realsense_d400 {
namespace {

constexpr std::size_t kPictures = 3;  // that are kept
constexpr int kPatienceFrames = 10;

}  // namespace

void ColourPairing::depth(RawFrame&& frame, const Moment& moment) {
  give_waiting();
  waiting_ = std::move(frame);
  waiting_moment_ = moment;
  const bool decided = !pictures_.empty() && from_to(moment, pictures_.back().moment).count() >= 0;
  if (decided || ++frames_without_picture_ > kPatienceFrames) give_waiting();
}

void ColourPairing::colour(ColourPicture&& picture, const Moment& moment) {
  frames_without_picture_ = 0;
  pictures_.push_back({std::move(picture), moment});
  if (pictures_.size() > kPictures) pictures_.pop_front();
  if (waiting_ && from_to(waiting_moment_, moment).count() >= 0) give_waiting();
}

void ColourPairing::flush() { give_waiting(); }

void ColourPairing::give_waiting() {
  if (!waiting_) return;
  const auto distance = [&](const Picture& picture) {
    return std::chrono::abs(from_to(waiting_moment_, picture.moment));
  };
  const auto nearest = std::min_element(
      pictures_.begin(), pictures_.end(),
      [&](const Picture& a, const Picture& b) { return distance(a) < distance(b); });
  if (nearest != pictures_.end() && distance(*nearest) <= period_) {
    waiting_->colour = std::move(nearest->picture);
    pictures_.erase(pictures_.begin(), nearest + 1);
  }
  give_(std::move(*std::exchange(waiting_, std::nullopt)));
}

std::chrono::nanoseconds ColourPairing::from_to(const Moment& from, const Moment& to) const {
  if (!from.ticks || !to.ticks || clock_hz_ == 0) return to.arrival - from.arrival;
  const auto ticks = static_cast<std::int32_t>(*to.ticks - *from.ticks);
  return std::chrono::nanoseconds(std::int64_t{ticks} * 1'000'000'000 / clock_hz_);
}

}  // namespace cusp::realsense_d400
