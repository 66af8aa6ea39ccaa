// What a recording says about the reconstruction that was made of it, so that a replay can make the
// same one: how it was run, which frames reached it, and what came out.
//
// Notes are lines of text, "cusp.scan {...}", with JSON behind the name; none holds anything about
// a patient. Threads: values and functions. Errors: none; a text that is no such note, or is
// broken, gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/finish.h"
#include "pipeline/reconstruction.h"

namespace cusp {

// At the beginning.
struct ScanNote {
  std::string software_version;
  std::string stage;
  // The stream that was asked for; a width of 0 asks for the first that the device offers.
  int width_px = 0;
  int height_px = 0;
  double rate_hz = 0;
  ReconstructionOptions reconstruction;
  FinishOptions finish;
};

// Frames that reached the reconstruction, in their order, of one opening of the device. A long scan
// has several such notes.
struct FramesNote {
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  std::size_t opening = 0;  // counted from 0
  std::vector<Range> ranges;
};

// At the end. Without it the scan was broken off.
struct ResultNote {
  std::string mesh_sha256;  // of the model as PLY; empty: no model was made
  std::uint64_t frames = 0;
};

std::string to_text(const ScanNote& note);
std::string to_text(const FramesNote& note);
std::string to_text(const ResultNote& note);

std::optional<ScanNote> scan_note(std::string_view text);
std::optional<FramesNote> frames_note(std::string_view text);
std::optional<ResultNote> result_note(std::string_view text);

}  // namespace cusp
