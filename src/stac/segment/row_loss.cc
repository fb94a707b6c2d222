#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "stac/base/wide_vectors.h"
#include "stac/segment/row_loss_internal.h"

namespace stac {
namespace {

// exp of what is not above zero, to 3 parts in 10 million, and 0 below -87: by powers of two, and
// Taylor's polynomial for what is left of -ln(2) / 2 to ln(2) / 2. What is no number stays none.
inline float Exponential(float x) {
  constexpr float kRound = 0x1.8p23f;  // added and taken away, leaves whole numbers
  constexpr float kLog2E = 1.44269504f, kLn2 = 0.693359375f, kLn2Rest = -2.12194440e-4f;
  const float within = x < -87 ? -87 : x;
  const float shifted = within * kLog2E + kRound;
  const float power = shifted - kRound;
  const float r = within - power * kLn2 - power * kLn2Rest;
  const float polynomial =
      1 + r * (1 + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r / 720)))));
  const uint32_t times =
      std::bit_cast<uint32_t>(polynomial) +
      ((std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound)) << 23);
  return x < -87 ? 0 : std::bit_cast<float>(times);
}

STAC_WIDE_VECTORS
void FindLarger(const float* value, int32_t c, int64_t count, float* __restrict best,
                int32_t* __restrict label) {
  for (int64_t x = 0; x < count; ++x) {
    const bool larger = value[x] > best[x];
    label[x] = larger ? c : label[x];
    best[x] = larger ? value[x] : best[x];
  }
}

// Adds up those of the classes that are not the largest.
STAC_WIDE_VECTORS
void TakeExponentials(float* __restrict value, const float* best, const int32_t* label, int32_t c,
                      int64_t count, float* __restrict others) {
  for (int64_t x = 0; x < count; ++x) {
    value[x] = Exponential(value[x] - best[x]);
    others[x] += label[x] == c ? 0 : value[x];
  }
}

STAC_WIDE_VECTORS
void Multiply(float* __restrict value, const float* by, int64_t count) {
  for (int64_t x = 0; x < count; ++x) value[x] *= by[x];
}

}  // namespace

RowLoss::RowLoss(int64_t classes, int64_t width, std::vector<float> class_weights, double pixels,
                 double factor)
    : classes_(classes),
      width_(width),
      class_weights_(std::move(class_weights)),
      share_(static_cast<float>(factor / pixels)),
      values_(classes * width),
      best_(width),
      others_(width),
      scale_(width),
      label_(width) {}

double RowLoss::Take(int64_t count) {
  std::copy_n(Values(0), count, best_.begin());
  std::fill(label_.begin(), label_.end(), 0);
  for (int64_t c = 1; c < classes_; ++c)
    FindLarger(Values(c), static_cast<int32_t>(c), count, best_.data(), label_.data());
  std::fill(others_.begin(), others_.end(), 0.0f);
  for (int64_t c = 0; c < classes_; ++c)
    TakeExponentials(Values(c), best_.data(), label_.data(), static_cast<int32_t>(c), count,
                     others_.data());
  const auto weight = [&](int64_t x) {
    return class_weights_.empty() ? 1.0f : class_weights_[label_[x]];
  };
  // The largest class has 1.
  for (int64_t x = 0; x < count; ++x) scale_[x] = weight(x) * share_ / (1 + others_[x]);
  for (int64_t c = 0; c < classes_; ++c) Multiply(Values(c), scale_.data(), count);
  double loss = 0;
  for (int64_t x = 0; x < count; ++x) {
    // Its softmax minus 1, without the difference of nearly equal numbers.
    Values(label_[x])[x] = -others_[x] * scale_[x];
    loss += weight(x) * std::log1p(others_[x]);
  }
  return loss;
}

}  // namespace stac
