#pragma once

#include <cstdint>
#include <vector>

#include "stac/base/bytes.h"
#include "stac/base/result.h"

namespace stac {

// The teachers' probabilities are kept at a quarter of the picture's width and height.
inline constexpr int kTeacherStride = 4;

// One picture to train on, with what is known about it. Width and height are multiples of 4.
struct TrainSample {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;      // height x width x 3
  std::vector<uint8_t> labels;   // height x width, 255 = unknown; empty: no human labels
  int teacher_classes = 0;       // 0: no teacher
  std::vector<uint8_t> teacher;  // classes x height/4 x width/4, probability * 255

  bool has_labels() const { return !labels.empty(); }
  bool has_teacher() const { return teacher_classes > 0; }
};

// The sample as it lies in the teacher cache.
Bytes EncodeSample(const TrainSample& sample);
// Fails on anything that EncodeSample does not write; sizes are checked before allocating.
Result<TrainSample> DecodeSample(ByteSpan bytes);

}  // namespace stac
