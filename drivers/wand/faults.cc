#include <fmt/format.h>

#include "drivers/wand/protocol.h"

namespace cusp::wand {
namespace {

struct Words {
  std::uint32_t bit;
  std::string_view sentence;
};

constexpr std::array kWords{
    Words{fault::kProjectorHot,
          "the projector is too hot and switched off; let the wand cool for some minutes"},
    Words{fault::kProjectorFailed, "the projector has failed; the wand needs service"},
    Words{fault::kSensorFailed, "the image sensor has failed; the wand needs service"},
    Words{fault::kNoTip, "no tip is attached; put one on"},
    Words{fault::kMemoryFailed, "the wand can't read its own memory; it needs service"},
    Words{fault::kTipWorn, "the tip has had all its allowed uses; take a new one"},
    Words{fault::kTipUnreadable, "the tip can't be identified, so its uses are not counted"},
    Words{fault::kHeaterFailed, "the tip's heater has failed; the mirror may fog"},
    Words{fault::kImuFailed, "the motion sensor has failed; scanning goes on without it"},
    Words{fault::kButtonStuck, "the button is held for too long or stuck"},
    Words{fault::kSupplyLow,
          "the USB port gives too little power; use another port or a shorter cable"},
    Words{fault::kWarmingUp, "the wand is warming up; accuracy is not yet what it will be"},
    Words{fault::kFramesDropped, "the computer fetches frames too slowly; some were dropped"},
};

}  // namespace

std::vector<std::string> sentences(std::uint32_t faults, std::string_view makers_text) {
  std::vector<std::string> list;
  std::uint32_t rest = faults;
  for (const Words& words : kWords) {
    if ((faults & words.bit) != 0) list.emplace_back(words.sentence);
    rest &= ~words.bit;
  }
  if ((rest & fault::kMakersOwn) != 0) {
    list.push_back(makers_text.empty()
                       ? std::string("a fault that the wand has no words for; ask its maker")
                       : fmt::format("the wand says: {}", makers_text));
    rest &= ~fault::kMakersOwn;
  }
  for (int bit = 0; bit < 31; ++bit)
    if ((rest >> bit & 1) != 0)
      list.push_back(
          fmt::format("fault {}, which this version does not know; ask the wand's maker", bit));
  return list;
}

}  // namespace cusp::wand
