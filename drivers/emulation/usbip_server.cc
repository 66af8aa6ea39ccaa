#include "drivers/emulation/usbip_server.h"

// clang-format off
#include "drivers/emulation/usbip_session_internal.h"  // first: it mends an include of Boost 1.74
// clang-format on

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "drivers/bytes.h"

namespace cusp {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCodeB = boost::system::error_code;

constexpr std::chrono::seconds kRequestPatience{5};
constexpr int kMaxConnections = 64;
constexpr std::uint32_t kBus = 1;
constexpr std::uint32_t kLastDeviceNumber = 127;

// A function on offer.
struct Port {
  UsbFunction* function = nullptr;
  usbip::ExportedDevice device;
  std::shared_ptr<UsbipSession> session;  // null: nobody has imported it
  std::atomic<bool> woken{false};
};
using Ports = std::vector<std::shared_ptr<Port>>;

usbip::ExportedDevice describe(const UsbFunction& function, std::string bus_id,
                               std::uint32_t number) {
  const auto bytes = function.device_descriptor();
  CUSP_CHECK(bytes.size() == 18, "a device descriptor has 18 bytes");
  EndpointList list = list_endpoints(function.config_descriptor());
  return {.bus_id = std::move(bus_id),
          .bus = kBus,
          .number = number,
          .speed = function.speed(),
          .vendor_id = read_le<std::uint16_t>(bytes, 8),
          .product_id = read_le<std::uint16_t>(bytes, 10),
          .device_bcd = read_le<std::uint16_t>(bytes, 12),
          .usb_class = bytes[4],
          .subclass = bytes[5],
          .protocol = bytes[6],
          .configuration = list.configuration,
          .configuration_count = bytes[17],
          .interfaces = std::move(list.interfaces)};
}

class Server final : public UsbipServer {
 public:
  Server() : acceptor_(io_) {}

  ~Server() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    for (const auto& port : ports_) let_go(*port);
  }

