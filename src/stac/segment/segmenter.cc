#include "stac/segment/segmenter.h"

#include <algorithm>

namespace stac {

const std::vector<std::string>& PrecisionNames() {
  static const std::vector<std::string> names = {"auto", "float", "half-gradient", "half"};
  return names;
}

const std::string& PrecisionName(Precision precision) {
  return PrecisionNames()[static_cast<size_t>(precision)];
}

std::optional<Precision> PrecisionFromName(std::string_view name) {
  const std::vector<std::string>& names = PrecisionNames();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Precision>(found - names.begin());
}

std::vector<Result<Segmentation>> Segmenter::RunBatch(std::span<const Frame* const> frames,
                                                      const Objective* objective) {
  std::vector<Result<Segmentation>> results;
  for (const Frame* frame : frames) {
    results.push_back(objective == nullptr ? Run(*frame) : RunWithGradient(*frame, *objective));
  }
  return results;
}

}  // namespace stac
