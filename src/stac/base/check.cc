#include "stac/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace stac {

void CheckFailed(std::string_view file, int line, std::string_view what) {
  fmt::print(stderr, "{}:{}: check failed: {}\n", file, line, what);
  std::abort();
}

}  // namespace stac
