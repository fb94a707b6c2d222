#pragma once

#include <span>
#include <vector>

namespace stac {

// Piecewise cubic Hermite interpolation that keeps the data's monotony (Fritsch and Butland 1984,
// the "PCHIP" of numerical libraries): no overshoot between points, which the cubic polynomial of
// the original BD-rate has.
class MonotoneCubic {
 public:
  // x strictly increasing, at least two points, as many y as x.
  MonotoneCubic(std::span<const double> x, std::span<const double> y);

  double low() const { return x_.front(); }
  double high() const { return x_.back(); }
  // `x` is clamped to [low, high].
  double At(double x) const;
  // Exact integral over [from, to], both within [low, high].
  double Integral(double from, double to) const;

 private:
  size_t Interval(double x) const;
  // Integral from the interval's start to its relative position t in 0..1.
  double Partial(size_t interval, double t) const;

  std::vector<double> x_, y_, slope_;
};

}  // namespace stac
