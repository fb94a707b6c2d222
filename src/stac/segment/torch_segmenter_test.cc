#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <span>

#include "stac/base/file.h"
#include "stac/capture/image_io.h"
#include "stac/segment/segmenter.h"
#include "stac/segment/test_frame.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

constexpr int kClasses = 4;

at::Tensor Weights(int out, int in) {
  std::mt19937 random(out * 100 + in);
  auto w = at::empty({out, in, 3, 3}, at::kDouble);
  double* data = w.data_ptr<double>();
  for (int64_t i = 0; i < w.numel(); ++i) data[i] = (random() % 2001) / 1000.0 - 1;
  return w;
}

// A smooth network in double precision; logits at input size.
at::Tensor SmoothNetwork(const at::Tensor& rgb) {
  const auto hidden = at::tanh(at::conv2d(rgb, Weights(6, 3), {}, 1, 1));
  return at::conv2d(hidden, Weights(kClasses, 6), {}, 1, 1);
}

// The same with a bias that decides the order of the classes at every pixel: the largest logits
// stay the same under the small steps of a finite difference.
at::Tensor DecidedNetwork(const at::Tensor& rgb) {
  const auto bias = at::tensor(std::vector<double>{0, 12, 4, -4}, at::kDouble);
  return SmoothNetwork(rgb) * 0.1 + bias.view({1, kClasses, 1, 1});
}

// SmoothNetwork at half size; refuses sizes that are not multiples of 8.
at::Tensor StridedNetwork(const at::Tensor& rgb) {
  TORCH_CHECK(rgb.size(2) % 8 == 0 && rgb.size(3) % 8 == 0, "needs multiples of 8");
  return at::avg_pool2d(SmoothNetwork(rgb), {2, 2});
}

std::unique_ptr<Segmenter> DoubleSegmenter(TorchForward forward, int gradient_downscale) {
  TorchNetwork network;
  network.info.name = "tiny";
  network.forward = std::move(forward);
  network.double_precision = true;
  auto segmenter =
      MakeTorchSegmenter(std::move(network), {.gradient_downscale = gradient_downscale});
  EXPECT_TRUE(segmenter) << segmenter.error().message;
  return std::move(segmenter).value();
}

// End to end from 8-bit samples: central differences with a step of one sample, which is small
// against the scale on which the network bends.
void ExpectGradientOfSamples(Segmenter& segmenter, const Frame& frame, const Objective& objective) {
  const auto result = segmenter.RunWithGradient(frame, objective);
  ASSERT_TRUE(result) << result.error().message;
  const InputGradient& gradient = result->gradients.front();
  const Grid<float>* planes[] = {&gradient.y, &gradient.cb, &gradient.cr};
  double scale = 0;
  for (const float g : gradient.y) scale = std::max<double>(scale, std::abs(g));
  ASSERT_GT(scale, 0);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    ASSERT_TRUE(planes[i]->SameSize(plane.width, plane.height));
    for (const auto& [x, y] :
         {std::pair(0, 0), std::pair(5, 3), std::pair(plane.width - 1, plane.height - 1)}) {
      Frame changed = RandomFrame(frame.width(), frame.height());
      uint8_t& sample = changed.MutablePlane(i)[y * plane.stride + x];
      const auto value = [&](int step) {
        sample = static_cast<uint8_t>(plane.At(x, y) + step);
        return segmenter.RunWithGradient(changed, objective)->objective;
      };
      const double difference = (value(1) - value(-1)) / 2;
      EXPECT_NEAR((*planes[i])(x, y), difference, 1e-3 * scale) << "plane " << i << " at " << x;
    }
  }
}

TEST(TorchSegmenterTest, GradientIsTheChangePerSample) {
  const Frame frame = RandomFrame(32, 16);
  for (const int downscale : {1, 2, 4}) {
    const auto decided = DoubleSegmenter(DecidedNetwork, downscale);
    ExpectGradientOfSamples(*decided, frame, {.kind = ObjectiveKind::kFakeLabelLoss});
    ExpectGradientOfSamples(*decided, frame, {.kind = ObjectiveKind::kMargin});
    const auto smooth = DoubleSegmenter(SmoothNetwork, downscale);
    ExpectGradientOfSamples(*smooth, frame, {.projections = 1});
  }
}

TEST(TorchSegmenterTest, GradientIsTheChangePerSampleWithPaddingAndSmallLogits) {
  const auto segmenter = DoubleSegmenter(StridedNetwork, 1);
  ExpectGradientOfSamples(*segmenter, RandomFrame(30, 18), {.projections = 1});
  ExpectGradientOfSamples(*segmenter, RandomFrame(30, 18), {.kind = ObjectiveKind::kMargin});
  ExpectGradientOfSamples(*segmenter, RandomFrame(30, 18), {.kind = ObjectiveKind::kFakeLabelLoss});
}

