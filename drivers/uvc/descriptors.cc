#include "drivers/uvc/descriptors.h"

#include <algorithm>
#include <map>

#include "drivers/bytes.h"

namespace cusp::uvc {
namespace {

constexpr std::uint8_t kConfiguration = 0x02, kInterface = 0x04, kEndpoint = 0x05,
                       kClassInterface = 0x24, kCompanion = 0x30, kPlusCompanion = 0x31;
constexpr std::uint8_t kVideoClass = 14, kControlSubclass = 1, kStreamingSubclass = 2;
// Subtypes of a control interface (UVC 1.5 table A-5) and of a streaming interface (table A-6).
constexpr std::uint8_t kControlHeader = 0x01, kInputTerminal = 0x02, kProcessingUnit = 0x05,
                       kExtensionUnit = 0x06;
constexpr std::uint8_t kInputHeader = 0x01, kStillFrame = 0x03, kFormatUncompressed = 0x04,
                       kFrameUncompressed = 0x05, kFormatMjpeg = 0x06, kFrameMjpeg = 0x07,
                       kFormatFrameBased = 0x10, kFrameFrameBased = 0x11;
// Formats that Cusp does not read.
constexpr std::uint8_t kFormatMpeg2Ts = 0x0A, kFormatDv = 0x0C, kFormatStreamBased = 0x12,
                       kFormatH264 = 0x13, kFormatH264Simulcast = 0x15, kFormatVp8 = 0x16,
                       kFormatVp8Simulcast = 0x18;
constexpr std::uint16_t kCameraSensor = 0x0201;
constexpr std::uint8_t kTransferTypeMask = 0x03, kIsochronous = 0x01, kBulk = 0x02,
                       kInterrupt = 0x03, kInBit = 0x80;
constexpr int kMaxSidePx = 16384;
constexpr std::uint32_t kMaxIntervalBytes = 1 << 20;

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
        case kCompanion:
        case kPlusCompanion:
          CUSP_TRY(read_companion());
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
    setting_open_ = false;
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
    setting_open_ = false;
    const std::uint8_t address = item_[2];
    const std::uint8_t type = item_[3] & kTransferTypeMask;
    if ((address & kInBit) == 0) return {};
    const auto max_packet = read_le<std::uint16_t>(item_, 4);
    const int packet_bytes = max_packet & 0x7FF;
    if (inside_ == Inside::kControl && type == kInterrupt && packet_bytes > 0) {
      functions_.back().status_endpoint = address;
      functions_.back().status_packet_bytes = packet_bytes;
    }
    if (inside_ != Inside::kStreaming || (type != kBulk && type != kIsochronous)) return {};
    // The interface header names the video endpoint; another one is for still pictures.
    const std::uint8_t declared = video_endpoints_[stream_->number];
    if (declared != 0 ? declared != address
                      : stream_->endpoint() != 0 && stream_->endpoint() != address)
      return {};
    if (packet_bytes == 0 && type == kIsochronous) return {};  // a setting without bandwidth
    if (packet_bytes == 0)
      return error(ErrorCode::kProtocol,
                   "USB configuration: endpoint {:#04x} at offset {} has packets of 0 bytes",
                   address, item_at_);
    // High speed isochronous endpoints may have up to three transactions in a microframe.
    const int transactions = type == kIsochronous ? 1 + (max_packet >> 11 & 3) : 1;
    stream_->alternates.push_back(
        {.number = alternate_,
         .endpoint = address,
         .type = type == kBulk ? TransferType::kBulk : TransferType::kIsochronous,
         .interval_bytes = packet_bytes * transactions,
         .interval_exponent = std::clamp<std::uint8_t>(item_[6], 1, 16)});
    setting_open_ = true;
    return {};
  }

  // What a SuperSpeed endpoint moves in an interval stands in the descriptor behind it (USB 3.2
  // sections 9.6.7 and 9.6.8).
  Result<void> read_companion() {
    if (!setting_open_ || stream_->alternates.back().type != TransferType::kIsochronous) return {};
    const bool plus = item_[1] == kPlusCompanion;
    CUSP_TRY(need(plus ? 8 : 6, "endpoint companion"));
    const std::uint32_t bytes =
        plus ? read_le<std::uint32_t>(item_, 4) : read_le<std::uint16_t>(item_, 4);
    if (bytes > kMaxIntervalBytes)
      return error(ErrorCode::kProtocol,
                   "USB configuration: endpoint companion at offset {} claims {} bytes an interval",
                   item_at_, bytes);
    // 0 in the first of two companions, or in one that says nothing.
    if (bytes != 0) stream_->alternates.back().interval_bytes = static_cast<int>(bytes);
    return {};
  }

