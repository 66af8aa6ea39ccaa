#include "drivers/recording/capture.h"

#include <algorithm>
#include <array>

#include "drivers/bytes.h"
#include "drivers/recording/recording.h"

namespace cusp::recording {
namespace {

constexpr std::size_t kDeviceDescriptorBytes = 18, kConfigHeadBytes = 9, kMaxControlBytes = 65535;
// Of a whole file: requests with their data, and the comments that are kept.
constexpr std::size_t kMaxHeldBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxRequests = 1'000'000, kMaxPending = 1024, kMaxOpenings = 4096,
                      kMaxNotes = 10'000, kMaxResets = 10'000;
constexpr std::uint8_t kDeviceType = 1, kConfigType = 2, kStringType = 3;
constexpr std::uint8_t kGetDescriptor = 6, kSetConfiguration = 9, kFromDevice = 0x80;
constexpr std::uint16_t kUsbpcapLink = 249, kDarwinLink = 266;

constexpr std::array kCodes{
    ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kConflict,
    ErrorCode::kUnavailable,     ErrorCode::kTimeout,  ErrorCode::kDisconnected,
    ErrorCode::kPermission,      ErrorCode::kProtocol, ErrorCode::kCorrupt,
    ErrorCode::kNoSpace,         ErrorCode::kIo,       ErrorCode::kUnsupported,
    ErrorCode::kCancelled};

// UTF-16 of a string descriptor as UTF-8; what is none becomes U+FFFD.
std::string text_of(std::span<const std::uint8_t> descriptor) {
  std::string text;
  const std::size_t end = std::min<std::size_t>(descriptor[0], descriptor.size());
  const auto put = [&](std::uint32_t code) {
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      text += static_cast<char>(0xE0 | code >> 12);
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      text += static_cast<char>(0xF0 | code >> 18);
      text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
  };
  for (std::size_t i = 2; i + 2 <= end; i += 2) {
    const std::uint32_t unit = read_le<std::uint16_t>(descriptor, i);
    if (unit < 0xD800 || unit > 0xDFFF) {
      put(unit);
      continue;
    }
    const std::uint32_t next =
        i + 4 <= end ? read_le<std::uint16_t>(descriptor, i + 2) : std::uint16_t{0};
    if (unit <= 0xDBFF && next >= 0xDC00 && next <= 0xDFFF) {
      put(0x10000 + ((unit - 0xD800) << 10) + (next - 0xDC00));
      i += 2;
    } else {
      put(0xFFFD);
    }
  }
  return text;
}

// The value of " key=..." in a line of words.
std::string_view word(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(fmt::format(" {}=", key));
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + key.size() + 2);
  return line.substr(0, line.find(' '));
}

// USB does not say in its descriptors at which speed it runs; they differ by it, though.
UsbSpeed speed_of(std::span<const std::uint8_t> device, std::span<const std::uint8_t> config) {
  if (device.size() >= kDeviceDescriptorBytes && device[7] == 9 &&
      read_le<std::uint16_t>(device, 2) >= 0x0300)
    return UsbSpeed::kSuper;
  for (std::size_t at = 0; config.size() - at >= 2 && config[at] >= 2;) {
    const auto rest = config.subspan(at);
    if (rest[0] > rest.size()) break;
    const bool bulk = rest[0] >= 7 && rest[1] == 5 && (rest[3] & 3) == 2;
    if (bulk) return read_le<std::uint16_t>(rest, 4) >= 512 ? UsbSpeed::kHigh : UsbSpeed::kFull;
    at += rest[0];
  }
  return UsbSpeed::kHigh;
}

}  // namespace

std::optional<Error> error_from_text(std::string_view text) {
  for (const ErrorCode code : kCodes) {
    const std::string_view name = to_string(code);
    if (text.starts_with(name) && text.substr(name.size()).starts_with(": "))
      return Error{code, std::string(text.substr(name.size() + 2))};
  }
  return std::nullopt;
}

