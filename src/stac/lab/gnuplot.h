#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/result.h"

namespace stac {

struct PlotCurve {
  std::string title;
  std::vector<std::pair<double, double>> line;    // drawn as a line; may be empty
  std::vector<std::pair<double, double>> points;  // drawn as points; may be empty
};

struct PlotPanel {
  std::string title;
  std::string x_label, y_label;
  bool log_x = false;
  std::vector<PlotCurve> curves;
  // Instead of curves: a heat map from a file of numbers, one text line per row, top row first.
  std::filesystem::path heat_map;
  std::optional<std::pair<double, double>> y_range;
};

// Panels in two columns.
struct Plot {
  std::string name;  // files are called after it, as FileNameOf has it
  std::vector<PlotPanel> panels;
};

// Draws folder/NAME.svg and folder/NAME.png with gnuplot; folder/NAME.gp and NAME.dat, from which
// they are drawn, stay there too. No name or text is taken for a command. Fails with what gnuplot
// said, or if it is not installed.
Status DrawPlot(const Plot& plot, const std::filesystem::path& folder);

// Text in gnuplot's single quotes, none of it markup.
std::string GnuplotQuoted(const std::string& text);

}  // namespace stac
