#include "drivers/emulation/usb_redir.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <future>
#include <thread>

#include "drivers/emulation/usb_redir_session_internal.h"

namespace cusp {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using ErrorCodeB = boost::system::error_code;

class Port final : public UsbRedirPort {
 public:
  explicit Port(std::filesystem::path path)
      : path_(std::move(path)), acceptor_(io_), socket_(io_), due_(io_), woken_(false) {}

  ~Port() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    if (function_ != nullptr) let_go();
    std::error_code ignored;
    if (acceptor_.is_open()) std::filesystem::remove(path_, ignored);
  }

  // Boost's exceptions are the caller's.
  void start() {
    const Local::endpoint address(path_.string());
    acceptor_.open(address.protocol());
    acceptor_.bind(address);
    acceptor_.listen();
    accept_next();
    thread_ = std::thread([this] { io_.run(); });
  }

  Result<void> plug(UsbFunction& function) override {
    return on_thread([&]() -> Result<void> {
      if (function_ != nullptr)
        return error(ErrorCode::kConflict, "virtual device: plugged in already");
      function_ = &function;
      function.set_wake([this] {
        if (!woken_.exchange(true)) asio::post(io_, [this] { on_wake(); });
      });
      if (session_) session_->plug(function);
      work();
      return {};
    });
  }

  Result<void> unplug() override {
    return on_thread([&]() -> Result<void> {
      if (function_ == nullptr)
        return error(ErrorCode::kConflict, "virtual device: not plugged in");
      if (session_) session_->unplug();
      let_go();
      work();
      return {};
    });
  }

  bool attached() const override {
    return on_thread([&] { return session_ && session_->attached(); });
  }

 private:
  // Runs `verb` on the port's thread and waits for its answer.
  template <typename Verb>
  std::invoke_result_t<Verb> on_thread(Verb verb) const {
    std::packaged_task<std::invoke_result_t<Verb>()> task(std::move(verb));
    auto answer = task.get_future();
    asio::post(io_, [&task] { task(); });
    return answer.get();
  }

  void let_go() {
    UsbFunction* const function = std::exchange(function_, nullptr);
    function->set_wake({});
    function->reset();
  }

  void accept_next() {
    acceptor_.async_accept([this](ErrorCodeB failure, Local::socket socket) {
      if (failure == asio::error::operation_aborted) return;
      if (failure) return accept_later();
      if (!session_) begin(std::move(socket));
      accept_next();
    });
  }
  // Out of descriptors, usually: connections that end give some back.
  void accept_later() {
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([this](ErrorCodeB failure) {
      if (!failure) accept_next();
    });
  }

  void begin(Local::socket socket) {
    socket_ = std::move(socket);
    socket_.native_non_blocking(true);
    session_ = std::make_unique<UsbRedirSession>(socket_.native_handle());
    if (function_ != nullptr) session_->plug(*function_);
    work();
  }

  void end() {
    ErrorCodeB ignored;
    socket_.close(ignored);
    due_.cancel();
    session_.reset();
    if (function_ != nullptr) function_->reset();  // the machine has let go of it
  }

  void on_wake() {
    woken_ = false;
    work();
  }

  // Does all there is to do, and waits for more.
  void work() {
    if (!session_) return;
    std::optional<MonoTime> due;
    if (!session_->work(due)) return end();
    if (due) {
      due_.expires_at(*due);
      due_.async_wait([this](ErrorCodeB cancelled) {
        if (!cancelled) work();
      });
    }
    if (session_->has_room()) wait_for(Local::socket::wait_read, waits_to_read_);
    if (session_->wants_to_write()) wait_for(Local::socket::wait_write, waits_to_write_);
  }

  void wait_for(Local::socket::wait_type event, bool& waits) {
    if (std::exchange(waits, true)) return;
    socket_.async_wait(event, [this, &waits](ErrorCodeB) {
      waits = false;
      work();
    });
  }

  const std::filesystem::path path_;
  mutable asio::io_context io_;
  Local::acceptor acceptor_;
  Local::socket socket_;
  asio::steady_timer pause_{io_};
  asio::steady_timer due_;
  bool waits_to_read_ = false, waits_to_write_ = false;
  std::atomic<bool> woken_;
  UsbFunction* function_ = nullptr;
  std::unique_ptr<UsbRedirSession> session_;
  std::thread thread_;
};

bool somebody_listens(const std::filesystem::path& path) {
  asio::io_context context;
  Local::socket probe(context);
  ErrorCodeB failure;
  probe.connect(Local::endpoint(path.string()), failure);
  return !failure;
}

}  // namespace

Result<std::unique_ptr<UsbRedirPort>> UsbRedirPort::listen(const std::filesystem::path& socket) {
  constexpr std::size_t kLongestPath = 107;  // sun_path of unix(7)
  if (socket.string().size() > kLongestPath)
    return error(ErrorCode::kInvalidArgument,
                 "{}: longer than the {} characters of a socket's path", socket.string(),
                 kLongestPath);
  try {
    if (somebody_listens(socket))
      return error(ErrorCode::kConflict, "{}: another program listens there", socket.string());
    std::error_code ignored;
    if (std::filesystem::is_socket(socket, ignored)) std::filesystem::remove(socket, ignored);
    auto port = std::make_unique<Port>(socket);
    port->start();
    return std::unique_ptr<UsbRedirPort>(std::move(port));
  } catch (const boost::system::system_error& failure) {
    return error(ErrorCode::kIo, "{}: {}", socket.string(), failure.code().message());
  }
}

}  // namespace cusp
