#include "stac/propagate/warp.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "stac/base/check.h"
#include "stac/propagate/fill_nearest_internal.h"

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
// comparison per block.
struct Shift {
  int16_t x, y;
};
uint32_t Pack(int32_t x, int32_t y) {
  return static_cast<uint32_t>(y) << 16 | (static_cast<uint32_t>(x) & 0xFFFFu);
}
Shift Unpack(uint32_t packed) {
  return {static_cast<int16_t>(packed & 0xFFFFu), static_cast<int16_t>(packed >> 16)};
}
// No displacement: they end at 16384.
constexpr uint32_t kSeveral = 0x80008000;

// Whole pixels from a number with `kBits` fractional bits, halves rounded up.
template <int kBits>
int32_t Round(int32_t value) {
  return (value + (1 << (kBits - 1))) >> kBits;
}

// Which squares of a label map have one label only. Most have; pixels that come from there need no
// look-up, wherever in it they come from.
class Tiles {
 public:
  static constexpr int kBits = 3;
  static constexpr int kSize = 1 << kBits;

  void Load(const LabelMap& labels) {
    label_.Resize((labels.width() + kSize - 1) / kSize, (labels.height() + kSize - 1) / kSize);
    const int whole_columns = labels.width() / kSize;
    for (int j = 0; j < label_.height(); ++j) {
      const int rows = std::min(kSize, labels.height() - j * kSize);
      int16_t* out = label_.Row(j).data();
      const uint8_t* first = labels.Row(j * kSize).data();
      for (int i = 0; i < whole_columns; ++i, first += kSize) {
        const uint64_t eight = *first * 0x0101010101010101u;
        uint64_t other = 0;
        for (int k = 0; k < rows; ++k) {
          uint64_t word;
          std::memcpy(&word, first + ptrdiff_t{labels.width()} * k, kSize);
          other |= word ^ eight;
        }
        out[i] = other == 0 ? *first : int16_t{-1};
      }
      // The rest of a row is not worth a loop of its own.
      if (whole_columns < label_.width()) out[whole_columns] = -1;
    }
  }

  // The label of all pixels of these tiles, the last ones included; -1: several, or not known.
  int LabelOf(int left, int top, int right, int bottom) const {
    const int16_t* row = &label_(left, top);
    const int label = *row;
    if (label < 0 || (left == right && top == bottom)) return label;
    if ((right - left) * (bottom - top) > kMost) return -1;
    int other = 0;
    for (int j = top; j <= bottom; ++j, row += label_.width()) {
      for (int i = 0; i <= right - left; ++i) other |= row[i] ^ label;
    }
    return other == 0 ? label : -1;
  }

 private:
  static constexpr int kMost = 64;
  Grid<int16_t> label_;
};

// A row of flow cells, beginning with a copy of its first cell and ending with one of its last, for
// pixels outside the outermost centres.
struct CellRow {
  std::vector<float> x, y;                // fixed point
  std::vector<int16_t> shift_x, shift_y;  // whole pixels
  int row = -1;

  void Load(const Grid<Vec2>& flow, int wanted_row) {
    if (row == wanted_row) return;
    row = wanted_row;
    const Vec2* cells = flow.Row(row).data();
    const auto columns = static_cast<size_t>(flow.width());
    float* __restrict out_x = x.data() + 1;
    float* __restrict out_y = y.data() + 1;
    for (size_t i = 0; i < columns; ++i) {
      out_x[i] = ToFixed(cells[i].x);
      out_y[i] = ToFixed(cells[i].y);
    }
    x.front() = x[1];
    y.front() = y[1];
    x.back() = x[columns];
    y.back() = y[columns];
    for (size_t i = 0; i < columns + 2; ++i) {
      shift_x[i] = static_cast<int16_t>(Round<kFlowBits>(static_cast<int32_t>(x[i])));
      shift_y[i] = static_cast<int16_t>(Round<kFlowBits>(static_cast<int32_t>(y[i])));
    }
  }
  void Reset(size_t size) {
    for (auto* values : {&x, &y}) values->resize(size);
    for (auto* values : {&shift_x, &shift_y}) values->resize(size);
    row = -1;
  }
};

// Of the blocks of a strip, in one coordinate. What is interpolated between four numbers lies
// between them, and so does what is rounded from it: the corners give a block's displacements.
struct BlockRanges {
  std::vector<int16_t> first, last;            // its own pixels
  std::vector<int16_t> lowest, highest;        // displacement
  std::vector<int16_t> first_tile, last_tile;  // that its pixels come from

