#include "stac/lab/gnuplot.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "stac/base/file.h"
#include "stac/base/file_name.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

constexpr int kPanelWidth = 560;
constexpr int kPanelHeight = 420;

// On a logarithmic axis gnuplot marks powers of ten only, which is one or two for a curve.
constexpr const char* kLogTics = "10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000";

// Distinct on white, also for colour-blind readers (Okabe and Ito), then darker variants.
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                   "#56b4e9", "#000000", "#7f6000", "#6a3d9a", "#8c564b"};

struct Script {
  std::string commands;
  std::string data;  // blocks for `index`
  int blocks = 0;

  int Block(const std::vector<std::pair<double, double>>& points) {
    for (const auto& [x, y] : points) {
      if (std::isfinite(x) && std::isfinite(y)) data += fmt::format("{:.8g} {:.8g}\n", x, y);
    }
    data += "\n\n";
    return blocks++;
  }
};

// As it is: in single quotes nothing is a command or a variable, as in double ones.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\n' ? ' ' : c;
    if (c == '\'') quoted += c;
  }
  return quoted + "'";
}

void AddPanel(const PlotPanel& panel, const std::string& data_file, Script& script) {
  std::string& out = script.commands;
  out +=
      "reset\nset grid linetype 1 linecolor rgb '#e4e4e4'\nset key below reverse Left maxcols 3 "
      "font ',9'\n";
  // Room for the axis label and the rows of three entries that the key takes.
  out += fmt::format("set bmargin {}\n", 4 + (panel.curves.size() + 2) / 3);
  out += fmt::format("set title {}\nset xlabel {}\nset ylabel {}\n", GnuplotQuoted(panel.title),
                     GnuplotQuoted(panel.x_label), GnuplotQuoted(panel.y_label));
  if (!panel.heat_map.empty()) {
    out +=
        "unset key\nunset grid\nset autoscale noextend\nset yrange [*:*] reverse\n"
        "set size ratio -1\n"
        "set palette defined (0 '#000033', 0.35 '#5b0f7a', 0.65 '#d9442f', 1 '#fff7a0')\n";
    out += fmt::format("plot {} matrix with image\n", Quoted(panel.heat_map.string()));
    return;
  }
  // Where a difference changes its sign.
  out += "set xzeroaxis linetype 1 linecolor rgb '#888888'\n";
  if (panel.log_x)
    out += fmt::format("set logscale x\nset autoscale x noextend\nset xtics ({})\n", kLogTics);
  if (panel.y_range) {
    out += fmt::format("set yrange [{}:{}]\n", panel.y_range->first, panel.y_range->second);
  }
  std::string plots;
  for (size_t i = 0; i < panel.curves.size(); ++i) {
    const PlotCurve& curve = panel.curves[i];
    const char* color = kColors[i % std::size(kColors)];
    std::string title = "title " + GnuplotQuoted(curve.title);
    const auto add = [&](const std::vector<std::pair<double, double>>& points,
                         const std::string& style) {
      if (points.empty()) return;
      plots += fmt::format("{}{} index {} using 1:2 with {} linecolor rgb '{}' {}",
                           plots.empty() ? "plot " : ", \\\n  ", Quoted(data_file),
                           script.Block(points), style, color, title);
      title = "notitle";
    };
    add(curve.line, fmt::format("linespoints linewidth 2 pointtype {} pointsize 0.6", i % 13 + 4));
    add(curve.points, fmt::format("points pointtype {} pointsize 0.35", i % 13 + 4));
  }
  out += plots.empty() ? "unset key\nplot NaN\n" : plots + "\n";
}

// Runs gnuplot on a script file; its messages become the error.
Status RunGnuplot(const fs::path& script, const fs::path& folder) {
  int pipes[2];
  if (pipe(pipes) != 0) return Fail("cannot start gnuplot: no pipe");
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 2);
    dup2(pipes[1], 1);
    close(pipes[0]);
    if (chdir(folder.c_str()) != 0) _exit(126);
    execlp("gnuplot", "gnuplot", script.filename().c_str(), nullptr);
    _exit(127);
  }
  close(pipes[1]);
  std::string said;
  char buffer[1024];
  for (ssize_t n; (n = read(pipes[0], buffer, sizeof(buffer))) > 0;) said.append(buffer, n);
  close(pipes[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return Fail("cannot start gnuplot");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return Fail("gnuplot is not installed: install the package gnuplot-nox");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Fail("gnuplot failed on {}: {}", script.string(), said);
  }
  return OkStatus();
}

}  // namespace

std::string GnuplotQuoted(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    // Underscores and the like are plain characters here, not markup.
    if (std::string_view("\\_^@&~{}").find(c) != std::string_view::npos) plain += '\\';
    plain += c;
  }
  return Quoted(plain);
}

Status DrawPlot(const Plot& plot, const fs::path& folder) {
  STAC_RETURN_IF_ERROR(MakeFolder(folder));
  const std::string name = FileNameOf(plot.name);
  Script panels;
  for (const PlotPanel& panel : plot.panels) AddPanel(panel, name + ".dat", panels);
  const int columns = std::min<int>(2, static_cast<int>(plot.panels.size()));
  const int rows = (static_cast<int>(plot.panels.size()) + 1) / 2;
  std::string script;
  for (const auto& [terminal, suffix] : {std::pair{"svg", ".svg"}, std::pair{"pngcairo", ".png"}}) {
    script += fmt::format(
        "set terminal {} size {},{} background rgb 'white' font 'Helvetica,11'\n"
        "set output {}\nset multiplot layout {},{}\n{}unset multiplot\nset output\n",
        terminal, kPanelWidth * columns, kPanelHeight * rows, Quoted(name + suffix), rows, columns,
        panels.commands);
  }
  const fs::path script_path = folder / (name + ".gp");
  STAC_RETURN_IF_ERROR(WriteFile(folder / (name + ".dat"), panels.data));
  STAC_RETURN_IF_ERROR(WriteFile(script_path, script));
  return RunGnuplot(script_path, folder);
}

}  // namespace stac