  Result<void> read_class_interface() {
    if (inside_ == Inside::kOther) return {};
    CUSP_TRY(need(3, "class descriptor"));
    return inside_ == Inside::kControl ? read_control_item() : read_streaming_item();
  }

  Result<void> read_control_item() {
    switch (item_[2]) {
      case kControlHeader:
        return read_control_header();
      case kInputTerminal:
        return read_input_terminal();
      case kProcessingUnit:
        return read_processing_unit();
      case kExtensionUnit:
        return read_extension_unit();
      default:
        return {};
    }
  }

  Result<void> read_streaming_item() {
    switch (item_[2]) {
      case kInputHeader:
        return read_input_header();
      case kFormatUncompressed:
        return read_format(FormatKind::kUncompressed, 27);
      case kFormatMjpeg:
        return read_format(FormatKind::kMjpeg, 11);
      case kFormatFrameBased:
        return read_format(FormatKind::kFrameBased, 28);
      case kFormatMpeg2Ts:
      case kFormatDv:
      case kFormatStreamBased:
      case kFormatH264:
      case kFormatH264Simulcast:
      case kFormatVp8:
      case kFormatVp8Simulcast:
        format_open_ = false;
        return {};
      case kFrameUncompressed:
        return read_frame(FormatKind::kUncompressed);
      case kFrameMjpeg:
        return read_frame(FormatKind::kMjpeg);
      case kFrameFrameBased:
        return read_frame(FormatKind::kFrameBased);
      case kStillFrame:
        return read_still_frame();
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

  Result<void> read_input_terminal() {
    CUSP_TRY(need(8, "input terminal"));
    if (read_le<std::uint16_t>(item_, 4) != kCameraSensor) return {};
    CUSP_TRY(need(15, "camera terminal"));
    CUSP_ASSIGN(const std::uint32_t controls, read_controls(14, "camera terminal"));
    functions_.back().cameras.push_back({.id = item_[3], .controls = controls});
    return {};
  }

  Result<void> read_processing_unit() {
    CUSP_TRY(need(8, "processing unit"));
    CUSP_ASSIGN(const std::uint32_t controls, read_controls(7, "processing unit"));
    functions_.back().processing_units.push_back(
        {.id = item_[3], .source = item_[4], .controls = controls});
    return {};
  }

  // bControlSize at `at` and the bitmap behind it, of which the first four bytes mean something.
  Result<std::uint32_t> read_controls(std::size_t at, const char* what) const {
    const std::size_t size = item_[at];
    CUSP_TRY(need(at + 1 + size, what));
    std::uint32_t controls = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(size, 4); ++i)
      controls |= std::uint32_t{item_[at + 1 + i]} << (8 * i);
    return controls;
  }

  Result<void> read_extension_unit() {
    CUSP_TRY(need(22, "extension unit"));
    const std::size_t size_at = std::size_t{22} + item_[21];  // behind its pins
    CUSP_TRY(need(size_at + 1, "extension unit"));
    CUSP_TRY(need(size_at + 1 + item_[size_at], "extension unit"));
    ExtensionUnit unit{.id = item_[3]};
    std::copy_n(item_.begin() + 4, unit.guid.size(), unit.guid.begin());
    const auto controls = item_.subspan(size_at + 1, item_[size_at]);
    unit.controls.assign(controls.begin(), controls.end());
    functions_.back().extension_units.push_back(std::move(unit));
    return {};
  }

  Result<void> read_input_header() {
    CUSP_TRY(need(13, "video input header"));
    video_endpoints_[stream_->number] = item_[6];
    stream_->still_method = item_[9] <= 3 ? item_[9] : std::uint8_t{0};
    return {};
  }

  Result<void> read_format(FormatKind kind, std::size_t least_bytes) {
    format_open_ = false;
    CUSP_TRY(need(least_bytes, "video format"));
    FormatDescriptor format{.index = item_[3], .kind = kind};
    if (kind == FormatKind::kMjpeg) {
      format.default_frame = item_[6];
    } else {
      std::copy_n(item_.begin() + 5, format.guid.size(), format.guid.begin());
      format.bits_per_pixel = item_[21];
      format.default_frame = item_[22];
    }
    if (format.index == 0)
      return error(ErrorCode::kProtocol, "USB configuration: video format at offset {} has index 0",
                   item_at_);
    stream_->formats.push_back(std::move(format));
    format_open_ = true;
    return {};
  }

  Result<void> read_frame(FormatKind kind) {
    if (!format_open_ || stream_->formats.back().kind != kind)
      return error(ErrorCode::kProtocol,
                   "USB configuration: video frame at offset {} comes before its format", item_at_);
    CUSP_TRY(need(26, "video frame"));
    const bool frame_based = kind == FormatKind::kFrameBased;
    const std::size_t count = item_[frame_based ? 21 : 25];
    // A count of 0 means a range: shortest, longest, step.
    CUSP_TRY(need(26 + 4 * (count == 0 ? 3 : count), "video frame"));
    FrameDescriptor frame{.index = item_[3],
                          .width_px = read_le<std::uint16_t>(item_, 5),
                          .height_px = read_le<std::uint16_t>(item_, 7)};
    if (!frame_based) frame.max_frame_bytes = read_le<std::uint32_t>(item_, 17);
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
      if (count == 0 && i == 1 && interval == frame.intervals_100ns.front()) continue;
      frame.intervals_100ns.push_back(interval);
    }
    stream_->formats.back().frames.push_back(std::move(frame));
    return {};
  }

