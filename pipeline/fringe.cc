#include "pipeline/fringe.h"

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "pipeline/align_colour.h"
#include "pipeline/fringe_flow.h"
#include "pipeline/fringe_kernel.h"
#include "pipeline/fringe_ripple.h"
#include "pipeline/fringe_tables.h"

namespace cusp {
namespace {

constexpr int kMaxSidePx = 4096;
constexpr std::size_t kRowsABand = 80;
constexpr double kMaxWeight = 32766;  // of a picture
constexpr double kTurn = 2 * std::numbers::pi;
constexpr double kEven = 1e-3;  // rad

// Rounded, but still adding up to nothing: what is the same in all pictures is no fringe.
std::vector<std::int16_t> whole_weights(const Eigen::RowVectorXd& weights) {
  std::vector<std::int16_t> whole;
  double owed = 0;
  for (const double weight : weights) {
    const double rounded = std::round(weight + owed);
    owed += weight - rounded;
    whole.push_back(static_cast<std::int16_t>(rounded));
  }
  return whole;
}

// Steps that share a turn evenly, in any order: what is not linear in the light then shows in one
// harmonic.
bool are_even(std::vector<double> phases) {
  for (double& phase : phases) {
    phase = std::fmod(phase - phases.front(), kTurn);
    if (phase < -kEven) phase += kTurn;
  }
  std::ranges::sort(phases);
  const double step = kTurn / static_cast<double>(phases.size());
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (std::abs(phases[i] - phases[0] - step * static_cast<double>(i)) > kEven) return false;
  return true;
}

Result<std::vector<FringePitch>> pitch_sets(const FringeOptics& optics, const std::string& id) {
  std::map<float, std::vector<std::size_t>, std::greater<>> pictures_of;  // by pitch
  for (std::size_t k = 0; k < optics.patterns.size(); ++k) {
    const auto pitch = static_cast<float>(optics.patterns[k].pitch_px);
    if (!(pitch > 1) || !std::isfinite(pitch) || !std::isfinite(optics.patterns[k].phase_rad))
      return error(ErrorCode::kInvalidArgument, "calibration {}: pattern {} has a pitch of {} px",
                   id, k, pitch);
    pictures_of[pitch].push_back(k);
  }
  std::vector<FringePitch> sets;
  for (const auto& [pitch, pictures] : pictures_of) {
    FringePitch& set = sets.emplace_back();
    set.pitch_px = pitch;
    set.pictures = pictures.size();
    const auto count = static_cast<Eigen::Index>(pictures.size());
    Eigen::MatrixXd design(count, 3);
    std::vector<double> phases;
    for (Eigen::Index i = 0; i < count; ++i) {
      const double phase = optics.patterns[pictures[static_cast<std::size_t>(i)]].phase_rad;
      design.row(i) << 1, std::cos(phase), std::sin(phase);
      phases.push_back(phase);
    }
    const Eigen::Matrix3d normal = design.transpose() * design;
    if (count < 3 || std::abs(normal.determinant()) < 1e-3)
      return error(ErrorCode::kInvalidArgument,
                   "calibration {}: {} patterns of pitch {} px do not fix a phase", id, count,
                   set.pitch_px);
    const Eigen::MatrixXd weights = normal.inverse() * design.transpose();
    const double unit = weights.bottomRows(2).cwiseAbs().maxCoeff() / kMaxWeight;
    const std::vector<std::int16_t> cosine = whole_weights(weights.row(1) / unit);
    const std::vector<std::int16_t> sine = whole_weights(weights.row(2) / unit);
    set.per_weight = static_cast<float>(unit);
    for (std::size_t i = 0; i < set.pictures; ++i)
      set.steps.push_back({.picture = pictures[i],
                           .cosine = static_cast<float>(std::cos(phases[i])),
                           .sine = static_cast<float>(std::sin(phases[i])),
                           .turns = static_cast<float>(std::remainder(phases[i] / kTurn, 1.0))});
    for (std::size_t i = 0; i < set.pictures; i += 2) {
      const bool alone = i + 1 == set.pictures;
      const std::size_t j = alone ? i : i + 1;
      set.pairs.push_back({.pictures = {pictures[i], pictures[j]},
                           .cosine = {cosine[i], alone ? std::int16_t{0} : cosine[j]},
                           .sine = {sine[i], alone ? std::int16_t{0} : sine[j]},
                           .light = {1, static_cast<std::int16_t>(alone ? 0 : 1)}});
    }
    if (are_even(phases) && phases.front() == 0) set.bend.order = static_cast<int>(count);
    set.phase_noise = static_cast<float>(std::sqrt(0.5 * weights.bottomRows(2).squaredNorm()));
  }
  return sets;
}

bool usable(const Intrinsics& optics) {
  const auto size = [](int side) { return side > 0 && side <= kMaxSidePx; };
  const auto focal = [](double f) { return std::isfinite(f) && f > 0; };
  return size(optics.width_px) && size(optics.height_px) && focal(optics.fx_px) &&
         focal(optics.fy_px) && std::isfinite(optics.cx_px) && std::isfinite(optics.cy_px);
}

}  // namespace

struct FringeDecoder::State {
  // Rows of the depth image, decoded and straightened while they are in the cache.
  struct Band {
    std::size_t first = 0, end = 0;                // of the depth image
    std::size_t first_source = 0, end_source = 0;  // of the pictures, which it is looked up in
    // As the camera's lens shows it; a row longer, for its lookers-up.
    std::vector<float> inverse_depth{}, inverse_sigma{};
    std::vector<FringeFlow> flows{};  // of a row
  };
  static std::vector<Band> make_bands(const FringeTables& tables, std::size_t width,
                                      std::size_t height) {
    std::vector<Band> bands;
    for (std::size_t first = 0; first < height; first += kRowsABand) {
      Band& band = bands.emplace_back();
      band.first = first;
      band.end = std::min(height, first + kRowsABand);
      const auto [lowest, highest] = tables.source_rows(band.first, band.end);
      band.first_source = lowest;
      band.end_source = std::min(height, highest + 2);
      band.inverse_depth.resize((band.end_source - lowest + 1) * width + kFringeLanes);
      band.inverse_sigma.resize(band.inverse_depth.size());
    }
    return bands;
  }

