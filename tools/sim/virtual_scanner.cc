#include "tools/sim/virtual_scanner.h"

#include <algorithm>
#include <system_error>

#include "tools/sim/depth_renderer.h"
#include "tools/sim/png_file.h"
#include "tools/sim/soft_tissue.h"

namespace cusp::sim {
namespace {

constexpr std::uint64_t kMostRecordedBytes = std::uint64_t{2} << 30;

}  // namespace

Result<Scene> make_mesh_scene(std::string name, const Mesh& mesh, const SceneOptions& options) {
  CUSP_ASSIGN(DepthRenderer renderer, DepthRenderer::create(mesh));
  CUSP_ASSIGN(OperatorPath path, options.sweeps
                                     ? sweep_teeth(mesh, *options.sweeps)
                                     : OperatorPath::around(mesh, options.camera, options.path));
  const double rate_hz = options.sweeps ? options.sweeps->rate_hz : options.path.rate_hz;
  const double standoff_mm =
      options.sweeps ? options.sweeps->standoff_mm : options.path.standoff_mm;
  std::optional<SoftTissueMotion> soft_tissue;
  if (options.soft_tissue)
    soft_tissue.emplace(*options.soft_tissue, path, rate_hz, standoff_mm, options.noise.seed);

  struct State {
    DepthRenderer renderer;
    OperatorPath path;
    StereoNoise noise;
    std::optional<SoftTissueMotion> soft_tissue;
    DepthImage image{};
  };
  auto state = std::make_shared<State>(State{std::move(renderer), std::move(path),
                                             StereoNoise(options.noise, options.camera),
                                             std::move(soft_tissue)});
  Scene scene;
  scene.name = std::move(name);
  scene.frames = state->path.frames();
  scene.pose = [state](std::uint64_t frame) { return state->path.scene_from_sensor(frame); };
  scene.measure = [state, camera = options.camera, noisy = options.with_noise, rate_hz,
                   unit = options.noise.depth_unit_mm](std::uint64_t frame,
                                                       std::span<std::uint16_t> z16) {
    const RigidTransform& pose = state->path.scene_from_sensor(frame);
    state->renderer.render(camera, pose, state->image);
    if (state->soft_tissue)
      hide_behind(state->soft_tissue->at(static_cast<double>(frame) / rate_hz), pose, state->image);
    if (noisy)
      state->noise.measure(state->image, frame, z16);
    else
      quantise(state->image, unit, z16);
  };
  return scene;
}

Result<Scene> make_recorded_scene(std::string name, const std::filesystem::path& folder,
                                  const Intrinsics& camera, std::uint64_t most_frames) {
  CUSP_ASSIGN(std::vector<std::filesystem::path> files, list_pngs(folder));
  if (files.size() > most_frames) files.resize(static_cast<std::size_t>(most_frames));

  const std::uint64_t frame_bytes = std::uint64_t{2} * static_cast<std::uint64_t>(camera.width_px) *
                                    static_cast<std::uint64_t>(camera.height_px);
  if (files.size() > kMostRecordedBytes / std::max<std::uint64_t>(frame_bytes, 1))
    return error(ErrorCode::kNoSpace, "{}: {} frames are too many to keep in memory",
                 folder.string(), files.size());
  auto frames = std::make_shared<std::vector<GreyImage16>>();
  for (const auto& file : files) {
    CUSP_ASSIGN(GreyImage16 image, read_png16(file));
    if (image.width_px != camera.width_px || image.height_px != camera.height_px)
      return error(ErrorCode::kInvalidArgument, "{}: {}x{} pixels, the camera has {}x{}",
                   file.string(), image.width_px, image.height_px, camera.width_px,
                   camera.height_px);
    frames->push_back(std::move(image));
  }
  Scene scene;
  scene.name = std::move(name);
  scene.frames = frames->size();
  scene.measure = [frames](std::uint64_t frame, std::span<std::uint16_t> z16) {
    const auto index = std::min<std::uint64_t>(frame, frames->size() - 1);
    const auto& pixels = (*frames)[static_cast<std::size_t>(index)].pixels;
    std::copy_n(pixels.begin(), z16.size(), z16.begin());
  };
  return scene;
}

Result<std::unique_ptr<VirtualScanner>> VirtualScanner::create(std::vector<Scene> scenes,
                                                               const Intrinsics& camera,
                                                               std::filesystem::path truth_folder) {
  CUSP_CHECK(!scenes.empty(), "a scanner needs something in front of it");
  const auto pixels =
      static_cast<std::size_t>(camera.width_px) * static_cast<std::size_t>(camera.height_px);
  std::unique_ptr<VirtualScanner> scanner(
      new VirtualScanner(std::move(scenes), pixels, std::move(truth_folder)));
  CUSP_TRY(scanner->show_locked(0));
  return scanner;
}

VirtualScanner::VirtualScanner(std::vector<Scene> scenes, std::size_t pixels,
                               std::filesystem::path truth_folder)
    : scenes_(std::move(scenes)), pixels_(pixels), truth_folder_(std::move(truth_folder)) {}

Result<void> VirtualScanner::show(const std::string& name) {
  const auto found = std::find_if(scenes_.begin(), scenes_.end(),
                                  [&](const Scene& scene) { return scene.name == name; });
  if (found == scenes_.end()) {
    std::string names;
    for (const Scene& scene : scenes_) names += (names.empty() ? "" : ", ") + scene.name;
    return error(ErrorCode::kNotFound, "scene \"{}\": there is none of that name, only: {}", name,
                 names);
  }
  const std::lock_guard lock(mutex_);
  return show_locked(static_cast<std::size_t>(found - scenes_.begin()));
}

Result<void> VirtualScanner::show_locked(std::size_t index) {
  std::optional<TrajectoryLog> truth;
  if (scenes_[index].pose) {
    CUSP_ASSIGN(truth, TrajectoryLog::create(truth_folder_ /
                                             fmt::format("truth-{}.log", scenes_[index].name)));
  }
  truth_ = std::move(truth);
  fault_.reset();
  shown_ = index;
  first_device_frame_.reset();
  next_ = 0;
  return {};
}

ScanProgress VirtualScanner::progress() const {
  const std::lock_guard lock(mutex_);
  const Scene& scene = scenes_[shown_];
  return {scene.name, next_, scene.frames, next_ >= scene.frames, fault_};
}

std::uint64_t VirtualScanner::step(std::uint64_t device_frame) {
  // Made ahead before the scene was shown, and now asked for again: the path begins there.
  if (first_device_frame_ && device_frame < *first_device_frame_)
    if (auto again = show_locked(shown_); !again) fault_ = again.error().message;
  if (!first_device_frame_) first_device_frame_ = device_frame;
  const std::uint64_t frame = device_frame - *first_device_frame_;
  if (frame < next_) return frame;
  if (truth_) {
    if (auto written = truth_->append({frame, device_frame, scenes_[shown_].pose(frame)});
        !written) {
      fault_ = written.error().message;
      truth_.reset();
    }
  }
  next_ = frame + 1;
  return frame;
}

bool VirtualScanner::next_frame(std::uint64_t device_frame, std::span<std::uint16_t> z16) {
  const std::lock_guard lock(mutex_);
  if (z16.size() != pixels_) {
    fault_ = fmt::format("the host asked for {} pixels, the camera has {}", z16.size(), pixels_);
    return false;
  }
  const std::uint64_t frame = step(device_frame);
  scenes_[shown_].measure(frame, z16);
  return true;
}

bool VirtualScanner::next_picture(std::uint64_t device_frame, const FringeIndex& index,
                                  std::span<std::uint8_t> out) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t frame = step(device_frame);
  if (scenes_[shown_].picture(frame, index, out)) return true;
  fault_ =
      fmt::format("there is no picture of pattern {} with {} bytes", index.pattern, out.size());
  return false;
}

