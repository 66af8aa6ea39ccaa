#include "tools/sim/control_socket.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <memory>
#include <utility>

namespace cusp::sim {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using ErrorCodeB = boost::system::error_code;

constexpr std::size_t kLongestLine = 64 * 1024;
constexpr std::chrono::seconds kClientPatience{5};

// One asked line, one answer; kept alive by its own handlers.
class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  Conversation(Local::socket socket, const AnswerLine& answer)
      : socket_(std::move(socket)), patience_(socket_.get_executor()), answer_(answer) {}

  void start() {
    patience_.expires_after(kClientPatience);
    patience_.async_wait([self = shared_from_this()](ErrorCodeB stopped) {
      ErrorCodeB ignored;
      if (!stopped) self->socket_.close(ignored);
    });
    asio::async_read_until(socket_, asio::dynamic_buffer(line_, kLongestLine), '\n',
                           [self = shared_from_this()](ErrorCodeB failed, std::size_t length) {
                             if (failed)
                               self->patience_.cancel();
                             else
                               self->reply(length - 1);
                           });
  }

 private:
  void reply(std::size_t length) {
    line_ = answer_(line_.substr(0, length)) + '\n';
    asio::async_write(
        socket_, asio::buffer(line_),
        [self = shared_from_this()](ErrorCodeB, std::size_t) { self->patience_.cancel(); });
  }

  Local::socket socket_;
  asio::steady_timer patience_;
  const AnswerLine& answer_;
  std::string line_;
};

void accept_next(Local::acceptor& acceptor, const AnswerLine& answer) {
  acceptor.async_accept([&](ErrorCodeB failed, Local::socket socket) {
    if (failed == asio::error::operation_aborted) return;
    if (!failed) std::make_shared<Conversation>(std::move(socket), answer)->start();
    accept_next(acceptor, answer);
  });
}

bool somebody_listens(const std::filesystem::path& path) {
  asio::io_context context;
  Local::socket probe(context);
  ErrorCodeB failed;
  probe.connect(Local::endpoint(path.string()), failed);
  return !failed;
}

Result<void> check_path(const std::filesystem::path& path) {
  constexpr std::size_t kLongestPath = 107;  // sun_path of unix(7)
  if (path.string().size() > kLongestPath)
    return error(ErrorCode::kInvalidArgument,
                 "{}: longer than the {} characters of a socket's path; choose a shorter folder",
                 path.string(), kLongestPath);
  return {};
}

}  // namespace

Result<void> serve_until_signal(const std::filesystem::path& path, const AnswerLine& answer,
                                const std::function<Result<void>()>& ready) {
  CUSP_TRY(check_path(path));
  try {
    if (somebody_listens(path))
      return error(ErrorCode::kConflict, "{}: another virtual scanner already runs there",
                   path.string());
    std::error_code failure;
    std::filesystem::remove(path, failure);  // of a run that was killed

    asio::io_context context;
    asio::signal_set signals(context, SIGINT, SIGTERM);
    Local::acceptor acceptor(context, Local::endpoint(path.string()));
    signals.async_wait([&](ErrorCodeB, int) {
      ErrorCodeB ignored;
      acceptor.close(ignored);
      context.stop();
    });
    accept_next(acceptor, answer);
    Result<void> readied = ready();
    if (readied.ok()) context.run();
    std::filesystem::remove(path, failure);
    return readied;
  } catch (const std::exception& e) {
    return error(ErrorCode::kIo, "{}: {}", path.string(), e.what());
  }
}

Result<std::string> ask(const std::filesystem::path& path, const std::string& line,
                        std::chrono::milliseconds timeout) {
  CUSP_TRY(check_path(path));
  try {
    asio::io_context context;
    Local::socket socket(context);
    ErrorCodeB failed;
    socket.connect(Local::endpoint(path.string()), failed);
    if (failed)
      return error(ErrorCode::kUnavailable, "{}: no virtual scanner answers there: {}",
                   path.string(), failed.message());
    asio::write(socket, asio::buffer(line + '\n'), failed);
    std::string answer;
    std::size_t length = 0;
    asio::async_read_until(socket, asio::dynamic_buffer(answer, kLongestLine), '\n',
                           [&](ErrorCodeB end, std::size_t size) {
                             failed = end;
                             length = size;
                           });
    context.run_for(timeout);
    if (!context.stopped())
      return error(ErrorCode::kTimeout, "{}: no answer in {} ms", path.string(), timeout.count());
    if (failed)
      return error(ErrorCode::kProtocol, "{}: the answer broke off: {}", path.string(),
                   failed.message());
    return answer.substr(0, length - 1);
  } catch (const std::exception& e) {
    return error(ErrorCode::kIo, "{}: {}", path.string(), e.what());
  }
}

}  // namespace cusp::sim
