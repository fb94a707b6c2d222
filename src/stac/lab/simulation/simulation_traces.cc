#include <algorithm>

#include "stac/lab/simulation/simulation_spec.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

constexpr double kTestFraction = 0.3;
// Wherever the traces of a type are made rather than read.
constexpr int kSyntheticTraces = 20;

Result<std::vector<fs::path>> TraceFiles(const NetworkType& type) {
  std::vector<fs::path> files;
  std::error_code error;
  if (fs::is_regular_file(type.path, error)) return std::vector<fs::path>{type.path};
  for (const auto& entry : fs::directory_iterator(type.path, error)) {
    if (entry.path().extension() == ".csv") files.push_back(entry.path());
  }
  if (files.empty()) {
    return Fail("network type {}: {} is neither a trace nor a folder with traces (.csv)", type.name,
                type.path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<Trace> Prepared(Trace trace, double seconds, double mean_kbps) {
  const std::string name = trace.name;
  trace = Cut(trace, std::max(0.0, (trace.duration_s - seconds) / 2), seconds);
  const double mean = Statistics(trace).mean_kbps;
  if (mean_kbps > 0 && mean <= 0) {
    return Fail(
        "trace {}: the {:g} s in its middle carry nothing, which no factor makes {:g} kb/s: remove "
        "it, or leave mean_kbps out",
        name, seconds, mean_kbps);
  }
  if (mean_kbps > 0) trace = Scale(trace, mean_kbps / mean);
  trace.name = name;
  return trace;
}

}  // namespace

Result<std::vector<Trace>> LoadTraces(const NetworkType& type, bool test, int count, double seconds,
                                      uint64_t seed) {
  const bool synthetic = type.path == kSyntheticWifi;
  std::vector<fs::path> files(kSyntheticTraces);
  if (!synthetic) {
    STAC_ASSIGN_OR_RETURN(files, TraceFiles(type));
  }
  std::vector<bool> for_test = TestTraces(files.size(), kTestFraction, seed);
  if (files.size() == 1) for_test.assign(1, test);  // the only one serves both
  std::vector<Trace> traces;
  for (size_t i = 0; i < files.size(); ++i) {
    if (for_test[i] != test) continue;
    if (count > 0 && traces.size() == static_cast<size_t>(count)) break;
    Trace trace;
    if (synthetic) {
      trace = SyntheticWifiTrace(seconds, seed * 1000 + i);
    } else {
      STAC_ASSIGN_OR_RETURN(trace, ReadTrace(files[i]));
    }
    STAC_ASSIGN_OR_RETURN(trace, Prepared(std::move(trace), seconds, type.mean_kbps));
    traces.push_back(std::move(trace));
  }
  return traces;
}

}  // namespace stac
