#include "drivers/emulation/uvc_function_descriptors.h"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <span>

#include "drivers/bytes.h"

namespace cusp {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kVideoClass = 14, kControlSubclass = 1, kStreamingSubclass = 2;
constexpr std::uint8_t kInterface = 0x04, kEndpoint = 0x05, kAssociation = 0x0B,
                       kClassInterface = 0x24, kClassEndpoint = 0x25, kCompanion = 0x30;
constexpr std::uint8_t kIsochronousAsync = 0x05, kBulk = 0x02, kInterrupt = 0x03;
constexpr std::uint16_t kUvc11 = 0x0110, kUvc15 = 0x0150;
constexpr int kStatusBytes = 16;
constexpr std::uint64_t kIntervalUnitsPerSecond = 10'000'000;

template <typename T>
std::uint8_t byte(T value) {
  CUSP_CHECK(value >= 0 && static_cast<std::uint64_t>(value) <= 0xFF, "a field of one byte");
  return static_cast<std::uint8_t>(value);
}

void append(Bytes& to, std::span<const std::uint8_t> from) {
  for (const std::uint8_t each : from) to.push_back(each);
}
void append(Bytes& to, std::initializer_list<std::uint8_t> bytes) {
  append(to, std::span(bytes.begin(), bytes.size()));
}
template <std::unsigned_integral T>
void append_le(Bytes& to, T value) {
  to.resize(to.size() + sizeof(T));
  write_le(to, to.size() - sizeof(T), value);
}
void append_le16(Bytes& to, int value) {
  CUSP_CHECK(value >= 0 && value <= 0xFFFF, "a field of two bytes");
  append_le(to, static_cast<std::uint16_t>(value));
}
void append_bits(Bytes& to, std::uint32_t bits, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) to.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
}

// Appends a descriptor whose first byte is its length.
void append_item(Bytes& to, Bytes item) {
  item.front() = byte(item.size());
  append(to, item);
}

// The total length of a block of descriptors, written into its first one once the block is there.
void set_total(Bytes& block, std::size_t at) {
  CUSP_CHECK(block.size() <= 0xFFFF, "a total length has two bytes");
  write_le(block, at, static_cast<std::uint16_t>(block.size()));
}

bool is_super(UsbSpeed speed) { return speed >= UsbSpeed::kSuper; }

void append_interface(Bytes& to, int number, int alternate, std::size_t endpoints,
                      std::uint8_t subclass, std::uint16_t uvc_version_bcd) {
  const std::uint8_t protocol = uvc_version_bcd >= kUvc15 ? 1 : 0;
  append(to, {9, kInterface, byte(number), byte(alternate), byte(endpoints), kVideoClass, subclass,
              protocol, 0});
}

void append_bulk_endpoint(Bytes& to, std::uint8_t endpoint, UsbSpeed speed) {
  const int packet_bytes = is_super(speed) ? 1024 : speed == UsbSpeed::kHigh ? 512 : 64;
  append(to, {7, kEndpoint, endpoint, kBulk});
  append_le16(to, packet_bytes);
  to.push_back(0);
  if (is_super(speed)) append(to, {6, kCompanion, 15, 0, 0, 0});  // bursts of 16
}

// How a service interval's bytes are cut into packets: USB 2.0 table 9-13 (up to three a
// microframe), USB 3.2 section 9.6.7 (bursts, and up to three of them).
void append_isochronous_endpoint(Bytes& to, const uvc::AlternateSetting& setting, UsbSpeed speed) {
  const int bytes = setting.interval_bytes;
  CUSP_CHECK(bytes > 0, "an isochronous setting has bandwidth");
  append(to, {7, kEndpoint, setting.endpoint, kIsochronousAsync});
  if (is_super(speed)) {
    const int packets = (bytes + 1023) / 1024;
    const int bursts = (packets + 15) / 16;
    CUSP_CHECK(bursts <= 3, "at most 48 KiB a service interval");
    append_le16(to, std::min(bytes, 1024));
    to.push_back(setting.interval_exponent);
    append(to, {6, kCompanion, byte((packets + bursts - 1) / bursts - 1), byte(bursts - 1)});
    append_le16(to, bytes);
    return;
  }
  const int packets = (bytes + 1023) / 1024;
  CUSP_CHECK(speed == UsbSpeed::kHigh ? packets <= 3 : bytes <= 1023,
             "at most 3072 bytes a microframe, 1023 a frame");
  CUSP_CHECK(bytes % packets == 0, "packets of one size");
  append_le16(to, (packets - 1) << 11 | bytes / packets);
  to.push_back(setting.interval_exponent);
}

