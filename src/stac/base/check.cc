#include "stac/base/check.h"

#include <cstdlib>

#include "stac/base/progress.h"

namespace stac {

void CheckFailed(std::string_view file, int line, std::string_view what) {
  ShowOnStderr(fmt::format("{}:{}: check failed: {}\n", file, line, what));
  std::abort();
}

}  // namespace stac
