#include <algorithm>
#include <array>

#include "drivers/bytes.h"
#include "drivers/recording/pcapng.h"
#include "drivers/recording/pcapng_internal.h"

namespace cusp::recording {
namespace {

constexpr std::uint8_t kNanoseconds = 9;  // if_tsresol: 10^-9

template <std::unsigned_integral T>
void put(Bytes& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  write_le(std::span(out), at, value);
}

std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

void put_padded(Bytes& out, std::span<const std::uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.resize(out.size() + padded(bytes.size()) - bytes.size());
}

void put_option(Bytes& out, std::uint16_t code, std::span<const std::uint8_t> value) {
  put(out, code);
  put(out, static_cast<std::uint16_t>(value.size()));
  put_padded(out, value);
}

void put_text_option(Bytes& out, std::uint16_t code, std::string_view text) {
  put_option(out, code, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void end_options(Bytes& out) { put(out, std::uint32_t{0}); }

// Begins a block, and ends it with its length in both places.
class Block {
 public:
  Block(Bytes& out, std::uint32_t type) : out_(out), begin_(out.size()) {
    put(out_, type);
    put(out_, std::uint32_t{0});
  }
  ~Block() {
    const auto size = static_cast<std::uint32_t>(out_.size() - begin_ + 4);
    put(out_, size);
    write_le(std::span(out_), begin_ + 4, size);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  Bytes& out_;
  const std::size_t begin_;
};

void put_time(Bytes& out, std::chrono::nanoseconds since_1970) {
  const auto ns = static_cast<std::uint64_t>(since_1970.count());
  put(out, static_cast<std::uint32_t>(ns >> 32));
  put(out, static_cast<std::uint32_t>(ns));
}

std::string_view shortened(std::string_view comment) {
  if (comment.size() <= kMaxCommentBytes) return comment;
  std::size_t size = kMaxCommentBytes;
  while (size > 0 && (static_cast<unsigned char>(comment[size]) & 0xC0) == 0x80) --size;
  return comment.substr(0, size);
}

}  // namespace

void append_file_head(Bytes& out, std::string_view program, std::uint16_t link_type) {
  {
    const Block section(out, kSectionHeader);
    put(out, kByteOrderMagic);
    put(out, std::uint16_t{1});  // version 1.0
    put(out, std::uint16_t{0});
    put(out, ~std::uint64_t{0});  // the section's length is not said
    put_text_option(out, kUserApplication, program);
    end_options(out);
  }
  const Block interface(out, kInterfaceDescription);
  put(out, link_type);
  put(out, std::uint16_t{0});
  put(out, std::uint32_t{0});  // no limit to a packet's length
  const std::array<std::uint8_t, 1> resolution{kNanoseconds};
  put_option(out, kTimeResolution, resolution);
  end_options(out);
}

void append_packet(Bytes& out, std::chrono::nanoseconds since_1970,
                   std::span<const std::uint8_t> head, std::span<const std::uint8_t> data,
                   std::string_view comment) {
  const Block packet(out, kEnhancedPacket);
  put(out, std::uint32_t{0});  // the interface
  put_time(out, since_1970);
  const auto size = static_cast<std::uint32_t>(head.size() + data.size());
  put(out, size);  // captured
  put(out, size);  // on the wire
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), data.begin(), data.end());
  out.resize(out.size() + padded(size) - size);
  if (comment.empty()) return;
  put_text_option(out, kComment, shortened(comment));
  end_options(out);
}

void append_note(Bytes& out, std::chrono::nanoseconds since_1970, std::string_view comment) {
  const Block statistics(out, kInterfaceStatistics);
  put(out, std::uint32_t{0});  // the interface
  put_time(out, since_1970);
  put_text_option(out, kComment, shortened(comment));
  end_options(out);
}

}  // namespace cusp::recording