std::uint8_t free_id(const uvc::VideoFunction& function) {
  std::uint8_t highest = 0;
  for (const auto& terminal : function.cameras) highest = std::max(highest, terminal.id);
  for (const auto& unit : function.processing_units) highest = std::max(highest, unit.id);
  for (const auto& unit : function.extension_units) highest = std::max(highest, unit.id);
  return byte(highest + 1);
}

// Terminals and units in a row: cameras, processing units, extension units, one output a stream.
Bytes control_block(const EmulatedVideoFunction& video) {
  const uvc::VideoFunction& function = video.function;
  CUSP_CHECK(!function.cameras.empty(), "a video function has a camera");
  CUSP_CHECK(function.clock_hz > 0, "payload time stamps need a clock");
  Bytes block{byte(12 + video.streams.size()), kClassInterface, 0x01};
  append_le(block, function.uvc_version_bcd);
  append_le(block, std::uint16_t{0});
  append_le(block, function.clock_hz);
  block.push_back(byte(video.streams.size()));
  for (const auto& stream : video.streams) block.push_back(byte(stream.interface.number));

  std::uint8_t last = 0;
  for (const auto& camera : function.cameras) {
    Bytes item{0, kClassInterface, 0x02, camera.id, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3};
    append_bits(item, camera.controls, 3);
    append_item(block, item);
    last = camera.id;
  }
  for (const auto& unit : function.processing_units) {
    const std::uint8_t control_bytes = function.uvc_version_bcd >= kUvc15 ? 3 : 2;
    const std::uint8_t source = unit.source != 0 ? unit.source : last;
    Bytes item{0, kClassInterface, 0x05, unit.id, source, 0x00, 0x40, control_bytes};
    append_bits(item, unit.controls, control_bytes);
    item.push_back(0);                                          // iProcessing
    if (function.uvc_version_bcd >= kUvc11) item.push_back(0);  // bmVideoStandards
    append_item(block, item);
    last = unit.id;
  }
  for (const auto& unit : function.extension_units) {
    int controls = 0;
    for (const std::uint8_t bits : unit.controls) controls += std::popcount(bits);
    Bytes item{0, kClassInterface, 0x06, unit.id};
    append(item, unit.guid);
    append(item, {byte(controls), 1, last, byte(unit.controls.size())});
    append(item, unit.controls);
    item.push_back(0);
    append_item(block, item);
    last = unit.id;
  }
  const std::uint8_t first_output = free_id(function);
  for (std::size_t i = 0; i < video.streams.size(); ++i)
    append(block, {9, kClassInterface, 0x03, byte(first_output + i), 0x01, 0x01, 0, last, 0});
  set_total(block, 5);
  return block;
}

Bytes control_interface(const EmulatedVideoFunction& video, UsbSpeed speed) {
  const uvc::VideoFunction& function = video.function;
  Bytes bytes;
  append_interface(bytes, function.control_interface, 0, function.status_endpoint != 0 ? 1 : 0,
                   kControlSubclass, function.uvc_version_bcd);
  append(bytes, control_block(video));
  if (function.status_endpoint == 0) return bytes;
  append(bytes, {7, kEndpoint, function.status_endpoint, kInterrupt, kStatusBytes, 0, 6});
  if (is_super(speed)) append(bytes, {6, kCompanion, 0, 0, kStatusBytes, 0});
  append(bytes, {5, kClassEndpoint, kInterrupt, kStatusBytes, 0});
  return bytes;
}

std::uint32_t bit_rate(std::uint32_t frame_bytes, std::uint32_t interval) {
  const std::uint64_t rate = std::uint64_t{frame_bytes} * 8 * kIntervalUnitsPerSecond / interval;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, 0xFFFFFFFF));
}

