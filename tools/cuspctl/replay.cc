#include "tools/cuspctl/replay.h"

#include <algorithm>
#include <map>
#include <thread>

#include "delivery/digest.h"
#include "drivers/driver.h"
#include "pipeline/export.h"
#include "pipeline/refine.h"

namespace cusp::cuspctl {
namespace {

using recording::Capture;
using recording::CapturedOpening;

constexpr std::size_t kQueue = 4;
constexpr std::uint64_t kTellEvery = 100;

std::string address_of(const CapturedOpening& opening) {
  return fmt::format("{}:{}", opening.address.bus, opening.address.device);
}

const Driver* driver_of(const CapturedOpening& opening) {
  const auto identity = identity_of(opening.device_descriptor, opening.config_descriptor);
  return identity.ok() ? find_driver(*identity) : nullptr;
}

// The frames of one opening that reached the reconstruction then.
class Wanted {
 public:
  Wanted(const ScanNotes& notes, std::size_t opening) : all_(!notes.result) {
    for (const FramesNote& note : notes.frames)
      if (note.opening == opening)
        for (const FramesNote::Range& range : note.ranges) ranges_[range.first] = range.last;
  }
  [[nodiscard]] bool holds(std::uint64_t sequence) const {
    if (all_) return true;
    const auto after = ranges_.upper_bound(sequence);
    return after != ranges_.begin() && sequence <= std::prev(after)->second;
  }

 private:
  const bool all_;
  std::map<std::uint64_t, std::uint64_t> ranges_;  // first to last
};

// One replay from the first opening to the last.
class Replay {
 public:
  Replay(std::shared_ptr<const Capture> capture, const ReplayWish& wish)
      : capture_(std::move(capture)), wish_(wish), notes_(notes_of(*capture_)) {
    scan_ = notes_.scan.value_or(wish.scan);
    if (wish.threads) scan_.reconstruction.threads = *wish.threads;
    if (notes_.result) replayed_.recorded_sha256 = notes_.result->mesh_sha256;
  }

  Result<Replayed> run() {
    CUSP_ASSIGN(const auto openings, openings_of(*capture_, wish_.device));
    for (const std::size_t opening : openings) CUSP_TRY(replay_opening(opening));
    if (!reconstruction_)
      return error(ErrorCode::kInvalidArgument, "{}: the device did not get as far as a frame: {}",
                   capture_->path().string(), replayed_.ended);
    replayed_.counts = reconstruction_->counts();
    if (notes_.result && notes_.result->frames > replayed_.frames)
      replayed_.missing = notes_.result->frames - replayed_.frames;
    CUSP_ASSIGN(RefinedScan refined,
                refine(reconstruction_->log(), reconstruction_->options(), *calibration_));
    CUSP_ASSIGN(FinishedModel model, finish(std::move(refined.mesh), scan_.finish));
    replayed_.mesh = std::move(model.mesh);
    WorkerPool pool(scan_.reconstruction.threads);
    replayed_.ply = to_ply(replayed_.mesh,
                           {.filled = model.filled,
                            .expected_error_mm = refined.expected_error.of(replayed_.mesh, pool),
                            .colours = refined.colours.of(replayed_.mesh, pool)});
    replayed_.mesh_sha256 = delivery::sha256_hex(replayed_.ply);
    return std::move(replayed_);
  }

 private:
  // What ends an opening ended it then, too: the next one follows.
  Result<void> replay_opening(std::size_t opening) {
    const CapturedOpening& captured = capture_->openings()[opening];
    CUSP_ASSIGN(auto cable, recording::make_replay_transport(capture_, opening,
                                                             {.real_time = wish_.real_time}));
    const Driver* const driver = driver_of(captured);
    if (driver == nullptr)
      return error(ErrorCode::kNotFound, "{}: no driver knows device {} ({})",
                   capture_->path().string(), address_of(captured), captured.identity());
    auto device = driver->open(std::move(cable));
    if (!device.ok()) return ended(device.error());
    if (const auto begun = begin(**device); !begun.ok()) return ended(begun.error());
    const Wanted wanted(notes_, opening);
    while (true) {
      const Result<void> result = capture(**device, wanted);
      if (result.ok()) return {};
      replayed_.ended = result.error().message;
      // It was stopped then, and begun again.
      if (result.error().code != ErrorCode::kCancelled) return {};
    }
  }
  Result<void> ended(const Error& why) {
    replayed_.ended = why.message;
    return {};
  }

