#include "stac/lab/train/codec_noise.h"

#include <cstring>

#include "stac/capture/image_io.h"

namespace stac {

CodecNoise MakeCodecNoise(EncoderFactory make_encoder) {
  return [make_encoder = std::move(make_encoder)](int width, int height, int qp,
                                                  std::vector<uint8_t>& rgb) -> Status {
    static_assert(sizeof(Rgb) == 3);
    RgbImage image(width, height);
    std::memcpy(image.data(), rgb.data(), rgb.size());
    const Frame frame = FrameFromRgb(image, {});
    // A new encoder for each picture: what comes out depends on nothing but the picture and the QP.
    STAC_ASSIGN_OR_RETURN(
        const auto encoder,
        make_encoder(
            {.width = width, .height = height, .preset = "veryfast", .want_reconstruction = true}));
    const QpMap map((width + kMacroblock - 1) / kMacroblock,
                    (height + kMacroblock - 1) / kMacroblock, static_cast<uint8_t>(qp));
    STAC_ASSIGN_OR_RETURN(const EncodedFrame coded, encoder->Encode(frame, &map, true));
    const RgbImage decoded = RgbFromFrame(coded.reconstruction);
    std::memcpy(rgb.data(), decoded.data(), rgb.size());
    return OkStatus();
  };
}

}  // namespace stac
