#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/result.h"

namespace stac {

// "WIDTHxHEIGHT", both even and 16..16384.
Result<std::pair<int, int>> ParseSize(const std::string& text);

// Processor time of the whole process so far.
double ProcessCpuMilliseconds();

// The p-th percentile (0..100) of the values, by nearest rank; 0 without values.
double Percentile(std::vector<double> values, double p);
inline double Median(std::vector<double> values) { return Percentile(std::move(values), 50); }

// For printing: two decimals.
inline double Rounded(double value) { return std::round(value * 100) / 100; }

// Prints one JSON object, or a line for each of its entries.
void PrintFigures(const nlohmann::ordered_json& figures, bool json);

// Each adds its benchmark to `stac bench`.
void AddBenchDevice(CLI::App& bench);
void AddBenchServer(CLI::App& bench);

}  // namespace stac
