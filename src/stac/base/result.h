#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace stac {

// What went wrong, where, and what to do about it: one sentence a user can act on.
struct Error {
  std::string message;
};

// The value of an operation that can fail, or the Error. Handle an error once: log it or return it.
template <typename T>
using Result = tl::expected<T, Error>;

// The outcome of an operation without a value.
class [[nodiscard]] Status : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
};

inline Status OkStatus() { return {}; }

// Fail("cannot open {}: {}", path, reason) converts to any Result<T> or Status.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace stac

#define STAC_CONCAT_INNER(a, b) a##b
#define STAC_CONCAT(a, b) STAC_CONCAT_INNER(a, b)

// Returns the error of `expression` from the enclosing function, if it has one.
#define STAC_RETURN_IF_ERROR(expression)                                    \
  do {                                                                      \
    if (auto stac_status = (expression); !stac_status)                      \
      return tl::unexpected<::stac::Error>(std::move(stac_status).error()); \
  } while (false)

// STAC_ASSIGN_OR_RETURN(Frame frame, source->Next()): declares `frame`, or returns the error.
#define STAC_ASSIGN_OR_RETURN(declaration, expression) \
  STAC_ASSIGN_OR_RETURN_INNER(STAC_CONCAT(stac_result_, __LINE__), declaration, expression)
#define STAC_ASSIGN_OR_RETURN_INNER(result, declaration, expression)            \
  auto result = (expression);                                                   \
  if (!result) return tl::unexpected<::stac::Error>(std::move(result).error()); \
  declaration = std::move(result).value()
