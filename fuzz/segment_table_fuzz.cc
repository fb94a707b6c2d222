#include <cstdlib>

#include "stac/adapt/segment_table.h"
#include "stac/base/bytes.h"

// What is read is written the same, and the filter only takes away.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto rows = stac::ParseSegmentTable(stac::AsText({data, size}));
  if (!rows) return 0;
  const std::string csv = stac::ToCsv(*rows);
  const auto again = stac::ParseSegmentTable(csv);
  if (!again || stac::ToCsv(*again) != csv) std::abort();
  const auto kept = stac::FilterSegments(*rows, stac::SegmentBits::kTotal);
  if (kept.empty() || kept.size() > rows->size()) std::abort();
  stac::ProfileOfSegments(*rows, stac::SegmentBits::kUplink);
  return 0;
}
