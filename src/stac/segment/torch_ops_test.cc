#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <random>

#include "stac/capture/image_io.h"
#include "stac/segment/row_loss_internal.h"
#include "stac/segment/torch_ops_internal.h"

namespace stac {
namespace {

constexpr ColorSpec kSpecs[] = {{ColorMatrix::kBt601, ColorRange::kLimited},
                                {ColorMatrix::kBt601, ColorRange::kFull},
                                {ColorMatrix::kBt709, ColorRange::kLimited},
                                {ColorMatrix::kBt709, ColorRange::kFull}};

// Samples in the given range, so that RGB stays inside (narrow) or is clipped here and there
// (wide).
Frame RandomFrame(int width, int height, ColorSpec color, int low, int high) {
  Frame frame(width, height, color);
  std::mt19937 random(7);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        frame.MutablePlane(i)[y * plane.stride + x] =
            static_cast<uint8_t>(low + static_cast<int>(random() % (high - low + 1)));
      }
    }
  }
  return frame;
}

// Two 3x3 convolutions with a smooth nonlinearity between, in double precision.
at::Tensor TinyNetwork(const at::Tensor& rgb, int classes) {
  std::mt19937 random(3);
  const auto weights = [&](int out, int in) {
    auto w = at::empty({out, in, 3, 3}, at::kDouble);
    double* data = w.data_ptr<double>();
    for (int64_t i = 0; i < w.numel(); ++i) data[i] = (random() % 2001) / 500.0 - 2;
    return w;
  };
  return at::conv2d(at::tanh(at::conv2d(rgb, weights(6, 3), {}, 1, 1)), weights(classes, 6), {}, 1,
                    1);
}

TEST(RgbFromPlanesTest, EqualsThePictureConversionWithinRounding) {
  for (const ColorSpec& color : kSpecs) {
    const Frame frame = RandomFrame(48, 32, color, 0, 255);
    const RgbImage expected = RgbFromFrame(frame);
    const auto rgb = RgbFromPlanes(PlanesFromFrame(frame, at::kFloat), color);
    const auto values = rgb.accessor<float, 4>();
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 48; ++x) {
        // Half a step of rounding, and as much again for fixed-point arithmetic.
        EXPECT_NEAR(values[0][0][y][x] * 255, expected(x, y).r, 1.01) << ToString(color);
        EXPECT_NEAR(values[0][1][y][x] * 255, expected(x, y).g, 1.01) << ToString(color);
        EXPECT_NEAR(values[0][2][y][x] * 255, expected(x, y).b, 1.01) << ToString(color);
      }
    }
  }
}

TEST(RgbTensorTest, EqualsTheStepsOfIt) {
  for (const ColorSpec& color : kSpecs) {
    for (const auto& [width, height] :
         {std::pair(48, 32), std::pair(1030, 66), std::pair(16, 16)}) {
      const Frame frame = RandomFrame(width, height, color, 0, 255);
      const auto steps = RgbFromPlanes(PlanesFromFrame(frame, at::kDouble), color);
      const auto rgb = RgbTensor(frame, at::kFloat);
      ASSERT_EQ(rgb.sizes(), steps.sizes());
      EXPECT_LT((rgb - steps).abs().max().item().toDouble(), 1e-6) << ToString(color);
    }
  }
}

TEST(RgbFromPlanesTest, WhiteAndBlackAreExact) {
  for (const ColorSpec& color : kSpecs) {
    const bool limited = color.range == ColorRange::kLimited;
    for (const double white : {0.0, 1.0}) {
      const FramePlanes planes{
          at::full({1, 1, 2, 2}, limited ? 16 + 219 * white : 255 * white, at::kDouble),
          at::full({1, 2, 1, 1}, 128, at::kDouble)};
      const auto rgb = RgbFromPlanes(planes, color);
      EXPECT_LT((rgb - white).abs().max().item().toDouble(), 1e-12) << ToString(color);
    }
  }
}

TEST(RgbFromPlanesTest, GradientPassesThroughTheClamp) {
  FramePlanes planes{at::full({1, 1, 4, 4}, 250.0, at::kDouble).set_requires_grad(true),
                     at::full({1, 2, 2, 2}, 128.0, at::kDouble).set_requires_grad(true)};
  const auto rgb = RgbFromPlanes(planes, {});
  EXPECT_DOUBLE_EQ(rgb.max().item().toDouble(), 1.0);
  const auto gradients = torch::autograd::grad({rgb.sum()}, {planes.luma, planes.chroma});
  EXPECT_NEAR(gradients[0][0][0][0][0].item().toDouble(), 3.0 / 219, 1e-12);
}

