#pragma once

#include <cstdint>
#include <vector>

#include "stac/lab/train/random_internal.h"
#include "stac/lab/train/sample.h"

namespace stac {

// Finds pictures by what they show, rare classes more often than by chance: rare-class sampling
// after Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022. A class is drawn with a probability that
// falls with the square root of its share of all cells (not below 1e-3: what is hardly there may be
// an error of the teacher), then one of the pictures that show it, then one of its cells there.
// Cells are of kTeacherStride pixels, and of the class that the teacher says, without one of the
// human label in their middle. Immutable, so any threads may draw.
class RareClasses {
 public:
  struct Place {
    uint32_t sample = 0;
    int x = 0, y = 0;  // pixels, multiples of kTeacherStride
  };

  // `samples` must outlive it. Classes are 0..classes-1.
  RareClasses(const std::vector<TrainSample>& samples, int classes);
  bool empty() const { return classes_.empty(); }  // nothing is known about any picture
  Place Draw(Random& random) const;                // not if empty()
  // The class of every cell of a sample, row by row; empty where nothing is known.
  const std::vector<uint8_t>& cells(uint32_t sample) const { return cells_[sample]; }

 private:
  struct Class {
    uint8_t id = 0;
    double upto = 0;  // the sum of the weights of this class and those before
    std::vector<uint32_t> samples;
  };
  const std::vector<TrainSample>& samples_;
  std::vector<std::vector<uint8_t>> cells_;
  std::vector<Class> classes_;  // those that are there
};

}  // namespace stac
