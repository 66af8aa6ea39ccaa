// Real cameras' descriptors, as lsusb printed them, are read as lsusb read them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/uvc/descriptors.h"
#include "tests/drivers/lsusb_text.h"

namespace cusp {
namespace {

using testing::ElementsAreArray;
using uvc::FormatKind;
using Bytes = std::vector<std::uint8_t>;

const std::filesystem::path kDumps = CUSP_USB_DUMPS;
constexpr const char* kControl = "VideoControl Interface Descriptor";
constexpr const char* kStreaming = "VideoStreaming Interface Descriptor";

// Walks through lsusb's text beside the parsed functions and compares the two.
class Comparison {
 public:
  explicit Comparison(const std::vector<uvc::VideoFunction>& functions) : functions_(functions) {}

  void run(const std::vector<LsusbDescriptor>& lsusb) {
    for (const LsusbDescriptor& item : lsusb) {
      if (::testing::Test::HasFatalFailure()) return;
      if (item.title == "Interface Descriptor") interface(item);
      if (item.title == "Endpoint Descriptor") endpoint(item);
      if (item.title == kControl) control(item);
      if (item.title == kStreaming) streaming(item);
    }
    finish();
    EXPECT_EQ(functions_seen_, functions_.size());
  }

  std::size_t frames() const { return frames_seen_; }

 private:
  void interface(const LsusbDescriptor& item) {
    in_control_ = in_streaming_ = false;
    if (item.number("bInterfaceClass") != 14) return;
    const int number = static_cast<int>(item.number("bInterfaceNumber"));
    alternate_ = static_cast<int>(item.number("bAlternateSetting"));
    if (item.number("bInterfaceSubClass") == 1) {
      finish();
      ASSERT_LT(functions_seen_, functions_.size());
      function_ = &functions_[functions_seen_++];
      EXPECT_EQ(function_->control_interface, number);
      in_control_ = true;
    } else {
      ASSERT_NE(function_, nullptr);
      const auto found = std::find_if(function_->streams.begin(), function_->streams.end(),
                                      [&](const auto& stream) { return stream.number == number; });
      ASSERT_NE(found, function_->streams.end()) << "interface " << number;
      if (stream_ != &*found) settings_seen_ = formats_seen_ = 0;
      stream_ = &*found;
      in_streaming_ = true;
    }
  }

  void endpoint(const LsusbDescriptor& item) {
    const std::uint32_t address = item.number("bEndpointAddress");
    if (in_control_) {
      EXPECT_EQ(function_->status_endpoint, address);
    }
    if (!in_streaming_) return;
    ASSERT_LT(settings_seen_, stream_->alternates.size());
    const auto& setting = stream_->alternates[settings_seen_++];
    EXPECT_EQ(setting.number, alternate_);
    EXPECT_EQ(setting.endpoint, address);
    EXPECT_EQ(setting.type, item.number("bmAttributes") % 4 == 2 ? TransferType::kBulk
                                                                 : TransferType::kIsochronous);
    // lsusb computes it too: "0x1400  3x 1024 bytes".
    int times = 0, bytes = 0;
    const std::string words = item.text("wMaxPacketSize");
    ASSERT_EQ(std::sscanf(words.c_str(), "%*s %dx %d bytes", &times, &bytes), 2) << words;
    EXPECT_EQ(setting.interval_bytes, times * bytes);
    EXPECT_EQ(setting.interval_exponent, item.number("bInterval"));
  }

