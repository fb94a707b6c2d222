#include "stac/lab/monotone_cubic.h"

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"

namespace stac {
namespace {

// One-sided three-point slope at an end, limited so that the curve stays monotone.
double EndSlope(double h0, double h1, double d0, double d1) {
  const double slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
  if (slope * d0 <= 0) return 0;
  if (d0 * d1 <= 0 && std::abs(slope) > 3 * std::abs(d0)) return 3 * d0;
  return slope;
}

}  // namespace

MonotoneCubic::MonotoneCubic(std::span<const double> x, std::span<const double> y)
    : x_(x.begin(), x.end()), y_(y.begin(), y.end()), slope_(x.size(), 0.0) {
  STAC_CHECK(x_.size() >= 2);
  STAC_CHECK_EQ(x_.size(), y_.size());
  const size_t n = x_.size();
  std::vector<double> h(n - 1), d(n - 1);
  for (size_t i = 0; i + 1 < n; ++i) {
    h[i] = x_[i + 1] - x_[i];
    STAC_CHECK_GT(h[i], 0.0);
    d[i] = (y_[i + 1] - y_[i]) / h[i];
  }
  if (n == 2) {
    slope_ = {d[0], d[0]};
    return;
  }
  for (size_t i = 1; i + 1 < n; ++i) {
    if (d[i - 1] * d[i] <= 0) continue;  // an extremum: flat
    const double w1 = 2 * h[i] + h[i - 1];
    const double w2 = h[i] + 2 * h[i - 1];
    slope_[i] = (w1 + w2) / (w1 / d[i - 1] + w2 / d[i]);  // weighted harmonic mean
  }
  slope_.front() = EndSlope(h[0], h[1], d[0], d[1]);
  slope_.back() = EndSlope(h[n - 2], h[n - 3], d[n - 2], d[n - 3]);
}

size_t MonotoneCubic::Interval(double x) const {
  const auto after = std::upper_bound(x_.begin(), x_.end(), x);
  const auto index = after == x_.begin() ? 0 : after - x_.begin() - 1;
  return std::min<size_t>(static_cast<size_t>(index), x_.size() - 2);
}

double MonotoneCubic::At(double x) const {
  x = std::clamp(x, low(), high());
  const size_t i = Interval(x);
  const double h = x_[i + 1] - x_[i];
  const double t = (x - x_[i]) / h;
  const double t2 = t * t, t3 = t2 * t;
  return (2 * t3 - 3 * t2 + 1) * y_[i] + (t3 - 2 * t2 + t) * h * slope_[i] +
         (-2 * t3 + 3 * t2) * y_[i + 1] + (t3 - t2) * h * slope_[i + 1];
}

double MonotoneCubic::Partial(size_t i, double t) const {
  const double h = x_[i + 1] - x_[i];
  const double t2 = t * t, t3 = t2 * t, t4 = t3 * t;
  return h * ((t4 / 2 - t3 + t) * y_[i] + (t4 / 4 - 2 * t3 / 3 + t2 / 2) * h * slope_[i] +
              (-t4 / 2 + t3) * y_[i + 1] + (t4 / 4 - t3 / 3) * h * slope_[i + 1]);
}

double MonotoneCubic::Integral(double from, double to) const {
  STAC_CHECK_LE(from, to);
  from = std::clamp(from, low(), high());
  to = std::clamp(to, low(), high());
  const size_t first = Interval(from), last = Interval(to);
  const auto position = [&](size_t i, double x) { return (x - x_[i]) / (x_[i + 1] - x_[i]); };
  double sum = -Partial(first, position(first, from));
  for (size_t i = first; i < last; ++i) sum += Partial(i, 1.0);
  return sum + Partial(last, position(last, to));
}

}  // namespace stac
