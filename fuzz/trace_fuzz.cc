#include <cmath>
#include <cstdlib>

#include "stac/adapt/trace.h"
#include "stac/base/bytes.h"

// What is read is a usable trace.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto trace = stac::ParseTrace(stac::AsText({data, size}), "fuzz");
  if (!trace) return 0;
  const stac::TraceStatistics statistics = stac::Statistics(*trace);
  if (!(statistics.min_kbps >= 0) || !(statistics.max_kbps > 0) || !(statistics.duration_s > 0) ||
      !std::isfinite(statistics.mean_kbps)) {
    std::abort();
  }
  const stac::TraceIntegral integral(*trace);
  const auto end = integral.Finish(123'456, 1e6);
  if (!end || *end < 123'456) std::abort();
  return 0;
}
