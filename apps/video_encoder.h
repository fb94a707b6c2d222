#pragma once

#include "stac/codec/video_encoder.h"

namespace stac {

// The encoder of EncoderOptions::codec: x264 or x265.
Result<std::unique_ptr<VideoEncoder>> MakeVideoEncoder(const EncoderOptions& options);

}  // namespace stac
