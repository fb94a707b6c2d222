#include "stac/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace stac {

void SetUpLogging(const std::string& level) {
  auto logger = spdlog::get("stac");
  if (!logger) logger = spdlog::stderr_color_mt("stac");
  logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(logger);
}

}  // namespace stac
