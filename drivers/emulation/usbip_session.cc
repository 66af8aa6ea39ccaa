// clang-format off
#include "drivers/emulation/usbip_session_internal.h"  // first: it mends an include of Boost 1.74
// clang-format on

#include <algorithm>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>

#include "drivers/bytes.h"
#include "drivers/emulation/standard_requests.h"

namespace cusp {
namespace {

namespace asio = boost::asio;
using ErrorCodeB = boost::system::error_code;

constexpr std::size_t kMaxWaiting = 512;  // transfers; real hosts queue some dozens
constexpr std::size_t kMaxUnsentBytes = 1 << 20;
constexpr std::uint8_t kInBit = 0x80;

// As Linux' host controllers do.
std::int32_t status_of(TransferEnd end) {
  switch (end) {
    case TransferEnd::kGood:
      return 0;
    case TransferEnd::kStalled:
      return -EPIPE;
    case TransferEnd::kDamaged:
      return -EPROTO;
    case TransferEnd::kOverflow:
      return -EOVERFLOW;
  }
  return -EPROTO;
}

std::int32_t status_of(const UsbOutcome& outcome, std::size_t room) {
  switch (outcome.kind) {
    case UsbOutcome::Kind::kData:
      return outcome.size > room ? -EOVERFLOW : 0;
    case UsbOutcome::Kind::kStall:
      return -EPIPE;
    default:
      return -EPROTO;
  }
}

}  // namespace

UsbipSession::UsbipSession(asio::ip::tcp::socket socket, UsbFunction& function,
                           std::uint32_t device_id)
    : socket_(std::move(socket)),
      due_(socket_.get_executor()),
      drained_(socket_.get_executor(), asio::steady_timer::time_point::max()),
      function_(function),
      device_id_(device_id),
      endpoints_(list_endpoints(function.config_descriptor()).endpoints),
      speed_(function.speed()),
      waiting_(function) {}

asio::awaitable<void> UsbipSession::run(std::vector<std::uint8_t> greeting) {
  const auto self = shared_from_this();
  send(greeting, {});
  std::array<std::uint8_t, usbip::kCommandBytes> bytes{};
  for (bool good = true; good;) {
    good = co_await room_to_answer();
    if (good) good = co_await read(bytes);
    if (!good) break;
    const Result<usbip::Command> command = usbip::parse_command(bytes);
    if (!command) break;
    if (const auto* submit = std::get_if<usbip::Submit>(&*command))
      good = co_await take(*submit);
    else
      good = take(std::get<usbip::Unlink>(*command));
  }
  close();
}

void UsbipSession::close() {
  if (!open_) return;
  open_ = false;
  ErrorCodeB ignored;
  socket_.close(ignored);
  due_.cancel();
  drained_.cancel();
}

UsbipSession::Awaitable UsbipSession::read(std::span<std::uint8_t> bytes) {
  ErrorCodeB failure;
  co_await asio::async_read(socket_, asio::buffer(bytes.data(), bytes.size()),
                            asio::redirect_error(asio::use_awaitable, failure));
  co_return !failure && open_;
}

UsbipSession::Awaitable UsbipSession::skip(std::size_t size) {
  std::array<std::uint8_t, 4096> piece{};
  while (size > 0) {
    const auto part = std::span(piece).first(std::min(size, piece.size()));
    const bool came = co_await read(part);
    if (!came) co_return false;
    size -= part.size();
  }
  co_return true;
}

UsbipSession::Awaitable UsbipSession::room_to_answer() {
  while (open_ && !has_room()) {
    ErrorCodeB cancelled;
    co_await drained_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
  co_return open_;
}

std::size_t UsbipSession::waits() const { return waiting_.size() + unanswered_.size(); }

bool UsbipSession::has_room() const { return unsent_bytes_ < kMaxUnsentBytes; }

const ListedEndpoint* UsbipSession::find(std::uint8_t address) const {
  const auto found = std::find_if(endpoints_.begin(), endpoints_.end(),
                                  [&](const auto& one) { return one.address == address; });
  return found == endpoints_.end() ? nullptr : &*found;
}

UsbipSession::Awaitable UsbipSession::take(const usbip::Submit& submit) {
  if (submit.device_id != device_id_) co_return false;
  const auto address = static_cast<std::uint8_t>(submit.endpoint | (submit.in ? kInBit : 0));
  const ListedEndpoint* const endpoint = find(address);
  if (submit.endpoint != 0 && endpoint == nullptr) co_return false;
  const bool isochronous = endpoint != nullptr && endpoint->type() == kIsochronousType;
  if (isochronous != (submit.packets > 0)) co_return false;
  bool good = false;
  if (submit.endpoint == 0)
    good = co_await take_control(submit);
  else if (submit.in)
    good = co_await take_in(submit, *endpoint);
  else
    good = co_await take_out(submit);
  co_return good;
}

UsbipSession::Awaitable UsbipSession::take_control(const usbip::Submit& submit) {
  const ControlSetup setup{.request_type = submit.setup[0],
                           .request = submit.setup[1],
                           .value = read_le<std::uint16_t>(submit.setup, 2),
                           .index = read_le<std::uint16_t>(submit.setup, 4)};
  const auto stage_bytes = read_le<std::uint16_t>(submit.setup, 6);
  std::vector<std::uint8_t> data(submit.in ? std::min<std::uint32_t>(submit.length, stage_bytes)
                                           : submit.length);
  if (!submit.in) {
    const bool came = co_await read(data);
    if (!came) co_return false;
  }
  // Requests without a data stage travel as OUT, whatever their own direction bit says.
  const bool consistent = stage_bytes == 0 || (((setup.request_type & kInBit) != 0) == submit.in &&
                                               (submit.in || data.size() == stage_bytes));
  const UsbOutcome outcome =
      consistent ? answer_request(function_, setup, data) : UsbOutcome{UsbOutcome::Kind::kStall};
  if (outcome.kind == UsbOutcome::Kind::kNak)
    co_return waits() < kMaxWaiting&& unanswered_.insert(submit.sequence).second;
  const std::int32_t status = status_of(outcome, data.size());
  const std::size_t size = status == 0 ? outcome.size : 0;
  send(usbip::encode_submitted(submit.sequence, status, static_cast<std::uint32_t>(size), 0),
       std::span(data).first(submit.in ? size : 0));
  serve();  // the request may have started a stream
  co_return true;
}

UsbipSession::Awaitable UsbipSession::take_in(const usbip::Submit& submit,
                                              const ListedEndpoint& endpoint) {
  if (waits() >= kMaxWaiting) co_return false;
  WaitingTransfer transfer{
      .id = submit.sequence, .endpoint = endpoint.address, .size_bytes = submit.length};
  if (submit.packets > 0) {
    std::vector<std::uint8_t> bytes(submit.packets * usbip::kPacketBytes);
    const bool came = co_await read(bytes);
    if (!came) co_return false;
    auto packets = usbip::parse_packets(bytes, submit.length);
    if (!packets) co_return false;
    for (const usbip::IsoPacket& packet : *packets) transfer.packet_bytes.push_back(packet.length);
    transfer.interval = service_interval(endpoint, speed_);
    if (!packets_.try_emplace(submit.sequence, std::move(*packets)).second) co_return false;
  }
  waiting_.add(std::move(transfer), std::chrono::steady_clock::now());
  serve();
  co_return true;
}

// No function of ours takes data on other endpoints than zero.
UsbipSession::Awaitable UsbipSession::take_out(const usbip::Submit& submit) {
  const bool came = co_await skip(submit.length + submit.packets * usbip::kPacketBytes);
  if (!came) co_return false;
  const std::vector<usbip::IsoPacket> none(submit.packets);
  send(usbip::encode_submitted(submit.sequence, -EPIPE, 0, submit.packets), {},
       usbip::encode_packets(none));
  co_return true;
}

bool UsbipSession::take(const usbip::Unlink& unlink) {
  if (unlink.device_id != device_id_) return false;
  const bool waited =
      waiting_.cancel(unlink.victim).has_value() || unanswered_.erase(unlink.victim) > 0;
  packets_.erase(unlink.victim);
  // 0: its answer is on the way already.
  send(usbip::encode_unlinked(unlink.sequence, waited ? -ECONNRESET : 0), {});
  return true;
}

void UsbipSession::serve() {
  if (!open_) return;
  const auto now = std::chrono::steady_clock::now();
  const auto due = waiting_.run(
      now, [this] { return has_room(); }, [this](const EndedTransfer& ended) { answer(ended); });
  if (!due || !has_room()) return;
  due_.expires_at(*due);
  due_.async_wait([self = shared_from_this()](ErrorCodeB cancelled) {
    if (!cancelled) self->serve();
  });
}

void UsbipSession::answer(const EndedTransfer& ended) {
  std::vector<usbip::IsoPacket> packets;
  if (const auto found = packets_.extract(ended.id); !found.empty()) {
    packets = std::move(found.mapped());
    for (std::size_t i = 0; i < packets.size(); ++i) {
      packets[i].actual_length = ended.packets[i].size_bytes;
      packets[i].status = status_of(ended.packets[i].end);
    }
  }
  send(usbip::encode_submitted(static_cast<std::uint32_t>(ended.id), status_of(ended.end),
                               static_cast<std::uint32_t>(ended.bytes.size()),
                               static_cast<std::uint32_t>(packets.size())),
       ended.bytes, usbip::encode_packets(packets));
}

void UsbipSession::send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> data,
                        std::span<const std::uint8_t> tail) {
  std::vector<std::uint8_t>& message = unsent_.emplace_back();
  message.reserve(head.size() + data.size() + tail.size());
  for (const auto part : {head, data, tail})
    message.insert(message.end(), part.begin(), part.end());
  unsent_bytes_ += message.size();
  write_next();
}

void UsbipSession::write_next() {
  if (writing_ || !open_ || unsent_.empty()) return;
  writing_ = true;
  asio::async_write(socket_, asio::buffer(unsent_.front()),
                    [self = shared_from_this()](ErrorCodeB failure, std::size_t) {
                      self->writing_ = false;
                      if (failure || !self->open_) return self->close();
                      self->unsent_bytes_ -= self->unsent_.front().size();
                      self->unsent_.pop_front();
                      self->drained_.cancel();
                      self->write_next();
                      self->serve();
                    });
}

}  // namespace cusp
