#pragma once

#include <string_view>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// The tables of this folder: a fixed header line, then a row of as many cells per line; blank lines
// are skipped. Nothing is quoted. Untrusted.
struct CsvRow {
  size_t line = 0;  // counted from 1, the header's
  std::vector<std::string_view> cells;
};
// `table` names it in errors. Fails without the header, without rows, and on rows with another
// number of cells. The cells refer to `csv`.
Result<std::vector<CsvRow>> ParseCsv(std::string_view csv, std::string_view header,
                                     std::string_view table);
// The number in a cell of a table's row, within low..high.
Result<double> ParseCell(const CsvRow& row, size_t cell, std::string_view name, double low,
                         double high, std::string_view table);

}  // namespace stac
