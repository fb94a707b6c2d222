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
  // Brighter macroblocks are more important.
  tools.load_scorer = [](const std::string&) -> Result<MacroblockScorer> {
    return [](const Frame& frame) -> Result<SensitivityMap> {
      const RegionGrid grid{.frame_width = frame.width(), .frame_height = frame.height()};
      SensitivityMap map(grid.mb_columns(), grid.mb_rows());
      for (int y = 0; y < frame.height(); ++y) {
        for (int x = 0; x < frame.width(); ++x) {
          map(x / kMacroblock, y / kMacroblock) += frame.plane(0).At(x, y);
        }
      }
      return map;
    };
  };
  tools.make_flow = [] { return MakeDisFlow({}); };
  tools.make_encoder = MakeX264Encoder;
  tools.make_decoder = [](const DecoderOptions& options) { return MakeVideoDecoder(options); };
  tools.jpeg = {.encode = EncodeJpeg,
                .decode = [](ByteSpan bytes, ColorSpec color) { return DecodeJpeg(bytes, color); }};
  return tools;
}

}  // namespace stac
