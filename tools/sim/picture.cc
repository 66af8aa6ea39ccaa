#include "tools/sim/picture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <tuple>

#include "core/pose.h"
#include "tools/sim/embree_scene_internal.h"
#include "tools/sim/scan_frame.h"

namespace cusp::sim {
namespace {

using Eigen::Vector3f;

constexpr int kSamplesSide = 2;  // 2 x 2 samples a pixel
constexpr float kFieldOfView = 22.0F * std::numbers::pi_v<float> / 180.0F;
const Vector3f kStone(0.93F, 0.885F, 0.80F);  // linear light reflected: dental stone
const Vector3f kSky(0.985F, 0.988F, 0.992F), kGround(0.86F, 0.885F, 0.91F);

struct Light {
  Vector3f from;  // in the camera's frame: x right, y down, z forward
  float strength;
};
const std::array<Light, 3> kLights{{{Vector3f(-0.55F, -0.65F, -0.6F).normalized(), 0.55F},
                                    {Vector3f(0.80F, -0.10F, -0.6F).normalized(), 0.16F},
                                    {Vector3f(0.10F, 0.90F, -0.5F).normalized(), 0.08F}}};

// STL has every corner thrice; smooth shading needs it once.
Mesh welded(const Mesh& mesh) {
  Mesh result;
  std::map<std::tuple<float, float, float>, std::uint32_t> known;
  std::vector<std::uint32_t> index;
  index.reserve(mesh.vertices_mm.size());
  for (const Vector3f& v : mesh.vertices_mm) {
    const auto [at, is_new] = known.try_emplace(
        {v.x(), v.y(), v.z()}, static_cast<std::uint32_t>(result.vertices_mm.size()));
    if (is_new) result.vertices_mm.push_back(v);
    index.push_back(at->second);
  }
  for (const auto& t : mesh.triangles)
    result.triangles.push_back({index[t[0]], index[t[1]], index[t[2]]});
  compute_normals(result);
  return result;
}

// An arch is closed in front: there lies what is near the middle of its width.
double front_sign(const Mesh& mesh, const ScanFrame& frame) {
  double sum = 0;
  for (const Vector3f& vertex : mesh.vertices_mm) {
    const Eigen::Vector3d local =
        frame.axes.transpose() * (vertex.cast<double>() - frame.centre_mm);
    if (std::abs(local[0]) < 0.3 * frame.half_extent_mm[0]) sum += local[1];
  }
  return sum < 0 ? -1 : 1;
}

// Looks at the middle of the object from outside, with `up` upwards in the picture.
RigidTransform camera_pose(const Mesh& mesh, const ScanFrame& frame, PictureView view,
                           float aspect) {
  const Eigen::Vector3d occlusal = frame.axes.col(2);
  const Eigen::Vector3d front = front_sign(mesh, frame) * frame.axes.col(1);
  const Eigen::Vector3d left = occlusal.cross(front);
  Eigen::Vector3d out = occlusal, upright = front;
  switch (view) {
    case PictureView::kOcclusal:
      out = (occlusal + 0.10 * front).normalized();
      upright = front;
      break;
    case PictureView::kFront:
      out = (front + 0.45 * occlusal).normalized();
      upright = occlusal;
      break;
    case PictureView::kLeft:
      out = (left + 0.45 * occlusal + 0.35 * front).normalized();
      upright = occlusal;
      break;
  }
  RigidTransform pose = RigidTransform::Identity();
  pose.linear().col(2) = -out;
  pose.linear().col(0) = upright.cross(out).normalized();
  pose.linear().col(1) = pose.linear().col(2).cross(pose.linear().col(0));
  // Far enough that every vertex lies inside nine tenths of the picture.
  const double tan_y = 0.9 * std::tan(0.5 * kFieldOfView), tan_x = tan_y * aspect;
  double distance = 0;
  for (const Vector3f& vertex : mesh.vertices_mm) {
    const Eigen::Vector3d p = pose.linear().transpose() * (vertex.cast<double>() - frame.centre_mm);
    distance =
        std::max({distance, std::abs(p.x()) / tan_x - p.z(), std::abs(p.y()) / tan_y - p.z()});
  }
  pose.translation() = frame.centre_mm + distance * out;
  return pose;
}

// Radical inverse in base 2 (van der Corput): an even spread of directions without a generator.
float radical_inverse(std::uint32_t bits) {
  std::uint32_t reversed = 0;
  for (int i = 0; i < 32; ++i, bits >>= 1) reversed = (reversed << 1) | (bits & 1);
  return static_cast<float>(reversed >> 8) * 0x1p-24F;
}

class Shader {
 public:
  Shader(const Mesh& mesh, RTCScene scene, float reach_mm, int rays)
      : mesh_(mesh), scene_(scene), reach_mm_(reach_mm), rays_(rays) {}

