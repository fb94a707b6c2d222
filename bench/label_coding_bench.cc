// Bytes and time of lossless label-map coding, ours against general coders where those are
// installed. Maps: the human labels of CamVid 0016E5 from the data folder (STAC_DATA), or drawn
// ones without it. "Predicted" codes against the map of the frame before, not moved.
//   STAC_DATA=... build/bench/label_coding_bench
#include <benchmark/benchmark.h>

#include <functional>

#include "stac/base/check.h"
#include "stac/codec/label_coder.h"
#include "stac/codec/test_pictures.h"
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef HAVE_WEBP
#include <webp/encode.h>
#endif
#ifdef HAVE_JXL
#include <jxl/encode.h>
#endif

namespace stac {
namespace {

constexpr int kMaps = 25;

const std::vector<LabelMap>& Maps() {
  static const std::vector<LabelMap> maps = [] {
    auto real = CamVidLabels(kMaps + 1);
    for (int t = 0; real.size() <= kMaps; ++t) {
      LabelMap drawn(480, 360);
      for (int y = 0; y < drawn.height(); ++y) {
        for (int x = 0; x < drawn.width(); ++x) {
          const int u = x + 3 * t;
          drawn(x, y) = static_cast<uint8_t>(y < 120 + u % 97 / 4 ? u / 131 % 3 : 3 + u / 67 % 4);
        }
      }
      real.push_back(std::move(drawn));
    }
    return real;
  }();
  return maps;
}

using Coder = std::function<size_t(const LabelMap& now, const LabelMap& before)>;

void Run(benchmark::State& state, const Coder& code) {
  size_t bytes = 0;
  size_t count = 0;
  for (auto _ : state) {
    const size_t i = 1 + count++ % kMaps;
    bytes += code(Maps()[i], Maps()[i - 1]);
  }
  state.counters["bytes"] = static_cast<double>(bytes) / static_cast<double>(count);
}

void Decode(benchmark::State& state, bool predicted) {
  const LabelMap* before = predicted ? &Maps()[0] : nullptr;
  const Bytes coded = *EncodeLabels(Maps()[1], before);
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeLabels(coded, Maps()[1].width(), Maps()[1].height(), before));
  }
}

#ifdef HAVE_ZSTD
size_t Zstd(const LabelMap& map, int level) {
  Bytes out(ZSTD_compressBound(map.size()));
  return ZSTD_compress(out.data(), out.size(), map.data(), map.size(), level);
}
#endif

#ifdef HAVE_WEBP
size_t Webp(const LabelMap& map, int method) {
  WebPConfig config;
  WebPPicture picture;
  WebPMemoryWriter writer;
  STAC_CHECK(WebPConfigInit(&config) && WebPPictureInit(&picture));
  WebPMemoryWriterInit(&writer);
  config.lossless = config.exact = 1;
  config.method = method;
  config.quality = 100;
  picture.use_argb = 1;
  picture.width = map.width();
  picture.height = map.height();
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  STAC_CHECK(WebPPictureAlloc(&picture));
  for (int y = 0; y < map.height(); ++y) {
    for (int x = 0; x < map.width(); ++x) {
      picture.argb[y * picture.argb_stride + x] = 0xFF000000u | map(x, y) << 8;
    }
  }
  STAC_CHECK(WebPEncode(&config, &picture));
  const size_t size = writer.size;
  WebPMemoryWriterClear(&writer);
  WebPPictureFree(&picture);
  return size;
}
#endif

#ifdef HAVE_JXL
size_t Jxl(const LabelMap& map, int effort) {
  JxlEncoder* encoder = JxlEncoderCreate(nullptr);
  JxlBasicInfo info;
  JxlEncoderInitBasicInfo(&info);
  info.xsize = static_cast<uint32_t>(map.width());
  info.ysize = static_cast<uint32_t>(map.height());
  info.bits_per_sample = 8;
  info.num_color_channels = 1;
  info.uses_original_profile = JXL_TRUE;
  JxlEncoderSetBasicInfo(encoder, &info);
  JxlColorEncoding color;
  JxlColorEncodingSetToSRGB(&color, JXL_TRUE);
  JxlEncoderSetColorEncoding(encoder, &color);
  auto* settings = JxlEncoderFrameSettingsCreate(encoder, nullptr);
  JxlEncoderSetFrameLossless(settings, JXL_TRUE);
  JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_EFFORT, effort);
  JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_MODULAR, 1);
  const JxlPixelFormat format{1, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  JxlEncoderAddImageFrame(settings, &format, map.data(), map.size());
  JxlEncoderCloseInput(encoder);
  Bytes out(size_t{1} << 20);
  uint8_t* next = out.data();
  size_t left = out.size();
  STAC_CHECK(JxlEncoderProcessOutput(encoder, &next, &left) == JXL_ENC_SUCCESS);
  JxlEncoderDestroy(encoder);
  return out.size() - left;
}
#endif

void Register(const std::string& name, Coder code) {
  benchmark::RegisterBenchmark(name.c_str(), [code](benchmark::State& state) { Run(state, code); })
      ->Unit(benchmark::kMillisecond)
      ->MinTime(0.3);
}

void RegisterAll() {
  Register("ours/plain",
           [](const LabelMap& now, const LabelMap&) { return EncodeLabels(now)->size(); });
  Register("ours/predicted", [](const LabelMap& now, const LabelMap& before) {
    return EncodeLabels(now, &before)->size();
  });
  for (const bool predicted : {false, true}) {
    benchmark::RegisterBenchmark(predicted ? "ours/decode/predicted" : "ours/decode/plain",
                                 [predicted](benchmark::State& s) { Decode(s, predicted); })
        ->Unit(benchmark::kMillisecond);
  }
#ifdef HAVE_ZSTD
  for (const int level : {3, 9, 19}) {
    Register("zstd/" + std::to_string(level),
             [level](const LabelMap& now, const LabelMap&) { return Zstd(now, level); });
  }
#endif
#ifdef HAVE_WEBP
  for (const int method : {0, 4, 6}) {
    Register("webp/" + std::to_string(method),
             [method](const LabelMap& now, const LabelMap&) { return Webp(now, method); });
  }
#endif
#ifdef HAVE_JXL
  for (const int effort : {3, 7, 9}) {
    Register("jxl/" + std::to_string(effort),
             [effort](const LabelMap& now, const LabelMap&) { return Jxl(now, effort); });
  }
#endif
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  stac::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
}
