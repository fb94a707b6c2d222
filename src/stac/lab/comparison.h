#pragma once

#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/bd_rate.h"
#include "stac/lab/result_row.h"

namespace stac {

enum class Metric { kPixelAccuracy, kMeanIou, kHumanPixelAccuracy, kHumanMeanIou };
enum class RateKind {
  kTotal,   // every bit in both directions
  kUplink,  // device to server: video and labels
  kVideo,   // coded keyframes only
};
const char* NameOf(Metric metric);  // pa, miou, pa_human, miou_human
const char* NameOf(RateKind rate);  // total, uplink, video
Result<RateKind> ParseRateKind(const std::string& text);

// NaN where a row has no such score.
double ScoreOf(const ResultRow& row, Metric metric);
double RateOf(const ResultRow& row, RateKind rate);

// A system's hull on one network and clip.
struct SystemCurve {
  std::string system, network, clip;
  Metric metric = Metric::kPixelAccuracy;
  std::vector<RatePoint> points;  // all
  std::vector<RatePoint> hull;
};
// Every curve in the rows, for metrics of which there are scores; by network, clip, system.
std::vector<SystemCurve> CurvesOf(const std::vector<ResultRow>& rows, RateKind rate);

// One system against one reference: on a network and clip, or over all of them.
struct ComparisonRow {
  std::string system, reference;
  Metric metric = Metric::kPixelAccuracy;
  std::string network, clip;  // "all" over all
  CurveComparison result;     // for "all": means of the means, maxima of the maxima
  int count = 0;              // comparisons in it; 0: not comparable, see `note`
  std::string note;
};

// All other systems (or only `systems`, if not empty) against the reference. Fails if the reference
// has no points.
Result<std::vector<ComparisonRow>> CompareSystems(const std::vector<ResultRow>& rows,
                                                  const std::string& reference, RateKind rate,
                                                  const std::vector<std::string>& systems);

std::string ComparisonCsv(const std::vector<ComparisonRow>& rows);
// For reading: aligned columns, one line per row.
std::string ComparisonTable(const std::vector<ComparisonRow>& rows);

}  // namespace stac