std::string CapturedOpening::string(std::size_t descriptor_offset) const {
  if (device_descriptor.size() < kDeviceDescriptorBytes) return {};
  const auto found = strings.find(device_descriptor[descriptor_offset]);
  return found == strings.end() ? std::string{} : found->second;
}

std::string CapturedOpening::identity() const {
  if (device_descriptor.size() < kDeviceDescriptorBytes) return "unknown";
  const std::string serial = string(kSerialAt);
  return fmt::format("{:04x}:{:04x}{}{}", read_le<std::uint16_t>(device_descriptor, 8),
                     read_le<std::uint16_t>(device_descriptor, 10), serial.empty() ? "" : " ",
                     serial);
}

// Reads a file from end to end.
class CaptureIndexer {
 public:
  CaptureIndexer(CaptureReader reader, Capture& capture)
      : reader_(std::move(reader)), capture_(capture) {}

  Result<void> run(const CaptureOptions& options) {
    while (true) {
      CUSP_ASSIGN(const auto block, reader_.next());
      if (!block) break;
      if (block->is_note())
        CUSP_TRY(notes(*block));
      else
        CUSP_TRY(packet(*block));
    }
    if (!reader_.ending().empty()) capture_.problem_ = reader_.ending();
    if (capture_.openings_.empty())
      return error(ErrorCode::kUnsupported, "{}: it shows no USB device{}", reader_.name(),
                   foreign_.empty() ? "" : ": " + foreign_);
    for (std::size_t i = 0; i < capture_.openings_.size(); ++i) finish(i, options);
    return {};
  }

 private:
  // What is known of an opening while it is read, besides what is kept.
  struct Work {
    std::map<std::uint64_t, CapturedRequest> pending;  // their answers are to come
    std::uint8_t configuration = 0;                    // as set
    std::vector<Bytes> configs;
  };

  // What is kept of a file is counted, whatever it is.
  Result<void> hold(std::size_t bytes) {
    held_bytes_ += bytes;
    if (held_bytes_ <= kMaxHeldBytes) return {};
    return error(ErrorCode::kNoSpace,
                 "{}: its control requests and notes are more than the {} MiB that are held",
                 reader_.name(), kMaxHeldBytes >> 20);
  }

  Result<void> notes(const CaptureBlock& block) {
    for (const std::string& note : block.comments) {
      if (note.starts_with(kResetNote) && !capture_.openings_.empty()) {
        if (++resets_ > kMaxResets)
          return error(ErrorCode::kNoSpace, "{}: it shows more than {} resets", reader_.name(),
                       kMaxResets);
        CUSP_TRY(hold(note.size()));
        // The device that was opened last: recordings hold one device at a time.
        capture_.openings_.back().resets.push_back(
            error_from_text(std::string_view(note).substr(kResetNote.size())));
      } else if (note.starts_with(kEndedNote)) {
        capture_.problem_ = note.substr(kEndedNote.size());
      } else if (capture_.notes_.size() < kMaxNotes) {
        CUSP_TRY(hold(note.size()));
        capture_.notes_.push_back(note);
      }
    }
    return {};
  }

