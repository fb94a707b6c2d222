#pragma once

#include <filesystem>

#include "stac/base/result.h"

namespace stac {

struct FigureOptions {
  std::filesystem::path folder;  // of an experiment: spec.toml, results.db or analysis.csv
  std::string reference;         // empty: the spec's
};

// Draws the figure of an experiment's results: folder/figures/*.svg and *.png with the data and
// scripts behind them, and folder/index.html that shows them with the comparison table.
Status DrawFigures(const FigureOptions& options);

}  // namespace stac
