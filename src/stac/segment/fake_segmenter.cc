#include "stac/segment/fake_segmenter.h"

#include <array>
#include <cmath>
#include <numbers>

#include "stac/base/bytes.h"
#include "stac/base/check.h"
#include "stac/base/clock.h"

namespace stac {

FakeSegmenter::FakeSegmenter(int class_count) {
  STAC_CHECK(class_count >= 1 && class_count <= 255);
  info_.name = fmt::format("fake{}", class_count);
  info_.hash = HexHash(AsBytes(info_.name));
  info_.class_count = class_count;
}

Result<Segmentation> FakeSegmenter::Run(const Frame& frame) {
  const Stopwatch watch;
  Segmentation result;
  result.labels = LabelMap(frame.width(), frame.height());
  for (int y = 0; y < frame.height(); ++y) {
    const uint8_t* luma = frame.y().Row(y);
    const auto labels = result.labels.Row(y);
    for (int x = 0; x < frame.width(); ++x) {
      labels[x] = static_cast<uint8_t>(luma[x] * info_.class_count / 256);
    }
  }
  result.forward_ms = watch.Milliseconds();
  return result;
}

Result<Segmentation> FakeSegmenter::RunWithGradient(const Frame& frame,
                                                    const Objective& objective) {
  if (!objective.class_weights.empty() &&
      objective.class_weights.size() != static_cast<size_t>(info_.class_count)) {
    return Fail("{} class weights were given for a network of {} classes",
                objective.class_weights.size(), info_.class_count);
  }
  STAC_ASSIGN_OR_RETURN(Segmentation result, Run(frame));
  const Stopwatch watch;
  const bool projection = objective.kind == ObjectiveKind::kProjection;
  const int passes = projection ? objective.projections : 1;
  const double scale = projection ? 1.0 : 1.0 / result.labels.size();
  const double frequency = std::numbers::pi * info_.class_count / 256;
  for (int k = 0; k < passes; ++k) {
    std::array<double, 256> value, slope;
    for (int luma = 0; luma < 256; ++luma) {
      const int label = luma * info_.class_count / 256;
      const double weight =
          scale * (objective.class_weights.empty() ? 1.0 : objective.class_weights[label]);
      value[luma] = weight * std::pow(std::sin(frequency * luma + k), 2);
      slope[luma] = weight * frequency * std::sin(2 * (frequency * luma + k));
    }
    InputGradient gradient;
    gradient.y = Grid<float>(frame.width(), frame.height());
    gradient.cb = Grid<float>(frame.width() / 2, frame.height() / 2);
    gradient.cr = gradient.cb;
    for (int y = 0; y < frame.height(); ++y) {
      const uint8_t* luma = frame.y().Row(y);
      for (int x = 0; x < frame.width(); ++x) {
        gradient.y(x, y) = static_cast<float>(slope[luma[x]]);
        if (k == 0) result.objective += value[luma[x]];
      }
    }
    result.gradients.push_back(std::move(gradient));
  }
  result.gradient_ms = watch.Milliseconds();
  return result;
}

std::unique_ptr<Segmenter> FakeSegmenter::Clone() const {
  return std::make_unique<FakeSegmenter>(info_.class_count);
}

}  // namespace stac
