#include <algorithm>
#include <cstdlib>

#include "fuzz_maps.h"
#include "stac/codec/label_coder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kLevels = 32;
  const auto input = stac::ReadMapInput({data, size});
  if (!input) return 0;
  const stac::LevelMap previous = stac::StripedMap(input->width, input->height, 0);
  const auto levels = stac::DecodeLevels(input->coded, input->width, input->height, kLevels,
                                         input->predicted ? &previous : nullptr);
  if (levels && (!levels->SameSize(previous) ||
                 *std::max_element(levels->begin(), levels->end()) >= kLevels)) {
    std::abort();
  }
  return 0;
}
