#include <cstdlib>

#include "stac/codec/jpeg_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto frame = stac::DecodeJpeg({data, size}, {}, 512, 512);
  if (frame && (frame->width() > 512 || frame->height() > 512)) std::abort();
  return 0;
}