// With the border repeated and squares averaged, against autograd step by step.
TEST(GradientFromRgbTest, EqualsThePlainBackwardPass) {
  for (const ColorSpec& color : kSpecs) {
    for (const int downscale : {1, 2, 4}) {
      const Frame frame = RandomFrame(38, 30, color, 0, 255);
      FramePlanes planes = PlanesFromFrame(frame, at::kDouble);
      planes.luma.set_requires_grad(true);
      planes.chroma.set_requires_grad(true);
      auto rgb = RgbFromPlanes(planes, color);
      if (downscale > 1) rgb = at::avg_pool2d(rgb, {downscale, downscale});
      const auto padded = at::replication_pad2d(rgb, {0, 5, 0, 3});
      at::manual_seed(5);
      const auto by_rgb = at::randn(padded.sizes(), at::kDouble);
      const auto plain = torch::autograd::grad({padded}, {planes.luma, planes.chroma}, {by_rgb});
      const InputSource source = {color, 38, 30, downscale};
      const InputGradient gradient = GradientFromRgb(by_rgb / 3, source, 3, /*chroma=*/true);
      const auto difference = [](const Grid<float>& grid, const at::Tensor& expected) {
        const auto values =
            at::from_blob(const_cast<float*>(grid.data()), {grid.height(), grid.width()});
        return (values.to(at::kDouble) - expected).abs().max().item().toDouble();
      };
      EXPECT_LT(difference(gradient.y, plain[0][0][0]), 1e-6) << downscale;
      EXPECT_LT(difference(gradient.cb, plain[1][0][0]), 1e-6) << downscale;
      EXPECT_LT(difference(gradient.cr, plain[1][0][1]), 1e-6) << downscale;

      const InputGradient luma_only = GradientFromRgb(by_rgb / 3, source, 3, /*chroma=*/false);
      EXPECT_EQ(luma_only.y, gradient.y);
      EXPECT_TRUE(luma_only.cb.empty() && luma_only.cr.empty());

      const FramePlanes planes_of_gradient = PlaneGradients(by_rgb / 3, source, 3, /*chroma=*/true);
      EXPECT_TRUE(at::allclose(planes_of_gradient.luma, plain[0], 0, 1e-6)) << downscale;
      EXPECT_TRUE(at::allclose(planes_of_gradient.chroma, plain[1], 0, 1e-6)) << downscale;
      EXPECT_FALSE(PlaneGradients(by_rgb / 3, source, 3, /*chroma=*/false).chroma.defined());
    }
  }
}

// The definition, coefficient by coefficient; what lies beyond the plane is zero.
double SumOfMagnitudes(const Grid<float>& plane, int block, int x0, int y0, int region) {
  const auto wave = [block](int k, int i) {
    return std::sqrt((k == 0 ? 1.0 : 2.0) / block) *
           std::cos((2 * i + 1) * k * std::acos(-1) / (2 * block));
  };
  double sum = 0;
  for (int by = y0; by < std::min(y0 + region, plane.height()); by += block) {
    for (int bx = x0; bx < std::min(x0 + region, plane.width()); bx += block) {
      for (int k = 0; k < block * block; ++k) {
        double coefficient = 0;
        for (int y = by; y < std::min(by + block, plane.height()); ++y) {
          for (int x = bx; x < std::min(bx + block, plane.width()); ++x) {
            coefficient += plane(x, y) * wave(k / block, y - by) * wave(k % block, x - bx);
          }
        }
        sum += std::abs(coefficient);
      }
    }
  }
  return sum;
}

