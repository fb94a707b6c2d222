#include "stac/flow/optical_flow.h"

namespace stac {

Result<FlowPreset> ParseFlowPreset(const std::string& text) {
  if (text == "ultrafast") return FlowPreset::kUltraFast;
  if (text == "fast") return FlowPreset::kFast;
  if (text == "medium") return FlowPreset::kMedium;
  return Fail("unknown flow preset '{}': use ultrafast, fast or medium", text);
}

}  // namespace stac
