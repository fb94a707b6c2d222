#include "stac/segment/segmenter.h"

namespace stac {

std::vector<Result<Segmentation>> Segmenter::RunBatch(std::span<const Frame* const> frames,
                                                      const Objective* objective) {
  std::vector<Result<Segmentation>> results;
  for (const Frame* frame : frames) {
    results.push_back(objective == nullptr ? Run(*frame) : RunWithGradient(*frame, *objective));
  }
  return results;
}

}  // namespace stac
