#include "stac/lab/two_level_plan.h"

#include <algorithm>

#include "stac/allocate/rules.h"

namespace stac {
namespace {

// The rules answer with levels: 0 is the finer and 1 the coarser of two, whatever their QPs.
const LevelLadder kTwoSteps(2, 0, 1);

Grid<float> QpOfLevels(const LevelMap& levels, double qp, double delta) {
  Grid<float> wanted(levels.width(), levels.height());
  for (size_t i = 0; i < levels.size(); ++i) {
    wanted[i] = static_cast<float>(levels[i] == 0 ? qp : std::min(qp + delta, double{kMaxQp}));
  }
  return wanted;
}

LevelMap Widened(const LevelMap& levels, int radius) {
  LevelMap out = levels;
  for (int y = 0; y < levels.height(); ++y) {
    for (int x = 0; x < levels.width(); ++x) {
      for (int dy = -radius; dy <= radius; ++dy) {
        for (int dx = -radius; dx <= radius; ++dx) {
          out(x, y) = std::min(out(x, y), levels.Clamped(x + dx, y + dy));
        }
      }
    }
  }
  return out;
}

}  // namespace

Grid<float> AccMpegQp(const SensitivityMap& accuracy_gradients, const SystemSpec& spec) {
  const double qp = spec.Number("qp"), delta = spec.Number("delta");
  const LevelMap levels = TwoLevels(accuracy_gradients, 0, 1, spec.Number("fraction"), kTwoSteps);
  return QpOfLevels(Widened(levels, spec.Integer("dilate")), qp, delta);
}

Grid<float> BoundaryQp(const LabelMap& labels, const SystemSpec& spec) {
  const double qp = spec.Number("qp"), delta = spec.Number("delta");
  const RegionGrid grid{.frame_width = labels.width(), .frame_height = labels.height()};
  return QpOfLevels(BoundaryLevels(labels, spec.Integer("distance"), 0, 1, grid, kTwoSteps), qp,
                    delta);
}

}  // namespace stac