  // Of the format that stands before it. Bytes: endpoint, count, sizes, count, compressions.
  Result<void> read_still_frame() {
    if (!format_open_) return {};  // of a format that Cusp does not read
    CUSP_TRY(need(5, "still picture sizes"));
    const std::size_t count = item_[4];
    const std::size_t compressions_at = 6 + 4 * count;
    CUSP_TRY(need(compressions_at, "still picture sizes"));
    const std::size_t compressions = item_[compressions_at - 1];
    CUSP_TRY(need(compressions_at + compressions, "still picture sizes"));
    StillDescriptor still{.endpoint = item_[3]};
    for (std::size_t i = 0; i < count; ++i) {
      const StillDescriptor::Size size{.width_px = read_le<std::uint16_t>(item_, 5 + 4 * i),
                                       .height_px = read_le<std::uint16_t>(item_, 7 + 4 * i)};
      if (size.width_px == 0 || size.height_px == 0 || size.width_px > kMaxSidePx ||
          size.height_px > kMaxSidePx)
        return error(ErrorCode::kProtocol,
                     "USB configuration: still picture sizes at offset {} have one of {}x{}",
                     item_at_, size.width_px, size.height_px);
      still.sizes.push_back(size);
    }
    const auto patterns = item_.subspan(compressions_at, compressions);
    still.compressions.assign(patterns.begin(), patterns.end());
    stream_->formats.back().still = std::move(still);
    return {};
  }

  std::span<const std::uint8_t> config_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::span<const std::uint8_t> item_;
  std::size_t item_at_ = 0;

  Inside inside_ = Inside::kOther;
  int alternate_ = 0;
  bool format_open_ = false;   // frames may follow
  bool setting_open_ = false;  // a companion of stream_'s last alternate may follow
  std::map<int, std::uint8_t> video_endpoints_;  // as the interfaces' headers say
  StreamingInterface* stream_ = nullptr;         // into functions_, valid until the next interface
  std::vector<VideoFunction> functions_;
  std::vector<std::vector<std::uint8_t>> owned_interfaces_;
};

}  // namespace

std::optional<PixelFormat> pixel_format(const FormatDescriptor& format) {
  if (format.kind == FormatKind::kMjpeg) return PixelFormat::kMjpeg;
  struct Known {
    Guid guid;
    PixelFormat pixels;
  };
  // Names as cameras and the Linux driver uvcvideo use them; the one that is no FourCC is
  // Direct3D's L8.
  static const std::array<Known, 8> kKnown{{
      {fourcc_guid("YUY2"), PixelFormat::kYuy2},
      {fourcc_guid("YUYV"), PixelFormat::kYuy2},
      {fourcc_guid("Z16 "), PixelFormat::kZ16},
      {fourcc_guid("Y8  "), PixelFormat::kGrey8},
      {fourcc_guid("Y800"), PixelFormat::kGrey8},
      {fourcc_guid("GREY"), PixelFormat::kGrey8},
      {fourcc_guid("2\0\0\0"), PixelFormat::kGrey8},
      {fourcc_guid("Y16 "), PixelFormat::kGrey16},
  }};
  for (const Known& known : kKnown)
    if (known.guid == format.guid &&
        format.bits_per_pixel == static_cast<int>(8 * bytes_per_pixel(known.pixels)))
      return known.pixels;
  return std::nullopt;
}

Guid fourcc_guid(const char (&fourcc)[5]) {
  Guid guid{0, 0, 0, 0, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};
  std::copy_n(fourcc, 4, guid.begin());
  return guid;
}

Result<std::vector<VideoFunction>> parse_video_functions(std::span<const std::uint8_t> config) {
  return Parser(config).run();
}

}  // namespace cusp::uvc
