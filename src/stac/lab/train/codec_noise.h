#pragma once

#include <functional>
#include <memory>

#include "stac/codec/video_encoder.h"
#include "stac/lab/train/trainer.h"

namespace stac {

using EncoderFactory =
    std::function<Result<std::unique_ptr<VideoEncoder>>(const EncoderOptions& options)>;

// Codec noise by real H.264 coding: the picture goes through bt709/limited 4:2:0 and an intra
// frame with one QP, as a camera device would send it.
CodecNoise MakeCodecNoise(EncoderFactory make_encoder);

}  // namespace stac
