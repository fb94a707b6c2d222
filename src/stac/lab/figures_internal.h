#pragma once

#include <map>
#include <string>
#include <vector>

#include "stac/lab/experiment_spec.h"
#include "stac/lab/gnuplot.h"
#include "stac/lab/result_row.h"

namespace stac {

// A CSV file as rows of named fields. Quoted fields are understood.
using CsvRows = std::vector<std::map<std::string, std::string>>;
Result<CsvRows> ReadCsv(const std::filesystem::path& path);
std::vector<std::string> SplitLine(std::string_view line);

// One plot per network and clip with a panel per metric: points and hulls of all systems.
std::vector<Plot> AccuracyBitratePlots(const ExperimentSpec& spec,
                                       const std::vector<ResultRow>& rows);
// One plot per network and clip from analysis.csv (Fig. 4, 6, 7, 9, the bound).
std::vector<Plot> AnalysisPlots(FigureKind figure, const CsvRows& rows,
                                const std::filesystem::path& folder);
// Numbers for reading under an analysis: what the paper claims and what was measured.
std::string AnalysisSummary(FigureKind figure, const CsvRows& rows);

// An HTML page with the plots (in its subfolder figures), numbers for reading and the experiment.
std::string FigurePage(const ExperimentSpec& spec, const std::vector<Plot>& plots,
                       const std::string& numbers);

}  // namespace stac