void append_frame(Bytes& to, const uvc::FormatDescriptor& format,
                  const uvc::FrameDescriptor& frame) {
  const auto& intervals = frame.intervals_100ns;
  CUSP_CHECK(!intervals.empty(), "a frame has intervals");
  const auto [shortest, longest] = std::minmax_element(intervals.begin(), intervals.end());
  CUSP_CHECK(*shortest > 0, "an interval takes time");
  const std::uint32_t bytes =
      emulated_frame_bytes(format, frame.width_px, frame.height_px, frame.max_frame_bytes);
  const bool frame_based = format.kind == uvc::FormatKind::kFrameBased;
  const std::uint8_t subtype = frame_based                              ? 0x11
                               : format.kind == uvc::FormatKind::kMjpeg ? 0x07
                                                                        : 0x05;
  Bytes item{0, kClassInterface, subtype, frame.index, 0};
  append_le16(item, frame.width_px);
  append_le16(item, frame.height_px);
  append_le(item, bit_rate(bytes, *longest));
  append_le(item, bit_rate(bytes, *shortest));
  if (!frame_based) append_le(item, bytes);
  append_le(item, intervals.front());
  item.push_back(byte(intervals.size()));
  if (frame_based)
    append_le(item, static_cast<std::uint32_t>(frame.width_px * format.bits_per_pixel / 8));
  for (const std::uint32_t interval : intervals) append_le(item, interval);
  append_item(to, item);
}

void append_format(Bytes& to, const uvc::FormatDescriptor& format) {
  CUSP_CHECK(!format.frames.empty(), "a format has frames");
  const std::uint8_t default_frame =
      format.default_frame != 0 ? format.default_frame : format.frames.front().index;
  const std::uint8_t frames = byte(format.frames.size());
  Bytes item;
  switch (format.kind) {
    case uvc::FormatKind::kUncompressed:
    case uvc::FormatKind::kFrameBased: {
      const bool frame_based = format.kind == uvc::FormatKind::kFrameBased;
      item = {0, kClassInterface, byte(frame_based ? 0x10 : 0x04), format.index, frames};
      append(item, format.guid);
      append(item, {byte(format.bits_per_pixel), default_frame, 0, 0, 0, 0});
      if (frame_based) item.push_back(0);  // frames of a fixed size
      break;
    }
    case uvc::FormatKind::kMjpeg:
      item = {0, kClassInterface, 0x06, format.index, frames, 0, default_frame, 0, 0, 0, 0};
      break;
  }
  append_item(to, item);
  for (const auto& frame : format.frames) append_frame(to, format, frame);
  if (format.still) {
    Bytes still{0, kClassInterface, 0x03, format.still->endpoint, byte(format.still->sizes.size())};
    for (const auto& size : format.still->sizes) {
      append_le16(still, size.width_px);
      append_le16(still, size.height_px);
    }
    still.push_back(byte(format.still->compressions.size()));
    append(still, format.still->compressions);
    append_item(to, still);
  }
  // BT.709 primaries and transfer, SMPTE 170M matrix: what the standard says is the default.
  append(to, {6, kClassInterface, 0x0D, 1, 1, 4});
}

std::uint8_t still_endpoint(const uvc::StreamingInterface& interface) {
  if (interface.still_method != 3) return 0;
  for (const auto& format : interface.formats)
    if (format.still && format.still->endpoint != 0) return format.still->endpoint;
  CUSP_CHECK(false, "still method 3 has an endpoint of its own");
}

