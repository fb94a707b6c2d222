#include "stac/adapt/content_metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "stac/base/check.h"

namespace stac {
namespace {

// sqrt(1/2) cos(pi/8) and sqrt(1/2) sin(pi/8): the odd rows of the orthonormal 4-point DCT.
constexpr float kCos = 0.653281482f;
constexpr float kSin = 0.270598050f;

// Four transforms at once, over in[0..3][lane].
void Transform(const float (&in)[4][4], float (&out)[4][4]) {
  for (int lane = 0; lane < 4; ++lane) {
    const float outer_sum = in[0][lane] + in[3][lane];
    const float inner_sum = in[1][lane] + in[2][lane];
    const float outer_difference = in[0][lane] - in[3][lane];
    const float inner_difference = in[1][lane] - in[2][lane];
    out[0][lane] = 0.5f * (outer_sum + inner_sum);
    out[1][lane] = kCos * outer_difference + kSin * inner_difference;
    out[2][lane] = 0.5f * (outer_sum - inner_sum);
    out[3][lane] = kSin * outer_difference - kCos * inner_difference;
  }
}

// Multiplies max(|s|, 1) of the block's coefficients into `products`, one lane per column: a
// product of logarithms' arguments needs one logarithm where the sum needs many.
void MultiplyMagnitudes(const PlaneView& luma, int x, int y, double (&products)[4]) {
  float samples[4][4], rows[4][4], transposed[4][4], coefficients[4][4];
  for (int j = 0; j < 4; ++j) {
    const uint8_t* row = luma.Row(y + j) + x;
    for (int i = 0; i < 4; ++i) samples[j][i] = row[i];
  }
  Transform(samples, rows);
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 4; ++i) transposed[j][i] = rows[i][j];
  }
  Transform(transposed, coefficients);
  for (int i = 0; i < 4; ++i) {
    float product = 1;  // at most 1020^4: no overflow
    for (int j = 0; j < 4; ++j) product *= std::max(std::abs(coefficients[j][i]), 1.0f);
    products[i] *= product;
  }
}

}  // namespace

double FrameComplexity(const PlaneView& luma, int block_stride) {
  STAC_CHECK_GT(block_stride, 0);
  constexpr int kBlocksPerLogarithm = 24;  // 1020^(4 * 24) < 2^1023
  const int columns = luma.width / 4;
  const int rows = luma.height / 4;
  double sum = 0;
  int64_t blocks = 0;
  for (int row = 0; row < rows; row += block_stride) {
    double products[4] = {1, 1, 1, 1};
    int pending = 0;
    const auto flush = [&] {
      for (double& product : products) {
        sum += std::log2(product);
        product = 1;
      }
      pending = 0;
    };
    for (int column = 0; column < columns; column += block_stride) {
      MultiplyMagnitudes(luma, 4 * column, 4 * row, products);
      ++blocks;
      if (++pending == kBlocksPerLogarithm) flush();
    }
    flush();
  }
  if (blocks == 0) return 0;
  return sum * (static_cast<double>(rows) * columns / static_cast<double>(blocks));
}

double FrameDifference(const PlaneView& now, const PlaneView& before) {
  STAC_CHECK_EQ(now.width, before.width);
  STAC_CHECK_EQ(now.height, before.height);
  int64_t sum = 0;
  for (int y = 0; y < now.height; ++y) {
    const uint8_t* a = now.Row(y);
    const uint8_t* b = before.Row(y);
    int row = 0;
    for (int x = 0; x < now.width; ++x) row += std::abs(a[x] - b[x]);
    sum += row;
  }
  return static_cast<double>(sum);
}

void ContentMeter::Add(const Frame& frame) {
  sum_.c += FrameComplexity(frame.y(), block_stride_);
  ++frames_;
  if (!before_.empty() && before_.width() == frame.width() && before_.height() == frame.height()) {
    sum_.d += FrameDifference(frame.y(), before_.y());
    ++differences_;
  }
  before_ = frame;
}

std::optional<ContentMetrics> ContentMeter::TakeAverage() {
  if (frames_ > 0) {
    last_ =
        ContentMetrics{.c = sum_.c / frames_, .d = differences_ > 0 ? sum_.d / differences_ : 0};
    sum_ = {};
    frames_ = differences_ = 0;
  }
  return last_;
}

}  // namespace stac
