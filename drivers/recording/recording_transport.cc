#include "drivers/recording/recording_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "drivers/bytes.h"
#include "drivers/recording/pcapng.h"

namespace cusp::recording {
namespace {

constexpr std::uint8_t kGetDescriptor = 6, kSetInterface = 11, kClearFeature = 1;
constexpr std::uint8_t kFromDevice = 0x80, kToInterface = 0x01, kToEndpoint = 0x02;
constexpr std::uint16_t kDeviceDescriptor = 1 << 8, kConfigDescriptor = 2 << 8,
                        kStringDescriptor = 3 << 8;
constexpr std::uint16_t kEnglish = 0x0409;
constexpr std::size_t kStringIndexesAt = 14, kStringIndexes = 3;  // maker, product, serial

// UTF-8 as a string descriptor holds it. Unpaired surrogates can't come out of UTF-8.
Bytes string_descriptor_of(std::string_view text) {
  Bytes bytes{0, 3};
  const auto put = [&](std::uint32_t unit) {
    bytes.push_back(static_cast<std::uint8_t>(unit));
    bytes.push_back(static_cast<std::uint8_t>(unit >> 8));
  };
  for (std::size_t i = 0; i < text.size() && bytes.size() < 250;) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    const int more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    std::uint32_t code = more == 0 ? lead : lead & (0x3FU >> more);
    for (int k = 0; k < more && i < text.size(); ++k)
      code = code << 6 | (static_cast<unsigned char>(text[i++]) & 0x3FU);
    if (code < 0x10000) {
      put(code);
    } else {
      put(0xD800 + ((code - 0x10000) >> 10));
      put(0xDC00 + ((code - 0x10000) & 0x3FF));
    }
  }
  bytes[0] = static_cast<std::uint8_t>(bytes.size());
  return bytes;
}

std::string comment_of(const Error& problem) {
  return fmt::format("{}{}: {}", kErrorComment, to_string(problem.code), problem.message);
}

// The transfers of one endpoint during a stream().
class StreamRecord {
 public:
  StreamRecord(Recording& recording, BusAddress address, const StreamOptions& options,
               std::uint64_t first_id)
      : recording_(recording), options_(options), first_id_(first_id) {
    record_.device = address.device;
    record_.bus = address.bus;
    record_.endpoint = options.endpoint;
    record_.transfer = is_iso()                                   ? UsbmonTransfer::kIsochronous
                       : options.type == TransferType::kInterrupt ? UsbmonTransfer::kInterrupt
                                                                  : UsbmonTransfer::kBulk;
    for (int i = 0; i < options.transfer_count; ++i) submit(static_cast<std::uint64_t>(i));
  }

  void chunk(const StreamChunk& chunk) {
    if (!is_iso()) {
      complete(chunk.arrival, 0, chunk.bytes.size(), chunk.bytes,
               chunk.damaged ? kStatusBusError : 0);
      return;
    }
    // Packets of one transfer arrive together.
    if (!packets_.empty() && chunk.arrival != arrival_) complete_packets();
    arrival_ = chunk.arrival;
    packets_.push_back({.status = chunk.damaged ? kStatusBusError : 0,
                        .offset = static_cast<std::uint32_t>(data_.size()),
                        .length = static_cast<std::uint32_t>(chunk.bytes.size())});
    data_.insert(data_.end(), chunk.bytes.begin(), chunk.bytes.end());
    if (packets_.size() == static_cast<std::size_t>(options_.packets_per_transfer))
      complete_packets();
  }
  // The driver wants more: the transfer that brought the chunk is handed over again.
  void go_on() {
    if (completed_ > resubmitted_) submit(resubmitted_++);
  }

  // The transfers that are still out come home. A problem is told once: by the first of them, on
  // one of the stream's endpoints.
  void end(MonoTime now, const Error* problem, bool is_gone) {
    if (!packets_.empty()) complete_packets();
    std::string comment = problem == nullptr ? "" : comment_of(*problem);
    std::int32_t status = problem != nullptr ? status_of(problem->code)
                          : is_gone          ? kStatusGone
                                             : kStatusCancelled;
    const auto count = static_cast<std::uint64_t>(options_.transfer_count);
    // The last one may have come home before the problem was known.
    if (problem != nullptr && completed_ == resubmitted_ + count) submit(resubmitted_++);
    for (std::uint64_t i = completed_; i < resubmitted_ + count; ++i) {
      record_.type = 'C';
      record_.id = first_id_ + i % count;
      record_.since_1970 = recording_.since_1970(now);
      record_.status = status;
      record_.length = 0;
      write_without_data(kStatusPacketErrors, comment);
      comment.clear();
      if (status != kStatusGone) status = kStatusCancelled;
    }
  }

 private:
  [[nodiscard]] bool is_iso() const { return options_.type == TransferType::kIsochronous; }

