// Numbers of the pcapng format that its writer and its reader share.
#pragma once

#include <cstdint>

namespace cusp::recording {

inline constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A;
inline constexpr std::uint32_t kInterfaceDescription = 1;
inline constexpr std::uint32_t kSimplePacket = 3;
inline constexpr std::uint32_t kInterfaceStatistics = 5;
inline constexpr std::uint32_t kEnhancedPacket = 6;
inline constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;

inline constexpr std::uint16_t kEndOfOptions = 0;
inline constexpr std::uint16_t kComment = 1;
inline constexpr std::uint16_t kUserApplication = 4;  // of a section
inline constexpr std::uint16_t kTimeResolution = 9;   // of an interface
inline constexpr std::uint16_t kTimeOffset = 14;      // of an interface, seconds

}  // namespace cusp::recording
