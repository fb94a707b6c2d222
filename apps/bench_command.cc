#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "bench_commands.h"
#include "command.h"
#include "json_text.h"

namespace stac {

Result<std::pair<int, int>> ParseSize(const std::string& text) {
  int width = 0, height = 0, used = 0;
  if (std::sscanf(text.c_str(), "%5dx%5d%n", &width, &height, &used) != 2 ||
      static_cast<size_t>(used) != text.size()) {
    return Fail("'{}' is no size: write WIDTHxHEIGHT, for example 2048x1024", text);
  }
  for (const int side : {width, height}) {
    if (side < 16 || side > 16384 || side % 2 != 0) {
      return Fail("size {}: width and height must be even and 16..16384", text);
    }
  }
  return std::pair(width, height);
}

double ProcessCpuMilliseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

double Percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(p / 100 * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

void PrintFigures(const nlohmann::ordered_json& figures, bool json) {
  if (json) {
    fmt::print("{}\n", JsonText(figures));
    return;
  }
  for (const auto& [name, value] : figures.items()) fmt::print("{}: {}\n", name, value.dump());
}

void AddBenchCommand(CLI::App& app) {
  CLI::App* bench =
      app.add_subcommand("bench", "Measure whole pipelines on this machine (docs/results.md).");
  bench->require_subcommand(1);
#if STAC_HAS_DEVICE
  AddBenchDevice(*bench);
#endif
#if STAC_HAS_SERVER
  AddBenchServer(*bench);
#endif
}

}  // namespace stac
