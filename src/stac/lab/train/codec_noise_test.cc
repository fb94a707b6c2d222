#include "stac/lab/train/codec_noise.h"

#include <gmock/gmock.h>

#include <cmath>

#include "stac/capture/image_io.h"
#include "stac/capture/synthetic_scene.h"

namespace stac {
namespace {

std::vector<uint8_t> StreetPixels() {
  const RgbImage image = RgbFromFrame(SyntheticScene({.width = 96, .height = 64}).Render(0).frame);
  std::vector<uint8_t> rgb;
  for (const Rgb& pixel : image) rgb.insert(rgb.end(), {pixel.r, pixel.g, pixel.b});
  return rgb;
}

double MeanError(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(CodecNoise, GrowsWithTheQpAndDependsOnNothingElse) {
  const CodecNoise noise = MakeCodecNoise(MakeX264Encoder);
  const std::vector<uint8_t> original = StreetPixels();
  std::vector<uint8_t> fine = original, coarse = original, again = original;
  ASSERT_TRUE(noise(96, 64, 12, fine));
  ASSERT_TRUE(noise(96, 64, 40, coarse));
  ASSERT_TRUE(noise(96, 64, 12, again));
  EXPECT_EQ(fine, again);
  EXPECT_GT(MeanError(original, fine), 0);
  EXPECT_LT(MeanError(original, fine), 4);
  EXPECT_GT(MeanError(original, coarse), 2 * MeanError(original, fine));
}

TEST(CodecNoise, TheEncodersErrorIsPassedOn) {
  const CodecNoise noise = MakeCodecNoise(
      [](const EncoderOptions&) -> Result<std::unique_ptr<VideoEncoder>> { return Fail("none"); });
  std::vector<uint8_t> rgb = StreetPixels();
  EXPECT_EQ(noise(96, 64, 20, rgb).error().message, "none");
}

}  // namespace
}  // namespace stac
