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
constexpr int kMaxStep = 64;
constexpr int kLevelSpacing = 4;  // pixels between samples of the flow for levels

// A whole number in a float, which holds it exactly, as it does its products with weights: float
// products are one instruction where integer ones are not.
float ToFixed(float flow) {
  // Written so that NaN becomes the lower limit instead of an undefined conversion.
  const float scaled = std::min(std::max(-kFlowLimit, flow), kFlowLimit) * (1 << kFlowBits) + 0.5f;
  const auto towards_zero = static_cast<float>(static_cast<int32_t>(scaled));
  return scaled < towards_zero ? towards_zero - 1 : towards_zero;  // the floor
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

// First pixel behind the centre of cell `cell`: the pixels from there to that of the next cell
// have their tap between the two.
int FirstPixel(int cell, int step, int size) { return std::clamp(cell * step + step / 2, 0, size); }

// Displacement in whole pixels, both coordinates in one number, so that runs are found with one
// comparison per cell.
struct Shift {
  int16_t x, y;
};
uint32_t Pack(int32_t x, int32_t y) {
  return static_cast<uint32_t>(y) << 16 | (static_cast<uint32_t>(x) & 0xFFFFu);
}
Shift Unpack(uint32_t packed) {
  return {static_cast<int16_t>(packed & 0xFFFFu), static_cast<int16_t>(packed >> 16)};
}

// Whole pixels from a number with `kBits` fractional bits, halves rounded up.
template <int kBits>
int32_t Round(int32_t value) {
  return (value + (1 << (kBits - 1))) >> kBits;
}

// Work memory of one thread; grows to the largest frame seen. Rows of cells begin with a copy of
// their first cell and end with one of their last, for pixels outside the outermost centres.
struct Scratch {
  std::vector<float> cells_x[2], cells_y[2];  // fixed point, of two adjacent rows of cells
  int row_of[2];                              // which rows
  std::vector<int32_t> row_x, row_y;          // between the two, times kWeightOne
  std::vector<uint32_t> shifts;               // the same, whole pixels

  void Reset(size_t size) {
    for (int k = 0; k < 2; ++k) {
      cells_x[k].resize(size);
      cells_y[k].resize(size);
      row_of[k] = -1;
    }
    row_x.resize(size);
    row_y.resize(size);
    shifts.resize(size);
  }

  void Load(const Grid<Vec2>& flow, int row) {
    const int k = row & 1;
    if (row_of[k] == row) return;
    row_of[k] = row;
    const Vec2* cells = flow.Row(row).data();
    const int columns = flow.width();
    for (int i = 0; i < columns; ++i) {
      cells_x[k][static_cast<size_t>(i) + 1] = ToFixed(cells[i].x);
      cells_y[k][static_cast<size_t>(i) + 1] = ToFixed(cells[i].y);
    }
    for (auto* cells_of : {&cells_x[k], &cells_y[k]}) {
      cells_of->front() = (*cells_of)[1];
      cells_of->back() = (*cells_of)[static_cast<size_t>(columns)];
    }
  }

  void Interpolate(const Grid<Vec2>& flow, Tap tap) {
    const int upper_row = std::max(tap.cell, 0);
    const int lower_row = std::min(tap.cell + 1, flow.height() - 1);
    Load(flow, upper_row);
    Load(flow, lower_row);
    const auto upper = static_cast<float>(kWeightOne - tap.weight);
    const auto lower = static_cast<float>(tap.weight);
    const float* __restrict x0 = cells_x[upper_row & 1].data();
    const float* __restrict x1 = cells_x[lower_row & 1].data();
    const float* __restrict y0 = cells_y[upper_row & 1].data();
    const float* __restrict y1 = cells_y[lower_row & 1].data();
    int32_t* __restrict out_x = row_x.data();
    int32_t* __restrict out_y = row_y.data();
    uint32_t* __restrict out = shifts.data();
    constexpr int kBits = kFlowBits + kWeightBits;
    for (size_t i = 0; i < shifts.size(); ++i) {
      out_x[i] = static_cast<int32_t>(x0[i] * upper + x1[i] * lower);
      out_y[i] = static_cast<int32_t>(y0[i] * upper + y1[i] * lower);
      out[i] = Pack(Round<kBits>(out_x[i]), Round<kBits>(out_y[i]));
    }
  }
};

// now[begin .. end) = labels at (x + shift.x, y + shift.y), clamped.
void CopyRun(const LabelMap& then, int y, int begin, int end, Shift shift, uint8_t* now) {
  const int width = then.width();
  const uint8_t* row = then.Row(std::clamp(y + shift.y, 0, then.height() - 1)).data();
  const int inside_begin = std::clamp(-shift.x, begin, end);
  const int inside_end = std::clamp(width - shift.x, inside_begin, end);
  std::fill(now + begin, now + inside_begin, row[0]);
  std::copy(row + inside_begin + shift.x, row + inside_end + shift.x, now + inside_begin);
  std::fill(now + inside_end, now + end, row[width - 1]);
}

}  // namespace

