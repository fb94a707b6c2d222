#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "stac/base/file.h"
#include "stac/lab/bd_rate.h"
#include "stac/lab/figures_internal.h"

namespace stac {
namespace {

double Number(const std::map<std::string, std::string>& row, const std::string& key) {
  const auto found = row.find(key);
  return found == row.end() || found->second.empty() ? NAN
                                                     : std::strtod(found->second.c_str(), nullptr);
}

// Rows of one network and clip.
using Groups = std::map<std::pair<std::string, std::string>, CsvRows>;
Groups GroupRows(const CsvRows& rows) {
  Groups groups;
  for (const auto& row : rows) groups[{row.at("network"), row.at("clip")}].push_back(row);
  return groups;
}

PlotPanel LossGapPanel(const CsvRows& rows) {
  PlotPanel panel{.x_label = "estimated size V (KB)",
                  .y_label = "|dQ_u| - |dQ_s| (loss per pixel)"};
  std::map<int, PlotCurve> frames;
  for (const auto& row : rows) {
    PlotCurve& curve = frames[static_cast<int>(Number(row, "frame"))];
    curve.title = "frame " + row.at("frame");
    curve.line.emplace_back(Number(row, "size_kb"), Number(row, "gap"));
  }
  for (auto& [name, curve] : frames) panel.curves.push_back(std::move(curve));
  return panel;
}

PlotPanel FakeLossPanel(const CsvRows& rows) {
  PlotPanel panel{.x_label = "total quantization error ||ds|| (thousand luma steps)",
                  .y_label = "loss per pixel"};
  PlotCurve truth{.title = "true loss Q_T"}, fake{.title = "fake loss Q_F"};
  for (const auto& row : rows) {
    const double thousands = Number(row, "error_sum") / 1000;
    truth.line.emplace_back(thousands, Number(row, "loss_true"));
    fake.line.emplace_back(thousands, Number(row, "loss_fake"));
  }
  panel.curves = {std::move(truth), std::move(fake)};
  return panel;
}

PlotPanel DeviationPanel(const CsvRows& rows, const std::string& rule) {
  PlotPanel panel{.x_label = "deviation (levels)", .y_label = "share of regions (CDF)"};
  panel.y_range = {0, 1.02};
  std::map<int, PlotCurve> distances;
  for (const auto& row : rows) {
    if (row.at("rule") != rule) continue;
    PlotCurve& curve = distances[static_cast<int>(Number(row, "distance"))];
    curve.title = "distance " + row.at("distance");
    curve.line.emplace_back(Number(row, "deviation"), Number(row, "share"));
  }
  for (auto& [distance, curve] : distances) panel.curves.push_back(std::move(curve));
  return panel;
}

// By rule: the means over a group's frames, for each base QP.
std::map<std::string, std::vector<RatePoint>> BoundCurves(const CsvRows& rows) {
  std::map<std::string, std::map<double, std::vector<RatePoint>>> points;
  for (const auto& row : rows) {
    points[row.at("rule")][Number(row, "base_qp")].push_back(
        {Number(row, "bits") / 1000, Number(row, "pa")});
  }
  std::map<std::string, std::vector<RatePoint>> curves;
  for (const auto& [rule, by_qp] : points) {
    for (const auto& [qp, frames] : by_qp) {
      RatePoint mean;
      for (const RatePoint& point : frames) {
        mean.kbps += point.kbps / static_cast<double>(frames.size());
        mean.accuracy += point.accuracy / static_cast<double>(frames.size());
      }
      curves[rule].push_back(mean);
    }
  }
  return curves;
}

PlotPanel BoundPanel(const CsvRows& rows) {
  PlotPanel panel{.x_label = "kilobits per picture", .y_label = "pixel accuracy"};
  for (const auto& [rule, points] : BoundCurves(rows)) {
    PlotCurve curve{.title = rule};
    for (const RatePoint& point : points) curve.line.emplace_back(point.kbps, point.accuracy);
    std::sort(curve.line.begin(), curve.line.end());
    panel.curves.push_back(std::move(curve));
  }
  return panel;
}

}  // namespace

std::vector<std::string> SplitLine(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else
        quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

Result<CsvRows> ReadCsv(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, size_t{1} << 28));
  std::string_view text = AsText(bytes);
  CsvRows rows;
  std::vector<std::string> columns;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string> fields = SplitLine(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (columns.empty()) {
      columns = fields;
      continue;
    }
    if (fields.size() != columns.size()) {
      return Fail("{}: line {} has {} fields, the header {}", path.string(), rows.size() + 2,
                  fields.size(), columns.size());
    }
    auto& row = rows.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) row[columns[i]] = fields[i];
  }
  return rows;
}

