#include "delivery/wire.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/delivery/samples.h"

namespace cusp::delivery {
namespace {

Header sample() {
  Header header;
  header.minor = 3;
  header.type = MessageType::kChunk;
  header.session = 0x0123456789ABCDEF;
  header.request = 42;
  header.seq = ~std::uint64_t{0};
  header.offset = std::uint64_t{5} << 40;
  header.credit = 4 << 20;
  header.body_bytes = 66;
  header.chunk_bytes = 524288;
  header.flags = 0x80000001;
  return header;
}

using Frame = std::span<const std::uint8_t>;

TEST(Wire, a_header_comes_back) {
  const auto bytes = encode_header(sample());
  const auto header = decode_header(bytes);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(*header, sample());
}

// PROTOCOL.md promises these bytes to stations in other languages.
TEST(Wire, a_header_lies_as_the_protocol_says) {
  Header header;
  header.type = MessageType::kOffer;
  header.session = 0x1122334455667788;
  header.request = 2;
  header.seq = 3;
  header.offset = 4;
  header.credit = 5;
  header.body_bytes = 6;
  header.chunk_bytes = 7;
  header.flags = 8;
  const auto bytes = encode_header(header);
  const std::vector<std::uint8_t> expected{
      'S',  'X',  'P',  '1',  1,    1,    16,   0,     // magic, major, minor, type
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  // session
      2,    0,    0,    0,    0,    0,    0,    0,    3, 0, 0, 0, 0, 0, 0, 0,  // request, seq
      4,    0,    0,    0,    0,    0,    0,    0,    5, 0, 0, 0, 0, 0, 0, 0,  // offset, credit
      6,    0,    0,    0,    7,    0,    0,    0,    8, 0, 0, 0};             // body, chunk, flags
  EXPECT_EQ(std::vector(bytes.begin(), bytes.begin() + 60), expected);
}

// The frames of PROTOCOL.md's last section, as whoever writes another end takes them from there.
TEST(Wire, the_examples_of_the_protocol_are_what_we_speak) {
  std::ifstream page(PROTOCOL_PAGE);
  std::vector<std::vector<std::vector<std::uint8_t>>> messages;
  bool in_bytes = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "## 9. Bytes") in_bytes = true;
    if (!in_bytes || !line.starts_with("    ")) continue;
    const bool is_title = line[4] != ' ';
    if (is_title) messages.emplace_back();
    if (is_title) continue;
    if (line.size() > 6 && line[6] != ' ') messages.back().emplace_back();  // header, body, raw
    std::istringstream bytes(line.substr(13));
    for (std::string byte; bytes >> byte;)
      messages.back().back().push_back(static_cast<std::uint8_t>(std::stoi(byte, nullptr, 16)));
  }
  std::vector<unsigned> types;
  for (const auto& frames : messages) {
    std::vector<std::span<const std::uint8_t>> views(frames.begin(), frames.end());
    const auto message = parse_frames(views);
    ASSERT_TRUE(message.ok()) << message.error().message;
    types.push_back(static_cast<unsigned>(message->header.type));
    EXPECT_EQ(message->header.minor, kMinor);
    const auto again = encode_header(message->header);
    EXPECT_EQ(std::vector(again.begin(), again.end()), frames[0]);
  }
  EXPECT_EQ(types, (std::vector<unsigned>{1, 2, 48, 51, 52, 21}));
}

TEST(Wire, every_flipped_bit_of_a_header_is_seen) {
  const auto bytes = encode_header(sample());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = bytes;
      damaged[i] ^= static_cast<std::uint8_t>(1 << bit);
      EXPECT_FALSE(decode_header(damaged).ok()) << i << ":" << bit;
    }
}

TEST(Wire, every_other_length_of_a_header_is_refused) {
  const auto bytes = encode_header(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_header(Frame(bytes).first(size)).ok()) << size;
  EXPECT_FALSE(decode_header(random_bytes(65, 1)).ok());
  EXPECT_FALSE(decode_header(random_bytes(64, 2)).ok());
}

TEST(Wire, frames_must_be_as_many_and_as_long_as_the_header_says) {
  Header header;
  header.type = MessageType::kChunk;
  header.body_bytes = 3;
  header.chunk_bytes = 5;
  const auto bytes = encode_header(header);
  const auto body = random_bytes(3, 1), chunk = random_bytes(5, 2), other = random_bytes(4, 3);
  const auto parses = [](std::vector<Frame> frames) { return parse_frames(frames).ok(); };
  EXPECT_TRUE(parses({bytes, body, chunk}));
  EXPECT_FALSE(parses({}));
  EXPECT_FALSE(parses({bytes}));
  EXPECT_FALSE(parses({bytes, body}));
  EXPECT_FALSE(parses({bytes, body, chunk, other}));
  EXPECT_FALSE(parses({bytes, body, other}));
  EXPECT_FALSE(parses({bytes, other, chunk}));
  EXPECT_FALSE(parses({body, bytes, chunk}));

  header.type = MessageType::kPing;
  header.chunk_bytes = 0;
  const auto ping = encode_header(header);
  EXPECT_TRUE(parses({ping, body}));
  EXPECT_FALSE(parses({ping, body, chunk}));
}

TEST(Wire, too_large_is_refused_even_when_the_header_agrees) {
  Header header;
  header.type = MessageType::kChunk;
  header.chunk_bytes = kMaxChunkBytes + 1;
  const auto bytes = encode_header(header);
  const std::vector<std::uint8_t> chunk(kMaxChunkBytes + 1);
  EXPECT_FALSE(parse_frames(std::vector<Frame>{bytes, Frame{}, chunk}).ok());
  header.chunk_bytes = 1;
  header.body_bytes = kMaxBodyBytes + 1;
  const auto second = encode_header(header);
  const std::vector<std::uint8_t> body(kMaxBodyBytes + 1);
  EXPECT_FALSE(parse_frames(std::vector<Frame>{second, body, Frame(chunk).first(1)}).ok());
}

}  // namespace
}  // namespace cusp::delivery
