// Private to delivery: the frames of SXP/1 (PROTOCOL.md): a header of 64 bytes, a protobuf body,
// and for CHUNK and BLOB the raw bytes. Knows nothing of sockets. Everything here takes hostile
// bytes: a length, a checksum or a frame count that is wrong is kProtocol. Threads: values and pure
// functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace cusp::delivery {

inline constexpr std::uint8_t kMajor = 1;
inline constexpr std::uint8_t kMinor = 1;
// What came with which minor version; a peer of an earlier one is not told.
inline constexpr std::uint8_t kMinorOfVerify = 1;
inline constexpr std::size_t kHeaderBytes = 64;
// An OFFER holds an envelope of up to 64 KiB.
inline constexpr std::size_t kMaxBodyBytes = 80 * 1024;
inline constexpr std::size_t kMaxChunkBytes = 1 << 20;
inline constexpr std::size_t kMaxFrames = 3;

enum class MessageType : std::uint16_t {
  kHello = 1,
  kWelcome = 2,
  kPing = 3,
  kPong = 4,
  kBye = 5,
  kOffer = 16,
  kWant = 17,
  kChunk = 18,
  kCredit = 19,
  kCommitted = 20,
  kReject = 21,
  kWorklist = 32,
  kTickets = 33,
  kStates = 34,
  kNoted = 35,
  kSubscribe = 48,
  kEvents = 49,
  kFetch = 51,
  kBlob = 52,
  kVerify = 64,
  kAttest = 65,
  kRecall = 66,
};

enum class RejectCode : std::uint32_t {
  kNoSpace = 103,
  kStoreDown = 104,
  kBlobHash = 202,
  kNoFile = 204,
  kVersion = 301,
  kTooLarge = 303,
  kMalformed = 304,
  kConflict = 305,
  kIdentity = 401,
  kRevoked = 403,
};

struct Header {
  std::uint8_t major = kMajor;
  std::uint8_t minor = kMinor;
  MessageType type = MessageType::kPing;
  std::uint64_t session = 0;
  std::uint64_t request = 0;
  std::uint64_t seq = 0;
  std::uint64_t offset = 0;
  std::uint64_t credit = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t chunk_bytes = 0;
  std::uint32_t flags = 0;

  bool operator==(const Header&) const = default;
};

std::array<std::uint8_t, kHeaderBytes> encode_header(const Header& header);
// Magic and checksum are right; the major version and the type are the caller's to judge.
Result<Header> decode_header(std::span<const std::uint8_t> bytes);

struct Message {
  Header header;
  std::string body;
  std::vector<std::uint8_t> chunk;
};

// A third frame of raw bytes follows: CHUNK and BLOB.
[[nodiscard]] bool carries_bytes(MessageType type);
// Two frames, or three; lengths as the header says and within the limits.
Result<Message> parse_frames(std::span<const std::span<const std::uint8_t>> frames);

Message empty_message(MessageType type);

// From the kernel's random source.
std::uint64_t new_session_number();
// A peer's sentence, as it may be shown to people: no control characters, not endless.
std::string printable(std::string_view text);

template <typename Body>
Message make_message(MessageType type, const Body& body) {
  Message message = empty_message(type);
  message.body = body.SerializeAsString();
  return message;
}

template <typename Body>
Result<Body> parse_body(const Message& message) {
  Body body;
  if (!body.ParseFromString(message.body))
    return error(ErrorCode::kProtocol, "the body of message type {} can't be read",
                 static_cast<unsigned>(message.header.type));
  return body;
}

}  // namespace cusp::delivery
