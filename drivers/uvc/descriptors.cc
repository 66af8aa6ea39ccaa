#include "drivers/uvc/descriptors.h"

#include <algorithm>

#include "drivers/bytes.h"

namespace cusp::uvc {
namespace {

constexpr std::uint8_t kConfiguration = 0x02, kInterface = 0x04, kEndpoint = 0x05,
                       kClassInterface = 0x24;
constexpr std::uint8_t kVideoClass = 14, kControlSubclass = 1, kStreamingSubclass = 2;
constexpr std::uint8_t kControlHeader = 0x01, kExtensionUnit = 0x06;
constexpr std::uint8_t kInputHeader = 0x01, kFormatUncompressed = 0x04, kFrameUncompressed = 0x05,
                       kFormatFrameBased = 0x10, kFrameFrameBased = 0x11;
constexpr std::uint8_t kFormatMjpeg = 0x06, kFormatMpeg2Ts = 0x0A, kFormatDv = 0x0C,
                       kFormatStreamBased = 0x12;
constexpr std::uint8_t kTransferTypeMask = 0x03, kBulk = 0x02, kInBit = 0x80;
constexpr int kMaxSidePx = 16384;

class Parser {
 public:
  explicit Parser(std::span<const std::uint8_t> config) : config_(config) {}

  Result<std::vector<VideoFunction>> run() {
    CUSP_TRY(read_configuration());
    while (at_ < end_) {
      CUSP_TRY(next());
      switch (item_[1]) {
        case kInterface:
          CUSP_TRY(read_interface());
          break;
        case kEndpoint:
          CUSP_TRY(read_endpoint());
          break;
        case kClassInterface:
          CUSP_TRY(read_class_interface());
          break;
        default:
          break;
      }
    }
    return std::move(functions_);
  }

 private:
  enum class Inside { kOther, kControl, kStreaming };

  // Takes the next descriptor into item_.
  Result<void> next() {
    const std::size_t left = end_ - at_;
    if (left < 2)
      return error(ErrorCode::kProtocol, "USB configuration: {} stray byte at offset {}", left,
                   at_);
    const std::size_t length = config_[at_];
    if (length < 2 || length > left)
      return error(ErrorCode::kProtocol,
                   "USB configuration: descriptor at offset {} says {} bytes, {} are left", at_,
                   length, left);
    item_ = config_.subspan(at_, length);
    item_at_ = at_;
    at_ += length;
    return {};
  }

  Result<void> need(std::size_t bytes, const char* what) const {
    if (item_.size() >= bytes) return {};
    return error(ErrorCode::kProtocol, "USB configuration: {} at offset {} has {} bytes, needs {}",
                 what, item_at_, item_.size(), bytes);
  }

  Result<void> read_configuration() {
    end_ = config_.size();
    CUSP_TRY(next());
    if (item_[1] != kConfiguration)
      return error(ErrorCode::kProtocol,
                   "USB configuration: it starts with a descriptor of type {:#04x}", item_[1]);
    CUSP_TRY(need(9, "configuration"));
    const auto total = read_le<std::uint16_t>(item_, 2);
    if (total < item_.size() || total > config_.size())
      return error(ErrorCode::kProtocol,
                   "USB configuration: total length says {} bytes, {} were read", total,
                   config_.size());
    end_ = total;
    return {};
  }

  Result<void> read_interface() {
    CUSP_TRY(need(9, "interface"));
    inside_ = Inside::kOther;
    const int number = item_[2];
    const int alternate = item_[3];
    if (item_[5] != kVideoClass) return {};
    if (item_[6] == kControlSubclass && alternate == 0) {
      functions_.push_back(VideoFunction{.control_interface = number});
      owned_interfaces_.emplace_back();
      inside_ = Inside::kControl;
    } else if (item_[6] == kStreamingSubclass) {
      inside_ = Inside::kStreaming;
      alternate_ = alternate;
      format_open_ = false;
      VideoFunction* const function = owner_of(number);
      if (function == nullptr)
        return error(ErrorCode::kProtocol,
                     "USB configuration: video streaming interface {} at offset {} belongs to no "
                     "video function",
                     number, item_at_);
      const auto known = std::find_if(function->streams.begin(), function->streams.end(),
                                      [&](const auto& s) { return s.number == number; });
      if (known != function->streams.end()) {
        stream_ = &*known;
      } else {
        stream_ = &function->streams.emplace_back(StreamingInterface{.number = number});
      }
    }
    return {};
  }

  // The function whose header lists this streaming interface.
  VideoFunction* owner_of(int streaming_interface) {
    for (std::size_t i = 0; i < functions_.size(); ++i)
      if (std::find(owned_interfaces_[i].begin(), owned_interfaces_[i].end(),
                    streaming_interface) != owned_interfaces_[i].end())
        return &functions_[i];
    return nullptr;
  }

