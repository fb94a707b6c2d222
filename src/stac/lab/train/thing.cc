#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/lab/train/losses_internal.h"
#include "stac/lab/train/pictures_internal.h"
#include "stac/lab/train/thing_internal.h"

namespace stac {

Thing CutOut(const TrainSample& sample, const std::vector<uint8_t>& cells,
             const RareClasses::Place& place) {
  const int width = sample.width / kTeacherStride, height = sample.height / kTeacherStride;
  STAC_CHECK_EQ(cells.size(), static_cast<size_t>(width) * height);
  const int first = place.y / kTeacherStride * width + place.x / kTeacherStride;
  std::vector<float> mask(cells.size());
  std::vector<int> open = {first};
  mask[first] = 1;
  int x0 = width, x1 = 0, y0 = height, y1 = 0;
  while (!open.empty()) {
    const int x = open.back() % width, y = open.back() / width;
    open.pop_back();
    x0 = std::min(x0, x), x1 = std::max(x1, x + 1);
    y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
    for (const auto& [nx, ny] : {std::pair(x - 1, y), {x + 1, y}, {x, y - 1}, {x, y + 1}}) {
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
      const int next = ny * width + nx;
      if (mask[next] != 0 || cells[next] != cells[first]) continue;
      mask[next] = 1;
      open.push_back(next);
    }
  }
  constexpr int s = kTeacherStride;
  Thing thing;
  thing.rgb = PartOf(sample.rgb, sample.width, x0 * s, y0 * s, (x1 - x0) * s, (y1 - y0) * s);
  thing.mask = torch::from_blob(mask.data(), {1, 1, height, width})
                   .narrow(2, y0, y1 - y0)
                   .narrow(3, x0, x1 - x0)
                   .clone();
  return thing;
}

void PasteOnto(torch::Tensor& rgb, torch::Tensor& labels, const Thing& thing, double scale,
               Random& random) {
  const int64_t whole_height = rgb.size(2), whole_width = rgb.size(3);
  const auto thing_height = static_cast<double>(thing.rgb.size(2));
  const auto thing_width = static_cast<double>(thing.rgb.size(3));
  scale = std::min({scale, static_cast<double>(whole_height) / 2 / thing_height,
                    static_cast<double>(whole_width) / 2 / thing_width});
  const auto height = std::max<int64_t>(1, std::lround(thing_height * scale));
  const auto width = std::max<int64_t>(1, std::lround(thing_width * scale));
  const int64_t y = random.Below(whole_height - height + 1);
  const int64_t x = random.Below(whole_width - width + 1);
  const torch::Tensor mask = Resize(thing.mask, height, width);
  rgb = rgb.clone();
  torch::Tensor below = rgb.narrow(2, y, height).narrow(3, x, width);
  below.copy_(below.lerp(Resize(thing.rgb, height, width).clamp(0, 1), mask));
  if (!labels.defined()) return;
  torch::Tensor covered = torch::zeros({1, 1, whole_height, whole_width});
  covered.narrow(2, y, height).narrow(3, x, width).copy_(mask);
  covered = Resize(covered, labels.size(1), labels.size(2)).squeeze(1);
  labels = labels.masked_fill(covered > 0, kUnknownLabel);
}

}  // namespace stac
