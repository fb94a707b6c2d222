#include "stac/propagate/warp.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

// Flow is rounded to 1/64 pixel and interpolated with weights in sixteenths: integers give every
// machine the same labels. 2^14 pixels * 2^6 * 16 * 16 stays below 2^31.
constexpr int kFlowBits = 6;
constexpr int kWeightBits = 4;
constexpr int kWeightOne = 1 << kWeightBits;
constexpr float kFlowLimit = 16384;

int32_t ToFixed(float flow) {
  // Written so that NaN becomes the lower limit instead of an undefined conversion.
  const float limited = std::min(std::max(-kFlowLimit, flow), kFlowLimit);
  return static_cast<int32_t>(std::floor(limited * (1 << kFlowBits) + 0.5f));
}

// Where pixel `x` lies between the centres of cells of size `step`: left cell and weight of the
// right one.
struct Tap {
  int cell;
  int weight;
};
Tap TapOf(int x, int step) {
  // Centre of cell i is i * step + (step - 1) / 2; doubled, so that it stays an integer.
  const int twice = 2 * x - (step - 1);
  const int cell = twice >= 0 ? twice / (2 * step) : -1;
  const int rest = twice - cell * 2 * step;
  return {cell, (rest * kWeightOne + step) / (2 * step)};
}

// Work memory of one thread; grows to the largest frame seen.
struct Scratch {
  // One row of cells, planar, with one repeated cell on the left and `step` on the right.
  std::vector<int32_t> cell_x[2], cell_y[2];
  int cached_row[2] = {-1, -1};
  std::vector<int32_t> row_x, row_y;        // vertically interpolated row of cells
  std::vector<int32_t> source_x, source_y;  // per pixel
};

void LoadRow(const Grid<Vec2>& flow, int row, int pad_right, std::vector<int32_t>& out_x,
             std::vector<int32_t>& out_y) {
  const int columns = flow.width();
  const Vec2* cells = flow.data() + static_cast<size_t>(row) * columns;
  for (int i = 0; i < columns; ++i) {
    out_x[i + 1] = ToFixed(cells[i].x);
    out_y[i + 1] = ToFixed(cells[i].y);
  }
  out_x[0] = out_x[1];
  out_y[0] = out_y[1];
  for (int i = 0; i < pad_right; ++i) {
    out_x[columns + 1 + i] = out_x[columns];
    out_y[columns + 1 + i] = out_y[columns];
  }
}

// Whole-pixel displacement from a sum with `bits` fractional bits, halves rounded up.
template <int kBits>
int32_t Round(int32_t value) {
  return (value + (1 << (kBits - 1))) >> kBits;
}

// Expands a row of cells (first entry: cell -1) to displacements of `kStep` pixels per cell.
template <int kStep>
void ExpandRow(const int32_t* __restrict row, int cells, int32_t* __restrict out) {
  constexpr int kBits = kFlowBits + 2 * kWeightBits;
  if constexpr (kStep == 1) {
    for (int i = 0; i < cells; ++i) out[i] = Round<kBits>(row[i + 1] * kWeightOne);
  } else {
    static_assert(kStep == 2 || kStep == 4);
    constexpr int kUnit = kWeightOne / (2 * kStep);  // half a pixel, in weights
    for (int i = 0; i < cells; ++i) {
      const int32_t left = row[i], centre = row[i + 1], right = row[i + 2];
      for (int p = 0; p < kStep; ++p) {
        const int offset = (2 * p - (kStep - 1)) * kUnit;  // of the pixel from the cell's centre
        const int32_t other = offset < 0 ? left : right;
        const int weight = offset < 0 ? -offset : offset;
        out[i * kStep + p] = Round<kBits>(centre * (kWeightOne - weight) + other * weight);
      }
    }
  }
}

void ExpandRowAnyStep(const int32_t* row, int width, int step, int32_t* out) {
  for (int x = 0; x < width; ++x) {
    const Tap tap = TapOf(x, step);
    out[x] = Round<kFlowBits + 2 * kWeightBits>(row[tap.cell + 1] * (kWeightOne - tap.weight) +
                                                row[tap.cell + 2] * tap.weight);
  }
}

