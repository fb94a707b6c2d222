#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/lab/train/rare_classes_internal.h"

namespace stac {
namespace {

constexpr double kLeastShare = 1e-3;  // of all cells
constexpr int64_t kLeastCells = 8;    // fewer in a picture do not count

constexpr uint8_t kUnknown = 255;

std::vector<uint8_t> ClassCells(const TrainSample& sample) {
  const int width = sample.width / kTeacherStride, height = sample.height / kTeacherStride;
  const size_t count = static_cast<size_t>(width) * height;
  std::vector<uint8_t> cells;
  if (sample.has_teacher()) {
    cells.assign(count, 0);
    std::vector<uint8_t> best(sample.teacher.begin(), sample.teacher.begin() + count);
    for (int k = 1; k < sample.teacher_classes; ++k)
      for (size_t i = 0; i < count; ++i)
        if (const uint8_t p = sample.teacher[k * count + i]; p > best[i]) {
          best[i] = p;
          cells[i] = static_cast<uint8_t>(k);
        }
  } else if (sample.has_labels()) {
    constexpr int kMiddle = kTeacherStride / 2;
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        cells.push_back(
            sample.labels[static_cast<size_t>(y * kTeacherStride + kMiddle) * sample.width +
                          x * kTeacherStride + kMiddle]);
  }
  return cells;
}

}  // namespace

RareClasses::RareClasses(const std::vector<TrainSample>& samples, int classes) : samples_(samples) {
  std::vector<std::vector<uint32_t>> shown(classes);
  std::vector<double> total(classes);
  double all = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    std::vector<int64_t> count(kUnknown + 1);
    cells_.push_back(ClassCells(samples[i]));
    for (const uint8_t k : cells_.back()) ++count[k];
    for (int k = 0; k < classes; ++k) {
      total[k] += static_cast<double>(count[k]);
      all += static_cast<double>(count[k]);
      if (count[k] >= kLeastCells) shown[k].push_back(static_cast<uint32_t>(i));
    }
  }
  double sum = 0;
  for (int k = 0; k < classes; ++k) {
    if (shown[k].empty()) continue;
    sum += 1 / std::sqrt(std::max(total[k] / all, kLeastShare));
    classes_.push_back({static_cast<uint8_t>(k), sum, std::move(shown[k])});
  }
}

RareClasses::Place RareClasses::Draw(Random& random) const {
  STAC_CHECK(!empty());
  const double at = random.Uniform() * classes_.back().upto;
  const Class& drawn = *std::upper_bound(classes_.begin(), classes_.end() - 1, at,
                                         [](double v, const Class& c) { return v < c.upto; });
  Place place;
  place.sample = drawn.samples[random.Below(static_cast<int64_t>(drawn.samples.size()))];
  const std::vector<uint8_t>& cells = cells_[place.sample];
  int64_t left = random.Below(std::count(cells.begin(), cells.end(), drawn.id));
  const auto cell = std::find_if(cells.begin(), cells.end(),
                                 [&](uint8_t k) { return k == drawn.id && left-- == 0; });
  const int index = static_cast<int>(cell - cells.begin());
  const int width = samples_[place.sample].width / kTeacherStride;
  place.x = index % width * kTeacherStride;
  place.y = index / width * kTeacherStride;
  return place;
}

}  // namespace stac
