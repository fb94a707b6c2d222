#include "stac/lab/simulation/simulation_figures.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <sstream>

#include "stac/base/file.h"
#include "stac/lab/figures_internal.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// The item of that name, added at the end if it is new.
template <typename Item, typename Name>
Item& Named(std::vector<Item>& items, Name Item::*member, const std::string& name) {
  for (Item& item : items) {
    if (item.*member == name) return item;
  }
  items.push_back({});
  items.back().*member = name;
  return items.back();
}

// Systems in one order in all panels, so that each has one colour.
std::vector<std::string> SystemsOf(const std::vector<SimulatedRun>& runs) {
  std::vector<std::string> names;
  for (const SimulatedRun& run : runs) {
    if (std::find(names.begin(), names.end(), run.system) == names.end()) {
      names.push_back(run.system);
    }
  }
  return names;
}

// The runs of the experiment as it was simulated last; those of earlier versions may lie beside
// them.
Result<std::vector<SimulatedRun>> ReadRuns(const fs::path& folder) {
  const auto names = ReadFile(folder / "runs.txt");
  if (!names) return Fail("{} has no results yet: run stac simulate first", folder.string());
  std::vector<SimulatedRun> runs;
  std::istringstream lines{std::string(AsText(*names))};
  for (std::string name; std::getline(lines, name);) {
    STAC_ASSIGN_OR_RETURN(const Bytes text, ReadFile(folder / "runs" / name));
    auto run = RunFromJson(AsText(text));
    if (!run) {
      return Fail("{}: {}; delete it and run stac simulate again",
                  (folder / "runs" / name).string(), run.error().message);
    }
    runs.push_back(std::move(*run));
  }
  return runs;
}

}  // namespace

std::vector<Plot> AdaptationPlots(const std::vector<SimulatedRun>& runs) {
  const std::vector<std::string> systems = SystemsOf(runs);
  std::vector<Plot> plots;
  for (const SimulatedRun& run : runs) {
    Plot& plot = Named(plots, &Plot::name, "adaptation_" + run.network + "_" + run.clip);
    PlotPanel& panel = Named(plot.panels, &PlotPanel::title,
                             fmt::format("{} ({}, {})", run.network_type, run.network, run.clip));
    panel.x_label = "delay of a frame's labels, median (ms)";
    panel.y_label = "PA (%)";
    for (const std::string& system : systems) Named(panel.curves, &PlotCurve::title, system);
    Named(panel.curves, &PlotCurve::title, run.system)
        .points.emplace_back(run.summary.delay_p50_ms, 100 * run.summary.pa);
  }
  for (Plot& plot : plots) {
    for (PlotPanel& panel : plot.panels) {
      for (PlotCurve& curve : panel.curves) {
        std::pair<double, double> mean;
        const auto count = static_cast<double>(curve.points.size());
        for (const auto& [x, y] : curve.points) {
          mean.first += x / count;
          mean.second += y / count;
        }
        if (count > 0) curve.line = {mean};
      }
    }
  }
  return plots;
}

std::vector<Plot> CloseUpPlots(const std::vector<SimulatedRun>& runs, double skip_seconds) {
  struct Quantity {
    const char* title;
    const char* unit;
    std::function<double(const SecondOutcome&)> of;
  };
  const std::vector<Quantity> quantities = {
      {"bitrate", "kb/s", [](const SecondOutcome& s) { return s.coded_kbps; }},
      {"keyframe rate", "1/s", [](const SecondOutcome& s) { return s.decision.keyframe_fps; }},
      {"base QP (B doubles every 6)", "QP",
       [](const SecondOutcome& s) { return s.decision.base_qp; }},
      {"accuracy", "PA (%)", [](const SecondOutcome& s) { return 100 * s.pa; }},
  };
  const std::vector<std::string> systems = SystemsOf(runs);
  const auto first = static_cast<size_t>(std::ceil(skip_seconds));
  std::vector<Plot> plots;
  for (const SimulatedRun& run : runs) {
    Plot& plot = Named(
        plots, &Plot::name,
        fmt::format("closeup_{}_{}_{}_{}", run.network_type, run.trace, run.network, run.clip));
    for (const Quantity& quantity : quantities) {
      PlotPanel& panel = Named(plot.panels, &PlotPanel::title, quantity.title);
      const bool fresh = panel.curves.empty();
      panel.x_label = "time (s)";
      panel.y_label = quantity.unit;
      for (const std::string& system : systems) Named(panel.curves, &PlotCurve::title, system);
      PlotCurve& curve = Named(panel.curves, &PlotCurve::title, run.system);
      for (size_t i = first; i < run.seconds.size(); ++i) {
        curve.line.emplace_back(static_cast<double>(i), quantity.of(run.seconds[i]));
      }
      if (!fresh || &quantity != &quantities.front()) continue;
      PlotCurve& bandwidth = Named(panel.curves, &PlotCurve::title, "bandwidth");
      for (size_t i = first; i < run.seconds.size(); ++i) {
        bandwidth.line.emplace_back(static_cast<double>(i), run.seconds[i].bandwidth_kbps);
      }
    }
  }
  return plots;
}

Status DrawSimulation(const fs::path& folder) {
  STAC_ASSIGN_OR_RETURN(const SimulationSpec spec, ReadSimulation(folder / "spec.toml", false));
  STAC_ASSIGN_OR_RETURN(std::vector<SimulatedRun> runs, ReadRuns(folder));
  // In the order of the experiment.
  const auto place = [&](const SimulatedRun& run) {
    return std::find_if(spec.systems.begin(), spec.systems.end(),
                        [&](const SimulatedSystem& system) { return system.name == run.system; }) -
           spec.systems.begin();
  };
  std::stable_sort(runs.begin(), runs.end(), [&](const auto& a, const auto& b) {
    return std::tuple(place(a), a.network_type, a.trace) <
           std::tuple(place(b), b.network_type, b.trace);
  });
  const auto plots = spec.figure == SimulationFigure::kCloseUp
                         ? CloseUpPlots(runs, spec.skip_seconds)
                         : AdaptationPlots(runs);
  for (const Plot& plot : plots) STAC_RETURN_IF_ERROR(DrawPlot(plot, folder / "figures"));
  return WriteFile(folder / "index.html",
                   FigurePage(spec.experiment, plots, SimulationTable(runs)));
}

}  // namespace stac
