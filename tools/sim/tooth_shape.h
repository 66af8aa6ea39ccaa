// The crown of one tooth as an implicit surface in the tooth's own frame.
//
// A crown is the overlap of a wall and a top, rounded where they meet. The wall is a superellipse
// at each height, whose four half axes follow the tooth's mesial, distal, buccal and lingual
// profiles; developmental grooves and the lingual fossa of front teeth are hollows in it. The top
// of a front tooth is its incisal edge; that of a back tooth is a relief of cusps, ridges and
// grooves.
//
// Frame (mm): x distal, y buccal, z occlusal; z = 0 at the cusp tips or the incisal edge, the
// cervix at z = -crown height; below it the wall runs on as a root. Places on a tooth in the forms
// below are shares of its half widths: x from -1 (mesial) to 1 (distal), y from -1 (lingual) to 1
// (buccal). Threads: values; immutable once made.
#pragma once

#include <Eigen/Core>
#include <array>
#include <vector>

#include "tools/sim/dentition.h"

namespace cusp::sim {

// Half axis at five equal steps from the cervix (0) to the cusps (4), as a share of the largest.
using Profile = std::array<float, 5>;

struct Cusp {
  Eigen::Vector2f at;
  float drop_mm;  // below the highest cusp
  float slope = 0.75f;
};

// A crest between two points, lowest in its middle.
struct Ridge {
  Eigen::Vector2f from;
  Eigen::Vector2f to;
  float drop_from_mm;
  float drop_to_mm;
  float sag_mm;
  float slope = 0.9f;
};

// A fissure of the top along a straight line.
struct Groove {
  Eigen::Vector2f from;
  Eigen::Vector2f to;
  float depth_mm = 0.4f;
  float width_mm = 0.28f;
};

// A dent (or, with a negative depth, a bulge) of the wall.
struct Hollow {
  bool buccal;
  float x;       // share of the half width
  float height;  // 0 cervix, 1 cusps
  float depth_mm;
  float width_mm;
  float tall;  // half extent, share of the crown height
};

struct IncisalEdge {
  float tip_x = 0.0f;
  float mesial_slope = 0.0f;
  float distal_slope = 0.0f;
  float mesial_corner_mm = 0.0f;
  float distal_corner_mm = 0.0f;
  float bevel = 0.0f;  // how much the edge falls towards the tongue
};

struct ToothForm {
  Profile mesial;
  Profile distal;
  Profile buccal;
  Profile lingual;
  float squareness;         // exponent of the superellipse at the cusps
  float lingual_taper;      // narrower on the tongue's side
  float distal_taper;       // narrower on the distal side
  float shear;              // buccal side forward: the rhomboid of upper molars
  float floor_drop_mm;      // the fossae go no deeper
  IncisalEdge edge;         // front teeth
  std::vector<Cusp> cusps;  // back teeth
  std::vector<Ridge> ridges;
  std::vector<Groove> grooves;
  std::vector<Hollow> hollows;
};

// position: 1 central incisor ... 7 second molar.
const ToothForm& tooth_form(Jaw jaw, int position);

class ToothShape {
 public:
  ToothShape(const ToothForm& form, const ToothSize& size);

  // Distance from the side surface, endless upwards: what the gum clings to.
  [[nodiscard]] float wall(const Eigen::Vector3f& p_mm) const;

  // The crown and its root, given the wall at the same point.
  [[nodiscard]] float crown(const Eigen::Vector3f& p_mm, float wall_mm) const;

  // Height of the top over the point, negative below the highest cusp.
  [[nodiscard]] float top_mm(float x_mm, float y_mm) const;

 private:
  [[nodiscard]] float edge_top(float x_mm, float y_mm) const;
  [[nodiscard]] float cusp_top(float x_mm, float y_mm) const;
  [[nodiscard]] float hollows(float x_mm, float y_mm, float height) const;

  ToothForm form_;
  ToothSize size_;
  Eigen::Array2f half_;  // half widths
};

}  // namespace cusp::sim
