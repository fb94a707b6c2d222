#include <cstdlib>

#include "stac/adapt/controller.h"
#include "stac/base/bytes.h"

// A table that is read makes a controller.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto rows = stac::ParseProfileTable(stac::AsText({data, size}));
  if (!rows) return 0;
  const auto controller = stac::MakeProfileTableController(*std::move(rows));
  if (!(controller->Decide({.bandwidth_kbps = 500}).scale > 0)) std::abort();
  return 0;
}
