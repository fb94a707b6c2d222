#pragma once

#include <algorithm>
#include <string>

namespace stac {

// `reason` without digits and points. Where this has been logged, the reason is known: one that
// names a frame or how full a server is has other numbers each time.
inline std::string WithoutNumbers(std::string reason) {
  std::erase_if(reason, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return reason;
}

}  // namespace stac
