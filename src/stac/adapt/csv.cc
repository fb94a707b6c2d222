#include <algorithm>
#include <charconv>

#include "stac/adapt/csv_internal.h"

namespace stac {
namespace {

// Takes the text before the first `separator` off the front of `rest`.
std::string_view TakeUntil(char separator, std::string_view& rest) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

}  // namespace

Result<std::vector<CsvRow>> ParseCsv(std::string_view csv, std::string_view header,
                                     std::string_view table) {
  const size_t columns = 1 + std::count(header.begin(), header.end(), ',');
  std::vector<CsvRow> rows;
  for (size_t number = 1; !csv.empty(); ++number) {
    std::string_view line = TakeUntil('\n', csv);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1) {
      if (line != header) return Fail("{}, line 1: the header must be {}", table, header);
      continue;
    }
    if (line.empty()) continue;
    CsvRow row{.line = number};
    const size_t cells = 1 + std::count(line.begin(), line.end(), ',');
    if (cells != columns) {
      return Fail("{}, line {}: {} values instead of {}", table, number, cells, columns);
    }
    for (size_t i = 0; i < cells; ++i) row.cells.push_back(TakeUntil(',', line));
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return Fail("{}, line 1: there are no rows", table);
  return rows;
}

Result<double> ParseCell(const CsvRow& row, size_t cell, std::string_view name, double low,
                         double high, std::string_view table) {
  const std::string_view text = row.cells[cell];
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= low && value <= high)) {
    return Fail("{}, line {}: {} must be a number within {:g}..{:g}, not '{}'", table, row.line,
                name, low, high, text.substr(0, 40));
  }
  return value;
}

}  // namespace stac