  void submit(std::uint64_t number) {
    record_.type = 'S';
    record_.id = first_id_ + number % static_cast<std::uint64_t>(options_.transfer_count);
    record_.since_1970 = recording_.since_1970(std::chrono::steady_clock::now());
    record_.status = kStatusPending;
    record_.length =
        static_cast<std::uint32_t>(is_iso() ? options_.packet_bytes * options_.packets_per_transfer
                                            : options_.transfer_size_bytes);
    write_without_data(0);
  }
  void complete(MonoTime arrival, std::uint32_t iso_descriptors, std::size_t length,
                std::span<const std::uint8_t> data, std::int32_t status) {
    record_.type = 'C';
    record_.id = first_id_ + completed_++ % static_cast<std::uint64_t>(options_.transfer_count);
    record_.since_1970 = recording_.since_1970(arrival);
    record_.status = status;
    record_.length = static_cast<std::uint32_t>(length);
    record_.iso_packets = static_cast<std::int32_t>(iso_descriptors);
    record_.iso_descriptors = iso_descriptors;
    recording_.write(record_, data);
  }
  // Isochronous transfers list their packets also when they hold nothing.
  void write_without_data(std::int32_t packet_status, std::string_view comment = {}) {
    const auto count = static_cast<std::uint32_t>(is_iso() ? options_.packets_per_transfer : 0);
    const auto packet_bytes = static_cast<std::uint32_t>(options_.packet_bytes);
    transfer_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto bytes =
          encode(IsoDescriptor{.status = packet_status,
                               .offset = i * packet_bytes,
                               .length = record_.is_submission() ? packet_bytes : 0});
      transfer_.insert(transfer_.end(), bytes.begin(), bytes.end());
    }
    record_.iso_packets = static_cast<std::int32_t>(count);
    record_.iso_descriptors = count;
    recording_.write(record_, transfer_, comment);
  }
  void complete_packets() {
    transfer_.clear();
    for (const IsoDescriptor& packet : packets_) {
      const auto bytes = encode(packet);
      transfer_.insert(transfer_.end(), bytes.begin(), bytes.end());
    }
    transfer_.insert(transfer_.end(), data_.begin(), data_.end());
    complete(arrival_, static_cast<std::uint32_t>(packets_.size()), data_.size(), transfer_, 0);
    packets_.clear();
    data_.clear();
  }

  Recording& recording_;
  const StreamOptions options_;
  const std::uint64_t first_id_;
  UsbmonRecord record_;  // what all of them share
  std::uint64_t completed_ = 0;
  std::uint64_t resubmitted_ = 0;
  MonoTime arrival_{};
  std::vector<IsoDescriptor> packets_;  // of the transfer that is coming in
  Bytes data_;
  Bytes transfer_;
};

class RecordingTransport final : public UsbTransport {
 public:
  RecordingTransport(std::unique_ptr<UsbTransport> inner, std::shared_ptr<Recording> recording,
                     BusAddress address)
      : inner_(std::move(inner)), recording_(std::move(recording)), address_(address) {
    const auto device = inner_->device_descriptor();
    // What a line of text can't hold has no place in a location.
    std::string location = inner_->location();
    std::erase_if(location, [](unsigned char c) { return c <= ' ' || c == 0x7F; });
    descriptor(kDeviceDescriptor, 0, device,
               fmt::format("{} location={} speed={}", kOpeningComment, location,
                           static_cast<int>(inner_->speed())));
    descriptor(kConfigDescriptor, 0, inner_->config_descriptor());
    if (device.size() < kStringIndexesAt + kStringIndexes) return;
    for (std::size_t i = 0; i < kStringIndexes; ++i)
      if (const std::uint8_t index = device[kStringIndexesAt + i]; index != 0)
        static_cast<void>(string_descriptor(index));
  }

  std::span<const std::uint8_t> device_descriptor() const override {
    return inner_->device_descriptor();
  }
  std::span<const std::uint8_t> config_descriptor() const override {
    return inner_->config_descriptor();
  }
  Result<std::string> string_descriptor(std::uint8_t index) override {
    const ControlSetup setup{kFromDevice, kGetDescriptor,
                             static_cast<std::uint16_t>(kStringDescriptor | index), kEnglish};
    const std::uint64_t id = submit(setup, 255, {});
    auto text = inner_->string_descriptor(index);
    if (text)
      completed(id, true, string_descriptor_of(*text), Result<void>{});
    else
      completed(id, true, {}, text.error());
    return text;
  }
  UsbSpeed speed() const override { return inner_->speed(); }
  std::string location() const override { return inner_->location(); }

