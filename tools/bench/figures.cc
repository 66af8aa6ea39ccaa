#include "tools/bench/figures.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace cusp::bench {
namespace {

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

bool Figure::met() const {
  if (!bar) return true;
  return bar->better == Better::kLess ? value <= bar->bar : value >= bar->bar;
}
bool Figure::beyond() const {
  if (!bar) return false;
  return bar->better == Better::kLess ? value <= bar->beyond : value >= bar->beyond;
}

std::string to_text(const Figure& figure) {
  std::string text = fmt::format("{:<58}{:>12.4g} {:<9}", figure.name, figure.value, figure.unit);
  if (figure.bar)
    text += fmt::format("{} {:<7.4g}{:<8.4g}{}",
                        figure.bar->better == Better::kLess ? "<=" : ">=", figure.bar->bar,
                        figure.bar->beyond,
                        figure.beyond() ? "beyond"
                        : figure.met()  ? "met"
                                        : "NOT MET");
  return text;
}

void Figures::add(Figure figure) {
  fmt::print("{}\n", to_text(figure));
  std::fflush(stdout);
  figures_.push_back(std::move(figure));
}

std::string Figures::table() const {
  std::string text = fmt::format("{:<58}{:>12} {:<9}   {:<7}{:<8}\n", "figure", "measured", "unit",
                                 "bar", "beyond");
  for (const Figure& figure : figures_)
    if (figure.bar) text += to_text(figure) + "\n";
  return text;
}

std::string Figures::json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const Figure& figure : figures_) {
    nlohmann::json row = {{"name", figure.name},
                          {"value", figure.value},
                          {"unit", figure.unit},
                          {"bar", nullptr},
                          {"beyond", nullptr}};
    if (figure.bar) {
      row["bar"] = figure.bar->bar;
      row["beyond"] = figure.bar->beyond;
      row["met"] = figure.met();
    }
    rows.push_back(std::move(row));
  }
  const nlohmann::json document = {
      {"machine",
       {{"processor", processor()}, {"processors", std::thread::hardware_concurrency()}}},
      {"figures", std::move(rows)}};
  return document.dump(2);
}

}  // namespace cusp::bench