  State(const Calibration& device, const FringeLimits& limits, std::vector<FringePitch> pitches,
        FringeTables baked)
      : calibration(device),
        sets(std::move(pitches)),
        flow_field(device, limits.min_depth_mm, limits.max_depth_mm),
        width(static_cast<std::size_t>(device.depth.width_px)),
        height(static_cast<std::size_t>(device.depth.height_px)),
        gates{.min_modulation = static_cast<float>(limits.min_modulation),
              .saturated_from = limits.saturated_from,
              .read_noise = static_cast<float>(limits.read_noise),
              .shot_noise = static_cast<float>(limits.shot_noise)},
        tables(std::move(baked)),
        bands(make_bands(tables, width, height)),
        pictures(device.fringe->patterns.size()),
        clock_times(pictures.size()),
        numbers(pictures.size()) {}

  // Finds what bends the waves, and decodes as if nothing moved.
  void decode(WorkerPool& pool) {
    FringeRipple::Pictures seen{.width = width, .height = height};
    for (const auto& picture : pictures) seen.of_pattern.push_back(picture.data());
    ripple.find(seen, tables.rays, gates, sets, pool);
    decode_bands(false, pool);
  }

  void decode_bands(bool moves, WorkerPool& pool) {
    frame.intrinsics = calibration.depth;
    frame.depth_mm.resize(width * height);
    frame.sigma_mm.resize(width * height);
    frame.rgb.clear();
    pool.for_chunks(bands.size(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) decode(bands[i], moves);
    });
  }

  // Writes into the steps when they were taken, in this sequence's own times from picture to
  // picture; such a time as a share of that since the sequence before. Nothing, when what is known
  // of the times can't be true: pictures come one after the other, and no sequence takes longer
  // than from one to the next.
  [[nodiscard]] std::optional<double> time_steps() {
    if (!before || before->clock != now->clock) return std::nullopt;
    const std::vector<double>& taken = now->of_pattern;
    const double passed = now->middle - before->middle;
    const double took = taken.back() - taken.front();
    if (std::ranges::adjacent_find(taken, std::ranges::greater_equal{}) != taken.end() ||
        took > passed)
      return std::nullopt;
    const double picture = took / static_cast<double>(taken.size() - 1);
    for (FringePitch& set : sets)
      for (FringeStep& step : set.steps)
        step.time = static_cast<float>((taken[step.picture] - now->middle) / picture);
    return picture / passed;
  }