  Result<void> claim_interface(int number) override { return inner_->claim_interface(number); }
  Result<void> set_alternate(int interface_number, int alternate) override {
    const std::uint64_t id =
        submit({kToInterface, kSetInterface, static_cast<std::uint16_t>(alternate),
                static_cast<std::uint16_t>(interface_number)},
               0, {});
    auto result = inner_->set_alternate(interface_number, alternate);
    completed(id, false, {}, result);
    return result;
  }
  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 std::chrono::milliseconds timeout) override {
    const std::uint64_t id = submit(setup, data.size(), {});
    auto size = inner_->control_in(setup, data, timeout);
    if (size)
      completed(id, true, data.first(std::min(*size, data.size())), Result<void>{});
    else
      completed(id, true, {}, size.error());
    return size;
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           std::chrono::milliseconds timeout) override {
    const std::uint64_t id = submit(setup, data.size(), data);
    auto result = inner_->control_out(setup, data, timeout);
    completed(id, false, data, result);
    return result;
  }
  Result<void> clear_halt(std::uint8_t endpoint) override {
    const std::uint64_t id = submit({kToEndpoint, kClearFeature, 0, endpoint}, 0, {});
    auto result = inner_->clear_halt(endpoint);
    completed(id, false, {}, result);
    return result;
  }
  Result<void> reset() override {
    // A reset is the hub's work: no transfer of this device shows it.
    auto result = inner_->reset();
    recording_->note(result.ok()
                         ? fmt::format("{}ok", kResetNote)
                         : fmt::format("{}{}: {}", kResetNote, to_string(result.error().code),
                                       result.error().message));
    return result;
  }

  Result<void> stream(std::span<const StreamOptions> endpoints, std::stop_token stop,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    std::vector<StreamRecord> records;
    for (const StreamOptions& options : endpoints) {
      records.emplace_back(*recording_, address_, options, next_id_);
      next_id_ += static_cast<std::uint64_t>(options.transfer_count);
    }
    auto result = inner_->stream(endpoints, std::move(stop), [&](const StreamChunk& chunk) {
      StreamRecord* record = nullptr;
      for (std::size_t i = 0; i < records.size(); ++i)
        if (endpoints[i].endpoint == chunk.endpoint) record = &records[i];
      if (record != nullptr) record->chunk(chunk);
      const bool more = on_chunk(chunk);
      if (more && record != nullptr) record->go_on();
      return more;
    });
    const MonoTime now = std::chrono::steady_clock::now();
    const Error* problem = result.ok() ? nullptr : &result.error();
    const bool is_gone = problem != nullptr && problem->code == ErrorCode::kDisconnected;
    for (StreamRecord& record : records) record.end(now, std::exchange(problem, nullptr), is_gone);
    return result;
  }

 private:
  UsbmonRecord control_record(std::uint64_t id, bool is_in) const {
    UsbmonRecord record;
    record.id = id;
    record.device = address_.device;
    record.bus = address_.bus;
    record.endpoint = is_in ? 0x80 : 0x00;
    record.since_1970 = recording_->since_1970(std::chrono::steady_clock::now());
    return record;
  }
  std::uint64_t submit(const ControlSetup& setup, std::size_t length,
                       std::span<const std::uint8_t> data, std::string_view comment = {}) {
    UsbmonRecord record = control_record(next_id_, (setup.request_type & 0x80) != 0);
    record.has_setup = true;
    record.setup = encode_setup(setup, length);
    record.status = kStatusPending;
    record.length = static_cast<std::uint32_t>(length);
    recording_->write(record, data, comment);
    return next_id_++;
  }
  void completed(std::uint64_t id, bool is_in, std::span<const std::uint8_t> data,
                 const Result<void>& result) {
    UsbmonRecord record = control_record(id, is_in);
    record.type = 'C';
    record.length = static_cast<std::uint32_t>(data.size());
    if (!result.ok()) {
      record.status = status_of(result.error().code);
      record.length = 0;
    }
    recording_->write(record, is_in ? data : std::span<const std::uint8_t>{},
                      result.ok() ? std::string{} : comment_of(result.error()));
  }
  void descriptor(std::uint16_t type, std::uint16_t index, std::span<const std::uint8_t> bytes,
                  std::string_view comment = {}) {
    const std::uint64_t id = submit({kFromDevice, kGetDescriptor, type, index},
                                    std::max<std::size_t>(bytes.size(), 1), {}, comment);
    completed(id, true, bytes, Result<void>{});
  }

  const std::unique_ptr<UsbTransport> inner_;
  const std::shared_ptr<Recording> recording_;
  const BusAddress address_;
  std::uint64_t next_id_ = 1;
};

}  // namespace

std::unique_ptr<UsbTransport> make_recording_transport(std::unique_ptr<UsbTransport> inner,
                                                       std::shared_ptr<Recording> recording,
                                                       BusAddress address) {
  return std::make_unique<RecordingTransport>(std::move(inner), std::move(recording), address);
}

}  // namespace cusp::recording
