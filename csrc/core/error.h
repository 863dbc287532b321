// Errors of the library: a kind, which decides the Python exception type, and a message made of parts.
#pragma once

#include <exception>
#include <sstream>
#include <string>
#include <utility>

namespace fastnn {

enum class ErrorKind { Runtime, Index, Type, Value, NotImplemented, OutOfMemory, Buffer, LinAlg };

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
};

template <class... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(kind, text.str());
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  fail(ErrorKind::Runtime, parts...);
}

}  // namespace fastnn

// FASTNN_CHECK(condition, kind, message parts...): throws fastnn::Error when the condition does not hold.
#define FASTNN_CHECK(condition, ...)                                    \
  do {                                                                  \
    if (__builtin_expect(!(condition), 0)) ::fastnn::fail(__VA_ARGS__); \
  } while (0)