std::vector<Plot> AnalysisPlots(FigureKind figure, const CsvRows& rows,
                                const std::filesystem::path& folder) {
  std::vector<Plot> plots;
  for (const auto& [key, group] : GroupRows(rows)) {
    const auto& [network, clip] = key;
    Plot plot{.name = network + "_" + clip};
    const std::string title = network + ", " + clip;
    switch (figure) {
      case FigureKind::kGradientMaps:
        plot.panels.push_back(
            {.title = "log10 |gradient| per sample: " + title,
             .x_label = "blocks of 4 pixels",
             .y_label = "blocks of 4 pixels",
             .heat_map = std::filesystem::absolute(folder / group.front().at("file"))});
        break;
      case FigureKind::kLossGap:
        plot.panels.push_back(LossGapPanel(group));
        break;
      case FigureKind::kFakeLoss:
        plot.panels.push_back(FakeLossPanel(group));
        break;
      case FigureKind::kLevelDeviation:
        plot.panels.push_back(DeviationPanel(group, "paper"));
        plot.panels.push_back(DeviationPanel(group, "power"));
        plot.panels[0].title = title + ": Algorithm 1";
        plot.panels[1].title = title + ": power rule";
        break;
      case FigureKind::kAllocationBound:
        plot.panels.push_back(BoundPanel(group));
        break;
      case FigureKind::kAccuracyBitrate:
        break;
    }
    if (!plot.panels.empty() && plot.panels[0].title.empty()) plot.panels[0].title = title;
    plots.push_back(std::move(plot));
  }
  return plots;
}

std::string AnalysisSummary(FigureKind figure, const CsvRows& rows) {
  std::string text;
  if (figure == FigureKind::kLossGap) {
    int above = 0;
    for (const auto& row : rows) above += Number(row, "gap") > 0;
    text += fmt::format("|dQ_u| - |dQ_s| > 0 in {} of {} cases (paper: all)\n", above, rows.size());
    double uniform = 0, stac = 0;
    for (const auto& row : rows) {
      uniform += Number(row, "dq_uniform");
      stac += Number(row, "dq_stac");
    }
    text += fmt::format("mean |dQ|: uniform {:.4g}, Algorithm 1 {:.4g}\n", uniform / rows.size(),
                        stac / rows.size());
  }
  if (figure == FigureKind::kLevelDeviation) {
    for (const auto& row : rows) {
      if (row.at("distance") != "8") continue;
      if (row.at("deviation") != "0" && row.at("deviation") != "3") continue;
      text += fmt::format("{}, {}, {}: {} of regions deviate by at most {} levels at distance 8\n",
                          row.at("network"), row.at("clip"), row.at("rule"), row.at("share"),
                          row.at("deviation"));
    }
    text += "(paper: about 0.90 do not deviate at distance 8, most of the others by at most 3)\n";
  }
  if (figure == FigureKind::kAllocationBound) {
    for (const auto& [key, group] : GroupRows(rows)) {
      const auto curves = BoundCurves(group);
      for (const char* rule : {"rule", "search"}) {
        const auto result =
            CompareCurves(LowerHull(curves.at("uniform")), LowerHull(curves.at(rule)));
        if (!result) continue;
        text += fmt::format("{}, {}: {} needs {:+.1f} % bits against a uniform QP\n", key.first,
                            key.second, rule, result->bd_rate_percent);
      }
    }
  }
  return text;
}

}  // namespace stac
