#include <cstdlib>

#include "fuzz_maps.h"
#include "stac/codec/label_coder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = stac::ReadMapInput({data, size});
  if (!input) return 0;
  const stac::LabelMap prediction = stac::StripedMap(input->width, input->height, 0);
  const auto labels = stac::DecodeLabels(input->coded, input->width, input->height,
                                         input->predicted ? &prediction : nullptr);
  if (labels && !labels->SameSize(prediction)) std::abort();
  return 0;
}