void WarpLabels(const LabelMap& labels_in_then, const FlowField& then_from_now,
                LabelMap& labels_in_now) {
  const int width = labels_in_then.width();
  const int height = labels_in_then.height();
  const int step = then_from_now.step;
  const Grid<Vec2>& flow = then_from_now.then_from_now;
  const int columns = flow.width();
  STAC_CHECK(&labels_in_then != &labels_in_now);
  STAC_CHECK(width == then_from_now.frame_width && height == then_from_now.frame_height);
  STAC_CHECK(width > 0 && height > 0 && width <= 16384 && height <= 16384);
  STAC_CHECK(step >= 1 && step <= kMaxStep);
  STAC_CHECK_EQ(columns, (width + step - 1) / step);
  STAC_CHECK_EQ(flow.height(), (height + step - 1) / step);
  labels_in_now.Resize(width, height);

  thread_local Scratch scratch;
  scratch.Reset(static_cast<size_t>(columns) + 2);
  int weights[kMaxStep];  // of the right cell, per pixel from FirstPixel() on
  for (int i = 0; i < step; ++i) weights[i] = TapOf(step / 2 + i, step).weight;
  for (int y = 0; y < height; ++y) {
    scratch.Interpolate(flow, TapOf(y, step));
    uint8_t* now = labels_in_now.Row(y).data();
    const uint32_t* shifts = scratch.shifts.data();
    // Between two cells whose displacements round to the same pixels, all pixels do, because what
    // rounds to one number is an interval. Nearly all labels are copied in such runs.
    for (int i = 0; i <= columns;) {
      const int begin = i == 0 ? 0 : FirstPixel(i - 1, step, width);
      if (shifts[i] == shifts[i + 1]) {
        int last = i + 1;
        while (last <= columns && shifts[last + 1] == shifts[i]) ++last;
        const int end = last > columns ? width : FirstPixel(last - 1, step, width);
        CopyRun(labels_in_then, y, begin, end, Unpack(shifts[i]), now);
        i = last;
        continue;
      }
      // Outside the outermost centres the cells are equal, so this lies between two of them.
      const int end = FirstPixel(i, step, width);
      const int32_t* fx = &scratch.row_x[static_cast<size_t>(i)];
      const int32_t* fy = &scratch.row_y[static_cast<size_t>(i)];
      for (int x = begin; x < end; ++x) {
        const int right = weights[x - begin];
        const int left = kWeightOne - right;
        constexpr int kBits = kFlowBits + 2 * kWeightBits;
        now[x] = labels_in_then.Clamped(x + Round<kBits>(fx[0] * left + fx[1] * right),
                                        y + Round<kBits>(fy[0] * left + fy[1] * right));
      }
      ++i;
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
  // A finer grid is sampled every few pixels: enough for a mean over a macroblock.
  const int stride = std::max(kLevelSpacing / step, 1);
  for (int first_row = 0; first_row < flow.height(); first_row += stride) {
    const int j = std::min(first_row + stride / 2, flow.height() - 1);
    // Centres in coordinates in which the frame spans [0, width) x [0, height). The last cells
    // may reach over the border: their centre is kept inside.
    const float centre_y = std::min((j + 0.5f) * step, height - 0.5f);
    const int region_y = static_cast<int>(centre_y) / size;
    const Vec2* cells = flow.data() + static_cast<size_t>(j) * flow.width();
    for (int first = 0; first < flow.width(); first += stride) {
      const int i = std::min(first + stride / 2, flow.width() - 1);
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