void Expand(const std::vector<int32_t>& row, int cells, int width, int step, int32_t* out) {
  switch (step) {
    case 1:
      return ExpandRow<1>(row.data(), cells, out);
    case 2:
      return ExpandRow<2>(row.data(), cells, out);
    case 4:
      return ExpandRow<4>(row.data(), cells, out);
    default:
      return ExpandRowAnyStep(row.data(), width, step, out);
  }
}

}  // namespace

void WarpLabels(const LabelMap& labels_in_then, const FlowField& then_from_now,
                LabelMap& labels_in_now) {
  const int width = labels_in_then.width();
  const int height = labels_in_then.height();
  const int step = then_from_now.step;
  const Grid<Vec2>& flow = then_from_now.then_from_now;
  STAC_CHECK(&labels_in_then != &labels_in_now);
  STAC_CHECK(width == then_from_now.frame_width && height == then_from_now.frame_height);
  STAC_CHECK(width > 0 && height > 0 && width <= 16384 && height <= 16384);
  STAC_CHECK(step >= 1 && step <= 64);
  STAC_CHECK_EQ(flow.width(), (width + step - 1) / step);
  STAC_CHECK_EQ(flow.height(), (height + step - 1) / step);
  labels_in_now.Resize(width, height);

  thread_local Scratch scratch;
  const int columns = flow.width();
  const size_t row_size = static_cast<size_t>(columns) + 2;
  for (int k = 0; k < 2; ++k) {
    scratch.cell_x[k].resize(row_size);
    scratch.cell_y[k].resize(row_size);
    scratch.cached_row[k] = -1;
  }
  scratch.row_x.resize(row_size);
  scratch.row_y.resize(row_size);
  // The last cell may reach over the border.
  scratch.source_x.resize(static_cast<size_t>(columns) * step);
  scratch.source_y.resize(static_cast<size_t>(columns) * step);

  const uint8_t* then = labels_in_then.data();
  for (int y = 0; y < height; ++y) {
    const Tap tap = TapOf(y, step);
    const int rows[2] = {std::max(tap.cell, 0), std::min(tap.cell + 1, flow.height() - 1)};
    for (const int row : rows) {
      if (scratch.cached_row[row & 1] == row) continue;
      LoadRow(flow, row, 1, scratch.cell_x[row & 1], scratch.cell_y[row & 1]);
      scratch.cached_row[row & 1] = row;
    }
    const int upper = kWeightOne - tap.weight;
    const int lower = tap.weight;
    {
      const int32_t* __restrict x0 = scratch.cell_x[rows[0] & 1].data();
      const int32_t* __restrict x1 = scratch.cell_x[rows[1] & 1].data();
      const int32_t* __restrict y0 = scratch.cell_y[rows[0] & 1].data();
      const int32_t* __restrict y1 = scratch.cell_y[rows[1] & 1].data();
      int32_t* __restrict out_x = scratch.row_x.data();
      int32_t* __restrict out_y = scratch.row_y.data();
      for (size_t i = 0; i < row_size; ++i) {
        out_x[i] = x0[i] * upper + x1[i] * lower;
        out_y[i] = y0[i] * upper + y1[i] * lower;
      }
    }
    int32_t* __restrict source_x = scratch.source_x.data();
    int32_t* __restrict source_y = scratch.source_y.data();
    Expand(scratch.row_x, columns, width, step, source_x);
    Expand(scratch.row_y, columns, width, step, source_y);
    for (int x = 0; x < width; ++x) {
      source_x[x] = std::clamp(source_x[x] + x, 0, width - 1);
      source_y[x] = std::clamp(source_y[x] + y, 0, height - 1);
    }
    uint8_t* now = labels_in_now.data() + static_cast<size_t>(y) * width;
    for (int x = 0; x < width; ++x) {
      now[x] = then[static_cast<size_t>(source_y[x]) * width + source_x[x]];
    }
  }
}

