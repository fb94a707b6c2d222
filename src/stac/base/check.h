#pragma once

#include <fmt/format.h>

#include <string_view>

namespace stac {

// Prints the broken precondition and aborts. Use the macros below.
[[noreturn]] void CheckFailed(std::string_view file, int line, std::string_view what);

}  // namespace stac

// Preconditions of our own code (never of input): a broken one stops the program with the values.
#define STAC_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) ::stac::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

#define STAC_CHECK_OP(a, op, b)                                                                  \
  do {                                                                                           \
    const auto& stac_a = (a);                                                                    \
    const auto& stac_b = (b);                                                                    \
    if (!(stac_a op stac_b)) {                                                                   \
      ::stac::CheckFailed(__FILE__, __LINE__,                                                    \
                          fmt::format(#a " " #op " " #b " (values {} and {})", stac_a, stac_b)); \
    }                                                                                            \
  } while (false)
#define STAC_CHECK_EQ(a, b) STAC_CHECK_OP(a, ==, b)
#define STAC_CHECK_GE(a, b) STAC_CHECK_OP(a, >=, b)
#define STAC_CHECK_GT(a, b) STAC_CHECK_OP(a, >, b)
#define STAC_CHECK_LT(a, b) STAC_CHECK_OP(a, <, b)
#define STAC_CHECK_LE(a, b) STAC_CHECK_OP(a, <=, b)