  Result<void> take_colour(RawFrame frame_in_colour) {
    Colour taken{.picture = {.format = frame_in_colour.format,
                             .width_px = frame_in_colour.width_px,
                             .height_px = frame_in_colour.height_px,
                             .device_time = frame_in_colour.device_time,
                             .bytes = std::move(frame_in_colour.bytes)},
                 .clock = frame_in_colour.device_time.has_value()};
    CUSP_TRY(check_colour(taken.picture, calibration.depth, frame_in_colour.sequence));
    taken.time = taken.clock ? static_cast<double>(frame_in_colour.device_time->count())
                             : static_cast<double>(frame_in_colour.sequence);
    colour = std::move(taken);
    return {};
  }
  // By the picture that was taken since the sequence before, from where the sensor was then.
  void colour_by(const RigidTransform& before_from_now) {
    const auto taken = std::exchange(colour, std::nullopt);
    if (!taken || taken->clock != now->clock || taken->time < before->middle ||
        taken->time > now->middle)
      return;
    const double share = (taken->time - before->middle) / (now->middle - before->middle);
    const ColourOptics optics{
        .intrinsics = calibration.depth,
        .distortion = calibration.fringe->camera_distortion,
        .colour_from_depth = scaled(before_from_now, share).inverse() * before_from_now};
    const auto aligned = align_colour(frame, taken->picture, optics);
    CUSP_CHECK(aligned.ok(), "the picture fits, it was looked at when it came");
  }

  void decode(Band& band, bool moves) {
    std::array<const std::uint8_t*, kMaxFringePictures> rows{};
    for (std::size_t y = band.first_source; y < band.end_source; ++y) {
      const std::size_t to = (y - band.first_source) * width;
      for (std::size_t k = 0; k < pictures.size(); ++k) rows[k] = pictures[k].data() + y * width;
      std::optional<FringeFlows> flows;
      if (moves) flows = flow_field.row(y, band.flows);
      kernel.decode(sets, rows.data(), tables.rays.data() + y * tables.eights,
                    flows ? &*flows : nullptr, width, gates, band.inverse_depth.data() + to,
                    band.inverse_sigma.data() + to);
    }
    const BentDepth bent{.inverse_depth = band.inverse_depth.data(),
                         .inverse_sigma = band.inverse_sigma.data(),
                         .width = width,
                         .first_row = static_cast<std::int32_t>(band.first_source),
                         .pixel_at_1mm = static_cast<float>(1 / calibration.depth.fx_px)};
    for (std::size_t y = band.first; y < band.end; ++y)
      kernel.straighten(bent, tables.sources.data() + y * tables.eights, width,
                        frame.depth_mm.data() + y * width, frame.sigma_mm.data() + y * width);
  }

  const Calibration calibration;
  std::vector<FringePitch> sets;  // from the coarsest to the finest
  FringeRipple ripple;
  FringeFlowField flow_field;
  const std::size_t width, height;
  const FringeKernel kernel = fringe_kernel();
  const FringeGates gates;
  const FringeTables tables;
  std::vector<Band> bands;
  DepthFrame frame;

  // When a sequence's pictures were taken: by the device's clock, ns, or else their numbers.
  struct Moments {
    bool clock = true;
    std::vector<double> of_pattern;
    double middle = 0;  // of the finest pitch's: what the depth image shows
  };
  // Of the pictures at hand.
  [[nodiscard]] Moments moments() const {
    Moments taken;
    for (const auto& time : clock_times) taken.clock &= time.has_value();
    for (std::size_t k = 0; k < pictures.size(); ++k)
      taken.of_pattern.push_back(taken.clock ? static_cast<double>(clock_times[k]->count())
                                             : static_cast<double>(numbers[k]));
    const FringePitch& finest = sets.back();
    for (const FringeStep& step : finest.steps)
      taken.middle += taken.of_pattern[step.picture] / static_cast<double>(finest.pictures);
    return taken;
  }
  std::optional<std::uint32_t> sequence;            // that is being gathered
  std::optional<Moments> before, now;               // of the last two that were whole
  std::uint32_t have = 0;                           // bit k: picture k is here
  std::vector<std::vector<std::uint8_t>> pictures;  // by pattern, as what follows
  std::vector<std::optional<std::chrono::nanoseconds>> clock_times;
  std::vector<std::uint64_t> numbers;
  std::uint64_t incomplete = 0;
  struct Colour {
    ColourPicture picture;
    bool clock = true;
    double time = 0;  // as Moments
  };
  std::optional<Colour> colour;  // the last, until a sequence's motion is known
};

