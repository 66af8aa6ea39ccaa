// The condensed lsusb transcript of a RealSense D435, as far as it goes.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "drivers/uvc/descriptors.h"
#include "tests/drivers/lsusb_text.h"

namespace cusp {
namespace {

using testing::ElementsAreArray;
using uvc::FormatKind;
using Bytes = std::vector<std::uint8_t>;

// The depth half of its descriptors, a line each: the bytes that it leaves out are zero.
class D435Excerpt {
 public:
  explicit D435Excerpt(std::istream& text) {
    for (std::string line; std::getline(text, line);) lines_.push_back(line);
  }

  Bytes config() {
    Bytes bytes{9, 2, 0, 0, 2, 1, 0, 0x80, 90};
    const auto add = [&](Bytes more) { bytes.insert(bytes.end(), more.begin(), more.end()); };
    for (const std::string& line : lines_) add(descriptor(line));
    bytes[2] = static_cast<std::uint8_t>(bytes.size());
    bytes[3] = static_cast<std::uint8_t>(bytes.size() >> 8);
    return bytes;
  }

  // The number behind a name: "wWidth 3" or "bmControls 0x0003".
  static std::uint32_t number(const std::string& line, const std::string& name) {
    const std::size_t at = line.find(name + " ");
    if (at == std::string::npos) return 0;
    return static_cast<std::uint32_t>(std::stoul(line.substr(at + name.size()), nullptr, 0));
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  static void put(Bytes& bytes, std::size_t at, std::uint32_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      bytes.at(at + i) = static_cast<std::uint8_t>(value >> (8 * i));
  }
  static Bytes descriptor(const std::string& line) {
    const auto is = [&](const char* start) { return line.find(start) != std::string::npos; };
    const auto n = [&](const char* name) { return number(line, name); };
    Bytes bytes(n("bLength"));
    if (is("Interface Descriptor:")) {
      bytes = {9, 4, 0, 0, 1, 14, 0, 0, 0};
      put(bytes, 2, n("bInterfaceNumber"), 1);
      put(bytes, 6, n("bInterfaceSubClass"), 1);
    } else if (is("Endpoint:")) {
      bytes = {7, 5, 0, 3, 0, 0, 0};
      put(bytes, 2, n("bEndpointAddress"), 1);
      put(bytes, 4, n("wMaxPacketSize"), 2);
      put(bytes, 6, n("bInterval"), 1);
    } else if (is("VC HEADER")) {
      head(bytes, 1);
      put(bytes, 3, 0x0150, 2);
      put(bytes, 7, 48'000'000, 4);
      bytes.at(11) = 2;
      bytes.at(12) = 1;
      bytes.at(13) = 2;
    } else if (is("VC INPUT_TERMINAL")) {
      head(bytes, 2);
      put(bytes, 3, n("bTerminalID"), 1);
      put(bytes, 4, n("wTerminalType"), 2);
      put(bytes, 14, n("bControlSize"), 1);
      put(bytes, 15, n("bmControls"), 3);
    } else if (is("VC PROCESSING_UNIT")) {
      head(bytes, 5);
      put(bytes, 3, n("bUnitID"), 1);
      put(bytes, 4, n("bSourceID"), 1);
      put(bytes, 7, n("bControlSize"), 1);
      put(bytes, 8, n("bmControls"), 3);
    } else if (is("VC EXTENSION_UNIT")) {
      head(bytes, 6);
      put(bytes, 3, n("bUnitID"), 1);
      guid(bytes, 4, line);
      put(bytes, 20, n("bNumControl"), 1);
      bytes.at(21) = 1;
      bytes.at(22) = 2;
      bytes.at(23) = 3;
      put(bytes, 24, 0xDDFF, 3);  // "0xff 0xdd 0x00"
    } else if (is("VS INPUT_HEADER")) {
      head(bytes, 1);
      bytes.at(3) = 2;
      put(bytes, 6, n("bEndPointAddress"), 1);
      bytes.at(12) = 1;
    } else if (is("VS FORMAT_FRAME_BASED")) {
      head(bytes, 0x10);
      put(bytes, 3, n("bFormatIndex"), 1);
      put(bytes, 4, n("bNumFrameDescriptors"), 1);
      guid(bytes, 5, line);
      put(bytes, 21, n("bBitsPerPixel"), 1);
    } else if (is("   FRAME ")) {
      const auto intervals = intervals_of(line);
      bytes.resize(26 + 4 * intervals.size());
      head(bytes, 0x11);
      const auto [index, width, height] = size_of(line);
      put(bytes, 3, index, 1);
      put(bytes, 5, width, 2);
      put(bytes, 7, height, 2);
      put(bytes, 21, static_cast<std::uint32_t>(intervals.size()), 1);
      put(bytes, 22, n("dwBytesPerLine"), 4);
      for (std::size_t i = 0; i < intervals.size(); ++i) put(bytes, 26 + 4 * i, intervals[i], 4);
    } else {
      return {};
    }
    bytes.at(0) = static_cast<std::uint8_t>(bytes.size());
    return bytes;
  }
  static void head(Bytes& bytes, std::uint8_t subtype) {
    bytes.at(1) = 0x24;
    bytes.at(2) = subtype;
  }
  static void guid(Bytes& bytes, std::size_t at, const std::string& line) {
    const std::size_t open = line.find('{');
    const auto raw = guid_bytes(line.substr(open, line.find('}') - open));
    std::copy(raw.begin(), raw.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }

 public:
  struct Size {
    std::uint32_t index = 0, width = 0, height = 0;
  };
  static Size size_of(const std::string& line) {
    Size size;
    std::sscanf(line.c_str(), " FRAME %u %ux%u", &size.index, &size.width, &size.height);
    return size;
  }
  static std::vector<std::uint32_t> intervals_of(const std::string& line) {
    std::istringstream rest(line.substr(line.find("intervals ") + 10));
    return {std::istream_iterator<std::uint32_t>(rest), {}};
  }

 private:
  std::vector<std::string> lines_;
};

TEST(LsusbExcerpt, OfTheD435ParsesToItsDepthStream) {
  const auto path = std::filesystem::path(CUSP_USB_DUMPS) / "realsense-d435-lsusb-excerpt.txt";
  std::ifstream file(path);
  if (!file) {
    fmt::print("no {}: nothing to compare\n", path.string());
    return;
  }
  D435Excerpt excerpt(file);
  const auto functions = uvc::parse_video_functions(excerpt.config());
  ASSERT_TRUE(functions) << functions.error().message;
  ASSERT_EQ(functions->size(), 1u);
  const auto& function = functions->front();
  EXPECT_EQ(function.status_endpoint, 0x87);
  ASSERT_EQ(function.cameras.size(), 1u);
  EXPECT_EQ(function.cameras[0].controls, 0x00200000u);
  ASSERT_EQ(function.processing_units.size(), 1u);
  EXPECT_EQ(function.processing_units[0].controls, 0x200u);
  ASSERT_EQ(function.extension_units.size(), 1u);
  EXPECT_THAT(function.extension_units[0].guid,
              ElementsAreArray(guid_bytes("cb6c60c9-4c59-254d-af47-ccc496435995")));
  EXPECT_THAT(function.extension_units[0].controls, testing::ElementsAre(0xFF, 0xDD, 0x00));
  ASSERT_EQ(function.streams.size(), 1u);
  ASSERT_EQ(function.streams[0].formats.size(), 1u);
  const auto& format = function.streams[0].formats[0];
  EXPECT_EQ(format.kind, FormatKind::kFrameBased);
  EXPECT_EQ(uvc::pixel_format(format), PixelFormat::kZ16);
  std::size_t seen = 0;
  for (const std::string& line : excerpt.lines()) {
    if (line.find("   FRAME ") == std::string::npos) continue;
    ASSERT_LT(seen, format.frames.size());
    const auto& frame = format.frames[seen++];
    const auto size = D435Excerpt::size_of(line);
    EXPECT_EQ(frame.index, size.index);
    EXPECT_EQ(frame.width_px, static_cast<int>(size.width));
    EXPECT_EQ(frame.height_px, static_cast<int>(size.height));
    EXPECT_THAT(frame.intervals_100ns, ElementsAreArray(D435Excerpt::intervals_of(line)));
  }
  EXPECT_EQ(seen, 8u);
  EXPECT_EQ(format.frames.size(), 8u);
}

}  // namespace
}  // namespace cusp
