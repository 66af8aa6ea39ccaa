#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

#include "drivers/bytes.h"
#include "drivers/recording/pcapng.h"
#include "drivers/recording/pcapng_internal.h"

namespace cusp::recording {
namespace {

// Magic numbers of pcap files, as a little-endian reader sees them.
constexpr std::uint32_t kMicroseconds = 0xA1B2C3D4, kNanoseconds = 0xA1B23C4D;
constexpr std::uint32_t kMicrosecondsSwapped = 0xD4C3B2A1, kNanosecondsSwapped = 0x4D3CB2A1;
constexpr std::size_t kPcapHeadBytes = 24, kPcapRecordBytes = 16;
constexpr std::size_t kBlockHeadBytes = 8, kLeastBlockBytes = 12;
constexpr std::size_t kEnhancedHeadBytes = 28, kSimpleHeadBytes = 12, kStatisticsHeadBytes = 20;
// More options than this are stepped over unread: nobody writes so many.
constexpr std::size_t kMaxOptionBytes = 1 << 20;
constexpr std::size_t kMaxInterfaces = 1024;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

struct Interface {
  std::uint16_t link_type = 0;
  std::uint32_t max_packet_bytes = 0;  // 0: no limit
  std::uint64_t ticks_per_second = 1'000'000;
  std::int64_t offset_s = 0;
};

}  // namespace

struct CaptureReader::State {
  ~State() { ::close(fd); }

  int fd = -1;
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t at = 0;  // of the next block
  std::uint64_t packets = 0;
  bool is_pcap = false;
  bool big_endian = false;
  std::vector<Interface> interfaces;
  std::uint64_t data_at = 0;  // of the packet that next() gave last
  std::uint32_t data_bytes = 0;
  std::string ending;

  template <std::unsigned_integral T>
  T get(std::span<const std::uint8_t> bytes, std::size_t offset) const {
    const T value = read_le<T>(bytes, offset);
    if (!big_endian) return value;
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
  }

