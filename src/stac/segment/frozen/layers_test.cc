#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <ostream>
#include <vector>

#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/test_gradient_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

struct Case {
  const char* name;
  int64_t in, out, kernel_height, kernel_width;
  ConvGeometry geometry;
  bool own_way_back;

  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

class FrozenConvolutionTest : public testing::TestWithParam<Case> {};

// In double precision and, as networks run, in floats by way of oneDNN with channels side by side.
TEST_P(FrozenConvolutionTest, AnswersAndDifferentiatesAsAten) {
  const Case& c = GetParam();
  at::manual_seed(5);
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-5;
    const auto weight =
        at::randn({c.out, c.in / c.geometry.groups, c.kernel_height, c.kernel_width}, type)
            .contiguous(type == at::kDouble ? at::MemoryFormat::Contiguous
                                            : at::MemoryFormat::ChannelsLast);
    const auto bias = at::randn({c.out}, type);
    const auto kernel = InputGradientKernel(weight, c.geometry, type);
    EXPECT_EQ(kernel.is_same(weight), !c.own_way_back);
    for (const bool relu : {false, true}) {
      const FrozenConvolution layer{weight, bias, kernel, c.geometry, relu};
      const auto frozen = [&](const at::Tensor& x) { return layer.Run(x); };
      const auto plain = [&](const at::Tensor& x) {
        const auto y = at::conv2d(x, weight, bias, c.geometry.stride, c.geometry.padding,
                                  c.geometry.dilation, c.geometry.groups);
        return relu ? y.relu() : y;
      };
      // Sizes that strides divide, and others.
      for (const auto& [height, width] :
           {std::pair(24, 36), std::pair(25, 37), std::pair(26, 35)}) {
        for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
          const auto x = at::randn({2, c.in, height, width}, type).contiguous(format);
          const auto expected = plain(x);
          EXPECT_LT(RelativeError(frozen(x), expected), tolerance);
          const auto by_output = at::randn_like(expected);
          EXPECT_LT(
              RelativeError(GradientOf(frozen, x, by_output), GradientOf(plain, x, by_output)),
              tolerance)
              << height << "x" << width << " " << relu << format;
        }
      }
    }
  }
}