Result<FringeDecoder> FringeDecoder::create(const Calibration& calibration,
                                            const FringeLimits& limits) {
  CUSP_CHECK(limits.min_depth_mm > 0 && limits.max_depth_mm > limits.min_depth_mm, "a range");
  if (!calibration.fringe)
    return error(ErrorCode::kInvalidArgument, "calibration {}: it has no projector",
                 calibration.id);
  const FringeOptics& fringe = *calibration.fringe;
  if (!usable(calibration.depth) || !usable(fringe.projector) ||
      !fringe.projector_from_camera.matrix().allFinite() ||
      fringe.projector_from_camera.translation().norm() == 0)
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: its camera, its projector or where they stand can't be used",
                 calibration.id);
  if (fringe.patterns.empty() || fringe.patterns.size() > kMaxFringePictures)
    return error(ErrorCode::kInvalidArgument, "calibration {}: {} patterns; 3 to {} can be used",
                 calibration.id, fringe.patterns.size(), kMaxFringePictures);
  CUSP_ASSIGN(auto sets, pitch_sets(fringe, calibration.id));
  FringeLimits within = limits;
  within.min_depth_mm = std::max(within.min_depth_mm, fringe.min_depth_mm);
  if (fringe.max_depth_mm > 0)
    within.max_depth_mm = std::min(within.max_depth_mm, fringe.max_depth_mm);
  if (!(within.min_depth_mm < within.max_depth_mm))
    return error(ErrorCode::kInvalidArgument,
                 "calibration {}: its working range of {} to {} mm lies outside {} to {} mm",
                 calibration.id, fringe.min_depth_mm, fringe.max_depth_mm, limits.min_depth_mm,
                 limits.max_depth_mm);
  CUSP_ASSIGN(auto tables,
              FringeTables::create(calibration, within.min_depth_mm, within.max_depth_mm));
  return FringeDecoder(
      std::make_unique<State>(calibration, within, std::move(sets), std::move(tables)));
}

FringeDecoder::FringeDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
FringeDecoder::~FringeDecoder() = default;
FringeDecoder::FringeDecoder(FringeDecoder&&) noexcept = default;
FringeDecoder& FringeDecoder::operator=(FringeDecoder&&) noexcept = default;

std::uint64_t FringeDecoder::incomplete() const { return state_->incomplete; }

Result<DepthFrame*> FringeDecoder::add(RawFrame frame, WorkerPool& pool) {
  State& s = *state_;
  const auto patterns = static_cast<int>(s.pictures.size());
  if (!frame.fringe || frame.fringe->patterns != patterns || frame.fringe->pattern < 0 ||
      frame.fringe->pattern > patterns)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: it is no picture of the {} patterns of calibration {}", frame.sequence,
                 patterns, s.calibration.id);
  if (frame.fringe->pattern == patterns) {
    CUSP_TRY(s.take_colour(std::move(frame)));
    return nullptr;
  }
  if (frame.format != PixelFormat::kGrey8 || frame.bytes.size() != s.width * s.height ||
      frame.width_px != s.calibration.depth.width_px)
    return error(ErrorCode::kInvalidArgument,
                 "frame {}: {} of {}x{} px, calibration {} is for GREY8 of {}x{} px",
                 frame.sequence, to_string(frame.format), frame.width_px, frame.height_px,
                 s.calibration.id, s.width, s.height);
  if (s.sequence != frame.fringe->sequence) {
    if (s.have != 0) ++s.incomplete;
    s.sequence = frame.fringe->sequence;
    s.have = 0;
  }
  const auto k = static_cast<std::size_t>(frame.fringe->pattern);
  // The kernel reads whole eights.
  if (s.width % kFringeLanes != 0) frame.bytes.resize(frame.bytes.size() + kFringeLanes);
  s.pictures[k] = std::move(frame.bytes);
  s.clock_times[k] = frame.device_time;
  s.numbers[k] = frame.sequence;
  s.have |= std::uint32_t{1} << k;
  if (s.have != static_cast<std::uint32_t>((std::uint64_t{1} << patterns) - 1)) return nullptr;
  s.have = 0;
  s.before = std::exchange(s.now, s.moments());
  s.decode(pool);
  s.frame.sequence = frame.fringe->sequence;
  s.frame.host_time = frame.host_time;
  return &s.frame;
}

DepthFrame* FringeDecoder::follow(const RigidTransform& before_from_now, WorkerPool& pool) {
  State& s = *state_;
  CUSP_CHECK(s.now && s.have == 0, "follow() comes after a whole sequence");
  const auto share = s.time_steps();
  if (!share) return nullptr;
  s.flow_field.set(before_from_now, *share);
  s.decode_bands(true, pool);
  s.colour_by(before_from_now);
  return &s.frame;
}

}  // namespace cusp
