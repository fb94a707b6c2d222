#include "stac/lab/two_level_plan.h"

#include <algorithm>

#include "stac/allocate/rules.h"

namespace stac {
namespace {

// The rules answer with levels: here 0 is the finer and 1 the coarser of two.
LevelLadder TwoSteps(double qp, double delta) {
  // Equal levels are no ladder; the levels alone say which is which.
  return LevelLadder(2, qp, qp + std::max(delta, 1.0));
}

Grid<float> QpOfLevels(const LevelMap& levels, double qp, double delta) {
  Grid<float> wanted(levels.width(), levels.height());
  for (size_t i = 0; i < levels.size(); ++i) {
    wanted[i] = static_cast<float>(levels[i] == 0 ? qp : qp + delta);
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
  const LevelMap levels = TwoLevels(accuracy_gradients, qp, std::max(delta, 1.0),
                                    spec.Number("fraction"), TwoSteps(qp, delta));
  return QpOfLevels(Widened(levels, spec.Integer("dilate")), qp, delta);
}

Grid<float> BoundaryQp(const LabelMap& labels, const SystemSpec& spec) {
  const double qp = spec.Number("qp"), delta = spec.Number("delta");
  const RegionGrid grid{.frame_width = labels.width(), .frame_height = labels.height()};
  return QpOfLevels(BoundaryLevels(labels, spec.Integer("distance"), qp, std::max(delta, 1.0), grid,
                                   TwoSteps(qp, delta)),
                    qp, delta);
}

}  // namespace stac