TEST_P(FrozenConvolutionTest, DifferentiatesInFewerBits) {
  if (!HalfType(at::kCPU)) GTEST_SKIP() << "skipped: this processor has no AVX512_BF16";
  const Case& c = GetParam();
  at::manual_seed(6);
  const auto weight = at::randn({c.out, c.in / c.geometry.groups, c.kernel_height, c.kernel_width})
                          .contiguous(at::MemoryFormat::ChannelsLast);
  const auto kernel = [&](at::ScalarType type) {
    return InputGradientKernel(weight, c.geometry, type);
  };
  for (const bool relu : {false, true}) {
    const FrozenConvolution full{weight, {}, kernel(at::kFloat), c.geometry, relu};
    const FrozenConvolution half{weight, {}, kernel(at::kBFloat16), c.geometry, relu};
    const auto x = at::randn({2, c.in, 25, 37});
    const auto y = full.Run(x);
    EXPECT_TRUE(at::equal(half.Run(x), y));
    const auto by_output = at::randn_like(y);
    const auto gradient = [&](const FrozenConvolution& layer) {
      return GradientOf([&](const at::Tensor& v) { return layer.Run(v); }, x, by_output);
    };
    const auto expected = gradient(full), found = gradient(half);
    EXPECT_EQ(found.scalar_type(), at::kFloat);
    EXPECT_LT(RelativeError(found, expected), 0.02);
    EXPECT_EQ(at::equal(found, expected), half.gradient_kernel.scalar_type() == at::kFloat);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FrozenConvolutionTest,
    testing::Values(
        Case{"square", 5, 7, 3, 3, {.padding = {1, 1}}, true},
        Case{"pointwise", 5, 7, 1, 1, {}, true}, Case{"unpadded", 4, 3, 5, 5, {}, true},
        Case{"oblong", 4, 6, 1, 5, {.padding = {0, 2}}, true},
        Case{"dilated", 4, 6, 3, 3, {.padding = {4, 4}, .dilation = {4, 4}}, true},
        Case{"unevenly_dilated", 4, 6, 3, 3, {.padding = {1, 2}, .dilation = {1, 2}}, true},
        Case{"grouped", 6, 8, 3, 3, {.padding = {1, 1}, .groups = 2}, true},
        Case{"depthwise", 6, 6, 5, 5, {.padding = {4, 4}, .dilation = {2, 2}, .groups = 6}, true},
        Case{"padded_beyond_itself", 4, 6, 1, 1, {.padding = {1, 1}}, false},
        Case{"stem", 3, 8, 3, 3, {.stride = {2, 2}, .padding = {1, 1}}, true},
        Case{"large_stem", 3, 8, 7, 7, {.stride = {2, 2}, .padding = {3, 3}}, true},
        Case{"stem_without_stride", 3, 8, 7, 7, {.padding = {3, 3}}, true},
        Case{"unpadded_without_stride", 2, 8, 6, 6, {}, true},
        Case{"dilated_stem", 3, 8, 5, 5, {.padding = {4, 4}, .dilation = {2, 2}}, true},
        Case{"grey_stem", 1, 8, 7, 7, {.stride = {2, 2}, .padding = {3, 3}}, true},
        Case{"thin", 1, 8, 3, 3, {.padding = {1, 1}}, true},
        Case{"unpadded_stem", 3, 8, 4, 4, {.stride = {2, 2}}, true},
        Case{"patches", 1, 8, 4, 4, {.stride = {4, 4}}, true},
        Case{"sparse", 1, 8, 2, 2, {.stride = {3, 3}}, true},
        Case{"strided_dilated_depthwise",
             6,
             6,
             3,
             3,
             {.stride = {2, 2}, .padding = {3, 3}, .dilation = {3, 3}, .groups = 6},
             false},
        Case{"strided_oblong_depthwise",
             6,
             6,
             3,
             2,
             {.stride = {2, 3}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 6},
             false},
        Case{"sparse_depthwise", 6, 6, 2, 2, {.stride = {3, 3}, .groups = 6}, false},
        Case{"strided_depthwise_without_gaps",
             6,
             6,
             3,
             3,
             {.stride = {2, 2}, .padding = {1, 1}, .groups = 6},
             false},
        Case{"strided_wide", 16, 8, 3, 3, {.stride = {2, 2}, .padding = {1, 1}}, false},
        Case{"many_channels", 32, 32, 3, 3, {.padding = {1, 1}}, true},
        Case{"strided_many_channels", 64, 64, 3, 3, {.stride = {2, 2}, .padding = {1, 1}}, false},
        Case{"stem_of_many_channels", 3, 64, 7, 7, {.stride = {2, 2}, .padding = {3, 3}}, true},
        Case{"strided_one_way", 2, 8, 3, 3, {.stride = {2, 1}, .padding = {1, 1}}, false}));

TEST(InputGradientKernelTest, LayersThatWaitForMemoryKeepTheirNumbers) {
  const auto type = [](at::IntArrayRef weight, const ConvGeometry& geometry) {
    return InputGradientKernel(at::ones(weight), geometry, at::kBFloat16).scalar_type();
  };
  EXPECT_EQ(type({32, 32, 3, 3}, {.padding = {1, 1}}), at::kBFloat16);
  EXPECT_EQ(type({64, 3, 7, 7}, {.stride = {2, 2}, .padding = {3, 3}}), at::kBFloat16);
  EXPECT_EQ(type({256, 256, 1, 1}, {}), at::kBFloat16);
  EXPECT_EQ(type({64, 64, 1, 1}, {}), at::kFloat);
  EXPECT_EQ(type({12, 12, 3, 3}, {.padding = {1, 1}}), at::kFloat);
  EXPECT_EQ(type({512, 1, 5, 5}, {.padding = {2, 2}, .groups = 512}), at::kFloat);
}

// A frozen layer in a network may be asked for without a gradient, too.
TEST(FrozenConvolutionTest, WithoutAGradientIsThePlainOne) {
  at::manual_seed(6);
  const auto weight = at::randn({4, 3, 3, 3}), x = at::randn({1, 3, 8, 8});
  const ConvGeometry geometry{.padding = {1, 1}};
  const FrozenConvolution layer{
      .weight = weight,
      .gradient_kernel = InputGradientKernel(weight, geometry, at::kFloat),
      .geometry = geometry};
  const auto y = layer.Run(x);
  EXPECT_FALSE(y.requires_grad());
  EXPECT_LT(RelativeError(y, at::conv2d(x, weight, {}, 1, 1)), 1e-5);
}

struct TransposedCase {
  const char* name;
  int64_t in, out, kernel;
  ConvGeometry geometry;
  std::array<int64_t, 2> output_padding;

  friend std::ostream& operator<<(std::ostream& out, const TransposedCase& c) {
    return out << c.name;
  }
};

class FrozenTransposedTest : public testing::TestWithParam<TransposedCase> {};

TEST_P(FrozenTransposedTest, AnswersAndDifferentiatesAsAten) {
  const TransposedCase& c = GetParam();
  const ConvGeometry& g = c.geometry;
  at::manual_seed(8);
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-5;
    const auto weight = at::randn({c.in, c.out / g.groups, c.kernel, c.kernel}, type)
                            .contiguous(type == at::kDouble ? at::MemoryFormat::Contiguous
                                                            : at::MemoryFormat::ChannelsLast);
    for (const auto& bias : {at::Tensor(), at::randn({c.out}, type)}) {
      const FrozenTransposedConvolution layer{
          {weight, bias, InputGradientKernel(weight, g, type), g}, c.output_padding};
      const auto frozen = [&](const at::Tensor& x) { return layer.Run(x); };
      const auto plain = [&](const at::Tensor& x) {
        return at::conv_transpose2d(x, weight, bias, g.stride, g.padding, c.output_padding,
                                    g.groups, g.dilation);
      };
      // What is behind it may change it in place.
      const auto rectified = [&](const at::Tensor& x) { return layer.Run(x).relu_(); };
      const auto plain_rectified = [&](const at::Tensor& x) { return plain(x).relu(); };
      for (const auto& size : {std::vector<int64_t>{2, c.in, 9, 14}, {c.in, 8, 7}}) {
        const auto x = at::randn(size, type);
        const auto expected = plain(x);
        EXPECT_LT(RelativeError(frozen(x), expected), tolerance);
        const auto by_output = at::randn_like(expected);
        EXPECT_LT(RelativeError(GradientOf(frozen, x, by_output), GradientOf(plain, x, by_output)),
                  tolerance);
        EXPECT_LT(RelativeError(GradientOf(rectified, x, by_output),
                                GradientOf(plain_rectified, x, by_output)),
                  tolerance);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Geometries, FrozenTransposedTest,
    testing::Values(
        TransposedCase{"cells", 5, 4, 2, {.stride = {2, 2}}, {0, 0}},
        TransposedCase{"wide_cells", 20, 20, 2, {.stride = {2, 2}}, {0, 0}},
        TransposedCase{"overlapping", 6, 3, 3, {.stride = {2, 2}, .padding = {1, 1}}, {1, 1}},
        TransposedCase{"wide_overlapping", 6, 24, 4, {.stride = {2, 2}, .padding = {1, 1}}, {0, 0}},
        TransposedCase{"without_stride", 6, 5, 3, {.padding = {1, 1}}, {0, 0}},
        TransposedCase{"one_way", 6, 5, 3, {.stride = {2, 1}, .padding = {1, 1}}, {1, 0}},
        TransposedCase{
            "grouped", 6, 4, 3, {.stride = {2, 2}, .padding = {1, 1}, .groups = 2}, {0, 0}}));

// Batch normalization as ATen has it, of parameters whose scale is some below zero.
struct Normalization {
  at::Tensor weight, bias, mean, variance;

  explicit Normalization(at::ScalarType type)
      : weight(at::randn({6}, type)),
        bias(at::randn({6}, type)),
        mean(at::randn({6}, type)),
        variance(at::rand({6}, type) + 0.5) {}
  at::Tensor Scale() const { return weight * (variance + 1e-3).rsqrt(); }
  at::Tensor Shift() const { return bias - mean * Scale(); }
};

TEST(FrozenActivationTest, AnswersAndDifferentiatesAsAten) {
  at::manual_seed(7);
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-5;
    const Normalization norm(type);
    for (const bool normalized : {false, true}) {
      for (const auto& slopes : {at::Tensor(), at::randn({1}, type), at::randn({6}, type)}) {
        for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
          // More values than one thread takes at a time.
          auto x = at::randn({2, 6, 55, 67}, type).contiguous(format);
          x[0][0][0][0] = 0;
          FrozenActivation layer{.slopes = slopes};
          if (normalized) {
            layer.scale = norm.Scale();
            layer.shift = norm.Shift();
          }
          const auto frozen = [&](const at::Tensor& v) { return layer.Run(v); };
          const auto plain = [&](const at::Tensor& v) {
            const at::Tensor t =
                normalized ? at::batch_norm(v, norm.weight, norm.bias, norm.mean, norm.variance,
                                            /*training=*/false, 0.1, 1e-3, /*cudnn_enabled=*/false)
                           : v;
            return slopes.defined() ? at::prelu(t, slopes) : t.clone();
          };
          EXPECT_LT(RelativeError(frozen(x), plain(x)), tolerance);
          // Laid out as x, and otherwise.
          for (const auto& by_output : {at::randn_like(x), at::randn(x.sizes(), x.options())})
            EXPECT_LT(
                RelativeError(GradientOf(frozen, x, by_output), GradientOf(plain, x, by_output)),
                tolerance);
        }
      }
    }
  }
}

// Maps of other shapes, and maps with gaps.
TEST(FrozenActivationTest, TakesWhatIsLaidOutInNoUsualWay) {
  at::manual_seed(9);
  const FrozenActivation layer{.slopes = at::randn({6})};
  const auto frozen = [&](const at::Tensor& v) { return layer.Run(v); };
  const auto plain = [&](const at::Tensor& v) { return at::prelu(v, layer.slopes); };
  for (const auto& x : {at::randn({2, 6, 9, 10}).slice(3, 1, 8), at::randn({3, 6}),
                        at::randn({2, 6, 11}), at::randn({0, 6, 4, 4})}) {
    EXPECT_TRUE(at::allclose(frozen(x), plain(x)));
    const auto by_output = at::randn_like(x);
    EXPECT_TRUE(at::allclose(GradientOf(frozen, x, by_output), GradientOf(plain, x, by_output)));
  }
}

// ---- ReLU ----

TEST(RectifyTest, IsAtensReluAndItsGradient) {
  at::manual_seed(10);
  const float none = std::numeric_limits<float>::quiet_NaN();
  const auto format = at::MemoryFormat::ChannelsLast;
  const auto x = at::randn({2, 6, 55, 67}).contiguous(format);
  x[0][0][0][0] = 0;
  x[0][0][0][1] = none;
  const auto by_output = at::randn_like(x);
  by_output[0][1][0][0] = none;
  by_output[0][1][0][1] = std::numeric_limits<float>::infinity();
  by_output[0][1][0][2] = 0x1.018p0f;  // halfway between two bfloat16 numbers
  by_output[0][1][0][3] = 0x1.028p0f;
  auto y = x.clone();
  const auto passed = RectifyInPlace(y);
  EXPECT_TRUE(at::allclose(y, x.relu(), 0, 0, /*equal_nan=*/true));
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto expected = at::threshold_backward(by_output, x.relu(), 0).to(type);
    const auto found = RectifiedGradient(by_output, passed, type);
    EXPECT_EQ(found.scalar_type(), type);
    EXPECT_TRUE(found.is_contiguous(format));
    EXPECT_TRUE(at::allclose(found, expected, 0, 0, /*equal_nan=*/true));
  }
}

// What somebody else still looks at stays as it is.
TEST(RectifyTest, OverwritesOnlyWhatIsNobodyElses) {
  const auto x = at::randn({1, 4, 8, 8});
  auto y = x.clone();
  const auto passed = RectifyInPlace(y);
  const auto seen = at::ones_like(x);
  const auto also = seen;
  const auto found = RectifiedGradient(seen, passed, at::kFloat);
  EXPECT_TRUE(at::equal(also, at::ones_like(x)));
  EXPECT_TRUE(at::equal(found, (x > 0).to(at::kFloat)));
  auto own = at::ones_like(x);
  const void* memory = own.data_ptr();
  EXPECT_EQ(RectifiedGradient(own, passed, at::kFloat).data_ptr(), memory);
}

}  // namespace
}  // namespace stac
