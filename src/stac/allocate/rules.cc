#include "stac/allocate/rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "stac/base/check.h"

namespace stac {

LevelMap AlgorithmOne(const Grid<double>& table_weights, double budget, int pixel_count,
                      std::span<const double> level_budgets) {
  STAC_CHECK(!level_budgets.empty() && level_budgets.size() <= kMaxLevels);
  STAC_CHECK(std::is_sorted(level_budgets.begin(), level_budgets.end()));
  STAC_CHECK_GT(pixel_count, 0);
  const double region_budget = budget / static_cast<double>(table_weights.size());
  LevelMap levels(table_weights.width(), table_weights.height());
  for (size_t r = 0; r < levels.size(); ++r) {
    const double weight = table_weights[r];
    if (!(weight > 0)) {
      levels[r] = static_cast<uint8_t>(level_budgets.size() - 1);
      continue;
    }
    const auto increment = [&](double level_budget) { return level_budget / pixel_count * weight; };
    // Increments rise with the level: the closest is the first that reaches the budget or the one
    // before it.
    auto best = std::partition_point(level_budgets.begin(), level_budgets.end(),
                                     [&](double b) { return increment(b) < region_budget; });
    if (best == level_budgets.end() ||
        (best != level_budgets.begin() &&
         region_budget - increment(best[-1]) <= increment(*best) - region_budget)) {
      --best;
    }
    // Of levels with the same budget the finest, as the printed loop keeps the first.
    best = std::lower_bound(level_budgets.begin(), best, *best);
    levels[r] = static_cast<uint8_t>(best - level_budgets.begin());
  }
  return levels;
}

LevelMap PowerLevels(const SensitivityMap& sensitivity, double base_qp, const PowerRule& rule,
                     const LevelLadder& ladder) {
  const auto positive = [](float s) { return s > 0 && std::isfinite(s); };
  double sum = 0;
  int count = 0;
  for (const float s : sensitivity) {
    if (!positive(s)) continue;
    sum += std::log2(s);
    ++count;
  }
  const double mean = count > 0 ? sum / count : 0;
  LevelMap levels(sensitivity.width(), sensitivity.height());
  for (size_t r = 0; r < levels.size(); ++r) {
    double offset = count > 0 ? rule.clip : 0;  // S = 0 in a frame that has gradients elsewhere
    if (positive(sensitivity[r])) {
      offset = std::clamp(-6 * rule.exponent * (std::log2(sensitivity[r]) - mean), -rule.clip,
                          rule.clip);
    }
    levels[r] = static_cast<uint8_t>(ladder.NearestLevel(base_qp + offset));
  }
  return levels;
}

LevelMap TwoLevels(const SensitivityMap& sensitivity, double base_qp, double delta_qp,
                   double fraction, const LevelLadder& ladder) {
  const auto chosen = static_cast<size_t>(
      std::lround(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(sensitivity.size())));
  std::vector<size_t> order(sensitivity.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sensitivity[a] > sensitivity[b]; });
  LevelMap levels(sensitivity.width(), sensitivity.height(),
                  static_cast<uint8_t>(ladder.NearestLevel(base_qp + delta_qp)));
  for (size_t i = 0; i < chosen; ++i) {
    levels[order[i]] = static_cast<uint8_t>(ladder.NearestLevel(base_qp));
  }
  return levels;
}

LevelMap BoundaryLevels(const LabelMap& labels, int distance, double base_qp, double delta_qp,
                        const RegionGrid& regions, const LevelLadder& ladder) {
  STAC_CHECK(labels.SameSize(regions.frame_width, regions.frame_height));
  STAC_CHECK_GE(distance, 0);
  const auto near = static_cast<uint8_t>(ladder.NearestLevel(base_qp));
  LevelMap levels(regions.columns(), regions.rows(),
                  static_cast<uint8_t>(ladder.NearestLevel(base_qp + delta_qp)));
  const int size = regions.region_size;
  // Every region that meets the square of pixels around (x, y).
  const auto mark = [&](int x, int y) {
    const int last_column = std::min(x + distance, labels.width() - 1) / size;
    const int last_row = std::min(y + distance, labels.height() - 1) / size;
    for (int row = std::max(y - distance, 0) / size; row <= last_row; ++row) {
      for (int column = std::max(x - distance, 0) / size; column <= last_column; ++column) {
        levels(column, row) = near;
      }
    }
  };
  for (int y = 0; y < labels.height(); ++y) {
    for (int x = 0; x < labels.width(); ++x) {
      // A boundary has pixels on both of its sides.
      if (x + 1 < labels.width() && labels(x, y) != labels(x + 1, y)) {
        mark(x, y);
        mark(x + 1, y);
      }
      if (y + 1 < labels.height() && labels(x, y) != labels(x, y + 1)) {
        mark(x, y);
        mark(x, y + 1);
      }
    }
  }
  return levels;
}

}  // namespace stac