  void Resize(size_t blocks) {
    for (auto* values : {&first, &last, &lowest, &highest, &first_tile, &last_tile}) {
      values->resize(blocks);
    }
  }
  // Loops that compilers turn into vector instructions: no branches, few arrays.
  void Find(const std::vector<int16_t>& above, const std::vector<int16_t>& below, int size) {
    const int16_t* a = above.data();
    const int16_t* b = below.data();
    int16_t* low = lowest.data();
    int16_t* high = highest.data();
    const size_t blocks = lowest.size();
    for (size_t i = 0; i < blocks; ++i) {
      low[i] = std::min(std::min(a[i], a[i + 1]), std::min(b[i], b[i + 1]));
      high[i] = std::max(std::max(a[i], a[i + 1]), std::max(b[i], b[i + 1]));
    }
    FindTiles(first.data(), low, size, first_tile.data());
    FindTiles(last.data(), high, size, last_tile.data());
  }
  void FindTiles(const int16_t* at, const int16_t* shift, int size, int16_t* tile) const {
    const auto end = static_cast<int16_t>(size - 1);
    const size_t blocks = lowest.size();
    for (size_t i = 0; i < blocks; ++i) {
      const auto from = static_cast<int16_t>(at[i] + shift[i]);
      tile[i] = static_cast<int16_t>(std::clamp<int16_t>(from, 0, end) >> Tiles::kBits);
    }
  }
};

// Moves labels block by block; a block is what lies between the centres of four cells. Work memory
// of one thread, which grows to the largest frame seen.
class Mover {
 public:
  // Not inlined, so that members are not looked for by thread each time.
  [[gnu::noinline]] void Move(const LabelMap& then, const FlowField& field, LabelMap& now);

 private:
  void FindShifts(int top, int bottom, const CellRow& upper, const CellRow& lower);
  void MoveStrip(int top, int bottom, const CellRow& upper, const CellRow& lower);
  int LabelOfBlock(size_t block) const {
    return tiles_.LabelOf(x_.first_tile[block], y_.first_tile[block], x_.last_tile[block],
                          y_.last_tile[block]);
  }
  void Copy(int begin, int end, int top, int bottom, Shift shift);
  void MoveBlock(size_t block, int begin, int end, int top, int bottom, const CellRow& upper,
                 const CellRow& lower);

  const LabelMap* then_ = nullptr;
  LabelMap* now_ = nullptr;
  int width_ = 0, height_ = 0, step_ = 1;
  Tiles tiles_;
  CellRow cells_[2];        // of two adjacent rows of cells
  std::vector<int> begin_;  // first pixel of each block of a strip, and the width
  // The displacement of a block, if it has just one.
  std::vector<uint32_t> shift_;
  BlockRanges x_, y_;
  int weights_[kMaxStep];  // of the right (lower) cell, per pixel from FirstPixel() on
};

void Mover::FindShifts(int top, int bottom, const CellRow& upper, const CellRow& lower) {
  std::fill(y_.first.begin(), y_.first.end(), static_cast<int16_t>(top));
  std::fill(y_.last.begin(), y_.last.end(), static_cast<int16_t>(bottom - 1));
  x_.Find(upper.shift_x, lower.shift_x, width_);
  y_.Find(upper.shift_y, lower.shift_y, height_);
  const int16_t* x = x_.lowest.data();
  const int16_t* y = y_.lowest.data();
  const int16_t* highest_x = x_.highest.data();
  const int16_t* highest_y = y_.highest.data();
  uint32_t* shift = shift_.data();
  const size_t blocks = shift_.size();
  for (size_t i = 0; i < blocks; ++i) {
    const bool one = ((x[i] ^ highest_x[i]) | (y[i] ^ highest_y[i])) == 0;
    shift[i] = one ? Pack(x[i], y[i]) : kSeveral;
  }
}

// now = then at (x + shift.x, y + shift.y), clamped.
void Mover::Copy(int begin, int end, int top, int bottom, Shift shift) {
  const int inside_begin = std::clamp(-shift.x, begin, end);
  const int inside_end = std::clamp(width_ - shift.x, inside_begin, end);
  for (int y = top; y < bottom; ++y) {
    const uint8_t* row = then_->Row(std::clamp(y + shift.y, 0, height_ - 1)).data();
    uint8_t* now = now_->Row(y).data();
    std::fill(now + begin, now + inside_begin, row[0]);
    std::copy(row + inside_begin + shift.x, row + inside_end + shift.x, now + inside_begin);
    std::fill(now + inside_end, now + end, row[width_ - 1]);
  }
}

