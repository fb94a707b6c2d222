#include <algorithm>
#include <vector>

#include "stac/propagate/fill_nearest_internal.h"

namespace stac {
namespace {

constexpr int kNone = -1;

// For each cell the column of the nearest filled one in its row, or kNone.
void FindInRows(const Grid<int16_t>& values, Grid<int>& nearest) {
  const int width = values.width();
  for (int y = 0; y < values.height(); ++y) {
    const auto row = nearest.Row(y);
    for (int x = 0, left = kNone; x < width; ++x) {
      if (values(x, y) >= 0) left = x;
      row[x] = left;
    }
    for (int x = width - 1, right = kNone; x >= 0; --x) {
      if (values(x, y) >= 0) right = x;
      if (right != kNone && (row[x] == kNone || right - x < x - row[x])) row[x] = right;
    }
  }
}

int64_t Square(int64_t value) { return value * value; }

int64_t FloorDivided(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

// Along a column each row with a filled cell is the nearest one for a stretch of it, which begins
// where it beats the row before.
bool FillFromNearest(Grid<int16_t>& values) {
  if (std::all_of(values.begin(), values.end(), [](int16_t value) { return value < 0; })) {
    return false;
  }
  const int height = values.height();
  thread_local Grid<int> nearest;
  nearest.Resize(values.width(), height);
  FindInRows(values, nearest);
  struct Stretch {
    int row;
    int64_t begin;
  };
  thread_local std::vector<Stretch> stretches;
  for (int x = 0; x < values.width(); ++x) {
    const auto distance = [&](int row, int64_t y) {
      return Square(x - nearest(x, row)) + Square(y - row);
    };
    stretches.clear();
    for (int row = 0; row < height; ++row) {
      if (nearest(x, row) == kNone) continue;
      while (!stretches.empty() && distance(stretches.back().row, stretches.back().begin) >
                                       distance(row, stretches.back().begin)) {
        stretches.pop_back();
      }
      if (stretches.empty()) {
        stretches.push_back({row, 0});
        continue;
      }
      const int above = stretches.back().row;
      // The last place where the row above is at least as near.
      const int64_t last = FloorDivided(distance(row, 0) - distance(above, 0), 2 * (row - above));
      if (last + 1 < height) stretches.push_back({row, last + 1});
    }
    for (int y = height - 1; y >= 0; --y) {
      while (stretches.back().begin > y) stretches.pop_back();
      const int row = stretches.back().row;
      // Filled cells are the nearest to themselves, so they stay, and no others are read.
      values(x, y) = values(nearest(x, row), row);
    }
  }
  return true;
}

}  // namespace stac
