// Result<T>: what every call that touches the outside world answers.
//
// The code says what the caller can do; the message is one sentence for a person with the object in
// front of it ("device wand-0012: stream stalled: no frame for 340 ms"). Our own bugs are not
// errors: they end the process through CUSP_CHECK (core/check.h). Threads: values; no shared state.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/check.h"

namespace cusp {

enum class ErrorCode {
  kInvalidArgument,  // the input is wrong: mend it
  kNotFound,         // nothing has that name
  kConflict,         // the state forbids it now
  kUnavailable,      // not there at the moment: try again later
  kTimeout,          // no answer in time
  kDisconnected,     // the peer or the device is gone
  kPermission,       // not allowed: change rights
  kProtocol,         // the peer broke the rules
  kCorrupt,          // stored or received bytes are damaged
  kNoSpace,          // disk or memory budget is full
  kIo,               // the system refused to read or write
  kUnsupported,      // valid, but not something we do
  kCancelled,        // stopped on request
};

// "invalid_argument", "not_found", ...: stable names for JSON, logs and exit codes.
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;
};

template <typename... Args>
Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] const T& value() const& {
    CUSP_CHECK(ok(), error().message);
    return std::get<0>(value_);
  }
  [[nodiscard]] T& value() & {
    CUSP_CHECK(ok(), error().message);
    return std::get<0>(value_);
  }
  [[nodiscard]] T&& value() && {
    CUSP_CHECK(ok(), error().message);
    return std::get<0>(std::move(value_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(value_); }

 private:
  std::variant<T, Error> value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const {
    CUSP_CHECK(!ok_, "error() of a result that is fine");
    return error_;
  }

 private:
  Error error_{ErrorCode::kInvalidArgument, {}};
  bool ok_ = true;
};

}  // namespace cusp

// CUSP_TRY(expr): leave the function with expr's error, if it has one.
#define CUSP_TRY(expr)                                                                        \
  do {                                                                                        \
    if (auto cusp_try_result = (expr); !cusp_try_result.ok()) return cusp_try_result.error(); \
  } while (false)

// CUSP_ASSIGN(auto x, expr): x takes expr's value, or the function leaves with its error.
#define CUSP_ASSIGN_CAT2(a, b) a##b
#define CUSP_ASSIGN_CAT(a, b) CUSP_ASSIGN_CAT2(a, b)
#define CUSP_ASSIGN_IMPL(tmp, declaration, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return tmp.error();             \
  declaration = std::move(tmp).value()
#define CUSP_ASSIGN(declaration, expr) \
  CUSP_ASSIGN_IMPL(CUSP_ASSIGN_CAT(cusp_assign_, __LINE__), declaration, expr)
