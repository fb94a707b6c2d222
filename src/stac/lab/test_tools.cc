#include "stac/lab/test_tools.h"

#include "stac/capture/synthetic_scene.h"
#include "stac/segment/fake_segmenter.h"

namespace stac {

LabTools TestTools() {
  LabTools tools;
  tools.open_source = [](const std::string&,
                         const SourceOptions& options) -> Result<std::unique_ptr<FrameSource>> {
    SyntheticOptions scene{.width = 128, .height = 96, .fps = 10};
    scene.frame_count = options.max_frames > 0 ? static_cast<int>(options.max_frames) : 8;
    return MakeSyntheticSource(scene);
  };
  tools.load_network = [](const std::string&,
                          const SegmenterOptions&) -> Result<std::unique_ptr<Segmenter>> {
    return std::make_unique<FakeSegmenter>(8);
  };
  tools.make_flow = [] { return MakeDisFlow({}); };
  tools.make_encoder = MakeX264Encoder;
  tools.make_decoder = [](const DecoderOptions& options) { return MakeH264Decoder(options); };
  tools.jpeg = {.encode = EncodeJpeg,
                .decode = [](ByteSpan bytes, ColorSpec color) { return DecodeJpeg(bytes, color); }};
  return tools;
}

}  // namespace stac