  Result<void> read_at(std::uint64_t offset, std::span<std::uint8_t> bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n =
          ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(ErrorCode::kIo, "{}: can't be read: {}", name, std::strerror(errno));
      if (n == 0) return error(ErrorCode::kIo, "{}: it became shorter while it was read", name);
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  [[nodiscard]] std::uint64_t left() const { return size - at; }

  // The file ends before what it promises.
  std::optional<CaptureBlock> broken_off() {
    ending =
        fmt::format("{}: it breaks off in the middle of a record, after packet {}", name, packets);
    at = size;
    return std::nullopt;
  }
  [[nodiscard]] Error contradiction(std::string_view what) const {
    return error(ErrorCode::kCorrupt, "{}: {} at offset {} is damaged", name, what, at);
  }

  Result<void> begin() {
    std::array<std::uint8_t, kPcapHeadBytes> head{};
    if (size < 4) return error(ErrorCode::kUnsupported, "{}: it is no capture file", name);
    CUSP_TRY(read_at(0, std::span(head).first(4)));
    const auto magic = read_le<std::uint32_t>(head, 0);
    if (magic == kSectionHeader) return {};
    if ((magic & 0xFFFF) == 0x8B1F || magic == 0xFD2FB528)  // gzip, zstd
      return error(ErrorCode::kUnsupported, "{}: it is compressed: unpack it first", name);
    const bool swapped = magic == kMicrosecondsSwapped || magic == kNanosecondsSwapped;
    if (!swapped && magic != kMicroseconds && magic != kNanoseconds)
      return error(ErrorCode::kUnsupported, "{}: it is no capture file (pcapng or pcap)", name);
    if (size < head.size())
      return error(ErrorCode::kCorrupt, "{}: it ends within its first {} bytes", name, head.size());
    CUSP_TRY(read_at(0, head));
    is_pcap = true;
    big_endian = swapped;
    const bool nanoseconds = magic == kNanoseconds || magic == kNanosecondsSwapped;
    interfaces.push_back({.link_type = static_cast<std::uint16_t>(get<std::uint32_t>(head, 20)),
                          .ticks_per_second = nanoseconds ? kNanosecondsPerSecond : 1'000'000});
    at = head.size();
    return {};
  }

  Result<std::optional<CaptureBlock>> next_pcap() {
    if (left() == 0) return std::optional<CaptureBlock>{};
    std::array<std::uint8_t, kPcapRecordBytes> head{};
    if (left() < head.size()) return broken_off();
    CUSP_TRY(read_at(at, head));
    const auto captured = get<std::uint32_t>(head, 8);
    if (left() - head.size() < captured) return broken_off();
    const Interface& interface = interfaces.front();
    const std::uint64_t fraction = get<std::uint32_t>(head, 4);
    CaptureBlock block{
        .number = ++packets,
        .link_type = interface.link_type,
        .big_endian = big_endian,
        .since_1970 = std::chrono::seconds(get<std::uint32_t>(head, 0)) +
                      std::chrono::nanoseconds(
                          fraction * (kNanosecondsPerSecond / interface.ticks_per_second)),
        .captured_bytes = captured,
        .comments = {}};
    data_at = at + head.size();
    data_bytes = captured;
    at = data_at + captured;
    return std::optional(std::move(block));
  }

  // Calls take(code, value) for each option that lies whole in [from, to).
  template <typename Take>
  Result<void> options(std::uint64_t from, std::uint64_t to, Take take) {
    if (to - from < 4 || to - from > kMaxOptionBytes) return {};
    Bytes bytes(to - from);
    CUSP_TRY(read_at(from, bytes));
    for (std::size_t i = 0; bytes.size() - i >= 4;) {
      const auto code = get<std::uint16_t>(bytes, i);
      const std::size_t length = get<std::uint16_t>(bytes, i + 2);
      i += 4;
      if (code == kEndOfOptions || length > bytes.size() - i) break;
      take(code, std::span<const std::uint8_t>(bytes).subspan(i, length));
      i += std::min((length + 3) & ~std::size_t{3}, bytes.size() - i);
    }
    return {};
  }
  Result<void> comments(std::uint64_t from, std::uint64_t to, CaptureBlock& block) {
    return options(from, to, [&](std::uint16_t code, std::span<const std::uint8_t> value) {
      if (code == kComment) block.comments.emplace_back(value.begin(), value.end());
    });
  }

  Result<void> begin_section(std::span<const std::uint8_t> magic) {
    const auto order = read_le<std::uint32_t>(magic, 0);
    if (order != kByteOrderMagic && order != __builtin_bswap32(kByteOrderMagic))
      return contradiction("the section header");
    big_endian = order != kByteOrderMagic;
    interfaces.clear();
    return {};
  }

  Result<void> add_interface(std::uint64_t length) {
    if (length < 20 || interfaces.size() == kMaxInterfaces)
      return contradiction("an interface's description");
    std::array<std::uint8_t, 8> head{};
    CUSP_TRY(read_at(at + kBlockHeadBytes, head));
    Interface made{.link_type = get<std::uint16_t>(head, 0),
                   .max_packet_bytes = get<std::uint32_t>(head, 4)};
    CUSP_TRY(options(at + 16, at + length - 4,
                     [&](std::uint16_t code, std::span<const std::uint8_t> value) {
                       if (code == kTimeResolution && value.size() == 1)
                         made.ticks_per_second = resolution(value[0]);
                       if (code == kTimeOffset && value.size() == 8)
                         made.offset_s = std::bit_cast<std::int64_t>(get<std::uint64_t>(value, 0));
                     }));
    if (made.ticks_per_second == 0) return contradiction("an interface's time resolution");
    interfaces.push_back(made);
    return {};
  }
  // Ticks a second; 0 when they do not fit.
  static std::uint64_t resolution(std::uint8_t option) {
    const unsigned power = option & 0x7FU;
    if ((option & 0x80U) != 0) return power < 64 ? std::uint64_t{1} << power : 0;
    std::uint64_t ticks = 1;
    for (unsigned i = 0; i < power; ++i) {
      if (ticks > std::numeric_limits<std::uint64_t>::max() / 10) return 0;
      ticks *= 10;
    }
    return ticks;
  }
  // Saturated: a time that a file claims may be any.
  static std::chrono::nanoseconds time_of(const Interface& interface, std::uint64_t ticks) {
    const std::uint64_t seconds = ticks / interface.ticks_per_second;
    const std::uint64_t rest = ticks % interface.ticks_per_second;
    constexpr std::int64_t kMaxSeconds = 4'000'000'000;  // two such times can be subtracted
    const std::int64_t whole =
        static_cast<std::int64_t>(std::min<std::uint64_t>(seconds, kMaxSeconds)) +
        std::clamp(interface.offset_s, -kMaxSeconds, kMaxSeconds);
    const auto part =
        static_cast<std::int64_t>(static_cast<long double>(rest) * 1e9L /
                                  static_cast<long double>(interface.ticks_per_second));
    return std::chrono::seconds(std::clamp(whole, -kMaxSeconds, kMaxSeconds)) +
           std::chrono::nanoseconds(part);
  }

  Result<CaptureBlock> packet(std::uint32_t type, std::uint64_t length) {
    const bool simple = type == kSimplePacket;
    const std::size_t head_bytes = simple ? kSimpleHeadBytes : kEnhancedHeadBytes;
    if (length < head_bytes + 4) return contradiction("a packet");
    std::array<std::uint8_t, kEnhancedHeadBytes> head{};
    CUSP_TRY(read_at(at, std::span(head).first(head_bytes)));
    const std::uint32_t index = simple ? 0 : get<std::uint32_t>(head, 8);
    if (index >= interfaces.size()) return contradiction("a packet's interface");
    const Interface& interface = interfaces[index];
    CaptureBlock block{.number = ++packets,
                       .link_type = interface.link_type,
                       .big_endian = big_endian,
                       .since_1970 = {},
                       .comments = {}};
    if (simple) {
      const auto original = get<std::uint32_t>(head, 8);
      const std::uint32_t limit = interface.max_packet_bytes;
      block.captured_bytes = limit == 0 ? original : std::min(limit, original);
    } else {
      const std::uint64_t ticks =
          std::uint64_t{get<std::uint32_t>(head, 12)} << 32 | get<std::uint32_t>(head, 16);
      block.since_1970 = time_of(interface, ticks);
      block.captured_bytes = get<std::uint32_t>(head, 20);
    }
    const std::uint64_t padded = (std::uint64_t{block.captured_bytes} + 3) & ~std::uint64_t{3};
    if (padded > length - head_bytes - 4) return contradiction("a packet's length");
    data_at = at + head_bytes;
    data_bytes = block.captured_bytes;
    if (!simple) CUSP_TRY(comments(data_at + padded, at + length - 4, block));
    return block;
  }

  Result<std::optional<CaptureBlock>> next_pcapng() {
    while (left() > 0) {
      std::array<std::uint8_t, kLeastBlockBytes> head{};
      if (left() < head.size()) return broken_off();
      CUSP_TRY(read_at(at, head));
      // The section header's type reads the same in both byte orders; its magic tells which.
      if (read_le<std::uint32_t>(head, 0) == kSectionHeader)
        CUSP_TRY(begin_section(std::span(head).subspan(8)));
      const auto type = get<std::uint32_t>(head, 0);
      const std::uint64_t length = get<std::uint32_t>(head, 4);
      if (length < kLeastBlockBytes || length % 4 != 0) return contradiction("a block's length");
      if (length > left()) return broken_off();
      std::array<std::uint8_t, 4> trailer{};
      CUSP_TRY(read_at(at + length - 4, trailer));
      if (get<std::uint32_t>(trailer, 0) != length) return contradiction("the end of the block");

      std::optional<CaptureBlock> found;
      if (type == kInterfaceDescription) {
        CUSP_TRY(add_interface(length));
      } else if (type == kEnhancedPacket || type == kSimplePacket) {
        CUSP_ASSIGN(found, packet(type, length));
      } else if (type == kInterfaceStatistics && length >= kStatisticsHeadBytes + 4) {
        CaptureBlock note{.big_endian = big_endian, .since_1970 = {}, .comments = {}};
        CUSP_TRY(comments(at + kStatisticsHeadBytes, at + length - 4, note));
        if (!note.comments.empty()) found = std::move(note);
        data_bytes = 0;
      }
      at += length;
      if (found) return found;
    }
    return std::optional<CaptureBlock>{};
  }
};

CaptureReader::CaptureReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaptureReader::~CaptureReader() = default;
CaptureReader::CaptureReader(CaptureReader&&) noexcept = default;
CaptureReader& CaptureReader::operator=(CaptureReader&&) noexcept = default;

Result<CaptureReader> CaptureReader::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  state->name = path.string();
  state->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (state->fd < 0)
    return error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: can't be opened: {}",
                 state->name, std::strerror(errno));
  struct stat status {};
  if (::fstat(state->fd, &status) != 0 || !S_ISREG(status.st_mode))
    return error(ErrorCode::kUnsupported, "{}: it is not a file", state->name);
  state->size = static_cast<std::uint64_t>(status.st_size);
  CUSP_TRY(state->begin());
  return CaptureReader(std::move(state));
}

Result<std::optional<CaptureBlock>> CaptureReader::next() {
  return state_->is_pcap ? state_->next_pcap() : state_->next_pcapng();
}

Result<void> CaptureReader::read(std::size_t at, std::span<std::uint8_t> bytes) {
  CUSP_CHECK(at <= state_->data_bytes && bytes.size() <= state_->data_bytes - at,
             "read beyond a packet");
  return state_->read_at(state_->data_at + at, bytes);
}

const std::string& CaptureReader::ending() const { return state_->ending; }
const std::string& CaptureReader::name() const { return state_->name; }

}  // namespace cusp::recording