// Pixel by pixel. Outside the outermost centres the two cells are equal and their weights do not
// matter, so blocks count them as if they began where others do.
void Mover::MoveBlock(size_t block, int begin, int end, int top, int bottom, const CellRow& upper,
                      const CellRow& lower) {
  for (int y = top; y < bottom; ++y) {
    const auto below = static_cast<float>(weights_[y - top]);
    const float above = kWeightOne - below;
    const auto mix = [&](const std::vector<float>& a, const std::vector<float>& b, size_t i) {
      return static_cast<int32_t>(a[i] * above + b[i] * below);
    };
    const int32_t left_x = mix(upper.x, lower.x, block), right_x = mix(upper.x, lower.x, block + 1);
    const int32_t left_y = mix(upper.y, lower.y, block), right_y = mix(upper.y, lower.y, block + 1);
    uint8_t* now = now_->Row(y).data();
    for (int x = begin; x < end; ++x) {
      const int right = weights_[x - begin];
      const int left = kWeightOne - right;
      constexpr int kBits = kFlowBits + 2 * kWeightBits;
      now[x] = then_->Clamped(x + Round<kBits>(left_x * left + right_x * right),
                              y + Round<kBits>(left_y * left + right_y * right));
    }
  }
}

void Mover::MoveStrip(int top, int bottom, const CellRow& upper, const CellRow& lower) {
  const size_t blocks = shift_.size();
  for (size_t i = 0; i < blocks;) {
    const int begin = begin_[i];
    size_t next = i + 1;
    if (shift_[i] != kSeveral) {
      while (next < blocks && shift_[next] == shift_[i]) ++next;
      Copy(begin, begin_[next], top, bottom, Unpack(shift_[i]));
      i = next;
      continue;
    }
    const int label = LabelOfBlock(i);
    if (label < 0) {
      MoveBlock(i, begin, begin_[next], top, bottom, upper, lower);
      i = next;
      continue;
    }
    while (next < blocks && shift_[next] == kSeveral && LabelOfBlock(next) == label) ++next;
    for (int y = top; y < bottom; ++y) {
      std::fill_n(&(*now_)(begin, y), begin_[next] - begin, static_cast<uint8_t>(label));
    }
    i = next;
  }
}

void Mover::Move(const LabelMap& then, const FlowField& field, LabelMap& now) {
  const Grid<Vec2>& flow = field.then_from_now;
  then_ = &then;
  now_ = &now;
  width_ = then.width();
  height_ = then.height();
  step_ = field.step;
  const auto blocks = static_cast<size_t>(flow.width()) + 1;
  for (CellRow& cells : cells_) cells.Reset(blocks + 1);
  for (BlockRanges* ranges : {&x_, &y_}) ranges->Resize(blocks);
  shift_.resize(blocks);
  begin_.resize(blocks + 1);
  begin_[0] = 0;
  for (size_t i = 0; i < blocks; ++i) {
    begin_[i + 1] = FirstPixel(static_cast<int>(i), step_, width_);
    x_.first[i] = static_cast<int16_t>(begin_[i]);
    x_.last[i] = static_cast<int16_t>(begin_[i + 1] - 1);
  }
  for (int i = 0; i < step_; ++i) weights_[i] = TapOf(step_ / 2 + i, step_).weight;
  tiles_.Load(then);
  for (int row = -1; row < flow.height(); ++row) {
    const int top = row < 0 ? 0 : FirstPixel(row, step_, height_);
    const int bottom = FirstPixel(row + 1, step_, height_);
    if (top == bottom) continue;
    const int upper_row = std::max(row, 0);
    const int lower_row = std::min(row + 1, flow.height() - 1);
    CellRow& upper = cells_[upper_row & 1];
    CellRow& lower = cells_[lower_row & 1];
    upper.Load(flow, upper_row);
    lower.Load(flow, lower_row);
    FindShifts(top, bottom, upper, lower);
    MoveStrip(top, bottom, upper, lower);
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
  STAC_CHECK(step >= 1 && step <= kMaxStep);
  STAC_CHECK_EQ(flow.width(), (width + step - 1) / step);
  STAC_CHECK_EQ(flow.height(), (height + step - 1) / step);
  labels_in_now.Resize(width, height);
  thread_local Mover mover;
  mover.Move(labels_in_then, then_from_now, labels_in_now);
}

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
  // Nothing of the old frame is left: its levels are still the best guess.
  if (!FillFromNearest(means)) return levels_in_then;
  LevelMap levels_in_now(columns, rows);
  std::copy(means.begin(), means.end(), levels_in_now.begin());
  return levels_in_now;
}

}  // namespace stac