  Result<void> packet(const CaptureBlock& block) {
    const std::size_t header_bytes = usbmon_header_bytes(block.link_type);
    if (header_bytes == 0) {
      foreign_ = block.link_type == kUsbpcapLink
                     ? "it was captured with USBPcap on Windows; capture on Linux instead"
                 : block.link_type == kDarwinLink
                     ? "it was captured on macOS; capture on Linux instead"
                     : fmt::format("its packets have link type {}, not 189 or 220 (usbmon)",
                                   block.link_type);
      return {};
    }
    if (block.captured_bytes < header_bytes)
      return error(ErrorCode::kCorrupt, "{}: packet {}: {} bytes, a usbmon record has {} or more",
                   reader_.name(), block.number, block.captured_bytes, header_bytes);
    std::array<std::uint8_t, kUsbmonBytes> header{};
    CUSP_TRY(reader_.read(0, std::span(header).first(header_bytes)));
    auto decoded = decode_usbmon(std::span(header).first(header_bytes), block.big_endian);
    if (!decoded)
      return error(decoded.error().code, "{}: packet {}: {}", reader_.name(), block.number,
                   decoded.error().message);
    UsbmonRecord& record = *decoded;
    if (block.since_1970) record.since_1970 = *block.since_1970;
    if (record.type != 'S' && record.type != 'C' && record.type != 'E') return {};  // fillers

    CUSP_ASSIGN(const std::size_t index, opening_of(block, record));
    CapturedOpening& opening = capture_.openings_[index];
    opening.last_packet = block.number;
    opening.end = record.since_1970;
    if (record.transfer == UsbmonTransfer::kControl)
      return control(block, record, header_bytes, opening, work_[index]);
    if (record.is_submission() || !record.is_in()) return {};
    CapturedEndpoint& endpoint = opening.endpoints[record.endpoint];
    endpoint.transfer = record.transfer;
    const bool stopped = record.status == kStatusCancelled || record.status == kStatusUnlinked;
    if (stopped || record.type == 'E') return {};
    endpoint.last_data = block.number;
    if (record.length > 0) ++endpoint.transfers;
    endpoint.bytes += record.length;
    return {};
  }

  Result<std::size_t> opening_of(const CaptureBlock& block, const UsbmonRecord& record) {
    const BusAddress address{record.bus, record.device};
    std::string_view comment;
    for (const std::string& one : block.comments)
      if (one.starts_with(kOpeningComment)) comment = one;
    const auto known = current_.find(address);
    if (known != current_.end() && comment.empty()) return known->second;
    if (capture_.openings_.size() == kMaxOpenings)
      return error(ErrorCode::kNoSpace, "{}: it shows more than {} devices", reader_.name(),
                   kMaxOpenings);
    CapturedOpening made;
    made.address = address;
    made.by_cusp = !comment.empty();
    made.location = fmt::format("{}:{}", address.bus, address.device);
    if (made.by_cusp) {
      CUSP_TRY(hold(comment.size()));
      made.location = word(comment, "location");
      const std::string_view speed = word(comment, "speed");
      if (speed.size() == 1 && speed[0] >= '0' &&
          speed[0] <= '0' + static_cast<char>(UsbSpeed::kSuperPlus))
        made.speed = static_cast<UsbSpeed>(speed[0] - '0');
    }
    made.first_packet = block.number;
    made.begin = record.since_1970;
    capture_.openings_.push_back(std::move(made));
    work_.emplace_back();
    return current_[address] = capture_.openings_.size() - 1;
  }

  Result<void> control(const CaptureBlock& block, const UsbmonRecord& record,
                       std::size_t header_bytes, CapturedOpening& opening, Work& work) {
    const std::size_t here = std::min<std::size_t>(
        {record.captured_bytes, block.captured_bytes - header_bytes, kMaxControlBytes});
    Bytes data(here);
    CUSP_TRY(reader_.read(header_bytes, data));
    CUSP_TRY(hold(here));
    if (requests_ > kMaxRequests)
      return error(ErrorCode::kNoSpace, "{}: it holds more than {} control requests",
                   reader_.name(), kMaxRequests);
    if (record.is_submission()) {
      if (!record.has_setup) return {};
      if (work.pending.size() == kMaxPending) work.pending.erase(work.pending.begin());
      CapturedRequest request;
      request.setup = decode_setup(record.setup);
      request.asked_bytes = read_le<std::uint16_t>(record.setup, 6);
      request.truncated = !record.is_in() && here < record.length;
      request.data = std::move(data);
      work.pending[record.id] = std::move(request);
      return {};
    }
    const auto found = work.pending.find(record.id);
    if (found == work.pending.end()) return {};  // asked before the capture began
    CapturedRequest request = std::move(found->second);
    work.pending.erase(found);
    request.number = block.number;
    request.status = record.status;
    if (record.is_in()) {
      request.truncated = here < record.length;
      request.data = std::move(data);
    }
    for (const std::string& comment : block.comments)
      if (comment.starts_with(kErrorComment)) {
        CUSP_TRY(hold(comment.size()));
        request.problem = error_from_text(std::string_view(comment).substr(kErrorComment.size()));
      }
    ++requests_;
    if (request.status == 0 && !request.truncated) learn(request, opening, work);
    opening.requests.push_back(std::move(request));
    return {};
  }

