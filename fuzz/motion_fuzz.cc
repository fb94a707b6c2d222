#include <cstdlib>

#include "stac/codec/motion_coder.h"

// The size is fixed: only the bytes come from the other side.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto motion = stac::DecodeMotion({data, size}, 100, 70, nullptr);
  if (!motion) return 0;
  // What was decoded can be coded again, and comes back the same.
  const auto again = stac::DecodeMotion(stac::EncodeMotion(*motion, nullptr), 100, 70, nullptr);
  if (!again || again->then_from_now != motion->then_from_now) std::abort();
  return 0;
}