TEST(TorchSegmenterTest, ABatchGivesWhatItsFramesGiveAlone) {
  const auto segmenter = DoubleSegmenter(StridedNetwork, 1);
  const Frame first = RandomFrame(22, 18), small = RandomFrame(16, 16);
  Frame second = RandomFrame(22, 18);
  std::fill_n(second.MutablePlane(0), second.plane(0).stride * 7, uint8_t{200});
  const Objective loss{.kind = ObjectiveKind::kFakeLabelLoss};
  const Objective margin{.kind = ObjectiveKind::kMargin};
  const auto expect_alike = [&](std::span<const Frame* const> frames, const Objective* objective) {
    const auto together = segmenter->RunBatch(frames, objective);
    ASSERT_EQ(together.size(), frames.size());
    for (size_t i = 0; i < frames.size(); ++i) {
      const auto alone = objective == nullptr ? segmenter->Run(*frames[i])
                                              : segmenter->RunWithGradient(*frames[i], *objective);
      ASSERT_TRUE(alone && together[i]);
      EXPECT_EQ(alone->labels, together[i]->labels);
      EXPECT_NEAR(alone->objective, together[i]->objective, 1e-9);
      ASSERT_EQ(alone->gradients.size(), together[i]->gradients.size());
      if (objective == nullptr) continue;
      const auto &a = alone->gradients.front().y, &b = together[i]->gradients.front().y;
      for (size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a.data()[k], b.data()[k], 1e-7);
    }
  };
  const Frame* const alike[] = {&first, &second};
  const Frame* const mixed[] = {&first, &small, &second};
  for (const Objective* objective : {static_cast<const Objective*>(nullptr), &loss, &margin}) {
    expect_alike(alike, objective);
    expect_alike(mixed, objective);
  }
  // What a frame alone would be refused for, all are.
  const Objective impossible{.kind = ObjectiveKind::kFakeLabelLoss, .class_weights = {1}};
  for (const auto& result : segmenter->RunBatch(alike, &impossible)) EXPECT_FALSE(result);
}

TEST(TorchSegmenterTest, ProjectionsAreIndependentAndRepeatable) {
  const auto segmenter = DoubleSegmenter(SmoothNetwork, 1);
  const Frame frame = RandomFrame(32, 16);
  const auto result = segmenter->RunWithGradient(frame, {.projections = 3});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->gradients.size(), 3u);
  EXPECT_NE(result->gradients[0].y, result->gradients[1].y);
  const auto again = segmenter->Clone()->RunWithGradient(frame, {.projections = 3});
  for (int k = 0; k < 3; ++k) EXPECT_EQ(result->gradients[k].y, again->gradients[k].y);
  EXPECT_EQ(result->labels, segmenter->Run(frame)->labels);
  EXPECT_TRUE(segmenter->Run(frame)->gradients.empty());
}

TEST(TorchSegmenterTest, PaddingRepeatsTheBorder) {
  // A network that copies red into class 1: with replication, cropping gives red back.
  const auto segmenter = DoubleSegmenter(
      [](const at::Tensor& rgb) {
        TORCH_CHECK(rgb.size(2) % 32 == 0 && rgb.size(3) % 32 == 0, "needs multiples of 32");
        const auto red = rgb.slice(1, 0, 1);
        TORCH_CHECK(red.size(3) == 256 ||
                        (red.select(3, -1) - red.select(3, 41)).abs().max().item().toDouble() == 0,
                    "not padded by replication");
        return at::cat({at::full_like(red, 0.5), red}, 1);
      },
      1);
  const Frame frame = RandomFrame(42, 50);
  const auto result = segmenter->Run(frame);
  ASSERT_TRUE(result) << result.error().message;
  const RgbImage rgb = RgbFromFrame(frame);
  for (int y = 0; y < 50; ++y) {
    for (int x = 0; x < 42; ++x) {
      const int red = rgb(x, y).r;
      if (std::abs(red - 127.5) > 2) {
        EXPECT_EQ(result->labels(x, y), red > 127) << red;
      }
    }
  }
}

TEST(TorchSegmenterTest, RefusesWhatIsNotASegmentationNetwork) {
  const auto message = [](TorchForward forward, int known_classes) {
    TorchNetwork network;
    network.info = {.name = "tiny", .class_count = known_classes};
    network.forward = std::move(forward);
    network.double_precision = true;
    const auto segmenter = MakeTorchSegmenter(std::move(network), {});
    return segmenter ? std::string("accepted") : segmenter.error().message;
  };
  EXPECT_EQ(message(SmoothNetwork, 4), "accepted");
  EXPECT_NE(message(SmoothNetwork, 3).find("has 4 classes where 3 are expected"),
            std::string::npos);
  EXPECT_NE(message(
                [](const at::Tensor& x) {
                  return x.mean({2, 3});
                },
                0)
                .find("shape [1,3]"),
            std::string::npos);
  EXPECT_NE(message([](const at::Tensor& x) { return x.slice(1, 0, 1); }, 0).find("2..255"),
            std::string::npos);
  EXPECT_NE(message([](const at::Tensor&) -> at::Tensor { throw std::runtime_error("broken"); }, 0)
                .find("does not run on an RGB image [1,3,256,256] of floats: broken"),
            std::string::npos);
}

