#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace stac {

// Log lines go to standard error as "time level message"; standard output is for results.
// level: trace, debug, info, warn, error or off.
void SetUpLogging(const std::string& level);

}  // namespace stac
