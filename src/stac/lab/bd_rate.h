#pragma once

#include <span>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// One operating point of a system: what it costs and how accurate it is.
struct RatePoint {
  double kbps = 0;      // > 0
  double accuracy = 0;  // 0..1
  friend bool operator==(const RatePoint&, const RatePoint&) = default;
};

// The best that a system offers over all of its settings: the lower convex hull of its points in
// the (accuracy, kbps) plane from the cheapest point to the most accurate one. Every point of the
// hull is reached by switching between two settings. Strictly increasing in both coordinates.
std::vector<RatePoint> LowerHull(std::span<const RatePoint> points);

// How a tested system compares with a reference. Savings and gains are positive where the tested
// system is better.
struct CurveComparison {
  // Accuracies that both reach; savings are taken over this range only.
  double low_accuracy = 0;
  double high_accuracy = 0;
  double bd_rate_percent = 0;      // mean of log rate: -50 means half of the bits
  double mean_saving_percent = 0;  // mean of 1 - rate / reference rate at equal accuracy
  double max_saving_percent = 0;
  // Bitrates that both have; gains are taken over this range of log bitrate only.
  double low_kbps = 0;
  double high_kbps = 0;
  double mean_gain_points = 0;  // accuracy gain at equal bitrate, in points of 1 %
  double max_gain_points = 0;
};

// Compares two hulls: monotone cubics of log(kbps) over accuracy, and of accuracy over log(kbps),
// on the ranges that both cover. Fails if a hull has less than two points or nothing overlaps. If
// the bitrates do not overlap, low_kbps > high_kbps and both gains are NaN.
Result<CurveComparison> CompareCurves(std::span<const RatePoint> reference_hull,
                                      std::span<const RatePoint> tested_hull);

}  // namespace stac
