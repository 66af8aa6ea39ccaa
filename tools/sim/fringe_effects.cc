#include "tools/sim/fringe_effects.h"

#include <array>
#include <string>

namespace cusp::sim {
namespace {

struct Switch {
  std::string_view name;
  void (*set)(FringeEffects&, bool);
};

template <auto Member>
void set(FringeEffects& effects, bool on) {
  auto& effect = effects.*Member;
  if (!on)
    effect.reset();
  else if (!effect)
    effect.emplace();
}

constexpr std::array<Switch, 10> kSwitches{{
    {"projector_blur", set<&FringeEffects::projector_blur>},
    {"projector_gamma", set<&FringeEffects::projector_gamma>},
    {"vignetting", set<&FringeEffects::vignetting>},
    {"camera_blur", set<&FringeEffects::camera_blur>},
    {"speculars", set<&FringeEffects::speculars>},
    {"translucency", set<&FringeEffects::translucency>},
    {"soft_tissue", set<&FringeEffects::soft_tissue>},
    {"fog", set<&FringeEffects::fog>},
    {"ambient", set<&FringeEffects::ambient>},
    {"sensor_noise", set<&FringeEffects::sensor_noise>},
}};

Error unknown(std::string_view word) {
  std::string names;
  for (const Switch& item : kSwitches)
    names += (names.empty() ? "" : ", ") + std::string(item.name);
  return error(
      ErrorCode::kInvalidArgument,
      "effects: \"{}\" is none; begin with default, all or none, then +name or -name of {}", word,
      names);
}

}  // namespace

FringeEffects FringeEffects::none() {
  FringeEffects effects;
  for (const Switch& item : kSwitches) item.set(effects, false);
  return effects;
}

Result<FringeEffects> parse_effects(std::string_view text) {
  FringeEffects effects;
  for (bool first = true; first || !text.empty(); first = false) {
    const std::size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    if (first && word == "default") continue;
    if (first && (word == "all" || word == "none")) {
      for (const Switch& item : kSwitches) item.set(effects, word == "all");
      continue;
    }
    const Switch* found = nullptr;
    if (word.size() > 1 && (word.front() == '+' || word.front() == '-'))
      for (const Switch& item : kSwitches)
        if (item.name == word.substr(1)) found = &item;
    if (found == nullptr) return unknown(word);
    found->set(effects, word.front() == '+');
  }
  return effects;
}

}  // namespace cusp::sim