TEST(RegionSumsTest, AreWhatTheGradientsSumUpTo) {
  at::manual_seed(11);
  const ColorSpec color{ColorMatrix::kBt601, ColorRange::kFull};
  const int width = 70, height = 38;
  const InputSource source = {color, width, height};
  const auto by_rgb = at::randn({1, 3, 40, 72});
  const InputGradient gradient = GradientFromRgb(by_rgb.clone(), source, 1, /*chroma=*/true);
  // The last one is far larger than the frame.
  for (const RegionSums& wanted :
       {RegionSums{16, 8, 0}, {16, 4, 0.5}, {32, 8, 0.25}, {1 << 30, 8, 1}}) {
    Grid<float> sums;
    for (int pass = 0; pass < 2; ++pass) {
      AddRegionSums(by_rgb / 3, source, 3, wanted, sums);
    }
    const int size = wanted.region_size, half = size / 2;
    ASSERT_TRUE(sums.SameSize((width - 1) / size + 1, (height - 1) / size + 1));
    for (int y = 0; y < sums.height(); ++y) {
      for (int x = 0; x < sums.width(); ++x) {
        double expected = SumOfMagnitudes(gradient.y, wanted.block_size, x * size, y * size, size);
        for (const Grid<float>* chroma : {&gradient.cb, &gradient.cr}) {
          expected += wanted.chroma_weight *
                      SumOfMagnitudes(*chroma, wanted.block_size, x * half, y * half, half);
        }
        EXPECT_NEAR(sums(x, y), 2 * expected, 1e-4 * expected) << x << "," << y;
      }
    }
  }
}

// Central differences of objective(network(rgb(planes))) at some samples of each plane.
TEST(ObjectiveTest, GradientsAgreeWithFiniteDifferences) {
  const ColorSpec color{ColorMatrix::kBt709, ColorRange::kLimited};
  const Frame frame = RandomFrame(16, 16, color, 100, 150);
  const int classes = 5;
  for (const auto kind :
       {ObjectiveKind::kFakeLabelLoss, ObjectiveKind::kMargin, ObjectiveKind::kProjection}) {
    Objective objective;
    objective.kind = kind;
    objective.class_weights = {1.f, 0.5f, 2.f, 1.f, 3.f};
    const auto value = [&](const FramePlanes& planes) {
      return ObjectiveValue(TinyNetwork(RgbFromPlanes(planes, color), classes), objective, 1);
    };
    FramePlanes planes = PlanesFromFrame(frame, at::kDouble);
    planes.luma.set_requires_grad(true);
    planes.chroma.set_requires_grad(true);
    const auto gradients = torch::autograd::grad({value(planes)}, {planes.luma, planes.chroma});
    const double scale = gradients[0].abs().max().item().toDouble();
    ASSERT_GT(scale, 0);
    at::NoGradGuard no_gradient;
    for (int which = 0; which < 2; ++which) {
      const auto& plane = which == 0 ? planes.luma : planes.chroma;
      double* samples = plane.data_ptr<double>();
      for (int64_t i = 0; i < plane.numel(); i += 7) {
        const double sample = samples[i], step = 1e-4;
        samples[i] = sample + step;
        const double above = value(planes).item().toDouble();
        samples[i] = sample - step;
        const double below = value(planes).item().toDouble();
        samples[i] = sample;
        EXPECT_NEAR(gradients[which].contiguous().data_ptr<double>()[i],
                    (above - below) / (2 * step), 1e-6 * scale)
            << "objective " << static_cast<int>(kind) << ", plane " << which << ", sample " << i;
      }
    }
  }
}

TEST(ObjectiveTest, ClosedFormOfTheLossIsWhatAutogradGives) {
  at::manual_seed(3);
  for (const auto type : {at::kFloat, at::kDouble}) {
    for (const std::vector<float>& weights : {std::vector<float>{}, {1.f, 0.5f, 2.f, 0.f, 3.f}}) {
      const auto logits = (at::randn({1, 5, 9, 11}, type) * 4).set_requires_grad(true);
      const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss, .class_weights = weights};
      const auto value = ObjectiveValue(logits, objective, 0);
      const auto expected = torch::autograd::grad({value}, {logits})[0];
      const LossGradient found = GradientOfLoss(logits, weights);
      const double tolerance = type == at::kFloat ? 1e-6 : 1e-14;
      EXPECT_NEAR(found.value.item().toDouble(), value.item().toDouble(), tolerance);
      EXPECT_LT((found.by_logits - expected).abs().max().item().toDouble(), tolerance);
    }
  }
}

