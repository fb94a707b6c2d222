#include <cstdlib>

#include "stac/quant/profile.h"

// What is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto profile = stac::ProfileFromJson(stac::AsText({data, size}));
  if (profile && !stac::ProfileFromJson(stac::ToJson(*profile))) std::abort();
  return 0;
}
