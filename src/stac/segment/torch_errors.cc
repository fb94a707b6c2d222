#include <c10/util/Exception.h>

#include <string_view>

#include "stac/segment/torch_errors_internal.h"

namespace stac {

std::string TorchMessage(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string_view text = torch_error != nullptr
                              ? std::string_view(torch_error->what_without_backtrace())
                              : std::string_view(error.what());
  // The interpreter puts the cause last, behind a trace through the network's source.
  constexpr std::string_view kCause = "RuntimeError: ";
  if (const size_t at = text.rfind(kCause); at != std::string_view::npos) {
    text.remove_prefix(at + kCause.size());
  }
  text = text.substr(0, text.find('\n'));
  return std::string(text.empty() ? "unknown reason" : text);
}

}  // namespace stac
