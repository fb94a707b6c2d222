#include "stac/allocate/residual_refine.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "stac/base/check.h"
#include "stac/quant/block_dct.h"

namespace stac {
namespace {

constexpr int kBlock = 4;
using Block = std::array<float, kBlock * kBlock>;
using Table = std::array<float, kBlock * kBlock>;

struct Cost {
  double error = 0;  // sum |s - round(s/q) q|
  double size = 0;   // sum log2|s/q| where |s| >= q
};

// The 4x4 blocks of a region, in raster order, as samples or coefficients.
using Blocks = std::vector<Block>;

float Quantize(float s, float q) { return std::nearbyint(s / q) * q; }

Cost QuantizationCost(const Blocks& blocks, const Table& q) {
  Cost cost;
  for (const Block& s : blocks) {
    float error = 0;
    float product = 1;  // of the ratios: few logarithms instead of one for each coefficient
    for (int n = 0; n < kBlock * kBlock; ++n) {
      error += std::abs(s[n] - Quantize(s[n], q[n]));
      const float ratio = std::abs(s[n]) / q[n];
      if (ratio >= 1) {
        product *= ratio;
        if (product > 0x1p60f) {
          cost.size += std::log2(product);
          product = 1;
        }
      }
    }
    cost.error += error;
    cost.size += std::log2(product);
  }
  return cost;
}

// Sum of |a - b| over all entries.
double Distance(const Blocks& a, const Blocks& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (int n = 0; n < kBlock * kBlock; ++n) sum += std::abs(a[i][n] - b[i][n]);
  }
  return sum;
}

void Transform(Blocks& blocks) {
  for (Block& block : blocks) ForwardDct4(block);
}

// One region of a frame and what coding it costs.
class Region {
 public:
  Region(const Frame& raw, const Frame& prediction, int x0, int y0, int size) {
    // Blocks that reach over the border repeat the last samples, as an encoder's padding does.
    const PlaneView& a = raw.y();
    const PlaneView& b = prediction.y();
    for (int by = y0; by < std::min(y0 + size, a.height); by += kBlock) {
      for (int bx = x0; bx < std::min(x0 + size, a.width); bx += kBlock) {
        Block& picture = picture_.emplace_back();
        Block& predicted = prediction_.emplace_back();
        for (int i = 0; i < kBlock * kBlock; ++i) {
          const int x = std::min(bx + i % kBlock, a.width - 1);
          const int y = std::min(by + i / kBlock, a.height - 1);
          picture[i] = a.At(x, y);
          predicted[i] = b.At(x, y);
        }
      }
    }
    Transform(picture_);
    residual_ = picture_;  // by linearity: coefficients of the picture minus those predicted
    Blocks predicted_coefficients = prediction_;
    Transform(predicted_coefficients);
    for (size_t i = 0; i < residual_.size(); ++i) {
      for (int n = 0; n < kBlock * kBlock; ++n) residual_[i][n] -= predicted_coefficients[i][n];
    }
  }

  // The threshold of (7a) and V': coding the picture alone at table q.
  Cost PictureCost(const Table& q) const {
    Blocks regenerated = picture_;
    for (size_t i = 0; i < regenerated.size(); ++i) {
      Block& block = regenerated[i];
      for (int n = 0; n < kBlock * kBlock; ++n) block[n] = Quantize(block[n], q[n]);
      InverseDct4(block);
      for (int n = 0; n < kBlock * kBlock; ++n) {
        block[n] = std::nearbyint(std::clamp(block[n], 0.f, 255.f)) - prediction_[i][n];
      }
      ForwardDct4(block);
    }
    return {.error = Distance(residual_, regenerated), .size = QuantizationCost(picture_, q).size};
  }

  Cost ResidualCost(const Table& q) const { return QuantizationCost(residual_, q); }

 private:
  Blocks picture_;     // coefficients of the frame
  Blocks prediction_;  // samples of the prediction
  Blocks residual_;    // coefficients of the residual
};

}  // namespace

RefinedLevels RefineForResidual(const Frame& raw, const Frame& prediction, const LevelMap& levels,
                                const LevelMap* start, const RegionGrid& regions,
                                const LevelLadder& ladder, const RefineOptions& options) {
  STAC_CHECK(raw.width() == regions.frame_width && raw.height() == regions.frame_height);
  STAC_CHECK(prediction.width() == raw.width() && prediction.height() == raw.height());
  STAC_CHECK(levels.SameSize(regions.columns(), regions.rows()));
  STAC_CHECK(start == nullptr || start->SameSize(levels));

  std::vector<Table> tables(ladder.count());
  for (int l = 0; l < ladder.count(); ++l) {
    for (int n = 0; n < kBlock * kBlock; ++n) {
      STAC_CHECK_GT(options.matrix[n], 0);
      tables[l][n] = static_cast<float>(StepOfQp(ladder.Qp(l)) * options.matrix[n] / 16);
    }
  }

  const Grid<double> zeros(levels.width(), levels.height());
  RefinedLevels result{levels, Grid<uint8_t>(levels.width(), levels.height()), zeros, zeros, zeros,
                       zeros};
  for (int row = 0; row < regions.rows(); ++row) {
    for (int column = 0; column < regions.columns(); ++column) {
      const int size = regions.region_size;
      const Region region(raw, prediction, column * size, row * size, size);
      const Cost limit = region.PictureCost(tables.at(levels(column, row)));
      const auto allowed = [&](const Cost& cost) {
        return cost.error <= limit.error && cost.size <= limit.size;
      };
      int level = start != nullptr ? (*start)(column, row) : levels(column, row);
      Cost cost = region.ResidualCost(tables.at(level));
      // Too much error: finer. Too large: coarser, as long as the error allows it.
      while (level > 0 && cost.error > limit.error) cost = region.ResidualCost(tables[--level]);
      while (level + 1 < ladder.count() && cost.error <= limit.error && cost.size > limit.size)
        cost = region.ResidualCost(tables[++level]);
      while (level + 1 < ladder.count() && allowed(cost) && cost.size > 0) {
        const Cost coarser = region.ResidualCost(tables[level + 1]);
        if (!allowed(coarser) || coarser.size >= cost.size) break;
        cost = coarser;
        ++level;
      }
      const bool found = allowed(cost);
      result.levels(column, row) = found ? static_cast<uint8_t>(level) : levels(column, row);
      result.fell_back(column, row) = !found;
      result.error(column, row) = found ? cost.error : limit.error;
      result.size(column, row) = found ? cost.size : limit.size;
      result.error_limit(column, row) = limit.error;
      result.size_limit(column, row) = limit.size;
    }
  }
  return result;
}

}  // namespace stac