TEST(ObjectiveTest, ValuesWorkedOutByHand) {
  // One pixel of logits (2, 0, 1): the largest is class 0.
  const auto logits = at::tensor(std::vector<double>{2, 0, 1}, at::kDouble).view({1, 3, 1, 1});
  Objective objective;
  objective.kind = ObjectiveKind::kMargin;
  EXPECT_DOUBLE_EQ(ObjectiveValue(logits, objective, 0).item().toDouble(), 1);
  objective.class_weights = {3, 1, 1};
  EXPECT_DOUBLE_EQ(ObjectiveValue(logits, objective, 0).item().toDouble(), 3);
  objective = {};
  objective.kind = ObjectiveKind::kFakeLabelLoss;
  EXPECT_NEAR(ObjectiveValue(logits, objective, 0).item().toDouble(),
              std::log(1 + std::exp(-2) + std::exp(-1)), 1e-12);
  objective.kind = ObjectiveKind::kProjection;
  const auto tile = ProjectionTile(objective.seed, 0, 3);
  const auto p = logits.softmax(1);
  double expected = 0;
  for (int c = 0; c < 3; ++c) {
    expected += (p[0][c][0][0] * tile[0][c][0][0]).item().toDouble();
  }
  EXPECT_NEAR(ObjectiveValue(logits, objective, 0).item().toDouble(), expected, 1e-12);
}

TEST(ObjectiveTest, TheLossCanBeAgainstGivenLabels) {
  const auto logits = at::tensor(std::vector<double>{2, 0, 1}, at::kDouble).view({1, 3, 1, 1});
  Objective objective;
  objective.kind = ObjectiveKind::kFakeLabelLoss;
  // Labels of a frame twice as large as the logits: the first of each 2x2 counts.
  const LabelMap labels(2, 2, std::vector<uint8_t>{1, 0, 0, 0});
  objective.labels = &labels;
  EXPECT_NEAR(ObjectiveValue(logits, objective, 0).item().toDouble(),
              std::log(std::exp(2) + 1 + std::exp(1)), 1e-12);
  const LabelMap other_size(3, 2);
  objective.labels = &other_size;
  EXPECT_THROW(ObjectiveValue(logits, objective, 0), std::exception);
  const LabelMap other_class(1, 1, uint8_t{3});
  objective.labels = &other_class;
  EXPECT_THROW(ObjectiveValue(logits, objective, 0), std::exception);
}

TEST(ProjectionTileTest, IsStandardNormalAndFixed) {
  const auto tile = ProjectionTile(1, 0, 19);
  EXPECT_NEAR(tile.mean().item().toDouble(), 0, 0.02);
  EXPECT_NEAR(tile.pow(2).mean().item().toDouble(), 1, 0.02);
  EXPECT_NEAR(tile.pow(4).mean().item().toDouble(), 3, 0.1);
  EXPECT_TRUE(tile.equal(ProjectionTile(1, 0, 19)));
  // Passes, seeds and neighbouring pixels are uncorrelated.
  EXPECT_NEAR((tile * ProjectionTile(1, 1, 19)).mean().item().toDouble(), 0, 0.02);
  EXPECT_NEAR((tile * ProjectionTile(2, 0, 19)).mean().item().toDouble(), 0, 0.02);
  EXPECT_NEAR((tile * tile.roll(1, 3)).mean().item().toDouble(), 0, 0.02);
}

TEST(LabelsFromLogitsTest, AgreesWithArgmaxAndTakesTheFirstOfEquals) {
  auto logits = at::rand({1, 19, 33, 1100});
  logits.slice(2, 0, 1).fill_(0.5);
  const LabelMap labels = LabelsFromLogits(logits);
  const auto expected = logits.argmax(1);
  for (int y = 1; y < 33; ++y) {
    for (int x = 0; x < 1100; x += 11) {
      EXPECT_EQ(labels(x, y), expected[0][y][x].item().toLong());
    }
  }
  EXPECT_EQ(labels(1099, 0), 0);
}

at::Tensor Enlarged(const at::Tensor& logits, const Enlargement& enlargement) {
  return at::upsample_bilinear2d(logits, {enlargement.to.height, enlargement.to.width},
                                 enlargement.align_corners);
}

// To so many pixels from cell to cell.
Enlargement EnlargedBy(int factor, const at::Tensor& logits, bool align_corners) {
  const auto pixels = [&](int64_t cells) {
    return align_corners ? (cells - 1) * factor + 1 : cells * factor;
  };
  return {{pixels(logits.size(2)), pixels(logits.size(3))}, align_corners};
}

