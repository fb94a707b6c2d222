#include "stac/capture/synthetic_scene.h"

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/capture/frame_scale.h"
#include "stac/capture/image_io.h"
#include "stac/capture/synthetic_noise.h"
#include "stac/capture/synthetic_street.h"

namespace stac {
namespace {

// Adds Gaussian-like noise: the sum of four uniform bytes.
void AddNoise(uint8_t* data, const PlaneView& plane, double deviation, uint64_t seed) {
  constexpr double kMean = 4 * 127.5;
  const double kDeviation = std::sqrt(4 * (256.0 * 256.0 - 1) / 12);
  // 16-bit fixed point.
  const auto scale = static_cast<int32_t>(std::lround(65536 * deviation / kDeviation));
  const auto offset = static_cast<int32_t>(std::lround(32768 - kMean * scale));
  for (int y = 0; y < plane.height; ++y) {
    uint8_t* row = data + static_cast<ptrdiff_t>(y) * plane.stride;
    const uint64_t row_seed = MixBits(seed, y);
    for (int x = 0; x < plane.width; x += 2) {
      uint64_t bits = MixBits(row_seed + static_cast<uint64_t>(x));
      // Sums of bytes in two halves of four bytes each.
      bits = (bits & 0x00FF00FF00FF00FFu) + ((bits >> 8) & 0x00FF00FF00FF00FFu);
      bits = (bits & 0x0000FFFF0000FFFFu) + ((bits >> 16) & 0x0000FFFF0000FFFFu);
      for (int i = 0; i < 2 && x + i < plane.width; ++i) {
        const auto sum = static_cast<int32_t>(i == 0 ? bits & 0xFFFF : bits >> 32);
        row[x + i] =
            static_cast<uint8_t>(std::clamp(row[x + i] + ((sum * scale + offset) >> 16), 0, 255));
      }
    }
  }
}

// Pixels with an edge in them are the mean of four samples; the others have texture that is
// already filtered.
void SmoothEdges(const Street& street, const Grid<uint32_t>& parts, RgbImage& image) {
  std::vector<int> objects;
  for (int y = 0; y < image.height(); ++y) {
    street.CollectRow(y, objects);
    for (int x = 0; x < image.width(); ++x) {
      const uint32_t part = parts(x, y);
      if (part == parts.Clamped(x - 1, y) && part == parts.Clamped(x + 1, y) &&
          part == parts.Clamped(x, y - 1) && part == parts.Clamped(x, y + 1)) {
        continue;
      }
      int r = 2, g = 2, b = 2;
      for (const double dy : {-0.25, 0.25}) {
        for (const double dx : {-0.25, 0.25}) {
          const Rgb sample = street.Shade(street.Trace(x + dx, y + dy, objects));
          r += sample.r;
          g += sample.g;
          b += sample.b;
        }
      }
      image(x, y) = {static_cast<uint8_t>(r / 4), static_cast<uint8_t>(g / 4),
                     static_cast<uint8_t>(b / 4)};
    }
  }
}

class SyntheticSource final : public FrameSource {
 public:
  SyntheticSource(const SyntheticOptions& scene, const SourceOptions& options)
      : scene_(scene), options_(options) {
    options_.frame_step = std::max(options_.frame_step, 1);
    options_.first_frame = std::max<int64_t>(options_.first_frame, 0);
    const Size size = FitInto({scene.width, scene.height}, options.max_width, options.max_height);
    int64_t count = std::max<int64_t>(scene.frame_count - options_.first_frame, 0);
    count = (count + options_.frame_step - 1) / options_.frame_step;
    if (options.max_frames >= 0) count = std::min(count, options.max_frames);
    info_ = {.width = size.width,
             .height = size.height,
             .fps = scene.fps / options_.frame_step,
             .color = {},
             .frame_count = count,
             .name = fmt::format("synthetic_{}x{}_{}", scene.width, scene.height, scene.seed)};
  }

  const SourceInfo& info() const override { return info_; }

  Result<std::optional<Frame>> Next() override {
    if (next_ >= info_.frame_count) return std::nullopt;
    SyntheticScene::Picture picture =
        scene_.Render(static_cast<int>(options_.first_frame + next_ * options_.frame_step));
    const Size size{info_.width, info_.height};
    labels_ = ShrinkLabels(picture.labels, size);
    Frame frame = ShrinkFrame(picture.frame, size);
    frame.id = static_cast<FrameId>(next_);
    frame.pts = std::llround(static_cast<double>(next_) * 1e6 / info_.fps);
    ++next_;
    return frame;
  }

  std::optional<LabelMap> Labels() override { return labels_; }

 private:
  SyntheticScene scene_;
  SourceOptions options_;
  SourceInfo info_;
  int64_t next_ = 0;
  std::optional<LabelMap> labels_;
};

}  // namespace

struct SyntheticScene::World {
  SyntheticOptions options;
};

SyntheticScene::SyntheticScene(const SyntheticOptions& options)
    : world_(std::make_unique<World>(World{options})) {
  STAC_CHECK(options.width % 2 == 0 && options.height % 2 == 0);
  STAC_CHECK(options.width >= 16 && options.height >= 16);
  STAC_CHECK(options.fps > 0);
}
SyntheticScene::~SyntheticScene() = default;

const SyntheticOptions& SyntheticScene::options() const { return world_->options; }

SyntheticScene::Picture SyntheticScene::Render(int index) const {
  STAC_CHECK_GE(index, 0);
  const SyntheticOptions& options = world_->options;
  const double frame_time = 1 / options.fps;
  const Street street(options.seed, index * frame_time, frame_time, options.camera_moves,
                      options.width, options.height);
  Picture picture;
  picture.labels = LabelMap(options.width, options.height);
  picture.then_from_now = {.then_from_now = Grid<Vec2>(options.width, options.height),
                           .step = 1,
                           .frame_width = options.width,
                           .frame_height = options.height};
  RgbImage image(options.width, options.height);
  Grid<uint32_t> parts(options.width, options.height);
  std::vector<int> objects;
  for (int y = 0; y < options.height; ++y) {
    street.CollectRow(y, objects);
    for (int x = 0; x < options.width; ++x) {
      const StreetHit hit = street.Trace(x, y, objects);
      picture.labels(x, y) = hit.label;
      parts(x, y) = hit.part;
      image(x, y) = street.Shade(hit);
      if (index > 0) picture.then_from_now.then_from_now(x, y) = street.ThenFromNow(x, y, hit);
    }
  }
  SmoothEdges(street, parts, image);
  picture.frame = FrameFromRgb(image, ColorSpec{});
  for (int i = 0; i < 3 && options.noise > 0; ++i) {
    // Cameras share one chroma sample among four pixels, which halves its noise.
    AddNoise(picture.frame.MutablePlane(i), picture.frame.plane(i),
             i == 0 ? options.noise : options.noise / 2, MixBits(options.seed + 1000, index, i));
  }
  picture.frame.id = static_cast<FrameId>(index);
  picture.frame.pts = std::llround(index * 1e6 / options.fps);
  return picture;
}

std::unique_ptr<FrameSource> MakeSyntheticSource(const SyntheticOptions& scene,
                                                 const SourceOptions& options) {
  return std::make_unique<SyntheticSource>(scene, options);
}

}  // namespace stac