  void control(const LsusbDescriptor& item) {
    switch (item.number("bDescriptorSubtype")) {
      case 1:
        EXPECT_EQ(function_->uvc_version_bcd, item.number("bcdUVC"));
        EXPECT_EQ(function_->clock_hz, item.number("dwClockFrequency"));
        break;
      case 2:
        if (item.number("wTerminalType") != 0x0201) break;
        ASSERT_LT(cameras_seen_, function_->cameras.size());
        EXPECT_EQ(function_->cameras[cameras_seen_].id, item.number("bTerminalID"));
        EXPECT_EQ(function_->cameras[cameras_seen_++].controls, item.number("bmControls"));
        break;
      case 5: {
        ASSERT_LT(processors_seen_, function_->processing_units.size());
        const auto& unit = function_->processing_units[processors_seen_++];
        EXPECT_EQ(unit.id, item.number("bUnitID"));
        EXPECT_EQ(unit.source, item.number("bSourceID"));
        EXPECT_EQ(unit.controls, item.number("bmControls"));
        break;
      }
      case 6: {
        ASSERT_LT(extensions_seen_, function_->extension_units.size());
        const auto& unit = function_->extension_units[extensions_seen_++];
        EXPECT_EQ(unit.id, item.number("bUnitID"));
        EXPECT_THAT(unit.guid, ElementsAreArray(guid_bytes(item.text("guidExtensionCode"))));
        EXPECT_THAT(unit.controls, ElementsAreArray(item.numbers("bmControls")));
        EXPECT_EQ(function_->find_unit(unit.guid), &unit);
        break;
      }
      default:
        break;
    }
  }

  void streaming(const LsusbDescriptor& item) {
    switch (item.number("bDescriptorSubtype")) {
      case 1:
        EXPECT_EQ(stream_->still_method, item.number("bStillCaptureMethod"));
        EXPECT_EQ(stream_->endpoint(), item.number("bEndPointAddress"));
        // The QuickCam promises a third format that it does not have.
        EXPECT_LE(stream_->formats.size(), item.number("bNumFormats"));
        break;
      case 3:
        still(item);
        break;
      case 4:
        return format(item, FormatKind::kUncompressed);
      case 6:
        return format(item, FormatKind::kMjpeg);
      case 16:
        return format(item, FormatKind::kFrameBased);
      case 5:
      case 7:
      case 17:
        return frame(item);
      default:
        break;
    }
  }

  void format(const LsusbDescriptor& item, FormatKind kind) {
    frames_of_format_ = 0;
    ASSERT_LT(formats_seen_, stream_->formats.size());
    format_ = &stream_->formats[formats_seen_++];
    EXPECT_EQ(format_->kind, kind);
    EXPECT_EQ(format_->index, item.number("bFormatIndex"));
    EXPECT_EQ(format_->default_frame, item.number("bDefaultFrameIndex"));
    EXPECT_EQ(format_->bits_per_pixel, static_cast<int>(item.number("bBitsPerPixel")));
    EXPECT_EQ(format_->frames.size(), item.number("bNumFrameDescriptors"));
    if (kind == FormatKind::kMjpeg) {
      EXPECT_EQ(uvc::pixel_format(*format_), PixelFormat::kMjpeg);
    } else {
      const auto guid = guid_bytes(item.text("guidFormat"));
      EXPECT_THAT(format_->guid, ElementsAreArray(guid));
      const std::string fourcc(guid.begin(), guid.begin() + 4);
      EXPECT_EQ(uvc::pixel_format(*format_),
                fourcc == "YUY2" ? std::optional(PixelFormat::kYuy2) : std::nullopt)
          << fourcc;
    }
  }

  void frame(const LsusbDescriptor& item) {
    ASSERT_LT(frames_of_format_, format_->frames.size());
    const auto& frame = format_->frames[frames_of_format_++];
    ++frames_seen_;
    EXPECT_EQ(frame.index, item.number("bFrameIndex"));
    EXPECT_EQ(frame.width_px, static_cast<int>(item.number("wWidth")));
    EXPECT_EQ(frame.height_px, static_cast<int>(item.number("wHeight")));
    EXPECT_EQ(frame.max_frame_bytes, item.number("dwMaxVideoFrameBufferSize"));
    auto intervals = item.numbers("dwFrameInterval");
    if (item.number("bFrameIntervalType") == 0) {
      intervals = {item.number("dwMinFrameInterval"), item.number("dwMaxFrameInterval")};
      if (intervals[0] == intervals[1]) intervals.pop_back();
    }
    EXPECT_THAT(frame.intervals_100ns, ElementsAreArray(intervals));
  }

