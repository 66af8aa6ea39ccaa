// Replaying a capture: the unmodified driver, reconstruction and finish on what a file holds.
//
// Of a scan that cuspd recorded, exactly the frames that reached its reconstruction are used, with
// its options, so that the same model comes out, bit for bit, at any speed and with any number of
// threads. Of other captures all frames are used. Threads: one call at a time; the driver runs on a
// thread of its own. Errors: as recording::Capture and the driver; kNotFound when no driver knows a
// device of the file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/mesh.h"
#include "drivers/recording/capture.h"
#include "drivers/recording/replay_transport.h"
#include "pipeline/scan_note.h"

namespace cusp::cuspctl {

struct ReplayWish {
  bool real_time = false;
  std::optional<int> threads;
  // Of captures without notes; else they say.
  ScanNote scan;
  std::string device;  // "2:7" as Capture lists it; empty: the first that a driver knows
  std::function<void(const std::string&)>
      tell;  // one line for a person, now and then; may be empty
};

struct Replayed {
  DeviceInfo device;
  std::string calibration_id;
  std::uint64_t frames = 0;   // reached the reconstruction
  std::uint64_t skipped = 0;  // came, but had not reached it then
  std::uint64_t missing = 0;  // had reached it then, but did not come
  ReconstructionCounts counts;
  std::string ended;  // why the last capture ended, a sentence
  Mesh mesh;
  std::vector<std::uint8_t> ply;  // the mesh with its expected errors, as cuspd writes it
  std::string mesh_sha256;        // of `ply`
  std::string recorded_sha256;    // empty: the recording does not say
};

// What a recording's notes say; empty parts where it says nothing.
struct ScanNotes {
  std::optional<ScanNote> scan;
  std::vector<FramesNote> frames;
  std::optional<ResultNote> result;
};
ScanNotes notes_of(const recording::Capture& capture);

// The openings of one device, which replay one after another: after a pause or a replugging it is
// the same one. `device` as in ReplayWish. Captures of other programs may show two cameras of one
// model: there an address that was asked for means that one alone, and without a serial number
// nothing else tells them apart.
Result<std::vector<std::size_t>> openings_of(const recording::Capture& capture,
                                             const std::string& device);

Result<Replayed> replay_scan(const std::shared_ptr<const recording::Capture>& capture,
                             const ReplayWish& wish);

}  // namespace cusp::cuspctl
