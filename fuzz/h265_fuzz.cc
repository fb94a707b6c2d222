#include <cstdlib>

#include "stac/codec/video_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto decoder = stac::MakeVideoDecoder(
      {.codec = stac::VideoCodec::kH265, .max_width = 512, .max_height = 512});
  if (!decoder) std::abort();
  // The first half may leave the decoder in any state.
  const size_t half = size / 2;
  for (const stac::ByteSpan part : {stac::ByteSpan(data, half), stac::ByteSpan(data, size)}) {
    const auto decoded = (*decoder)->Decode(part);
    if (decoded && (decoded->frame.width() > 576 || decoded->frame.height() > 576)) std::abort();
  }
  return 0;
}