  void still(const LsusbDescriptor& item) {
    ASSERT_TRUE(format_->still);
    EXPECT_EQ(format_->still->endpoint, item.number("bEndpointAddress"));
    EXPECT_EQ(format_->still->sizes.size(), item.number("bNumImageSizePatterns"));
    const auto widths = item.numbers("wWidth"), heights = item.numbers("wHeight");
    ASSERT_EQ(format_->still->sizes.size(), widths.size());
    for (std::size_t i = 0; i < widths.size(); ++i) {
      EXPECT_EQ(format_->still->sizes[i].width_px, static_cast<int>(widths[i]));
      EXPECT_EQ(format_->still->sizes[i].height_px, static_cast<int>(heights[i]));
    }
    EXPECT_THAT(format_->still->compressions, ElementsAreArray(item.numbers("bCompression")));
  }

  // Nothing is there that lsusb did not print.
  void finish() {
    if (function_ == nullptr) return;
    EXPECT_EQ(cameras_seen_, function_->cameras.size());
    EXPECT_EQ(processors_seen_, function_->processing_units.size());
    EXPECT_EQ(extensions_seen_, function_->extension_units.size());
    if (stream_ != nullptr) {
      EXPECT_EQ(settings_seen_, stream_->alternates.size());
      EXPECT_EQ(formats_seen_, stream_->formats.size());
    }
    cameras_seen_ = processors_seen_ = extensions_seen_ = settings_seen_ = formats_seen_ = 0;
  }

  const std::vector<uvc::VideoFunction>& functions_;
  const uvc::VideoFunction* function_ = nullptr;
  const uvc::StreamingInterface* stream_ = nullptr;
  const uvc::FormatDescriptor* format_ = nullptr;
  int alternate_ = 0;
  bool in_control_ = false, in_streaming_ = false;
  std::size_t functions_seen_ = 0, cameras_seen_ = 0, processors_seen_ = 0, extensions_seen_ = 0,
              settings_seen_ = 0, formats_seen_ = 0, frames_of_format_ = 0, frames_seen_ = 0;
};

struct Dump {
  const char* file;
  std::size_t frames;
};
void PrintTo(const Dump& dump, std::ostream* out) { *out << dump.file; }

class LsusbDumps : public testing::TestWithParam<Dump> {};

TEST_P(LsusbDumps, ParseToWhatLsusbSays) {
  const auto path = kDumps / GetParam().file;
  if (!std::filesystem::exists(path)) {
    fmt::print("no {}: nothing to compare\n", path.string());
    return;
  }
  const auto lsusb = read_lsusb(path);
  ASSERT_FALSE(lsusb.empty());
  for (const LsusbDescriptor& item : lsusb) {
    const Bytes bytes = to_bytes(item);
    ASSERT_FALSE(bytes.empty());
    EXPECT_EQ(bytes.size(), bytes[0]) << item.title;
  }
  const Bytes config = to_bytes(lsusb);
  ASSERT_EQ(config.size(), lsusb.front().number("wTotalLength"));
  const auto functions = uvc::parse_video_functions(config);
  ASSERT_TRUE(functions) << functions.error().message;
  ASSERT_EQ(functions->size(), 1u);
  Comparison comparison(*functions);
  comparison.run(lsusb);
  EXPECT_EQ(comparison.frames(), GetParam().frames);
}

INSTANTIATE_TEST_SUITE_P(Cameras, LsusbDumps,
                         testing::Values(Dump{"libuvc-isight_imac.txt", 3},
                                         Dump{"libuvc-isight_macbook.txt", 3},
                                         Dump{"libuvc-logitech_hd_pro_920.txt", 53},
                                         Dump{"libuvc-ms_lifecam_show.txt", 15},
                                         Dump{"libuvc-quickcampro9000.txt", 36}));

}  // namespace
}  // namespace cusp
