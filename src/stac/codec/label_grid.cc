#include "stac/codec/label_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

// Of the Gaussian, in cells. Of 0.5 to 0.8 the one with which most pixels of DeepLab's and our own
// network's maps are right after a grid of 2.
constexpr double kSpread = 0.7;

// Weights of the cell before, around and after each pixel of a cell, in whole numbers, so that the
// result is the same everywhere.
std::vector<std::array<int, 3>> MakeWeights(int grid) {
  std::vector<std::array<int, 3>> weights(grid);
  for (int i = 0; i < grid; ++i) {
    const double at = (i + 0.5) / grid - 0.5;  // from the cell's centre
    for (int k = 0; k < 3; ++k) {
      const double distance = (k - 1 - at) / kSpread;
      weights[i][k] = static_cast<int>(std::lround(1024 * std::exp(-distance * distance / 2)));
    }
  }
  return weights;
}

// The label with the largest sum of weights.
uint8_t Heaviest(const std::array<uint8_t, 9>& labels, const std::array<int, 3>& across,
                 const std::array<int, 3>& down) {
  uint8_t best = 0;
  int best_weight = -1;
  for (int i = 0; i < 9; ++i) {
    int weight = 0;
    for (int j = 0; j < 9; ++j) {
      if (labels[j] == labels[i]) weight += across[j % 3] * down[j / 3];
    }
    if (weight > best_weight || (weight == best_weight && labels[i] < best)) {
      best = labels[i];
      best_weight = weight;
    }
  }
  return best;
}

// Of the labels in [left, right) x [top, bottom); of equally common ones the smallest.
uint8_t Commonest(const LabelMap& labels, int left, int top, int right, int bottom) {
  const uint8_t first = labels(left, top);
  int other = 0;
  for (int y = top; y < bottom; ++y) {
    const uint8_t* row = labels.Row(y).data();
    for (int x = left; x < right; ++x) other |= row[x] ^ first;
  }
  if (other == 0) return first;  // nearly everywhere
  std::array<int, 256> counts{};
  for (int y = top; y < bottom; ++y) {
    for (int x = left; x < right; ++x) ++counts[labels(x, y)];
  }
  return static_cast<uint8_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

}  // namespace

int LabelGridFor(double base_qp) { return base_qp < 24 ? 1 : base_qp < 31 ? 2 : 3; }

LabelMap ReduceLabels(const LabelMap& labels, int grid) {
  STAC_CHECK_GE(grid, 1);
  if (grid == 1) return labels;
  LabelMap cells(ReducedSize(labels.width(), grid), ReducedSize(labels.height(), grid));
  for (int y = 0; y < cells.height(); ++y) {
    const int bottom = std::min((y + 1) * grid, labels.height());
    for (int x = 0; x < cells.width(); ++x) {
      const int right = std::min((x + 1) * grid, labels.width());
      cells(x, y) = Commonest(labels, x * grid, y * grid, right, bottom);
    }
  }
  return cells;
}

LabelMap EnlargeLabels(const LabelMap& cells, int grid, int width, int height) {
  STAC_CHECK_GE(grid, 1);
  STAC_CHECK(cells.SameSize(ReducedSize(width, grid), ReducedSize(height, grid)));
  if (grid == 1) return cells;
  const auto weights = MakeWeights(grid);
  LabelMap labels(width, height);
  for (int y = 0; y < cells.height(); ++y) {
    const int bottom = std::min((y + 1) * grid, height);
    const uint8_t* rows[3];
    for (int k = 0; k < 3; ++k) {
      rows[k] = cells.Row(std::clamp(y + k - 1, 0, cells.height() - 1)).data();
    }
    for (int x = 0; x < cells.width(); ++x) {
      const int columns[3] = {std::max(x - 1, 0), x, std::min(x + 1, cells.width() - 1)};
      const uint8_t here = rows[1][x];
      int other = 0;
      for (const uint8_t* row : rows) {
        for (const int column : columns) other |= row[column] ^ here;
      }
      const int right = std::min((x + 1) * grid, width);
      if (other == 0) {  // nearly everywhere
        for (int j = y * grid; j < bottom; ++j) {
          std::fill(&labels(x * grid, j), &labels(x * grid, j) + (right - x * grid), here);
        }
        continue;
      }
      std::array<uint8_t, 9> around;
      for (int k = 0; k < 9; ++k) around[k] = rows[k / 3][columns[k % 3]];
      for (int j = y * grid; j < bottom; ++j) {
        for (int i = x * grid; i < right; ++i) {
          labels(i, j) = Heaviest(around, weights[i - x * grid], weights[j - y * grid]);
        }
      }
    }
  }
  return labels;
}

}  // namespace stac