// Logits of small whole numbers and factors of powers of two leave nothing to rounding.
TEST(LabelsOfEnlargedTest, AreThoseOfTheEnlargedLogits) {
  at::manual_seed(3);
  for (const bool align_corners : {false, true}) {
    for (const int factor : {1, 2, 4, 8}) {
      const auto logits = at::randint(-8, 9, {1, 7, 9, 21}, at::kFloat);
      const Enlargement enlargement = EnlargedBy(factor, logits, align_corners);
      const auto enlarged = Enlarged(logits, enlargement);
      const int width = static_cast<int>(enlarged.size(3)) - 1;
      const int height = static_cast<int>(enlarged.size(2));
      const LabelMap expected = LabelsFromLogits(enlarged.slice(3, 0, width));
      const auto channels_last = logits.contiguous(at::MemoryFormat::ChannelsLast);
      EXPECT_EQ(LabelsOfEnlarged(channels_last, enlargement, width, height), expected) << factor;
    }
  }
}

// From 19 x 26 cells: by whole factors, by others, hardly, one way, and not at all.
const TensorSize kEnlargedSizes[] = {{57, 78}, {55, 76}, {38, 53}, {64, 31},
                                     {20, 27}, {19, 60}, {19, 26}};

// Others are as good as the largest.
TEST(LabelsOfEnlargedTest, AreRightWithinRounding) {
  at::manual_seed(4);
  const auto logits = at::randn({1, 19, 19, 26});
  for (const bool align_corners : {false, true}) {
    for (const TensorSize& to : kEnlargedSizes) {
      const Enlargement enlargement{to, align_corners};
      const auto enlarged = Enlarged(logits, enlargement);
      const int width = static_cast<int>(to.width), height = static_cast<int>(to.height);
      const LabelMap labels = LabelsOfEnlarged(logits, enlargement, width, height);
      const auto largest = enlarged.amax(1);
      const auto labelled = enlarged.gather(
          1, at::from_blob(const_cast<uint8_t*>(labels.data()), {1, 1, height, width}, at::kByte)
                 .to(at::kLong));
      EXPECT_LT((largest - labelled[0]).max().item().toFloat(), 3e-5)
          << width << 'x' << height << ' ' << align_corners;
    }
  }
}

TEST(GradientOfEnlargedLossTest, IsWhatAutogradGives) {
  at::manual_seed(5);
  const std::vector<float> weights = {0.5f, 2, 1, 0, 3};
  for (const bool align_corners : {false, true}) {
    for (const TensorSize& to : kEnlargedSizes) {
      // More rows than are summed up at a time, and a frame that is smaller than the answer.
      const Enlargement enlargement{to, align_corners};
      const auto logits = at::randn({1, 5, 19, 26}) * 4;
      const int width = static_cast<int>(to.width) - 1, height = static_cast<int>(to.height) - 2;
      for (const auto& class_weights : {std::vector<float>(), weights}) {
        const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss,
                                  .class_weights = class_weights};
        const auto cells = logits.to(at::kDouble).set_requires_grad(true);
        const auto pixels = Enlarged(cells, enlargement).slice(2, 0, height).slice(3, 0, width);
        const auto value = ObjectiveValue(pixels, objective, 0);
        const auto expected = torch::autograd::grad({value}, {cells}).front();
        const LossGradient found =
            GradientOfEnlargedLoss(logits, enlargement, width, height, class_weights);
        EXPECT_NEAR(found.value.item().toDouble(), value.item().toDouble(), 1e-5);
        EXPECT_LT((found.by_logits - expected).abs().max().item().toDouble(),
                  1e-5 * expected.abs().max().item().toDouble())
            << to.width << 'x' << to.height << ' ' << align_corners;
      }
    }
  }
}

// Logits of every pixel, in either order of their memory, and a frame that is smaller.
TEST(GradientOfEnlargedLossTest, OfWholeLogitsIsWhatAutogradGives) {
  at::manual_seed(6);
  const std::vector<float> weights = {0.5f, 2, 1, 0, 3};
  const auto values = at::randn({1, 5, 41, 37}) * 30;  // some exponentials are zero
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto logits = values.contiguous(format);
    for (const auto& [width, height] : {std::pair(37, 41), std::pair(35, 40)}) {
      const auto exact = values.to(at::kDouble).set_requires_grad(true);
      const auto pixels = exact.slice(2, 0, height).slice(3, 0, width);
      const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss, .class_weights = weights};
      const auto value = ObjectiveValue(pixels, objective, 0);
      const auto expected = 8 * torch::autograd::grad({value}, {exact}).front();
      const LossGradient found =
          GradientOfEnlargedLoss(logits, {{41, 37}}, width, height, weights, /*factor=*/8);
      EXPECT_TRUE(found.by_logits.is_contiguous(format));
      EXPECT_NEAR(found.value.item().toDouble(), value.item().toDouble(), 1e-6);
      EXPECT_LT((found.by_logits - expected).abs().max().item().toDouble(),
                1e-6 * expected.abs().max().item().toDouble());
      EXPECT_EQ(LabelsOfEnlarged(logits, {{41, 37}}, width, height),
                LabelsFromLogits(values.slice(2, 0, height).slice(3, 0, width)));
    }
  }
}

