#include "demo_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "stac/base/check.h"

namespace stac {
namespace {

Rgb ClassColour(uint8_t label, const ClassList& classes) {
  if (label >= classes.size()) return {};
  return {classes[label].r, classes[label].g, classes[label].b};
}

uint8_t Mix(uint8_t a, uint8_t b, double share_of_b) {
  return static_cast<uint8_t>(std::lround(a + share_of_b * (b - a)));
}

// Black - purple - orange - yellow - white, `value` in 0..1.
Rgb HeatColour(double value) {
  static constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{8, 8, 20}, {98, 20, 110}, {220, 70, 60}, {250, 190, 50}, {255, 255, 235}}};
  const double at = std::clamp(value, 0.0, 1.0) * (kStops.size() - 1);
  const auto i = std::min(static_cast<size_t>(at), kStops.size() - 2);
  const auto channel = [&](int c) {
    return static_cast<uint8_t>(std::lround(kStops[i][c] + (at - static_cast<double>(i)) *
                                                               (kStops[i + 1][c] - kStops[i][c])));
  };
  return {channel(0), channel(1), channel(2)};
}

template <typename T, typename ColourOf>
RgbImage CellPicture(const Grid<T>& map, int width, int height, ColourOf colour_of) {
  RgbImage picture(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      picture(x, y) = colour_of(map(x * map.width() / width, y * map.height() / height));
    }
  }
  return picture;
}

}  // namespace

RgbImage OverlayPicture(const Frame& frame, const LabelMap& labels, const ClassList& classes) {
  RgbImage picture = RgbFromFrame(frame);
  if (!picture.SameSize(labels)) return picture;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= classes.size()) continue;
    const Rgb colour = ClassColour(labels[i], classes);
    constexpr double kShare = 0.45;
    picture[i] = {Mix(picture[i].r, colour.r, kShare), Mix(picture[i].g, colour.g, kShare),
                  Mix(picture[i].b, colour.b, kShare)};
  }
  return picture;
}

RgbImage HeatPicture(const SensitivityMap& map, int width, int height) {
  // Between the 2nd and the 99.5th percentile, so that single cells do not set the scale.
  std::vector<float> sorted(map.begin(), map.end());
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    return std::log2(std::max(1e-12f, sorted[static_cast<size_t>(share * (sorted.size() - 1))]));
  };
  const double low = at(0.02);
  const double range = std::max(1e-6, at(0.995) - low);
  return CellPicture(map, width, height, [&](float value) {
    return HeatColour((std::log2(std::max(1e-12f, value)) - low) / range);
  });
}

RgbImage LevelPicture(const LevelMap& levels, int level_count, int width, int height) {
  return CellPicture(levels, width, height, [&](uint8_t level) {
    return HeatColour(1.0 - static_cast<double>(level) / std::max(1, level_count - 1));
  });
}

RgbImage DifferencePicture(const Frame& frame, const LabelMap& labels, const LabelMap& reference) {
  STAC_CHECK(labels.SameSize(reference));
  RgbImage picture(labels.width(), labels.height());
  for (int y = 0; y < labels.height(); ++y) {
    for (int x = 0; x < labels.width(); ++x) {
      const uint8_t luma = frame.y().At(x, y);
      const auto dim = static_cast<uint8_t>(luma / 2);
      picture(x, y) = labels(x, y) == reference(x, y)
                          ? Rgb{dim, dim, dim}
                          : Rgb{static_cast<uint8_t>(160 + luma / 3), dim, dim};
    }
  }
  return picture;
}

}  // namespace stac
