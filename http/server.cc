#include "http/server.h"

#include <sys/stat.h>
#include <unistd.h>

// clang-format off
#include <utility>  // Boost 1.74's awaitable.hpp forgets it
#include <boost/asio/awaitable.hpp>
// clang-format on
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/connection_internal.h"

namespace cusp::http {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using boost::system::error_code;

constexpr std::size_t kMaxConnections = 256;
constexpr std::chrono::milliseconds kPauseAfterFailedAccept{100};

// A socket file that a killed program left is removed; one that somebody listens on is not.
Result<void> clear_stale_socket(asio::io_context& io, const fs::path& path) {
  std::error_code failure;
  const auto status = fs::symlink_status(path, failure);
  if (status.type() == fs::file_type::not_found) return {};
  if (failure) return error(ErrorCode::kIo, "{}: {}", path.string(), failure.message());
  if (status.type() != fs::file_type::socket)
    return error(ErrorCode::kConflict, "{}: is there already and is no socket", path.string());
  asio::local::stream_protocol::socket probe(io);
  error_code refused;
  probe.connect(asio::local::stream_protocol::endpoint(path.string()), refused);
  if (!refused)
    return error(ErrorCode::kConflict, "{}: another program listens there", path.string());
  fs::remove(path, failure);
  if (failure) return error(ErrorCode::kIo, "{}: {}", path.string(), failure.message());
  return {};
}

}  // namespace

class Server::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, Router router, ServerOptions options)
      : io_(io), shared_(std::make_shared<Shared>()) {
    shared_->router = std::move(router);
    shared_->options = std::move(options);
  }

  Result<void> listen_unix(const fs::path& path) {
    using Local = asio::local::stream_protocol;
    CUSP_TRY(clear_stale_socket(io_, path));
    auto acceptor = std::make_shared<Local::acceptor>(io_);
    error_code failure;
    acceptor->open(Local(), failure);
    // Rights given before bind are the rights of the file from its first moment (Linux, unix(7)).
    if (!failure && ::fchmod(acceptor->native_handle(), 0660) != 0)
      failure.assign(errno, boost::system::system_category());
    if (path.string().size() >= sizeof(sockaddr_un::sun_path))
      return error(ErrorCode::kInvalidArgument, "{}: a socket's path has at most {} characters",
                   path.string(), sizeof(sockaddr_un::sun_path) - 1);
    if (!failure) acceptor->bind(Local::endpoint(path.string()), failure);
    if (!failure && ::chmod(path.c_str(), 0660) != 0)
      failure.assign(errno, boost::system::system_category());
    if (!failure) acceptor->listen(asio::socket_base::max_listen_connections, failure);
    if (failure) return error(ErrorCode::kIo, "{}: {}", path.string(), failure.message());
    unix_paths_.push_back(path);
    accept_on(acceptor, Gate{.trusted = true});
    return {};
  }

  Result<std::uint16_t> listen_loopback(std::uint16_t port) {
    using asio::ip::tcp;
    auto acceptor = std::make_shared<tcp::acceptor>(io_);
    error_code failure;
    acceptor->open(tcp::v4(), failure);
    if (!failure) acceptor->set_option(asio::socket_base::reuse_address(true), failure);
    if (!failure) acceptor->bind({asio::ip::address_v4::loopback(), port}, failure);
    if (!failure) acceptor->listen(asio::socket_base::max_listen_connections, failure);
    if (failure == asio::error::address_in_use)
      return error(ErrorCode::kConflict, "port {}: another program listens there", port);
    if (failure) return error(ErrorCode::kIo, "port {}: {}", port, failure.message());
    const auto taken = acceptor->local_endpoint().port();
    accept_on(acceptor, Gate{.trusted = false, .port = taken});
    return taken;
  }

  void broadcast(std::string text) {
    asio::post(io_,
               [shared = shared_, message = std::make_shared<const std::string>(std::move(text))] {
                 // A slow one may be closed on the way, but it is never destroyed before its last
                 // handler has run.
                 for (auto* connection : shared->connections) connection->deliver(message);
               });
  }

  void stop() {
    if (shared_->stopped.exchange(true)) return;
    asio::post(io_, [self = shared_from_this()] {
      for (const auto& close : self->close_acceptors_) close();
      for (auto* connection : self->shared_->connections) connection->close();
      std::error_code gone_already;
      for (const auto& path : self->unix_paths_) fs::remove(path, gone_already);
    });
  }

  void set_greeting(std::function<std::string()> greeting) {
    shared_->greeting = std::move(greeting);
  }

 private:
  template <typename Acceptor>
  void accept_on(std::shared_ptr<Acceptor> acceptor, Gate gate) {
    close_acceptors_.emplace_back([acceptor] {
      error_code closed_already;
      acceptor->close(closed_already);
    });
    asio::co_spawn(io_, accept_loop(std::move(acceptor), gate, shared_), asio::detached);
  }

  template <typename Acceptor>
  static asio::awaitable<void> accept_loop(std::shared_ptr<Acceptor> acceptor, Gate gate,
                                           std::shared_ptr<Shared> shared) {
    while (!shared->stopped) {
      error_code failure;
      auto socket =
          co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, failure));
      if (shared->stopped) break;
      if (failure) {  // out of descriptors, usually: connections that end give some back
        asio::steady_timer pause(acceptor->get_executor(), kPauseAfterFailedAccept);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failure));
        continue;
      }
      if (shared->connections.size() >= kMaxConnections) continue;  // closed at once
      std::make_shared<Connection>(shared, gate, std::move(socket))->start();
    }
  }

  asio::io_context& io_;
  std::shared_ptr<Shared> shared_;
  std::vector<std::function<void()>> close_acceptors_;
  std::vector<fs::path> unix_paths_;
};

Server::Server(asio::io_context& io, Router router, ServerOptions options)
    : impl_(std::make_shared<Impl>(io, std::move(router), std::move(options))) {}
Server::~Server() { impl_->stop(); }
Result<void> Server::listen_unix(const fs::path& path) { return impl_->listen_unix(path); }
Result<std::uint16_t> Server::listen_loopback(std::uint16_t port) {
  return impl_->listen_loopback(port);
}
void Server::broadcast(std::string text) { impl_->broadcast(std::move(text)); }
void Server::set_greeting(std::function<std::string()> greeting) {
  impl_->set_greeting(std::move(greeting));
}
void Server::stop() { impl_->stop(); }

}  // namespace cusp::http
