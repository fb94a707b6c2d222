#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"
#include "stac/segment/frozen/test_gradient_internal.h"

namespace stac {
namespace {

// Maps in each order, in double precision, and with gaps.
std::vector<at::Tensor> MapsOf(int64_t channels, int64_t height, int64_t width) {
  const auto map = at::randn({2, channels, height, width});
  return {map, map.contiguous(at::MemoryFormat::ChannelsLast), map.to(at::kDouble),
          at::randn({2, channels, height, width + 3}).narrow(3, 1, width)};
}

using Layer = std::function<at::Tensor(const at::Tensor&)>;

// Of answers and of gradients laid out in each order.
void ExpectAlike(const Layer& ours, const Layer& aten, const at::Tensor& x, const char* what) {
  const double tolerance = x.scalar_type() == at::kDouble ? 1e-12 : 1e-5;
  const auto expected = aten(x);
  EXPECT_LT(RelativeError(ours(x), expected), tolerance) << what << x.sizes() << x.strides();
  const auto by_output = at::randn(expected.sizes(), x.options());
  for (const auto& by : {by_output, by_output.contiguous(at::MemoryFormat::ChannelsLast)})
    EXPECT_LT(RelativeError(GradientOf(ours, x, by), GradientOf(aten, x, by)), tolerance)
        << what << x.sizes() << x.strides();
}

TEST(LaidOutTest, MovesValuesAndNothingElse) {
  for (const int64_t channels : {1, 3, 4, 19, 66}) {
    for (const auto& map : MapsOf(channels, 11, 17)) {
      for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        const auto found = LaidOut(map, format);
        EXPECT_TRUE(found.is_contiguous(format));
        EXPECT_TRUE(at::equal(found, map));
      }
    }
  }
}

TEST(ResamplingTest, AveragesAsAten) {
  at::manual_seed(13);
  const AveragePooling poolings[] = {
      {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
      {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_padding = false},
      {.kernel = {2, 3}, .stride = {2, 1}, .padding = {0, 1}},
      {.kernel = {2, 2}, .stride = {3, 3}},  // some inputs are not seen
      {.kernel = {1, 1}, .stride = {1, 1}}};
  for (const int64_t channels : {3, 4, 10, 37}) {
    for (const auto& x : MapsOf(channels, 23, 30)) {
      for (const AveragePooling& pooling : poolings) {
        ExpectAlike([&](const at::Tensor& v) { return pooling.Run(v); },
                    [&](const at::Tensor& v) {
                      return at::avg_pool2d(v, pooling.kernel, pooling.stride, pooling.padding,
                                            /*ceil_mode=*/false, pooling.count_padding);
                    },
                    x, "pooling");
      }
      for (const TensorSize& to : {TensorSize{1, 1}, {5, 7}, {23, 30}, {40, 11}, {46, 60}}) {
        ExpectAlike([&](const at::Tensor& v) { return AveragedTo(v, to); },
                    [&](const at::Tensor& v) {
                      return at::adaptive_avg_pool2d(v, {to.height, to.width});
                    },
                    x, "averages");
      }
    }
  }
}

TEST(ResamplingTest, EnlargesAsAten) {
  at::manual_seed(14);
  for (const int64_t channels : {1, 5, 10, 37}) {
    for (const auto& x : MapsOf(channels, 12, 15)) {
      for (const bool align_corners : {false, true}) {
        for (const TensorSize& to : {TensorSize{24, 30}, {12, 15}, {31, 77}, {5, 7}, {1, 1}}) {
          ExpectAlike(
              [&](const at::Tensor& v) {
                return EnlargedTo(v, {to, align_corners});
              },
              [&](const at::Tensor& v) {
                return at::upsample_bilinear2d(v, {to.height, to.width}, align_corners);
              },
              x, "enlarged");
        }
      }
    }
  }
}

// Whose channels may lie in any order, as a map of one place has them.
TEST(ResamplingTest, EnlargesOnePlace) {
  const auto x = at::randn({1, 6, 1, 1});
  ExpectAlike(
      [](const at::Tensor& v) {
        return EnlargedTo(v, {{4, 5}, false});
      },
      [](const at::Tensor& v) {
        return v.expand({1, 6, 4, 5}).clone();
      },
      x, "place");
}

TEST(ShuffledTest, DealsChannelsOut) {
  const auto x = at::arange(6, at::kFloat).view({1, 6, 1, 1}).expand({1, 6, 2, 2});
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto y = Shuffled(x.contiguous(format), 2);
    const std::vector<float> expected = {0, 3, 1, 4, 2, 5};
    for (int64_t c = 0; c < 6; ++c) EXPECT_EQ(y[0][c][1][1].item().toFloat(), expected[c]);
  }
  for (const auto& map : MapsOf(15, 7, 9)) {
    ExpectAlike([](const at::Tensor& v) { return Shuffled(v.contiguous(), 5); },
                [](const at::Tensor& v) {
                  return v.reshape({2, 5, 3, 7, 9}).transpose(1, 2).reshape({2, 15, 7, 9});
                },
                map, "shuffled");
    const auto side_by_side = map.contiguous(at::MemoryFormat::ChannelsLast);
    EXPECT_TRUE(at::equal(Shuffled(side_by_side, 3), Shuffled(map.contiguous(), 3)));
  }
  const auto map = at::randn({2, 15, 7, 9}).contiguous(at::MemoryFormat::ChannelsLast);
  ExpectAlike([](const at::Tensor& v) { return Shuffled(v, 3); },
              [](const at::Tensor& v) {
                return v.reshape({2, 3, 5, 7, 9}).transpose(1, 2).reshape({2, 15, 7, 9});
              },
              map, "shuffled");
}

TEST(JoinedTest, IsCat) {
  at::manual_seed(15);
  for (const auto& first : MapsOf(5, 7, 9)) {
    for (const auto& second : MapsOf(18, 7, 9)) {
      if (first.scalar_type() != second.scalar_type()) continue;
      const auto constant = at::ones({2, 1, 7, 9}, first.options());  // no gradient there
      const auto parts = [&](const at::Tensor& x) {
        return std::vector<at::Tensor>{x, second, constant, x * x};
      };
      ExpectAlike([&](const at::Tensor& x) { return Joined(parts(x), 1); },
                  [&](const at::Tensor& x) { return at::cat(parts(x), 1); }, first, "joined");
    }
    ExpectAlike(
        [](const at::Tensor& x) {
          return Joined({x, x}, 2);
        },
        [](const at::Tensor& x) {
          return at::cat({x, x}, 2);
        },
        first, "rows");
  }
}

TEST(CopiesTest, GradientsAreAdded) {
  at::manual_seed(16);
  for (const auto& x : MapsOf(5, 17, 19)) {
    ExpectAlike(
        [](const at::Tensor& v) {
          const auto copies = Copies(v, 4);  // one of which nobody looks at
          return copies[0] * 2 + copies[1].exp() + at::relu(copies[3]);
        },
        [](const at::Tensor& v) { return v * 2 + v.exp() + at::relu(v); }, x, "copies");
  }
  const auto x = at::randn({2, 3});
  EXPECT_EQ(Copies(x, 2).back().data_ptr(), x.data_ptr());
}

// Gradients that several nodes share are not overwritten by any of them.
TEST(CopiesTest, SharedGradientsStayWhatTheyAre) {
  at::manual_seed(17);
  const auto x = at::randn({1, 4, 9, 9}).contiguous(at::MemoryFormat::ChannelsLast);
  const FrozenActivation activation{.slopes = at::full({1}, 0.25)};
  const Layer ours = [&](const at::Tensor& v) {
    const auto copies = Copies(v, 3);
    return activation.Run(copies[0]) + copies[1] + activation.Run(copies[2] * 3);
  };
  const Layer aten = [&](const at::Tensor& v) {
    return at::prelu(v, activation.slopes) + v + at::prelu(v * 3, activation.slopes);
  };
  ExpectAlike(ours, aten, x, "shared");
}

TEST(StandardizedTest, IsTheArithmeticAndItsGradient) {
  at::manual_seed(4);
  // More places than one part has, and no whole number of them.
  const auto rgb = at::rand({2, 3, 67, 131});
  for (const int64_t pictures : {1, 2}) {
    const auto zero = at::rand({pictures, 3, 1, 1}), factor = at::rand({pictures, 3, 1, 1}) + 1;
    const auto result = Standardized(rgb, zero, factor);
    EXPECT_TRUE(ChannelsSideBySide(result));
    EXPECT_TRUE(at::equal(result, (rgb - zero) * factor));
    const auto by_output = at::randn_like(result);
    const auto gradient = StandardizedGradient(by_output, factor);
    EXPECT_TRUE(gradient.is_contiguous());
    EXPECT_TRUE(at::equal(gradient, by_output * factor));
    EXPECT_TRUE(at::equal(StandardizedGradient(by_output.contiguous(), factor), gradient));
  }
  EXPECT_THROW(Standardized(at::rand({1, 4, 8, 8}), at::rand({1, 4, 1, 1}), at::rand({1, 4, 1, 1})),
               c10::Error);
}

}  // namespace
}  // namespace stac