  // Colour that a ray brings back, or nothing when it misses.
  std::optional<Vector3f> colour(const Vector3f& origin, const Vector3f& direction,
                                 const Eigen::Matrix3f& camera, std::uint32_t sample) const {
    RTCIntersectContext context;
    rtcInitIntersectContext(&context);
    RTCRayHit query{};
    set_ray(query.ray, origin, direction, 0, std::numeric_limits<float>::infinity());
    query.hit.geomID = RTC_INVALID_GEOMETRY_ID;
    rtcIntersect1(scene_, &context, &query);
    if (query.hit.geomID == RTC_INVALID_GEOMETRY_ID) return std::nullopt;

    const auto& corners = mesh_.triangles[query.hit.primID];
    Vector3f normal = (1 - query.hit.u - query.hit.v) * mesh_.normals[corners[0]] +
                      query.hit.u * mesh_.normals[corners[1]] +
                      query.hit.v * mesh_.normals[corners[2]];
    if (!(normal.squaredNorm() > 0))
      normal = Vector3f(query.hit.Ng_x, query.hit.Ng_y, query.hit.Ng_z);
    normal.normalize();
    if (normal.dot(direction) > 0) normal = -normal;
    const Vector3f point = origin + query.ray.tfar * direction;

    Vector3f light = Vector3f::Constant(0.32F * std::pow(openness(point, normal, sample), 1.5F));
    float gloss = 0;
    for (const Light& source : kLights) {
      const Vector3f towards = camera * source.from;
      const float facing = normal.dot(towards);
      if (facing <= 0) continue;
      light += Vector3f::Constant(source.strength * facing);
      const Vector3f half = (towards - direction).normalized();
      gloss += 0.16F * source.strength * std::pow(std::max(0.0F, normal.dot(half)), 40.0F);
    }
    return Vector3f(kStone.cwiseProduct(light) + Vector3f::Constant(gloss));
  }

 private:
  static void set_ray(RTCRay& ray, const Vector3f& origin, const Vector3f& direction, float near,
                      float far) {
    ray.org_x = origin.x();
    ray.org_y = origin.y();
    ray.org_z = origin.z();
    ray.dir_x = direction.x();
    ray.dir_y = direction.y();
    ray.dir_z = direction.z();
    ray.tnear = near;
    ray.tfar = far;
    ray.mask = 0xFFFFFFFFU;
  }

  // Cosine weighted share of the hemisphere from which nothing near hides the point.
  [[nodiscard]] float openness(const Vector3f& point, const Vector3f& normal,
                               std::uint32_t sample) const {
    const Vector3f side = normal.unitOrthogonal();
    const Vector3f other = normal.cross(side);
    const float turn = radical_inverse(sample * 2654435761U);  // Knuth's multiplicative hash
    int open = 0;
    for (int i = 0; i < rays_; ++i) {
      const float radius = std::sqrt((static_cast<float>(i) + 0.5F) / static_cast<float>(rays_));
      const float angle =
          2 * std::numbers::pi_v<float> * (radical_inverse(static_cast<std::uint32_t>(i)) + turn);
      const Vector3f direction = radius * (std::cos(angle) * side + std::sin(angle) * other) +
                                 std::sqrt(1 - radius * radius) * normal;
      RTCIntersectContext context;
      rtcInitIntersectContext(&context);
      RTCRay ray{};
      set_ray(ray, point + 1e-3F * reach_mm_ * normal, direction, 0, reach_mm_);
      rtcOccluded1(scene_, &context, &ray);
      if (ray.tfar >= 0) ++open;
    }
    return static_cast<float>(open) / static_cast<float>(rays_);
  }

