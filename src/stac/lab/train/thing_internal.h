#pragma once

#include <torch/types.h>

#include "stac/lab/train/rare_classes_internal.h"

namespace stac {

// A thing cut out of a picture, to be pasted onto others: copy-paste after Ghiasi et al., CVPR
// 2021, with the teacher's classes for outlines. What is seen at one size in one place only would
// otherwise be known at that size in that place.
struct Thing {
  torch::Tensor rgb;   // float [1,3,h,w] in 0..1: the rectangle around it
  torch::Tensor mask;  // float [1,1,h/n,w/n]: 1 where it is
};

// What touches the place's cell and is of the same class; `cells` are the sample's (RareClasses).
Thing CutOut(const TrainSample& sample, const std::vector<uint8_t>& cells,
             const RareClasses::Place& place);

// One to three heads side by side, with a pole or without, 108 to 428 pixels high: cameras that
// wait at them see more of them than most data sets show. Whether it looks like one says the
// teacher.
Thing DrawTrafficLight(Random& random);

// The thing at `scale` times its size, somewhere on `rgb` [1,3,H,W]; smaller where it would be more
// than half as wide or high as that. Human labels below it (int64 [1,H/n,W/n] or undefined) become
// unknown.
void PasteOnto(torch::Tensor& rgb, torch::Tensor& labels, const Thing& thing, double scale,
               Random& random);

}  // namespace stac