bool VirtualScanner::next_photo(std::uint64_t device_frame, int width_px, int height_px,
                                std::span<std::uint8_t> rgb) {
  const std::lock_guard lock(mutex_);
  step(device_frame);
  if (scenes_[shown_].photo(width_px, height_px, rgb)) return true;
  fault_ = fmt::format("there is no picture of {}x{} pixels", width_px, height_px);
  return false;
}

std::optional<ImuSample> VirtualScanner::imu(std::uint64_t device_frame, double rate_hz) const {
  const std::lock_guard lock(mutex_);
  const auto& pose = scenes_[shown_].pose;
  if (!pose || !first_device_frame_ || device_frame < *first_device_frame_) return std::nullopt;
  constexpr double kGravity_m_s2 = 9.81, kMetresAMm = 1e-3;
  const std::uint64_t frame = std::max<std::uint64_t>(device_frame - *first_device_frame_, 1);
  const RigidTransform before = pose(frame - 1), here = pose(frame), after = pose(frame + 1);
  const Eigen::AngleAxisd turn(before.linear().transpose() * after.linear());
  const Eigen::Vector3d rad_s = turn.angle() * turn.axis() * rate_hz / 2;
  const Eigen::Vector3d bend_mm =
      after.translation() - 2 * here.translation() + before.translation();
  const Eigen::Vector3d m_s2 =
      here.linear().transpose() *
      (kMetresAMm * rate_hz * rate_hz * bend_mm + kGravity_m_s2 * Eigen::Vector3d::UnitZ());
  ImuSample sample;
  Eigen::Vector3f::Map(sample.acceleration_m_s2.data()) = m_s2.cast<float>();
  Eigen::Vector3f::Map(sample.angular_velocity_rad_s.data()) = rad_s.cast<float>();
  return sample;
}

}  // namespace cusp::sim
