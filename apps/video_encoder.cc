#include "video_encoder.h"

namespace stac {

Result<std::unique_ptr<VideoEncoder>> MakeVideoEncoder(const EncoderOptions& options) {
  return options.codec == VideoCodec::kH265 ? MakeX265Encoder(options) : MakeX264Encoder(options);
}

}  // namespace stac