  // Descriptors and the choice of a configuration.
  static void learn(const CapturedRequest& request, CapturedOpening& opening, Work& work) {
    const ControlSetup& setup = request.setup;
    if (setup.request_type == 0 && setup.request == kSetConfiguration)
      work.configuration = static_cast<std::uint8_t>(setup.value);
    if (setup.request_type != kFromDevice || setup.request != kGetDescriptor) return;
    const Bytes& data = request.data;
    const auto type = static_cast<std::uint8_t>(setup.value >> 8);
    const auto index = static_cast<std::uint8_t>(setup.value);
    if (type == kDeviceType && data.size() >= kDeviceDescriptorBytes)
      opening.device_descriptor = data;
    if (type == kConfigType && is_whole_config(data)) work.configs.push_back(data);
    if (type == kStringType && index != 0 && data.size() >= 2)
      opening.strings[index] = text_of(data);
  }
  static bool is_whole_config(std::span<const std::uint8_t> data) {
    return data.size() >= kConfigHeadBytes && data[1] == kConfigType &&
           data.size() == read_le<std::uint16_t>(data, 2);
  }

  void finish(std::size_t index, const CaptureOptions& options) {
    CapturedOpening& opening = capture_.openings_[index];
    std::vector<Bytes>& configs = work_[index].configs;
    if (opening.device_descriptor.empty() && opening.address == options.device &&
        options.descriptors.size() > kDeviceDescriptorBytes) {
      const std::span<const std::uint8_t> given(options.descriptors);
      opening.device_descriptor.assign(given.begin(), given.begin() + kDeviceDescriptorBytes);
      for (auto rest = given.subspan(kDeviceDescriptorBytes); rest.size() >= kConfigHeadBytes;) {
        const std::size_t size = read_le<std::uint16_t>(rest, 2);
        if (size > rest.size() || !is_whole_config(rest.first(size))) break;
        configs.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
        rest = rest.subspan(size);
      }
    }
    // The configuration that was chosen, else the first.
    const auto chosen = std::find_if(configs.begin(), configs.end(), [&](const Bytes& config) {
      return config[5] == work_[index].configuration;
    });
    if (!configs.empty())
      opening.config_descriptor = chosen != configs.end() ? *chosen : configs.front();
    if (!opening.by_cusp)
      opening.speed = speed_of(opening.device_descriptor, opening.config_descriptor);
  }

  CaptureReader reader_;
  Capture& capture_;
  std::map<BusAddress, std::size_t> current_;
  std::vector<Work> work_;  // of each opening
  std::size_t held_bytes_ = 0;
  std::size_t requests_ = 0;
  std::size_t resets_ = 0;
  std::string foreign_;  // why a packet was not read
};

Result<std::shared_ptr<const Capture>> Capture::open(const std::filesystem::path& path,
                                                     const CaptureOptions& options) {
  CUSP_ASSIGN(CaptureReader reader, CaptureReader::open(path));
  auto capture = std::make_shared<Capture>();
  capture->path_ = path;
  CUSP_TRY(CaptureIndexer(std::move(reader), *capture).run(options));
  return std::shared_ptr<const Capture>(std::move(capture));
}

}  // namespace cusp::recording