  Result<void> read_endpoint() {
    CUSP_TRY(need(7, "endpoint"));
    if (inside_ != Inside::kStreaming || (item_[2] & kInBit) == 0) return {};
    if (stream_->endpoint() != 0 && stream_->endpoint() != item_[2]) return {};  // a still image's
    const int packet_bytes = read_le<std::uint16_t>(item_, 4) & 0x7FF;
    if (packet_bytes == 0)
      return error(ErrorCode::kProtocol,
                   "USB configuration: endpoint {:#04x} at offset {} has packets of 0 bytes",
                   item_[2], item_at_);
    const bool bulk = (item_[3] & kTransferTypeMask) == kBulk;
    stream_->alternates.push_back({.number = alternate_,
                                   .endpoint = item_[2],
                                   .type = bulk ? TransferType::kBulk : TransferType::kIsochronous,
                                   .interval_bytes = packet_bytes});
    return {};
  }

  Result<void> read_class_interface() {
    if (inside_ == Inside::kOther) return {};
    CUSP_TRY(need(3, "class descriptor"));
    if (inside_ == Inside::kControl) {
      if (item_[2] == kControlHeader) return read_control_header();
      if (item_[2] == kExtensionUnit) return read_extension_unit();
      return {};
    }
    switch (item_[2]) {
      case kFormatUncompressed:
      case kFormatFrameBased:
        return read_format();
      case kFormatMjpeg:
      case kFormatMpeg2Ts:
      case kFormatDv:
      case kFormatStreamBased:
        format_open_ = false;
        return {};
      case kFrameUncompressed:
        return read_frame(25);
      case kFrameFrameBased:
        return read_frame(21);
      case kInputHeader:
        return need(13, "video input header");
      default:
        return {};
    }
  }

  Result<void> read_control_header() {
    CUSP_TRY(need(12, "video control header"));
    const std::size_t count = item_[11];
    CUSP_TRY(need(12 + count, "video control header"));
    VideoFunction& function = functions_.back();
    function.uvc_version_bcd = read_le<std::uint16_t>(item_, 3);
    function.clock_hz = read_le<std::uint32_t>(item_, 7);
    if (function.uvc_version_bcd < 0x0100 || function.uvc_version_bcd > 0x01FF)
      return error(ErrorCode::kProtocol,
                   "USB configuration: video control header at offset {} claims UVC version {:x}",
                   item_at_, function.uvc_version_bcd);
    owned_interfaces_.back().assign(item_.begin() + 12,
                                    item_.begin() + 12 + static_cast<std::ptrdiff_t>(count));
    return {};
  }

  Result<void> read_extension_unit() {
    CUSP_TRY(need(22, "extension unit"));
    CUSP_TRY(need(std::size_t{24} + item_[21], "extension unit"));
    ExtensionUnit unit{.id = item_[3]};
    std::copy_n(item_.begin() + 4, unit.guid.size(), unit.guid.begin());
    functions_.back().extension_units.push_back(unit);
    return {};
  }

  Result<void> read_format() {
    CUSP_TRY(need(27, "video format"));
    FormatDescriptor format{.index = item_[3], .bits_per_pixel = item_[21]};
    std::copy_n(item_.begin() + 5, format.guid.size(), format.guid.begin());
    if (format.index == 0)
      return error(ErrorCode::kProtocol, "USB configuration: video format at offset {} has index 0",
                   item_at_);
    stream_->formats.push_back(std::move(format));
    format_open_ = true;
    return {};
  }

  // Uncompressed and frame based frames differ in where the count of intervals stands.
  Result<void> read_frame(std::size_t count_at) {
    if (!format_open_ || stream_->formats.empty())
      return error(ErrorCode::kProtocol,
                   "USB configuration: video frame at offset {} comes before its format", item_at_);
    CUSP_TRY(need(26, "video frame"));
    const std::size_t count = item_[count_at];
    // A count of 0 means a range: shortest, longest, step.
    CUSP_TRY(need(26 + 4 * (count == 0 ? 3 : count), "video frame"));
    FrameDescriptor frame{.index = item_[3],
                          .width_px = read_le<std::uint16_t>(item_, 5),
                          .height_px = read_le<std::uint16_t>(item_, 7)};
    if (frame.index == 0 || frame.width_px == 0 || frame.height_px == 0 ||
        frame.width_px > kMaxSidePx || frame.height_px > kMaxSidePx)
      return error(ErrorCode::kProtocol,
                   "USB configuration: video frame at offset {} has index {} and size {}x{}",
                   item_at_, frame.index, frame.width_px, frame.height_px);
    for (std::size_t i = 0; i < (count == 0 ? 2 : count); ++i) {
      const auto interval = read_le<std::uint32_t>(item_, 26 + 4 * i);
      if (interval == 0)
        return error(ErrorCode::kProtocol,
                     "USB configuration: video frame at offset {} has an interval of 0", item_at_);
      frame.intervals_100ns.push_back(interval);
    }
    stream_->formats.back().frames.push_back(std::move(frame));
    return {};
  }

  std::span<const std::uint8_t> config_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::span<const std::uint8_t> item_;
  std::size_t item_at_ = 0;

  Inside inside_ = Inside::kOther;
  int alternate_ = 0;
  bool format_open_ = false;
  StreamingInterface* stream_ = nullptr;  // into functions_, valid until the next interface
  std::vector<VideoFunction> functions_;
  std::vector<std::vector<std::uint8_t>> owned_interfaces_;
};

}  // namespace

Result<std::vector<VideoFunction>> parse_video_functions(std::span<const std::uint8_t> config) {
  return Parser(config).run();
}

}  // namespace cusp::uvc