  Result<void> begin(Device& device) {
    StreamMode mode{scan_.width_px, scan_.height_px, scan_.rate_hz};
    const auto modes = device.modes();
    if (mode.width_px == 0 && !modes.empty()) mode = modes.front();
    CUSP_TRY(device.configure(mode));
    CUSP_ASSIGN(const Calibration calibration, device.read_calibration());
    replayed_.device = device.info();
    replayed_.calibration_id = calibration.id;
    if (!reconstruction_) {
      calibration_ = calibration;
      reconstruction_.emplace(scan_.reconstruction, calibration);
    } else if (calibration.id != calibration_->id || !(calibration.depth == calibration_->depth)) {
      return error(ErrorCode::kConflict, "its calibration {} is not {}", calibration.id,
                   calibration_->id);
    }
    return {};
  }

  Result<void> capture(Device& device, const Wanted& wanted) {
    BoundedQueue<RawFrame> queue(kQueue, WhenFull::kBlock);
    Result<void> result;
    std::jthread thread([&](const std::stop_token& stop) {
      result = device.capture(queue, stop);
      queue.close();
    });
    while (auto frame = queue.pop()) {
      if (!wanted.holds(frame->sequence)) {
        ++replayed_.skipped;
        continue;
      }
      ++replayed_.frames;
      // A frame that was refused then is refused again, and changes nothing.
      static_cast<void>(reconstruction_->add(std::move(*frame)));
      if (wish_.tell && replayed_.frames % kTellEvery == 0)
        wish_.tell(fmt::format("{} frames", replayed_.frames));
    }
    thread.join();
    return result;
  }

  const std::shared_ptr<const Capture> capture_;
  const ReplayWish& wish_;
  const ScanNotes notes_;
  ScanNote scan_;
  Replayed replayed_;
  std::optional<Calibration> calibration_;
  std::optional<Reconstruction> reconstruction_;
};

}  // namespace

ScanNotes notes_of(const Capture& capture) {
  ScanNotes notes;
  for (const std::string& text : capture.notes()) {
    if (auto scan = scan_note(text)) notes.scan = std::move(scan);
    if (auto frames = frames_note(text)) notes.frames.push_back(std::move(*frames));
    if (auto result = result_note(text)) notes.result = std::move(result);
  }
  return notes;
}

Result<std::vector<std::size_t>> openings_of(const Capture& capture, const std::string& device) {
  const auto& all = capture.openings();
  const auto chosen = std::ranges::find_if(all, [&](const CapturedOpening& one) {
    return device.empty() ? driver_of(one) != nullptr : address_of(one) == device;
  });
  if (chosen == all.end()) {
    std::string list;
    for (const CapturedOpening& one : all)
      list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", address_of(one), one.identity());
    return error(ErrorCode::kNotFound, "{}: {}; it shows {}", capture.path().string(),
                 device.empty() ? "no driver knows a device of it" : "it shows no device " + device,
                 list);
  }
  const bool by_address =
      !chosen->by_cusp && (!device.empty() || chosen->string(recording::kSerialAt).empty());
  std::vector<std::size_t> openings;
  for (std::size_t i = static_cast<std::size_t>(chosen - all.begin()); i < all.size(); ++i)
    if (by_address ? all[i].address == chosen->address : all[i].identity() == chosen->identity())
      openings.push_back(i);
  return openings;
}

Result<Replayed> replay_scan(const std::shared_ptr<const Capture>& capture,
                             const ReplayWish& wish) {
  return Replay(capture, wish).run();
}

}  // namespace cusp::cuspctl
