#include "stac/lab/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace stac {
namespace {

constexpr Metric kMetrics[] = {Metric::kPixelAccuracy, Metric::kMeanIou,
                               Metric::kHumanPixelAccuracy, Metric::kHumanMeanIou};

std::string Field(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "";
}

using Cell = std::pair<std::string, std::string>;  // network and clip

// Either curve may be missing.
void Compare(const SystemCurve* reference, const SystemCurve* curve, ComparisonRow& row) {
  if (reference == nullptr || curve == nullptr) {
    row.note = fmt::format("{} has no results here", reference ? row.system : row.reference);
    return;
  }
  const auto result = CompareCurves(reference->hull, curve->hull);
  if (!result) {
    row.note = result.error().message;
    return;
  }
  row.result = *result;
  row.count = 1;
}

// Means of the means and maxima of the maxima over networks and clips.
ComparisonRow Overall(const std::vector<ComparisonRow>& rows) {
  ComparisonRow all = rows.front();
  all.network = all.clip = "all";
  all.note.clear();
  all.result = {.low_accuracy = 1, .high_accuracy = 0, .low_kbps = 1e300};
  all.result.max_saving_percent = all.result.max_gain_points = -INFINITY;
  all.count = 0;
  int gains = 0;
  for (const ComparisonRow& row : rows) {
    if (row.count == 0) continue;
    ++all.count;
    const CurveComparison& in = row.result;
    CurveComparison& out = all.result;
    out.low_accuracy = std::min(out.low_accuracy, in.low_accuracy);
    out.high_accuracy = std::max(out.high_accuracy, in.high_accuracy);
    out.bd_rate_percent += in.bd_rate_percent;
    out.mean_saving_percent += in.mean_saving_percent;
    out.max_saving_percent = std::max(out.max_saving_percent, in.max_saving_percent);
    if (!std::isfinite(in.mean_gain_points)) continue;
    ++gains;
    out.low_kbps = std::min(out.low_kbps, in.low_kbps);
    out.high_kbps = std::max(out.high_kbps, in.high_kbps);
    out.mean_gain_points += in.mean_gain_points;
    out.max_gain_points = std::max(out.max_gain_points, in.max_gain_points);
  }
  if (all.count < static_cast<int>(rows.size()))
    all.note = fmt::format("{} of {} are comparable", all.count, rows.size());
  all.result.bd_rate_percent /= all.count;
  all.result.mean_saving_percent /= all.count;
  all.result.mean_gain_points /= gains;
  if (gains == 0) {
    all.result.max_gain_points = all.result.low_kbps = all.result.high_kbps = NAN;
  }
  return all;
}

}  // namespace

const char* NameOf(Metric metric) {
  switch (metric) {
    case Metric::kPixelAccuracy:
      return "pa";
    case Metric::kMeanIou:
      return "miou";
    case Metric::kHumanPixelAccuracy:
      return "pa_human";
    case Metric::kHumanMeanIou:
      return "miou_human";
  }
  return "";
}

const char* NameOf(RateKind rate) {
  switch (rate) {
    case RateKind::kTotal:
      return "total";
    case RateKind::kUplink:
      return "uplink";
    case RateKind::kVideo:
      return "video";
  }
  return "";
}

Result<RateKind> ParseRateKind(const std::string& text) {
  for (const RateKind rate : {RateKind::kTotal, RateKind::kUplink, RateKind::kVideo}) {
    if (text == NameOf(rate)) return rate;
  }
  return Fail("unknown rate '{}': use total, uplink or video", text);
}

double ScoreOf(const ResultRow& row, Metric metric) {
  switch (metric) {
    case Metric::kPixelAccuracy:
      return row.pa;
    case Metric::kMeanIou:
      return row.miou;
    case Metric::kHumanPixelAccuracy:
      return row.pa_human;
    case Metric::kHumanMeanIou:
      return row.miou_human;
  }
  return ResultRow::kNone;
}

double RateOf(const ResultRow& row, RateKind rate) {
  switch (rate) {
    case RateKind::kTotal:
      return row.total_kbps;
    case RateKind::kUplink:
      return row.video_kbps + row.label_kbps;
    case RateKind::kVideo:
      return row.video_kbps;
  }
  return 0;
}

std::vector<SystemCurve> CurvesOf(const std::vector<ResultRow>& rows, RateKind rate) {
  std::map<std::tuple<std::string, std::string, Metric, std::string>, SystemCurve> curves;
  for (const ResultRow& row : rows) {
    for (const Metric metric : kMetrics) {
      const double score = ScoreOf(row, metric);
      if (!std::isfinite(score)) continue;
      SystemCurve& curve = curves[{row.network, row.clip, metric, row.system}];
      curve.system = row.system;
      curve.network = row.network;
      curve.clip = row.clip;
      curve.metric = metric;
      curve.points.push_back({RateOf(row, rate), score});
    }
  }
  std::vector<SystemCurve> out;
  for (auto& [key, curve] : curves) {
    curve.hull = LowerHull(curve.points);
    out.push_back(std::move(curve));
  }
  return out;
}