TEST(RowLossTest, ExponentialsAreRightToTheLastDigits) {
  // Two classes that lie apart by 0 to 100: the gradient by the first is 1 / (1 + exp(distance)).
  constexpr int64_t kCount = 2000;
  RowLoss loss(2, kCount, {}, /*pixels=*/1, /*factor=*/1);
  for (int64_t i = 0; i < kCount; ++i) {
    loss.Values(0)[i] = -0.05f * static_cast<float>(i);
    loss.Values(1)[i] = 0;
  }
  loss.Take(kCount);
  for (int64_t i = 1; i < kCount; ++i) {
    const double away = static_cast<double>(0.05f * static_cast<float>(i));
    const double expected = away > 87 ? 0 : std::exp(-away) / (1 + std::exp(-away));
    EXPECT_NEAR(loss.Values(0)[i], expected, 6e-7 * expected) << i;
    EXPECT_EQ(loss.Values(1)[i], -loss.Values(0)[i]) << i;  // also where softmax rounds to 1
  }
}

TEST(RowLossTest, WhatIsNoNumberStaysNone) {
  RowLoss loss(3, 2, {}, 1, 1);
  for (int64_t c = 0; c < 3; ++c) loss.Values(c)[0] = loss.Values(c)[1] = 1;
  loss.Values(1)[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(loss.Take(2)));
  EXPECT_NEAR(loss.Values(1)[0], 1.0 / 3, 1e-6);
  EXPECT_TRUE(std::isnan(loss.Values(0)[1]));
}

TEST(LabelsOfEnlargedTest, RefusesLogitsThatDoNotCoverTheFrame) {
  const auto logits = at::zeros({1, 3, 8, 8});
  EXPECT_THROW(LabelsOfEnlarged(logits, {{16, 16}}, 17, 16), c10::Error);
  EXPECT_THROW(LabelsOfEnlarged(logits, {{16, 16}}, 16, 17), c10::Error);
  EXPECT_THROW(LabelsOfEnlarged(logits, {{4, 16}}, 4, 4), c10::Error);
}

// Section V-C passes the decoded frame through DCT and inverse DCT so that the backward pass gives
// the gradient with respect to coefficients. The transform is orthonormal, so that gradient is the
// DCT of the gradient with respect to samples, and no extra pass is needed.
TEST(IdentityDctTest, GradientOfCoefficientsIsTheDctOfTheSampleGradient) {
  const int n = 4;
  auto basis = at::empty({n, n}, at::kDouble);
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < n; ++i) {
      basis[k][i] =
          std::sqrt((k == 0 ? 1.0 : 2.0) / n) * std::cos(M_PI * (2 * i + 1) * k / (2 * n));
    }
  }
  const auto samples = at::rand({1, 1, n, n}, at::kDouble) * 50 + 100;
  const auto value = [&](const at::Tensor& luma) {
    const FramePlanes planes{luma, at::full({1, 2, n / 2, n / 2}, 120.0, at::kDouble)};
    return ObjectiveValue(TinyNetwork(RgbFromPlanes(planes, {}), 3), {}, 0);
  };
  const auto luma = samples.clone().set_requires_grad(true);
  const auto by_sample = torch::autograd::grad({value(luma)}, {luma})[0];
  const auto coefficients =
      basis.matmul(samples).matmul(basis.t()).detach().set_requires_grad(true);
  const auto decoded = basis.t().matmul(coefficients).matmul(basis);
  const auto by_coefficient = torch::autograd::grad({value(decoded)}, {coefficients})[0];
  const auto transformed = basis.matmul(by_sample).matmul(basis.t());
  EXPECT_GT(by_coefficient.abs().max().item().toDouble(), 0);
  EXPECT_LT((by_coefficient - transformed).abs().max().item().toDouble(),
            1e-12 * by_coefficient.abs().max().item().toDouble());
}

}  // namespace
}  // namespace stac