Bytes streaming_interface(const uvc::StreamingInterface& interface, std::uint8_t terminal,
                          const uvc::VideoFunction& function, UsbSpeed speed) {
  CUSP_CHECK(!interface.formats.empty() && !interface.alternates.empty(), "a stream has formats");
  const bool trigger = interface.still_method != 0 && function.status_endpoint != 0;
  Bytes block{byte(13 + interface.formats.size()),
              kClassInterface,
              0x01,
              byte(interface.formats.size()),
              0,
              0,
              interface.endpoint(),
              0,
              terminal,
              interface.still_method,
              byte(trigger ? 1 : 0),
              0,
              1};
  // bmaControls: no control of a format.
  for (std::size_t i = 0; i < interface.formats.size(); ++i) block.push_back(0);
  for (const auto& format : interface.formats) append_format(block, format);
  set_total(block, 4);

  const std::uint8_t still = still_endpoint(interface);
  const std::size_t still_endpoints = still != 0 ? 1 : 0;
  Bytes bytes;
  append_interface(bytes, interface.number, 0, (interface.bulk() ? 1 : 0) + still_endpoints,
                   kStreamingSubclass, function.uvc_version_bcd);
  append(bytes, block);
  if (interface.bulk()) append_bulk_endpoint(bytes, interface.endpoint(), speed);
  if (still != 0) append_bulk_endpoint(bytes, still, speed);
  if (interface.bulk()) {
    CUSP_CHECK(interface.alternates.size() == 1, "a bulk stream has one setting");
    return bytes;
  }
  int smaller = 0;
  for (const auto& setting : interface.alternates) {
    CUSP_CHECK(setting.number > 0 && setting.endpoint == interface.endpoint() &&
                   setting.interval_bytes > smaller,
               "alternate settings of one endpoint, with rising bandwidth");
    smaller = setting.interval_bytes;
    append_interface(bytes, interface.number, setting.number, 1 + still_endpoints,
                     kStreamingSubclass, function.uvc_version_bcd);
    append_isochronous_endpoint(bytes, setting, speed);
    if (still != 0) append_bulk_endpoint(bytes, still, speed);
  }
  return bytes;
}

}  // namespace

std::uint32_t emulated_frame_bytes(const uvc::FormatDescriptor& format, int width_px, int height_px,
                                   std::uint32_t stated) {
  if (stated != 0) return stated;
  const int bits = format.kind == uvc::FormatKind::kMjpeg ? 16 : format.bits_per_pixel;
  const auto bytes =
      static_cast<std::uint32_t>(static_cast<std::int64_t>(width_px) * height_px * bits / 8);
  CUSP_CHECK(bytes > 0, "a frame has bytes");
  return bytes;
}

std::vector<std::uint8_t> emulated_device_descriptor(const EmulatedUvcDevice& device) {
  const bool super = is_super(device.speed);
  Bytes bytes{18, 0x01};
  append_le16(bytes, super ? 0x0320 : 0x0200);
  append(bytes, {239, 2, 1, byte(super ? 9 : 64)});  // of functions; 2^9 bytes on endpoint 0, or 64
  append_le(bytes, device.vendor_id);
  append_le(bytes, device.product_id);
  append_le(bytes, device.device_bcd);
  append(bytes, {byte(device.maker.empty() ? 0 : 1), byte(device.product.empty() ? 0 : 2),
                 byte(device.serial.empty() ? 0 : 3), 1});
  return bytes;
}

std::vector<std::uint8_t> emulated_config_descriptor(const EmulatedUvcDevice& device) {
  const int power_unit_ma = is_super(device.speed) ? 8 : 2;
  std::size_t interfaces = 0;
  for (const auto& video : device.functions) interfaces += 1 + video.streams.size();
  Bytes bytes{9,
              0x02,
              0,
              0,
              byte(interfaces),
              1,
              0,
              0x80,
              byte((device.max_power_ma + power_unit_ma - 1) / power_unit_ma)};
  for (const auto& video : device.functions) {
    const int first = video.function.control_interface;
    append(bytes,
           {8, kAssociation, byte(first), byte(1 + video.streams.size()), kVideoClass, 3, 0, 0});
    append(bytes, control_interface(video, device.speed));
    for (std::size_t i = 0; i < video.streams.size(); ++i) {
      const auto& interface = video.streams[i].interface;
      CUSP_CHECK(interface.number == first + 1 + static_cast<int>(i),
                 "the interfaces of a function follow each other");
      append(bytes, streaming_interface(interface, byte(free_id(video.function) + i),
                                        video.function, device.speed));
    }
  }
  set_total(bytes, 2);
  return bytes;
}

}  // namespace cusp