Result<std::vector<ComparisonRow>> CompareSystems(const std::vector<ResultRow>& rows,
                                                  const std::string& reference, RateKind rate,
                                                  const std::vector<std::string>& systems) {
  const std::vector<SystemCurve> curves = CurvesOf(rows, rate);
  std::set<std::string> names;
  for (const SystemCurve& curve : curves) names.insert(curve.system);
  for (std::string name : systems) {
    if (!names.contains(name)) {
      return Fail("there are no results of '{}'; there are of {}", name, fmt::join(names, ", "));
    }
  }
  if (!names.contains(reference)) {
    return Fail("there are no results of the reference '{}'; there are of {}", reference,
                fmt::join(names, ", "));
  }
  std::map<std::tuple<std::string, Metric, Cell>, const SystemCurve*> by_cell;
  std::map<Metric, std::set<Cell>> cells;
  for (const SystemCurve& curve : curves) {
    const Cell cell(curve.network, curve.clip);
    by_cell[{curve.system, curve.metric, cell}] = &curve;
    if (curve.system == reference) cells[curve.metric].insert(cell);
  }
  const auto curve_of = [&](const std::string& system, Metric metric, const Cell& cell) {
    const auto found = by_cell.find({system, metric, cell});
    return found == by_cell.end() ? nullptr : found->second;
  };
  std::vector<ComparisonRow> out;
  for (const std::string& system :
       systems.empty() ? names : std::set(systems.begin(), systems.end())) {
    if (system == reference) continue;
    for (const Metric metric : kMetrics) {
      std::set<Cell> all = cells[metric];
      for (const SystemCurve& curve : curves)
        if (curve.system == system && curve.metric == metric)
          all.emplace(curve.network, curve.clip);
      std::vector<ComparisonRow> group;
      for (const Cell& cell : all) {
        group.push_back({.system = system,
                         .reference = reference,
                         .metric = metric,
                         .network = cell.first,
                         .clip = cell.second});
        Compare(curve_of(reference, metric, cell), curve_of(system, metric, cell), group.back());
      }
      out.insert(out.end(), group.begin(), group.end());
      const bool any = std::any_of(group.begin(), group.end(),
                                   [](const ComparisonRow& row) { return row.count > 0; });
      if (any) out.push_back(Overall(group));
    }
  }
  return out;
}

std::string ComparisonCsv(const std::vector<ComparisonRow>& rows) {
  std::string csv =
      "system,reference,metric,network,clip,bd_rate_percent,mean_saving_percent,"
      "max_saving_percent,mean_gain_points,max_gain_points,low_accuracy,high_accuracy,low_kbps,"
      "high_kbps,note\n";
  for (const ComparisonRow& row : rows) {
    const CurveComparison& r = row.result;
    const auto number = [&](double value) { return row.count > 0 ? Field(value, "{:.4g}") : ""; };
    csv += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", CsvField(row.system),
                       CsvField(row.reference), NameOf(row.metric), CsvField(row.network),
                       CsvField(row.clip), number(r.bd_rate_percent), number(r.mean_saving_percent),
                       number(r.max_saving_percent), number(r.mean_gain_points),
                       number(r.max_gain_points), number(r.low_accuracy), number(r.high_accuracy),
                       number(r.low_kbps), number(r.high_kbps), CsvField(row.note));
  }
  return csv;
}

std::string ComparisonTable(const std::vector<ComparisonRow>& rows) {
  std::string text =
      fmt::format("{:<16} {:<11} {:<14} {:<18} {:>9} {:>14} {:>14}  {}\n", "system", "metric",
                  "network", "clip", "BD-rate", "saving avg/max", "gain avg/max", "accuracy range");
  for (const ComparisonRow& row : rows) {
    const std::string head = fmt::format("{:<16} {:<11} {:<14} {:<18} ", row.system,
                                         NameOf(row.metric), row.network, row.clip);
    if (row.count == 0) {
      text += head + row.note + "\n";
      continue;
    }
    const CurveComparison& r = row.result;
    text += head + fmt::format("{:>+8.1f}% {:>6.1f}/{:>5.1f} % {:>7} {:>6}  {:.3f}..{:.3f}{}\n",
                               r.bd_rate_percent, r.mean_saving_percent, r.max_saving_percent,
                               Field(r.mean_gain_points, "{:+.2f}/"),
                               Field(r.max_gain_points, "{:+.2f}"), r.low_accuracy, r.high_accuracy,
                               row.note.empty() ? "" : "  " + row.note);
  }
  return text;
}

}  // namespace stac
