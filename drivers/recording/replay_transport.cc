#include "drivers/recording/replay_transport.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "drivers/recording/recording.h"
#include "drivers/recording/replay_requests.h"

namespace cusp::recording {
namespace {

constexpr std::uint8_t kToInterface = 0x01, kToEndpoint = 0x02;
constexpr std::uint8_t kSetInterface = 11, kClearFeature = 1;
// A transfer is at most this long; the kernel's own limit for one is lower.
constexpr std::size_t kMaxTransferBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxOutstanding = 4096;

// A record of the opening that is replayed.
struct Found {
  CaptureBlock block;
  UsbmonRecord record;
  std::size_t header_bytes = 0;
};

// What a stream() call has come to know.
struct Progress {
  // Its first transfer was handed over then; it counts as the moment of the call.
  std::optional<std::chrono::nanoseconds> begun;
  MonoTime called = std::chrono::steady_clock::now();
  std::map<std::uint8_t, std::chrono::nanoseconds> last{};  // chunk, by endpoint
};

class ReplayTransport final : public UsbTransport {
 public:
  ReplayTransport(std::shared_ptr<const Capture> capture, std::size_t opening, CaptureReader reader,
                  ReplayOptions options)
      : capture_(std::move(capture)),
        opening_(capture_->openings()[opening]),
        options_(options),
        reader_(std::move(reader)),
        name_(fmt::format("recording {}", capture_->path().filename().string())),
        requests_(opening_, name_) {}

  std::span<const std::uint8_t> device_descriptor() const override {
    return opening_.device_descriptor;
  }
  std::span<const std::uint8_t> config_descriptor() const override {
    return opening_.config_descriptor;
  }
  Result<std::string> string_descriptor(std::uint8_t index) override {
    const auto found = opening_.strings.find(index);
    if (found == opening_.strings.end())
      return error(ErrorCode::kNotFound, "{}: string {} was not captured", name_, index);
    return found->second;
  }
  UsbSpeed speed() const override { return opening_.speed; }
  std::string location() const override { return opening_.location; }

  Result<void> claim_interface(int) override { return {}; }
  Result<void> set_alternate(int interface_number, int alternate) override {
    return requests_.standard({kToInterface, kSetInterface, static_cast<std::uint16_t>(alternate),
                               static_cast<std::uint16_t>(interface_number)});
  }
  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds) override {
    return requests_.in(setup, data);
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds) override {
    return requests_.out(setup, data);
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    return requests_.standard({kToEndpoint, kClearFeature, 0, endpoint});
  }
  Result<void> reset() override {
    if (next_reset_ == opening_.resets.size()) return {};
    const auto& result = opening_.resets[next_reset_++];
    if (result) return *result;
    return {};
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    Progress progress;
    while (!stop.stop_requested()) {
      CUSP_ASSIGN(const auto found, next_record());
      if (!found) return nothing_follows();
      const auto asked = std::find_if(
          endpoints.begin(), endpoints.end(),
          [&](const StreamOptions& one) { return one.endpoint == found->record.endpoint; });
      if (asked == endpoints.end()) continue;
      if (found->record.is_submission()) {
        if (!progress.begun) progress.begun = found->record.since_1970;
        continue;
      }
      const auto fault = fault_before(*found, *asked, endpoints.front(), progress);
      if (fault == Fault::kSilence) {
        held_ = *found;  // it comes after the driver has started the stream again
        return error(ErrorCode::kTimeout, "{}: packet {}: no data on endpoint {:#04x} for {} ms",
                     name_, found->block.number, asked->endpoint, asked->watchdog.count());
      }
      const auto said = error_said(*found);
      if (fault == Fault::kIgnored && !said) continue;
      if (!progress.begun) progress.begun = found->record.since_1970;
      const MonoTime arrival = progress.called + (found->record.since_1970 - *progress.begun);
      if (!wait_until(arrival, stop)) return {};
      if (said) return *said;
      if (fault == Fault::kStopped) return stopped(*found, endpoints);
      const std::int32_t status = found->record.status;
      const bool whole = status == 0 || status == kStatusShort || status == kStatusPacketErrors;
      const auto failed = [&] {
        return error_of(status, fmt::format("{}: packet {}: endpoint {:#04x}", name_,
                                            found->block.number, asked->endpoint));
      };
      if (!whole && !came_damaged(found->record)) return failed();
      CUSP_TRY(read_payload(*found));
      progress.last[asked->endpoint] = found->record.since_1970;
      CUSP_ASSIGN(const bool more, deliver(*found, arrival, on_chunk));
      // Damage ends a stream. Our own recordings tell its error, behind what else had come.
      if (!whole && !opening_.by_cusp) return failed();
      if (!more) return {};
    }
    return {};
  }

