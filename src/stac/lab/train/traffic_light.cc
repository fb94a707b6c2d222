#include <array>

#include "stac/lab/train/thing_internal.h"

namespace stac {
namespace {

// Pixels of a head, its lamps and its pole, before scaling.
constexpr int64_t kHeadWidth = 40, kHeadHeight = 100, kGap = 4, kPoleWidth = 8;
constexpr double kLampRadius = 14;

struct Canvas {
  torch::Tensor rgb, mask;  // [3,h,w], [h,w]
  torch::Tensor x, y;       // of the pixels' centres: [w], [h,1]

  void Fill(const torch::Tensor& where, const std::array<double, 3>& color) {
    for (int c = 0; c < 3; ++c) rgb[c].masked_fill_(where, color[c]);
    mask.masked_fill_(where, 1);
  }
  torch::Tensor Rectangle(double x0, double y0, double width, double height) const {
    return (x >= x0) & (x < x0 + width) & (y >= y0) & (y < y0 + height);
  }
  torch::Tensor Disc(double cx, double cy, double radius) const {
    return (x - cx).square() + (y - cy).square() < radius * radius;
  }
};

}  // namespace

Thing DrawTrafficLight(Random& random) {
  const int64_t heads = 1 + random.Below(3);
  const int64_t pole = random.Uniform() < 0.6 ? 20 + random.Below(300) : 0;
  const int64_t width = heads * (kHeadWidth + kGap) + kGap, height = kHeadHeight + 2 * kGap + pole;
  Canvas canvas{torch::zeros({3, height, width}), torch::zeros({height, width}),
                torch::arange(width) + 0.5, torch::arange(height).view({-1, 1}) + 0.5};
  const auto grey = [](double value) { return std::array{value, value, value}; };
  if (pole > 0)
    canvas.Fill(canvas.Rectangle(static_cast<double>(width - kPoleWidth) / 2, kHeadHeight,
                                 kPoleWidth, static_cast<double>(height)),
                grey(random.Between(0, 0.5)));
  const double body = random.Between(0, 0.2), rim = random.Between(0.2, 0.9);
  const bool rimmed = random.Uniform() < 0.3;
  constexpr std::array<std::array<double, 3>, 3> kColors = {
      {{0.95, 0.15, 0.1}, {0.95, 0.65, 0.1}, {0.15, 0.95, 0.6}}};
  const int64_t lit_for_all = random.Below(3);
  for (int64_t head = 0; head < heads; ++head) {
    const auto x0 = static_cast<double>(kGap + head * (kHeadWidth + kGap));
    if (rimmed)
      canvas.Fill(canvas.Rectangle(x0 - kGap, 0, kHeadWidth + 2 * kGap, kHeadHeight + 2 * kGap),
                  grey(rim));
    canvas.Fill(canvas.Rectangle(x0, kGap, kHeadWidth, kHeadHeight), grey(body));
    const int64_t lit = random.Uniform() < 0.6 ? lit_for_all : random.Below(4);  // 3: none
    for (int lamp = 0; lamp < 3; ++lamp) {
      const double dark = body * random.Between(0.7, 1.6) + 0.02;
      canvas.Fill(canvas.Disc(x0 + kHeadWidth / 2.0, kGap + kHeadHeight * (1 + 2 * lamp) / 6.0,
                              kLampRadius),
                  lamp == lit ? kColors[lamp] : grey(dark));
    }
  }
  return {canvas.rgb.unsqueeze(0), canvas.mask.view({1, 1, height, width})};
}

}  // namespace stac
