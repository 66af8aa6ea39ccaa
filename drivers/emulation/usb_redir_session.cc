#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "drivers/bytes.h"
#include "drivers/emulation/standard_requests.h"
#include "drivers/emulation/usb_redir_session_internal.h"

namespace cusp {
namespace {

constexpr std::size_t kMaxWaiting = 512;
constexpr std::uint64_t kMaxUnsentBytes = 1 << 20;
constexpr std::uint32_t kMaxTransferBytes = 16 << 20;
constexpr std::uint8_t kInBit = 0x80;
// Transfers of streams are ours; the machine's own ids count from zero.
constexpr std::uint64_t kStreamId = std::uint64_t{1} << 63;

std::uint8_t status_of(TransferEnd end) {
  switch (end) {
    case TransferEnd::kGood:
      return usb_redir_success;
    case TransferEnd::kStalled:
      return usb_redir_stall;
    case TransferEnd::kDamaged:
      return usb_redir_ioerror;
    case TransferEnd::kOverflow:
      return usb_redir_babble;
  }
  return usb_redir_ioerror;
}

std::uint8_t status_of(const UsbOutcome& outcome, std::size_t room) {
  switch (outcome.kind) {
    case UsbOutcome::Kind::kData:
      return outcome.size > room ? usb_redir_babble : usb_redir_success;
    case UsbOutcome::Kind::kStall:
      return usb_redir_stall;
    default:
      return usb_redir_ioerror;
  }
}

std::uint8_t speed_code(UsbSpeed speed) {
  switch (speed) {
    case UsbSpeed::kLow:
      return usb_redir_speed_low;
    case UsbSpeed::kFull:
      return usb_redir_speed_full;
    case UsbSpeed::kHigh:
      return usb_redir_speed_high;
    default:
      return usb_redir_speed_super;
  }
}

// Where the protocol's tables keep an endpoint.
std::size_t slot_of(std::uint8_t address) {
  return static_cast<std::size_t>((address & kInBit) >> 3 | (address & 0x0F));
}

// The parser's functions take what they only read as mutable, and no bytes as no pointer.
std::uint8_t* bare(std::span<const std::uint8_t> bytes) {
  return bytes.empty() ? nullptr : const_cast<std::uint8_t*>(bytes.data());  // NOLINT: it copies
}

}  // namespace

UsbRedirSession::UsbRedirSession(int socket) : socket_(socket), parser_(usbredirparser_create()) {
  CUSP_CHECK(parser_, "out of memory");
  register_requests();
  std::uint32_t capabilities[USB_REDIR_CAPS_SIZE] = {};
  for (const int capability :
       {usb_redir_cap_connect_device_version, usb_redir_cap_device_disconnect_ack,
        usb_redir_cap_ep_info_max_packet_size, usb_redir_cap_64bits_ids,
        usb_redir_cap_32bits_bulk_length})
    usbredirparser_caps_set_cap(capabilities, capability);
  usbredirparser_init(parser_.get(), "cusp-sim", capabilities, USB_REDIR_CAPS_SIZE,
                      usbredirparser_fl_usb_host);
}

int UsbRedirSession::read(std::uint8_t* data, int count) {
  if (!has_room()) return 0;  // it shall take its answers first
  const ssize_t size = ::recv(socket_, data, static_cast<std::size_t>(count), 0);
  if (size > 0) return static_cast<int>(size);
  return size < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

int UsbRedirSession::write(const std::uint8_t* data, int count) {
  const ssize_t size = ::send(socket_, data, static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (size >= 0) return static_cast<int>(size);
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

bool UsbRedirSession::has_room() const {
  return usbredirparser_get_bufferered_output_size(parser_.get()) < kMaxUnsentBytes;
}

bool UsbRedirSession::wants_to_write() const {
  return usbredirparser_has_data_to_write(parser_.get()) > 0;
}

bool UsbRedirSession::work(std::optional<MonoTime>& due) {
  do {
    due.reset();
    if (usbredirparser_do_write(parser_.get()) != 0) return false;
    if (!has_room()) return true;  // the socket says when to go on
    if (usbredirparser_do_read(parser_.get()) != 0 || broken_) return false;
    if (waiting_)
      due = waiting_->run(
          std::chrono::steady_clock::now(), [this] { return has_room(); },
          [this](const EndedTransfer& ended) { answer(ended); });
  } while (!has_room());
  return usbredirparser_do_write(parser_.get()) == 0;
}

const ListedEndpoint* UsbRedirSession::find(std::uint8_t address, std::uint8_t type) const {
  const auto found =
      std::find_if(list_.endpoints.begin(), list_.endpoints.end(), [&](const auto& one) {
        const auto current = alternates_.find(one.interface_number);
        return one.address == address && one.type() == type && current != alternates_.end() &&
               current->second == one.alternate;
      });
  return found == list_.endpoints.end() ? nullptr : &*found;
}

// --- the function comes and goes ---

void UsbRedirSession::plug(UsbFunction& function) {
  function_ = &function;
  list_ = list_endpoints(function.config_descriptor());
  connect();
}

void UsbRedirSession::unplug() {
  function_ = nullptr;
  waiting_.reset();
  streams_.clear();
  unanswered_.clear();
  if (!std::exchange(connected_, false)) return;
  usbredirparser_send_device_disconnect(parser_.get());
  leaving_ = usbredirparser_peer_has_cap(parser_.get(), usb_redir_cap_device_disconnect_ack) != 0;
}

void UsbRedirSession::greet() {
  greeted_ = true;
  connect();
}

// Tells the machine of the function, as soon as both are there.
void UsbRedirSession::connect() {
  if (!greeted_ || leaving_ || connected_ || function_ == nullptr) return;
  connected_ = true;
  waiting_.emplace(*function_);
  alternates_.clear();
  for (const ListedInterface& interface : list_.interfaces) alternates_[interface.number] = 0;
  send_interfaces();
  send_endpoints();
  const auto bytes = function_->device_descriptor();
  CUSP_CHECK(bytes.size() == 18, "a device descriptor has 18 bytes");
  usb_redir_device_connect_header device{.speed = speed_code(function_->speed()),
                                         .device_class = bytes[4],
                                         .device_subclass = bytes[5],
                                         .device_protocol = bytes[6],
                                         .vendor_id = read_le<std::uint16_t>(bytes, 8),
                                         .product_id = read_le<std::uint16_t>(bytes, 10),
                                         .device_version_bcd = read_le<std::uint16_t>(bytes, 12)};
  usbredirparser_send_device_connect(parser_.get(), &device);
}

void UsbRedirSession::send_interfaces() {
  usb_redir_interface_info_header info{};
  for (const ListedInterface& interface : list_.interfaces) {
    if (info.interface_count == std::size(info.interface)) break;
    const std::uint32_t at = info.interface_count++;
    info.interface[at] = interface.number;
    info.interface_class[at] = interface.usb_class;
    info.interface_subclass[at] = interface.subclass;
    info.interface_protocol[at] = interface.protocol;
  }
  usbredirparser_send_interface_info(parser_.get(), &info);
}

void UsbRedirSession::send_endpoints() {
  usb_redir_ep_info_header info{};
  std::fill(std::begin(info.type), std::end(info.type), std::uint8_t{usb_redir_type_invalid});
  info.type[slot_of(0)] = info.type[slot_of(kInBit)] = usb_redir_type_control;
  for (const ListedEndpoint& endpoint : list_.endpoints) {
    if (alternates_[endpoint.interface_number] != endpoint.alternate) continue;
    const std::size_t at = slot_of(endpoint.address);
    info.type[at] = endpoint.type();
    info.interval[at] = endpoint.interval;
    info.interface[at] = endpoint.interface_number;
    info.max_packet_size[at] = endpoint.max_packet_bytes;
  }
  usbredirparser_send_ep_info(parser_.get(), &info);
}

// --- what the machine asks ---

void UsbRedirSession::reset() {
  if (!connected_) return;
  for (const ListedEndpoint& endpoint : list_.endpoints) stop(endpoint.address);
  for (auto& [number, alternate] : alternates_) alternate = 0;
  function_->reset();
}

void UsbRedirSession::set_configuration(std::uint64_t id, std::uint8_t configuration) {
  if (!connected_) return;
  const UsbOutcome outcome = answer_request(*function_, {0x00, 0x09, configuration, 0}, {});
  if (outcome.kind == UsbOutcome::Kind::kData) {
    for (auto& [number, alternate] : alternates_) alternate = 0;
    send_interfaces();
    send_endpoints();
  }
  usb_redir_configuration_status_header status{status_of(outcome, 0), configuration};
  usbredirparser_send_configuration_status(parser_.get(), id, &status);
}

void UsbRedirSession::set_alternate(std::uint64_t id, std::uint8_t interface_number,
                                    std::uint8_t alternate) {
  if (!connected_) return;
  const UsbOutcome outcome =
      answer_request(*function_, set_interface_request(interface_number, alternate), {});
  if (outcome.kind == UsbOutcome::Kind::kData) {
    for (const ListedEndpoint& endpoint : list_.endpoints)
      if (endpoint.interface_number == interface_number) stop(endpoint.address);
    alternates_[interface_number] = alternate;
    send_interfaces();
    send_endpoints();
  }
  usb_redir_alt_setting_status_header status{status_of(outcome, 0), interface_number, alternate};
  usbredirparser_send_alt_setting_status(parser_.get(), id, &status);
}

void UsbRedirSession::get_alternate(std::uint64_t id, std::uint8_t interface_number) {
  const auto found = alternates_.find(interface_number);
  const bool known = connected_ && found != alternates_.end();
  usb_redir_alt_setting_status_header status{
      known ? std::uint8_t{usb_redir_success} : std::uint8_t{usb_redir_inval}, interface_number,
      known ? found->second : std::uint8_t{0}};
  usbredirparser_send_alt_setting_status(parser_.get(), id, &status);
}

void UsbRedirSession::control(std::uint64_t id, usb_redir_control_packet_header header,
                              std::span<const std::uint8_t> out) {
  if (!connected_) return;  // it was on its way when the function went
  const bool in = (header.endpoint & kInBit) != 0;
  const ControlSetup setup{header.requesttype, header.request, header.value, header.index};
  std::vector<std::uint8_t> data(out.begin(), out.end());
  if (in) data.resize(header.length);
  const bool consistent = header.length == 0 || ((header.requesttype & kInBit) != 0) == in;
  const UsbOutcome outcome =
      consistent ? answer_request(*function_, setup, data) : UsbOutcome{UsbOutcome::Kind::kStall};
  if (outcome.kind == UsbOutcome::Kind::kNak) {
    broken_ = unanswered_.size() >= kMaxWaiting;
    unanswered_[id] = header;
    return;
  }
  header.status = status_of(outcome, data.size());
  const std::size_t size = header.status == usb_redir_success ? outcome.size : 0;
  header.length = static_cast<std::uint16_t>(size);
  const auto answered = std::span(data).first(in ? size : 0);
  usbredirparser_send_control_packet(parser_.get(), id, &header, bare(answered),
                                     static_cast<int>(answered.size()));
}

void UsbRedirSession::bulk(std::uint64_t id, usb_redir_bulk_packet_header header) {
  if (!connected_) return;
  const std::size_t size = std::size_t{header.length_high} << 16 | header.length;
  const ListedEndpoint* const endpoint = find(header.endpoint, kBulkType);
  if (waiting_->size() >= kMaxWaiting || size > kMaxTransferBytes) {
    broken_ = true;
  } else if (endpoint == nullptr || header.stream_id != 0) {
    answer_bulk(id, header.endpoint, usb_redir_inval, {});
  } else if ((header.endpoint & kInBit) == 0) {
    answer_bulk(id, header.endpoint, usb_redir_stall, {});
  } else {
    waiting_->add({.id = id, .endpoint = header.endpoint, .size_bytes = size},
                  std::chrono::steady_clock::now());
  }
}

void UsbRedirSession::cancel(std::uint64_t id) {
  if (!connected_) return;
  if (const auto request = unanswered_.extract(id); !request.empty()) {
    usb_redir_control_packet_header header = request.mapped();
    header.status = usb_redir_cancelled;
    header.length = 0;
    usbredirparser_send_control_packet(parser_.get(), id, &header, nullptr, 0);
  } else if (const auto endpoint = waiting_->cancel(id)) {
    answer_bulk(id, *endpoint, usb_redir_cancelled, {});
  }
}

std::uint8_t UsbRedirSession::start_stream(std::uint8_t address, std::uint8_t type,
                                           std::size_t packets, std::size_t transfers) {
  const ListedEndpoint* const endpoint = connected_ ? find(address, type) : nullptr;
  const bool isochronous = type == kIsochronousType;
  if (endpoint == nullptr || (address & kInBit) == 0 || transfers == 0 ||
      (isochronous && packets == 0))
    return usb_redir_inval;
  stop(address);
  WaitingTransfer transfer{
      .id = kStreamId | address, .endpoint = address, .size_bytes = endpoint->interval_bytes};
  if (isochronous) {
    transfer.packet_bytes.assign(packets, endpoint->interval_bytes);
    transfer.interval = service_interval(*endpoint, function_->speed());
  }
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < transfers; ++i) waiting_->add(transfer, now);
  streams_[address] = {.transfer = std::move(transfer)};
  return usb_redir_success;
}

std::uint8_t UsbRedirSession::stop(std::uint8_t address) {
  if (!connected_) return usb_redir_inval;
  streams_.erase(address);
  for (const std::uint64_t id : waiting_->cancel_all(address))
    if ((id & kStreamId) == 0) answer_bulk(id, address, usb_redir_cancelled, {});
  return usb_redir_success;
}

// --- what the function answers ---

void UsbRedirSession::answer(const EndedTransfer& ended) {
  const auto found = streams_.find(ended.endpoint);
  if (found == streams_.end())
    return answer_bulk(ended.id, ended.endpoint, status_of(ended.end), ended.bytes);

  if (ended.end == TransferEnd::kStalled) {  // the machine clears the halt and starts it again
    usb_redir_interrupt_receiving_status_header status{usb_redir_stall, ended.endpoint};
    usbredirparser_send_interrupt_receiving_status(parser_.get(), 0, &status);
    streams_.erase(found);
    return;
  }
  Stream& stream = found->second;
  std::size_t at = 0;
  for (const EndedPacket& packet : ended.packets) {
    usb_redir_iso_packet_header header{ended.endpoint, status_of(packet.end),
                                       static_cast<std::uint16_t>(packet.size_bytes)};
    usbredirparser_send_iso_packet(parser_.get(), stream.next_packet++, &header,
                                   bare(ended.bytes.subspan(at, packet.size_bytes)),
                                   static_cast<int>(packet.size_bytes));
    at += packet.size_bytes;
  }
  if (ended.packets.empty()) {
    usb_redir_interrupt_packet_header header{ended.endpoint, status_of(ended.end),
                                             static_cast<std::uint16_t>(ended.bytes.size())};
    usbredirparser_send_interrupt_packet(parser_.get(), stream.next_packet++, &header,
                                         bare(ended.bytes), static_cast<int>(ended.bytes.size()));
  }
  waiting_->add(stream.transfer, std::chrono::steady_clock::now());
}

void UsbRedirSession::answer_bulk(std::uint64_t id, std::uint8_t endpoint, std::uint8_t status,
                                  std::span<const std::uint8_t> bytes) {
  usb_redir_bulk_packet_header header{
      .endpoint = endpoint,
      .status = status,
      .length = static_cast<std::uint16_t>(bytes.size()),
      .stream_id = 0,
      .length_high = static_cast<std::uint16_t>(bytes.size() >> 16)};
  usbredirparser_send_bulk_packet(parser_.get(), id, &header, bare(bytes),
                                  static_cast<int>(bytes.size()));
}

}  // namespace cusp