 private:
  enum class Fault { kNone, kSilence, kStopped, kIgnored };

  // The next record of this device that is no control transfer.
  Result<std::optional<Found>> next_record() {
    if (held_) {
      std::optional<Found> held;
      held.swap(held_);
      return held;
    }
    while (at_ < opening_.last_packet) {
      CUSP_ASSIGN(auto block, reader_.next());
      if (!block) break;
      if (block->is_note()) continue;
      at_ = block->number;
      if (at_ < opening_.first_packet) continue;
      const std::size_t header_bytes = usbmon_header_bytes(block->link_type);
      if (header_bytes == 0 || block->captured_bytes < header_bytes) continue;
      std::array<std::uint8_t, kUsbmonBytes> header{};
      CUSP_TRY(reader_.read(0, std::span(header).first(header_bytes)));
      auto record = decode_usbmon(std::span(header).first(header_bytes), block->big_endian);
      if (!record || BusAddress{record->bus, record->device} != opening_.address) continue;
      if (record->transfer == UsbmonTransfer::kControl || !record->is_in()) continue;
      if (record->type != 'S' && record->type != 'C' && record->type != 'E') continue;
      if (block->since_1970) record->since_1970 = *block->since_1970;
      if (record->is_submission()) {
        if (asked_bytes_.size() == kMaxOutstanding) asked_bytes_.clear();
        asked_bytes_[record->id] = record->length;
      }
      return std::optional(
          Found{.block = std::move(*block), .record = *record, .header_bytes = header_bytes});
    }
    return std::optional<Found>{};
  }

  // What a completion says besides its data. Of our own recordings it is all written down.
  Fault fault_before(const Found& found, const StreamOptions& asked, const StreamOptions& leading,
                     const Progress& progress) const {
    const bool stopped =
        found.record.status == kStatusCancelled || found.record.status == kStatusUnlinked;
    const auto last = progress.last.find(asked.endpoint);
    const auto since = last != progress.last.end() ? std::optional(last->second) : progress.begun;
    if (!opening_.by_cusp && asked.watchdog.count() > 0 && since &&
        found.record.since_1970 - *since > asked.watchdog)
      return Fault::kSilence;
    if (!stopped) return Fault::kNone;
    // Transfers that come home unused after the end of an earlier stream, or beside the leading
    // one.
    const bool ends = !progress.last.empty() && asked.endpoint == leading.endpoint;
    return ends ? Fault::kStopped : Fault::kIgnored;
  }

  // Its data came, but can't be trusted.
  static bool came_damaged(const UsbmonRecord& record) {
    return record.transfer != UsbmonTransfer::kIsochronous &&
           (record.status == kStatusBusError || record.status == kStatusOverflow);
  }

  static std::optional<Error> error_said(const Found& found) {
    for (const std::string& comment : found.block.comments)
      if (comment.starts_with(kErrorComment))
        return error_from_text(std::string_view(comment).substr(kErrorComment.size()));
    return std::nullopt;
  }

  Result<void> stopped(const Found& found, std::span<const StreamOptions> endpoints) const {
    const bool more = std::ranges::any_of(endpoints, [&](const StreamOptions& one) {
      const auto endpoint = opening_.endpoints.find(one.endpoint);
      return endpoint != opening_.endpoints.end() &&
             endpoint->second.last_data > found.block.number;
    });
    if (!more) return nothing_follows();
    return error(ErrorCode::kCancelled, "{}: packet {}: the stream was stopped here", name_,
                 found.block.number);
  }
  [[nodiscard]] Error nothing_follows() const {
    return error(ErrorCode::kDisconnected, "{}: nothing follows after packet {}", name_, at_);
  }

