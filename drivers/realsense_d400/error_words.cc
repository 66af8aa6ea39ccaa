#include "drivers/realsense_d400/error_words.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace cusp::realsense_d400 {
namespace {

// By number; the first is "no error".
constexpr std::array<std::string_view, 30> kProblems{
    "",
    "the projector is hot and shines with less power: let the scanner cool down",
    "the projector was too hot and is off: let the scanner cool down",
    "the projector is off because its safety circuit tripped: plug the scanner in again, and have "
    "it "
    "repaired if that returns",
    "the two imagers are not connected: the scanner needs repair",
    "its memory chip is damaged: the scanner needs repair",
    "its calibration is damaged: calibrate it anew",
    "the motion sensor could not be updated",
    "the image processor could not be updated",
    "the motion sensor was paused",
    "the motion sensor failed",
    "USB was too slow for it (SCP overflow): use another port or cable, or a lower rate",
    "USB was too slow for it (REC overflow): use another port or cable, or a lower rate",
    "USB was too slow for it (CAM overflow): use another port or cable, or a lower rate",
    "the left imager's data are damaged: plug the scanner in again",
    "the right imager's data are damaged: plug the scanner in again",
    "the colour camera's data are damaged: plug the scanner in again",
    "the fisheye camera's data are damaged: plug the scanner in again",
    "the left imager can't be set up: plug the scanner in again",
    "the right imager can't be set up: plug the scanner in again",
    "the colour camera can't be set up: plug the scanner in again",
    "the fisheye camera can't be set up: plug the scanner in again",
    "the depth stream did not start: plug the scanner in again",
    "the infrared stream did not start: plug the scanner in again",
    "the colour stream did not start: plug the scanner in again",
    "it reports a REC error: plug the scanner in again",
    "it is on a USB 2 port or cable, which limits it: use a blue USB 3 port and its own cable",
    "the projector is too cold and is off: let the scanner warm up",
    "the projector's temperature can't be read, so it is off: plug the scanner in again",
    "the image processor did not get its program: plug the scanner in again",
};

}  // namespace

std::optional<std::string> problem_of(std::uint8_t error_word) {
  if (error_word == 0) return std::nullopt;
  if (error_word < kProblems.size()) return std::string(kProblems[error_word]);
  return fmt::format("the scanner reports error {}, which this version does not know", error_word);
}

}  // namespace cusp::realsense_d400
