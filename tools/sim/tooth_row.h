// ToothRow: the line along which the teeth of a jaw stand, found on any mesh of one.
//
// Crest: in a raster over the plane of a ScanFrame, the cells whose highest point is near the
// highest of their neighbourhood, in the upper part of the object. The line: a principal curve
// through them (T. Hastie, W. Stuetzle, "Principal curves", J. American Statistical Association
// 84(406), 1989, doi:10.1080/01621459.1989.10478797), begun with a polynomial of degree four, as
// dental arches are described. An object without an arch gives a nearly straight line.
// Millimetres, axes of the scan frame {along, across}, its centre as origin. Threads: value.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "tools/sim/scan_frame.h"

namespace cusp::sim {

class ToothRow {
 public:
  ToothRow(const Mesh& mesh, const ScanFrame& frame);

  [[nodiscard]] double length_mm() const { return way_.back(); }

  struct Place {
    Eigen::Vector2d point_mm;
    Eigen::Vector2d ahead;  // unit; the tongue is to its left
    double height_mm;       // of the crest
  };
  // 0 at one end, 1 at the other.
  [[nodiscard]] Place place(double share) const;

 private:
  void refine(const std::vector<Eigen::Vector3d>& crest);
  void measure();

  std::vector<Eigen::Vector3d> nodes_;
  std::vector<double> way_;  // to each node, in the plane
};

}  // namespace cusp::sim
