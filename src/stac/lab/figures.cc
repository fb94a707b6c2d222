#include "stac/lab/figures.h"

#include <algorithm>

#include "stac/base/file.h"
#include "stac/base/file_name.h"
#include "stac/lab/analysis_columns_internal.h"
#include "stac/lab/comparison.h"
#include "stac/lab/figures_internal.h"
#include "stac/lab/result_folder.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

const char* TitleOf(Metric metric) {
  switch (metric) {
    case Metric::kPixelAccuracy:
      return "pixel accuracy";
    case Metric::kMeanIou:
      return "mIoU";
    case Metric::kHumanPixelAccuracy:
      return "pixel accuracy, human labels";
    case Metric::kHumanMeanIou:
      return "mIoU, human labels";
  }
  return "";
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string FigurePage(const ExperimentSpec& spec, const std::vector<Plot>& plots,
                       const std::string& numbers) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<title>{0}</title>\n"
      "<style>body{{font:15px sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}}"
      "img{{max-width:100%}}pre{{overflow-x:auto;background:#f4f4f4;padding:1em}}</style>\n"
      "<h1>{0}</h1>\n",
      Escaped(spec.title));
  if (!numbers.empty()) page += "<pre>" + Escaped(numbers) + "</pre>\n";
  for (const Plot& plot : plots) {
    page += fmt::format(
        "<h2>{0}</h2>\n<img src=\"figures/{1}.svg\" alt=\"{1}\">\n<p><a href=\"figures/{1}.png\">"
        "PNG</a> <a href=\"figures/{1}.dat\">data</a> <a href=\"figures/{1}.gp\">script</a></p>\n",
        Escaped(plot.name), FileNameOf(plot.name));
  }
  return page + "<h2>Experiment</h2>\n<pre>" + Escaped(spec.text) + "</pre>\n</html>\n";
}

std::vector<Plot> AccuracyBitratePlots(const ExperimentSpec& spec,
                                       const std::vector<ResultRow>& rows) {
  // Systems in the order of the spec, so that a system has the same colour in every plot.
  std::vector<std::string> order;
  for (const SystemEntry& system : spec.systems) {
    if (std::find(order.begin(), order.end(), system.name) == order.end()) {
      order.push_back(system.name);
    }
  }
  std::vector<Plot> plots;
  const std::vector<SystemCurve> curves = CurvesOf(rows, RateKind::kTotal);
  for (const SystemCurve& curve : curves) {
    const std::string name = curve.network + "_" + curve.clip;
    if (plots.empty() || plots.back().name != name) plots.push_back({.name = name});
    auto& panels = plots.back().panels;
    const std::string metric = std::string(TitleOf(curve.metric)) + " (%)";
    if (panels.empty() || panels.back().y_label != metric) {
      panels.push_back({.title = curve.network + ", " + curve.clip,
                        .x_label = "kb/s, all bits",
                        .y_label = metric,
                        .log_x = true});
      for (const std::string& system : order) panels.back().curves.push_back({.title = system});
    }
    const auto slot = std::find(order.begin(), order.end(), curve.system) - order.begin();
    if (slot == static_cast<ptrdiff_t>(order.size())) continue;  // not in this spec
    PlotCurve& drawn = panels.back().curves[slot];
    for (const RatePoint& p : curve.hull) drawn.line.emplace_back(p.kbps, 100 * p.accuracy);
    for (const RatePoint& p : curve.points) drawn.points.emplace_back(p.kbps, 100 * p.accuracy);
  }
  return plots;
}

Status DrawFigures(const FigureOptions& options) {
  STAC_ASSIGN_OR_RETURN(const ExperimentSpec spec,
                        ReadExperiment(options.folder / "spec.toml", false));
  std::vector<Plot> plots;
  std::string numbers;
  if (spec.figure == FigureKind::kAccuracyBitrate) {
    STAC_ASSIGN_OR_RETURN(const auto rows, ReadResults(options.folder));
    if (rows.empty()) {
      return Fail("{} has no results yet: run stac evaluate first", options.folder.string());
    }
    plots = AccuracyBitratePlots(spec, rows);
    const std::string reference = options.reference.empty() ? spec.reference : options.reference;
    if (!reference.empty()) {
      STAC_ASSIGN_OR_RETURN(const auto comparison,
                            CompareSystems(rows, reference, RateKind::kTotal, {}));
      numbers = "against " + reference + ", all bits\n" + ComparisonTable(comparison);
    }
  } else {
    STAC_ASSIGN_OR_RETURN(const CsvRows rows, ReadCsv(options.folder / "analysis.csv"));
    for (const std::string& column : SplitLine(ColumnsOf(spec.figure))) {
      if (rows.empty() || rows.front().contains(column)) continue;
      return Fail("{} has no column '{}', as another analysis wrote it: run stac evaluate again",
                  (options.folder / "analysis.csv").string(), column);
    }
    plots = AnalysisPlots(spec.figure, rows, options.folder);
    numbers = AnalysisSummary(spec.figure, rows);
  }
  for (const Plot& plot : plots) {
    STAC_RETURN_IF_ERROR(DrawPlot(plot, options.folder / "figures"));
  }
  return WriteFile(options.folder / "index.html", FigurePage(spec, plots, numbers));
}

}  // namespace stac
