// Figures: what was measured, each with its bar where it has one, as a table for people and as JSON
// for programs.
//
// JSON: {"machine": {...}, "figures": [{"name", "value", "unit", "bar", "beyond", "met"}...]}; bar
// and beyond are null and met is absent where there is no bar. Threads: value.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cusp::bench {

enum class Better { kLess, kMore };

// What a figure has to reach, and what would be beyond that.
struct Bar {
  double bar = 0;
  double beyond = 0;
  Better better = Better::kLess;
};

struct Figure {
  std::string name;
  double value = 0;
  std::string unit{};
  std::optional<Bar> bar{};

  [[nodiscard]] bool met() const;     // true without a bar
  [[nodiscard]] bool beyond() const;  // false without a bar
};

class Figures {
 public:
  // Shown when it is added, so that a long run can be watched.
  void add(Figure figure);

  [[nodiscard]] const std::vector<Figure>& all() const { return figures_; }
  [[nodiscard]] std::string table() const;  // those with a bar
  [[nodiscard]] std::string json() const;

 private:
  std::vector<Figure> figures_;
};

std::string to_text(const Figure& figure);

}  // namespace cusp::bench