  Result<void> read_payload(const Found& found) {
    const std::size_t here = found.block.captured_bytes - found.header_bytes;
    const UsbmonRecord& record = found.record;
    const std::size_t descriptors = record.transfer == UsbmonTransfer::kIsochronous
                                        ? std::size_t{record.iso_descriptors} * kIsoDescriptorBytes
                                        : 0;
    const bool cut = record.transfer == UsbmonTransfer::kIsochronous
                         ? here < descriptors || here < record.captured_bytes
                         : here < record.length;
    if (cut)
      return error(ErrorCode::kCorrupt,
                   "{}: packet {}: the capture kept {} of {} bytes: capture without a limit of the "
                   "packets' size (tcpdump -s 0); the kernel itself keeps no more than a fifth of "
                   "its buffer of one transfer",
                   name_, found.block.number, here,
                   std::max<std::size_t>(record.length, descriptors));
    if (here > kMaxTransferBytes)
      return error(ErrorCode::kCorrupt, "{}: packet {}: a transfer of {} bytes", name_,
                   found.block.number, here);
    payload_.resize(here);
    return reader_.read(found.header_bytes, payload_);
  }

  // False: the driver wants no more.
  Result<bool> deliver(const Found& found, MonoTime arrival,
                       const std::function<bool(const StreamChunk&)>& on_chunk) {
    const UsbmonRecord& record = found.record;
    StreamChunk chunk;
    chunk.endpoint = record.endpoint;
    chunk.ends_payload = true;
    chunk.arrival = arrival;
    if (record.transfer != UsbmonTransfer::kIsochronous) {
      chunk.damaged = came_damaged(record);
      chunk.bytes = std::span(payload_).first(record.length);
      if (record.transfer == UsbmonTransfer::kBulk) {
        const auto asked = asked_bytes_.find(record.id);
        chunk.ends_payload =
            asked == asked_bytes_.end() ? is_short_packet(record) : record.length < asked->second;
      }
      return on_chunk(chunk);
    }
    const std::size_t count = record.iso_descriptors;
    if (count == 0)
      return error(ErrorCode::kUnsupported,
                   "{}: packet {}: it does not say where its isochronous packets begin", name_,
                   found.block.number);
    const std::span<const std::uint8_t> all(payload_);
    const auto data = all.subspan(count * kIsoDescriptorBytes);
    for (std::size_t i = 0; i < count; ++i) {
      const IsoDescriptor packet =
          decode_iso(all.subspan(i * kIsoDescriptorBytes).first<kIsoDescriptorBytes>(),
                     found.block.big_endian);
      const bool inside =
          packet.offset <= data.size() && packet.length <= data.size() - packet.offset;
      chunk.damaged = packet.status != 0 || !inside;
      chunk.bytes =
          inside ? data.subspan(packet.offset, packet.length) : std::span<const std::uint8_t>{};
      if (!on_chunk(chunk)) return false;
    }
    return true;
  }
  // A transfer whose beginning was not captured: it ends a payload when it is no whole number of
  // packets, as big as they are at any speed.
  static bool is_short_packet(const UsbmonRecord& record) {
    return record.length == 0 || record.length % 512 != 0;
  }

  // False: it was stopped meanwhile.
  bool wait_until(MonoTime time, const std::stop_token& stop) {
    if (!options_.real_time) return true;
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
  }

  const std::shared_ptr<const Capture> capture_;
  const CapturedOpening& opening_;
  const ReplayOptions options_;
  CaptureReader reader_;
  const std::string name_;
  ReplayRequests requests_;
  std::size_t next_reset_ = 0;
  std::uint64_t at_ = 0;                                // number of the last packet that was read
  std::optional<Found> held_;                           // read, but not given yet
  std::map<std::uint64_t, std::uint32_t> asked_bytes_;  // of the transfers that are out, by id
  Bytes payload_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
};

}  // namespace

Result<std::unique_ptr<UsbTransport>> make_replay_transport(std::shared_ptr<const Capture> capture,
                                                            std::size_t opening,
                                                            ReplayOptions options) {
  CUSP_CHECK(opening < capture->openings().size(), "an opening that the capture has");
  const CapturedOpening& chosen = capture->openings()[opening];
  if (chosen.device_descriptor.empty() || chosen.config_descriptor.empty())
    return error(ErrorCode::kUnsupported,
                 "{}: device {}:{} was plugged in before the capture began, so that its "
                 "descriptors are missing: begin to capture before plugging it in, or give the "
                 "content of /sys/bus/usb/devices/*/descriptors",
                 capture->path().string(), chosen.address.bus, chosen.address.device);
  CUSP_ASSIGN(CaptureReader reader, CaptureReader::open(capture->path()));
  return std::unique_ptr<UsbTransport>(
      std::make_unique<ReplayTransport>(std::move(capture), opening, std::move(reader), options));
}

}  // namespace cusp::recording