  const Mesh& mesh_;
  RTCScene scene_;
  float reach_mm_;
  int rays_;
};

std::uint8_t to_srgb(float linear) {
  const float c = std::clamp(linear, 0.0F, 1.0F);
  const float s = c <= 0.0031308F ? 12.92F * c : 1.055F * std::pow(c, 1 / 2.4F) - 0.055F;
  return static_cast<std::uint8_t>(std::lround(255 * s));
}

}  // namespace

std::optional<PictureView> picture_view(std::string_view name) {
  if (name == "occlusal") return PictureView::kOcclusal;
  if (name == "front") return PictureView::kFront;
  if (name == "left") return PictureView::kLeft;
  return std::nullopt;
}

Result<std::vector<std::uint8_t>> render_picture(const Mesh& mesh, const PictureOptions& options) {
  const auto sane = [](int side) { return side >= 16 && side <= 8192; };
  if (!sane(options.width_px) || !sane(options.height_px) || options.occlusion_rays < 1)
    return error(ErrorCode::kInvalidArgument, "picture: {}x{} pixels; 16 to 8192 are possible",
                 options.width_px, options.height_px);
  CUSP_ASSIGN(const ScanFrame frame, find_scan_frame(mesh));
  const Mesh smooth = welded(mesh);
  CUSP_ASSIGN(const EmbreeScene scene, EmbreeScene::build(smooth));
  const float aspect = static_cast<float>(options.width_px) / static_cast<float>(options.height_px);
  const RigidTransform pose = camera_pose(smooth, frame, options.view, aspect);
  const Vector3f origin = pose.translation().cast<float>();
  const Eigen::Matrix3f camera = pose.linear().cast<float>();
  const auto reach = static_cast<float>(0.35 * frame.half_extent_mm.maxCoeff());
  const Shader shader(smooth, scene.handle(), reach, options.occlusion_rays);

  const float tan_y = std::tan(0.5F * kFieldOfView);
  const auto width = static_cast<float>(options.width_px);
  const auto height = static_cast<float>(options.height_px);
  std::vector<std::uint8_t> rgb;
  rgb.reserve(3 * static_cast<std::size_t>(options.width_px) *
              static_cast<std::size_t>(options.height_px));
  std::uint32_t sample = 0;
  for (int y = 0; y < options.height_px; ++y) {
    const float share = static_cast<float>(y) / height;
    const Vector3f background = (1 - share) * kSky + share * kGround;
    for (int x = 0; x < options.width_px; ++x) {
      Vector3f sum = Vector3f::Zero();
      for (int s = 0; s < kSamplesSide * kSamplesSide; ++s) {
        const float dx = (static_cast<float>(s % kSamplesSide) + 0.5F) / kSamplesSide;
        const float dy = (static_cast<float>(s / kSamplesSide) + 0.5F) / kSamplesSide;
        const Vector3f towards((2 * (static_cast<float>(x) + dx) / width - 1) * tan_y * aspect,
                               (2 * (static_cast<float>(y) + dy) / height - 1) * tan_y, 1);
        sum += shader.colour(origin, (camera * towards).normalized(), camera, sample++)
                   .value_or(background);
      }
      sum /= static_cast<float>(kSamplesSide * kSamplesSide);
      for (int c = 0; c < 3; ++c) rgb.push_back(to_srgb(sum[c]));
    }
  }
  return rgb;
}

}  // namespace cusp::sim
