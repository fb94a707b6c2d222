#pragma once

#include <functional>

#include "stac/codec/jpeg_codec.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"
#include "stac/quant/profile.h"

namespace stac {

// JPEG behind the sessions' codec interfaces: each frame is a picture of its own.
struct JpegFunctions {
  std::function<Result<Bytes>(const Frame&, const JpegTables&)> encode;
  std::function<Result<Frame>(ByteSpan, ColorSpec)> decode;
};
std::unique_ptr<VideoEncoder> MakeJpegStreamEncoder(const JpegTables& tables,
                                                    JpegFunctions functions);
std::unique_ptr<VideoDecoder> MakeJpegStreamDecoder(ColorSpec color, JpegFunctions functions);

// GRACE's tables, q_n = 2 B / (M |g_n|) for every frequency of Y, Cb and Cr with one B: the one
// that gives the luma table the geometric mean `step`. Entries are rounded and kept in 1..255.
JpegTables GraceTables(const FrequencyGradients& gradients, double step);

}  // namespace stac
