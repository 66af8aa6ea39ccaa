// The descriptors of the firmware double, laid out as a D435 sends them (the depth function alone),
// with the model's own list of depth modes. Threads: values and functions.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/realsense_d400/emulator.h"
#include "drivers/uvc/descriptors.h"

namespace cusp::realsense_d400 {

inline constexpr std::uint8_t kEmulatorControlInterface = 0;
inline constexpr std::uint8_t kEmulatorStreamingInterface = 1;
inline constexpr std::uint8_t kEmulatorDepthUnit = 3;
inline constexpr std::uint8_t kEmulatorEndpoint = 0x82;
inline constexpr std::uint8_t kEmulatorFormatIndex = 1;
inline constexpr std::uint32_t kEmulatorClockHz = 48'000'000;
inline constexpr std::uint16_t kEmulatorUvcVersion = 0x0150;

// The model's list, then the size of options.depth if the list lacks it; no rate above
// options.max_rate_hz.
std::vector<uvc::FrameDescriptor> emulator_frames(const EmulatorOptions& options);
std::vector<std::uint8_t> emulator_device_descriptor(const EmulatorOptions& options);
std::vector<std::uint8_t> emulator_config_descriptor(
    const std::vector<uvc::FrameDescriptor>& frames);

}  // namespace cusp::realsense_d400
