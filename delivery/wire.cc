#include "delivery/wire.h"

#include <sys/random.h>

#include <algorithm>

namespace cusp::delivery {
namespace {

constexpr std::size_t kMaxReasonBytes = 500;
constexpr std::array<std::uint8_t, 4> kMagic{'S', 'X', 'P', '1'};

// CRC-32C (Castagnoli), reflected, as in RFC 3720 appendix B.4.
constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = rest;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~0U;
  for (const std::uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

template <typename T>
void put(std::span<std::uint8_t> bytes, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes[at + i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i));
}

template <typename T>
T get(std::span<const std::uint8_t> bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::uint64_t{bytes[at + i]} << (8 * i);
  return static_cast<T>(value);
}

}  // namespace

std::array<std::uint8_t, kHeaderBytes> encode_header(const Header& header) {
  std::array<std::uint8_t, kHeaderBytes> bytes{};
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  put(bytes, 4, header.major);
  put(bytes, 5, header.minor);
  put(bytes, 6, static_cast<std::uint16_t>(header.type));
  put(bytes, 8, header.session);
  put(bytes, 16, header.request);
  put(bytes, 24, header.seq);
  put(bytes, 32, header.offset);
  put(bytes, 40, header.credit);
  put(bytes, 48, header.body_bytes);
  put(bytes, 52, header.chunk_bytes);
  put(bytes, 56, header.flags);
  put(bytes, 60, crc32c(std::span(bytes).first(60)));
  return bytes;
}

Result<Header> decode_header(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != kHeaderBytes)
    return error(ErrorCode::kProtocol, "a header of {} bytes", bytes.size());
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin()))
    return error(ErrorCode::kProtocol, "a message that is not SXP");
  if (get<std::uint32_t>(bytes, 60) != crc32c(bytes.first(60)))
    return error(ErrorCode::kProtocol, "a header with a wrong checksum");
  Header header;
  header.major = get<std::uint8_t>(bytes, 4);
  header.minor = get<std::uint8_t>(bytes, 5);
  header.type = static_cast<MessageType>(get<std::uint16_t>(bytes, 6));
  header.session = get<std::uint64_t>(bytes, 8);
  header.request = get<std::uint64_t>(bytes, 16);
  header.seq = get<std::uint64_t>(bytes, 24);
  header.offset = get<std::uint64_t>(bytes, 32);
  header.credit = get<std::uint64_t>(bytes, 40);
  header.body_bytes = get<std::uint32_t>(bytes, 48);
  header.chunk_bytes = get<std::uint32_t>(bytes, 52);
  header.flags = get<std::uint32_t>(bytes, 56);
  return header;
}

Message empty_message(MessageType type) {
  Message message;
  message.header.type = type;
  return message;
}

std::uint64_t new_session_number() {
  std::uint64_t number = 0;
  CUSP_CHECK(getrandom(&number, sizeof number, 0) == sizeof number,
             "the kernel gave no random bytes");
  return number;
}

std::string printable(std::string_view text) {
  std::string shown(text.substr(0, kMaxReasonBytes));
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return shown;
}

bool carries_bytes(MessageType type) {
  return type == MessageType::kChunk || type == MessageType::kBlob;
}

Result<Message> parse_frames(std::span<const std::span<const std::uint8_t>> frames) {
  if (frames.empty()) return error(ErrorCode::kProtocol, "a message without frames");
  Message message;
  CUSP_ASSIGN(message.header, decode_header(frames[0]));
  const bool is_chunk = carries_bytes(message.header.type);
  if (frames.size() != (is_chunk ? 3 : 2))
    return error(ErrorCode::kProtocol, "a message of {} frames", frames.size());
  const std::size_t chunk_bytes = is_chunk ? frames[2].size() : 0;
  if (frames[1].size() != message.header.body_bytes || chunk_bytes != message.header.chunk_bytes)
    return error(ErrorCode::kProtocol, "a message whose frames are not as long as it says");
  if (frames[1].size() > kMaxBodyBytes || chunk_bytes > kMaxChunkBytes)
    return error(ErrorCode::kProtocol, "a message that is too large");
  message.body.assign(frames[1].begin(), frames[1].end());
  if (is_chunk) message.chunk.assign(frames[2].begin(), frames[2].end());
  return message;
}

}  // namespace cusp::delivery
