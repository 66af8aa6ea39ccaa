// How the firmware double describes its video functions: as a D435 does, with the model's own lists
// of modes. Threads: values and functions.
#pragma once

#include <vector>

#include "drivers/realsense_d400/emulator.h"

namespace cusp::realsense_d400 {

inline constexpr std::uint8_t kEmulatorCamera = 1;
inline constexpr std::uint8_t kEmulatorProcessingUnit = 2;
inline constexpr std::uint8_t kEmulatorDepthUnit = 3;

// The model's list of depth modes, then the size of options.depth if the list lacks it; no rate
// above options.max_rate_hz.
std::vector<uvc::FrameDescriptor> emulator_frames(const EmulatorOptions& options);
// Likewise of colour modes.
std::vector<uvc::FrameDescriptor> emulator_colour_frames(const EmulatorOptions& options);

// Interfaces 0 and 1.
EmulatedVideoFunction emulator_depth_function(const EmulatorOptions& options);
// The colour stream: interface 2 of a D405's depth function.
EmulatedStream emulator_colour_stream(const EmulatorOptions& options, int interface_number);
// The colour camera's function of the other models: interfaces 2 and 3, without its stream.
EmulatedVideoFunction emulator_colour_function();

}  // namespace cusp::realsense_d400
