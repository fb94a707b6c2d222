#include "stac/lab/bd_rate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stac/lab/monotone_cubic.h"

namespace stac {
namespace {

// Samples for the means and maxima that have no closed form; fixed, so that results repeat.
constexpr int kSamples = 2000;

struct Curves {
  MonotoneCubic log_rate;  // over accuracy
  MonotoneCubic accuracy;  // over log rate
};

Curves Interpolate(std::span<const RatePoint> hull) {
  std::vector<double> log_rate, accuracy;
  for (const RatePoint& point : hull) {
    log_rate.push_back(std::log(point.kbps));
    accuracy.push_back(point.accuracy);
  }
  return {MonotoneCubic(accuracy, log_rate), MonotoneCubic(log_rate, accuracy)};
}

}  // namespace

std::vector<RatePoint> LowerHull(std::span<const RatePoint> points) {
  std::vector<RatePoint> sorted;
  for (const RatePoint& point : points) {
    if (point.kbps > 0 && std::isfinite(point.kbps) && std::isfinite(point.accuracy)) {
      sorted.push_back(point);
    }
  }
  std::sort(sorted.begin(), sorted.end(), [](const RatePoint& a, const RatePoint& b) {
    return a.kbps != b.kbps ? a.kbps < b.kbps : a.accuracy > b.accuracy;
  });
  std::vector<RatePoint> hull;
  for (const RatePoint& point : sorted) {
    if (!hull.empty() && point.accuracy <= hull.back().accuracy) continue;  // dominated
    while (hull.size() >= 2) {
      const RatePoint& a = hull[hull.size() - 2];
      const RatePoint& b = hull.back();
      // b stays if it is more accurate than the line from a to the new point at b's bitrate.
      const double turn = (b.accuracy - a.accuracy) * (point.kbps - a.kbps) -
                          (point.accuracy - a.accuracy) * (b.kbps - a.kbps);
      if (turn > 0) break;
      hull.pop_back();
    }
    hull.push_back(point);
  }
  return hull;
}

Result<CurveComparison> CompareCurves(std::span<const RatePoint> reference_hull,
                                      std::span<const RatePoint> tested_hull) {
  if (reference_hull.size() < 2 || tested_hull.size() < 2) {
    return Fail("a curve needs at least two points; the reference has {}, the other {}",
                reference_hull.size(), tested_hull.size());
  }
  CurveComparison out;
  out.low_accuracy = std::max(reference_hull.front().accuracy, tested_hull.front().accuracy);
  out.high_accuracy = std::min(reference_hull.back().accuracy, tested_hull.back().accuracy);
  if (out.low_accuracy >= out.high_accuracy) {
    return Fail(
        "no accuracy that both reach: the reference covers {:.4f}..{:.4f}, the other "
        "{:.4f}..{:.4f}; widen the knobs",
        reference_hull.front().accuracy, reference_hull.back().accuracy,
        tested_hull.front().accuracy, tested_hull.back().accuracy);
  }
  const Curves reference = Interpolate(reference_hull);
  const Curves tested = Interpolate(tested_hull);

  const double span = out.high_accuracy - out.low_accuracy;
  const double mean_log = (tested.log_rate.Integral(out.low_accuracy, out.high_accuracy) -
                           reference.log_rate.Integral(out.low_accuracy, out.high_accuracy)) /
                          span;
  out.bd_rate_percent = 100 * std::expm1(mean_log);
  double sum = 0;
  out.max_saving_percent = -std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kSamples; ++i) {
    const double accuracy = out.low_accuracy + span * i / kSamples;
    const double saving =
        -100 * std::expm1(tested.log_rate.At(accuracy) - reference.log_rate.At(accuracy));
    sum += saving * (i == 0 || i == kSamples ? 0.5 : 1.0);
    out.max_saving_percent = std::max(out.max_saving_percent, saving);
  }
  out.mean_saving_percent = sum / kSamples;

  out.low_kbps = std::max(reference_hull.front().kbps, tested_hull.front().kbps);
  out.high_kbps = std::min(reference_hull.back().kbps, tested_hull.back().kbps);
  if (out.low_kbps >= out.high_kbps) {
    out.mean_gain_points = out.max_gain_points = std::numeric_limits<double>::quiet_NaN();
    return out;
  }
  const double low = std::log(out.low_kbps), high = std::log(out.high_kbps);
  out.mean_gain_points =
      100 * (tested.accuracy.Integral(low, high) - reference.accuracy.Integral(low, high)) /
      (high - low);
  out.max_gain_points = -std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kSamples; ++i) {
    const double at = low + (high - low) * i / kSamples;
    out.max_gain_points =
        std::max(out.max_gain_points, 100 * (tested.accuracy.At(at) - reference.accuracy.At(at)));
  }
  return out;
}

}  // namespace stac