  // Boost's exceptions are the caller's.
  void listen(std::uint16_t port) {
    const tcp::endpoint address(asio::ip::address_v4::loopback(), port);
    acceptor_.open(address.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(address);
    acceptor_.listen();
    port_ = acceptor_.local_endpoint().port();
    asio::co_spawn(io_, accept_loop(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }

  std::uint16_t port() const override { return port_; }

  Result<std::string> plug(UsbFunction& function) override {
    return on_thread([&]() -> Result<std::string> {
      if (find(function) != ports_.end())
        return error(ErrorCode::kConflict, "virtual device: plugged in already");
      auto port = std::make_shared<Port>();
      port->function = &function;
      device_number_ = device_number_ % kLastDeviceNumber + 1;
      port->device = describe(function, free_bus_id(), device_number_);
      function.set_wake([this, port] { wake(port); });
      ports_.push_back(port);
      return port->device.bus_id;
    });
  }

  Result<void> unplug(UsbFunction& function) override {
    return on_thread([&]() -> Result<void> {
      const auto found = find(function);
      if (found == ports_.end())
        return error(ErrorCode::kConflict, "virtual device: not plugged in");
      const std::shared_ptr<Port> port = *found;
      ports_.erase(found);
      let_go(*port);
      return {};
    });
  }

  bool attached(const UsbFunction& function) const override {
    return on_thread([&] {
      const auto found = find(function);
      return found != ports_.end() && (*found)->session != nullptr;
    });
  }

 private:
  // Runs `verb` on the server's thread and waits for its answer.
  template <typename Verb>
  std::invoke_result_t<Verb> on_thread(Verb verb) const {
    std::packaged_task<decltype(verb())()> task(std::move(verb));
    auto answer = task.get_future();
    asio::post(io_, [&task] { task(); });
    return answer.get();
  }

  Ports::const_iterator find(const UsbFunction& function) const {
    return std::find_if(ports_.begin(), ports_.end(),
                        [&](const auto& port) { return port->function == &function; });
  }

  std::string free_bus_id() const {
    for (int number = 1;; ++number) {
      std::string id = fmt::format("{}-{}", kBus, number);
      if (std::none_of(ports_.begin(), ports_.end(),
                       [&](const auto& port) { return port->device.bus_id == id; }))
        return id;
    }
  }

  // On a thread of the function's.
  void wake(const std::shared_ptr<Port>& port) {
    if (port->woken.exchange(true)) return;
    asio::post(io_, [port] {
      port->woken = false;
      if (port->session) port->session->serve();
    });
  }

  static void let_go(Port& port) {
    UsbFunction* const function = std::exchange(port.function, nullptr);
    if (port.session) port.session->close();
    function->set_wake({});
    function->reset();
  }

  asio::awaitable<void> accept_loop() {
    while (acceptor_.is_open()) {
      ErrorCodeB failure;
      tcp::socket socket =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, failure));
      if (failure) {  // out of descriptors, usually: connections that end give some back
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failure));
      } else if (connections_ < kMaxConnections) {
        ++connections_;
        asio::co_spawn(io_, converse(std::make_shared<tcp::socket>(std::move(socket))),
                       [this](const std::exception_ptr&) { --connections_; });
      }
    }
  }

  asio::awaitable<void> converse(std::shared_ptr<tcp::socket> socket) {
    ErrorCodeB failure;
    socket->set_option(tcp::no_delay(true), failure);
    const auto request = co_await read_request(socket);
    if (!request) co_return;
    if (request->code == usbip::Request::kDeviceList) {
      co_await write(*socket, usbip::encode_device_list(free_devices()));
      co_return;
    }
    const auto found = std::find_if(ports_.begin(), ports_.end(), [&](const auto& port) {
      return port->device.bus_id == request->bus_id;
    });
    if (found == ports_.end() || (*found)->session) {
      const auto why =
          found == ports_.end() ? usbip::ImportStatus::kNoSuchDevice : usbip::ImportStatus::kBusy;
      co_await write(*socket, usbip::encode_refusal(why));
      co_return;
    }
    const std::shared_ptr<Port> port = *found;
    const auto session =
        std::make_shared<UsbipSession>(std::move(*socket), *port->function, port->device.id());
    port->session = session;
    co_await session->run(usbip::encode_import(port->device));
    port->session.reset();
    if (port->function != nullptr) port->function->reset();  // the host has let go of it
  }

  struct WholeRequest {
    usbip::Request code{};
    std::string bus_id;
  };

  // None: the peer broke the protocol or took too long.
  asio::awaitable<std::optional<WholeRequest>> read_request(std::shared_ptr<tcp::socket> socket) {
    asio::steady_timer patience(io_, kRequestPatience);
    patience.async_wait([socket](ErrorCodeB cancelled) {
      ErrorCodeB ignored;
      if (!cancelled) socket->close(ignored);
    });
    std::array<std::uint8_t, usbip::kRequestBytes> head{};
    bool came = co_await read(*socket, head);
    if (!came) co_return std::nullopt;
    const Result<usbip::Request> code = usbip::parse_request(head);
    if (!code) co_return std::nullopt;
    WholeRequest request{.code = *code, .bus_id = {}};
    if (*code == usbip::Request::kImport) {
      std::array<std::uint8_t, usbip::kBusIdBytes> bus_id{};
      came = co_await read(*socket, bus_id);
      if (!came) co_return std::nullopt;
      request.bus_id = usbip::parse_bus_id(bus_id);
    }
    co_return request;
  }

  static asio::awaitable<bool> read(tcp::socket& socket, std::span<std::uint8_t> bytes) {
    ErrorCodeB failure;
    co_await asio::async_read(socket, asio::buffer(bytes.data(), bytes.size()),
                              asio::redirect_error(asio::use_awaitable, failure));
    co_return !failure;
  }

  static asio::awaitable<void> write(tcp::socket& socket, std::vector<std::uint8_t> bytes) {
    ErrorCodeB ignored;  // the connection ends anyhow
    co_await asio::async_write(socket, asio::buffer(bytes),
                               asio::redirect_error(asio::use_awaitable, ignored));
  }

  std::vector<usbip::ExportedDevice> free_devices() const {
    std::vector<usbip::ExportedDevice> devices;
    for (const auto& port : ports_)
      if (!port->session) devices.push_back(port->device);
    return devices;
  }

  mutable asio::io_context io_;
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  int connections_ = 0;
  std::uint32_t device_number_ = 0;
  Ports ports_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<UsbipServer>> UsbipServer::start(std::uint16_t port) {
  try {
    auto server = std::make_unique<Server>();
    server->listen(port);
    return std::unique_ptr<UsbipServer>(std::move(server));
  } catch (const boost::system::system_error& failure) {
    const bool taken = failure.code() == asio::error::address_in_use;
    return error(taken ? ErrorCode::kConflict : ErrorCode::kIo, "USB/IP port {}: {}", port,
                 taken ? "another program has it; choose another one" : failure.code().message());
  }
}

}  // namespace cusp