TEST(TorchSegmenterTest, RefusesImpossibleObjectivesAndUndefinedGradients) {
  const auto segmenter = DoubleSegmenter(SmoothNetwork, 1);
  const Frame frame = RandomFrame(16, 16);
  EXPECT_FALSE(segmenter->RunWithGradient(frame, {.projections = 0}));
  EXPECT_FALSE(segmenter->RunWithGradient(frame, {.class_weights = {1, 2}}));
  const auto undefined =
      DoubleSegmenter([](const at::Tensor& rgb) { return SmoothNetwork(at::sqrt(rgb * 0)); }, 1);
  const auto result = undefined->RunWithGradient(frame, {});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("infinite or undefined"), std::string::npos);
}

// A network in which gradients pass through float16, `factor` times as large.
std::unique_ptr<Segmenter> ThroughHalf(const double* factor, Precision precision) {
  TorchNetwork network;
  network.info.name = "growing";
  network.info.precision = precision;
  network.forward = [factor](const at::Tensor& rgb) {
    const auto half = (rgb * (1 / *factor)).to(at::kHalf).to(at::kDouble);
    return SmoothNetwork(half * *factor).to(at::kFloat);
  };
  return MakeTorchSegmenter(std::move(network), {}).value();
}

// Magnified by the number of pixels, as small ones must be, large ones overflow.
TEST(TorchSegmenterTest, WhatOverflowsSixteenBitsIsMagnifiedLess) {
  const Objective loss{.kind = ObjectiveKind::kFakeLabelLoss};
  const Frame frame = RandomFrame(64, 64);
  double factor = 1;
  const auto plain = ThroughHalf(&factor, Precision::kFloat);
  const auto half = ThroughHalf(&factor, Precision::kHalfGradient);
  const auto expect_equal = [&] {
    // As floats they need no magnification, but where they pass through float16 here.
    const double changed = std::exchange(factor, 1);
    const auto wanted = plain->RunWithGradient(frame, loss);
    factor = changed;
    const auto got = half->RunWithGradient(frame, loss);
    ASSERT_TRUE(wanted) << wanted.error().message;
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->labels, wanted->labels);
    const Grid<float>&a = got->gradients[0].y, &b = wanted->gradients[0].y;
    double largest = 0;
    for (const float g : b) largest = std::max<double>(largest, std::abs(g));
    ASSERT_GT(largest, 0);
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.02 * largest);
  };
  factor = 4e4;
  expect_equal();
  const Frame* both[] = {&frame, &frame};
  for (const auto& result : half->RunBatch(both, &loss)) EXPECT_TRUE(result);
  // What nothing helps leaves no trace: small ones do not vanish.
  factor = 1e12;
  EXPECT_FALSE(half->RunWithGradient(frame, loss));
  factor = 1e-3;
  expect_equal();
}

TEST(RealNetworksTest, RunOnCamVidAndOnSizesThatNeedPadding) {
  const auto data = DataFolder();
  if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  std::filesystem::path picture;
  for (const auto& entry :
       std::filesystem::directory_iterator(data / "camvid/seq_0016E5_15fps/images")) {
    if (picture.empty() || entry.path() < picture) picture = entry.path();
  }
  const auto image = ReadImage(picture);
  ASSERT_TRUE(image) << image.error().message;
  const Frame camvid = FrameFromRgb(*image, {});
  const Frame odd = RandomFrame(310, 94);  // a quarter of KITTI's 1242x374: multiples of 2 only
  for (const char* name : {"deeplab_edge_city", "espnet_city", "espnetv2_city"}) {
    const std::string path = (data / "models" / name).string() + ".pt";
    const auto segmenter = LoadSegmenter(path);
    ASSERT_TRUE(segmenter) << segmenter.error().message;
    EXPECT_EQ((*segmenter)->info().class_count, 19);
    const auto first = (*segmenter)->RunWithGradient(camvid, {.projections = 1});
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_TRUE(first->labels.SameSize(camvid.width(), camvid.height()));
    double sum = 0;
    for (const float g : first->gradients[0].y) sum += std::abs(g);
    EXPECT_TRUE(std::isfinite(sum));
    EXPECT_GT(sum, 0);
    // Road in the lower middle, as in every frame of this drive.
    EXPECT_EQ(first->labels(240, 330), 0) << name;
    const auto again = (*segmenter)->Clone()->RunWithGradient(camvid, {.projections = 1});
    EXPECT_EQ(again->labels, first->labels);
    EXPECT_EQ(again->gradients[0].y, first->gradients[0].y);
    const auto padded = (*segmenter)->RunWithGradient(odd, {.projections = 1});
    ASSERT_TRUE(padded) << padded.error().message;
    EXPECT_TRUE(padded->gradients[0].cb.SameSize(155, 47));
  }
}

}  // namespace
}  // namespace stac