namespace {

// The level of the covered region nearest to (x, y); the first in raster order of those equally
// near. Searches square rings of growing radius until no closer one can exist.
int NearestCovered(const Grid<int16_t>& level_or_none, int x, int y) {
  int best_distance = INT32_MAX;
  int best_level = -1;
  const int reach = std::max(level_or_none.width(), level_or_none.height());
  for (int r = 1; r <= reach && (best_level < 0 || r * r <= best_distance); ++r) {
    for (int dy = -r; dy <= r; ++dy) {
      const int row = y + dy;
      if (row < 0 || row >= level_or_none.height()) continue;
      // Only the ring: the whole top and bottom rows, and the two ends of the others.
      const int stride = dy == -r || dy == r ? 1 : 2 * r;
      for (int dx = -r; dx <= r; dx += stride) {
        const int column = x + dx;
        if (column < 0 || column >= level_or_none.width()) continue;
        const int level = level_or_none(column, row);
        const int distance = dx * dx + dy * dy;
        if (level >= 0 && distance < best_distance) {
          best_distance = distance;
          best_level = level;
        }
      }
    }
  }
  return best_level;
}

}  // namespace

LevelMap WarpLevels(const LevelMap& levels_in_then, const FlowField& then_from_now,
                    const RegionGrid& regions) {
  const Grid<Vec2>& flow = then_from_now.then_from_now;
  const int step = then_from_now.step;
  const int size = regions.region_size;
  const int columns = regions.columns();
  const int rows = regions.rows();
  STAC_CHECK(levels_in_then.SameSize(columns, rows));
  STAC_CHECK(regions.frame_width == then_from_now.frame_width &&
             regions.frame_height == then_from_now.frame_height);

  struct Sum {
    uint32_t levels = 0;
    uint32_t count = 0;
  };
  thread_local Grid<Sum> sums;
  sums.Resize(columns, rows);
  std::fill(sums.begin(), sums.end(), Sum{});
  const float inverse_size = 1.0f / static_cast<float>(size);
  const auto width = static_cast<float>(regions.frame_width);
  const auto height = static_cast<float>(regions.frame_height);
  for (int j = 0; j < flow.height(); ++j) {
    // Centres in coordinates in which the frame spans [0, width) x [0, height). The last cells
    // may reach over the border: their centre is kept inside.
    const float centre_y = std::min((j + 0.5f) * step, height - 0.5f);
    const int region_y = static_cast<int>(centre_y) / size;
    const Vec2* cells = flow.data() + static_cast<size_t>(j) * flow.width();
    for (int i = 0; i < flow.width(); ++i) {
      const float centre_x = std::min((i + 0.5f) * step, width - 0.5f);
      const float x = centre_x + cells[i].x;
      const float y = centre_y + cells[i].y;
      if (!(x >= 0 && y >= 0 && x < width && y < height)) continue;
      Sum& sum = sums(static_cast<int>(centre_x) / size, region_y);
      // The product may round up to the next region: harmless inside, not at the border.
      sum.levels += levels_in_then(std::min(static_cast<int>(x * inverse_size), columns - 1),
                                   std::min(static_cast<int>(y * inverse_size), rows - 1));
      ++sum.count;
    }
  }

  thread_local Grid<int16_t> means;
  means.Resize(columns, rows);
  for (size_t i = 0; i < sums.size(); ++i) {
    const Sum& sum = sums[i];
    means[i] = sum.count == 0 ? int16_t{-1}
                              : static_cast<int16_t>((sum.levels + sum.count / 2) / sum.count);
  }
  LevelMap levels_in_now(columns, rows);
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) {
      int level = means(x, y);
      if (level < 0) level = NearestCovered(means, x, y);
      // Nothing of the old frame is left: its levels are still the best guess.
      if (level < 0) level = levels_in_then(x, y);
      levels_in_now(x, y) = static_cast<uint8_t>(level);
    }
  }
  return levels_in_now;
}

}  // namespace stac
