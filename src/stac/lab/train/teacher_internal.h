#pragma once

#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/train/recipe.h"
#include "stac/lab/train/sample.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

// Networks whose weighted mean of class probabilities is the soft label.
class Teacher {
 public:
  // Fails if a file does not load or answers with other than `classes` classes.
  static Result<std::unique_ptr<Teacher>> Load(const std::vector<TeacherSpec>& members, int classes,
                                               const torch::Device& device);
  // Of each class, [N,classes,H/4,W/4], for pictures [N,3,H,W] on the teacher's device.
  Result<torch::Tensor> Probabilities(const torch::Tensor& rgb);
  // Fills sample.teacher from sample.rgb.
  Status Label(TrainSample& sample);

 private:
  struct Loaded {
    TorchForward forward;
    double weight;
    std::string file;
  };
  Result<torch::Tensor> Logits(Loaded& member, const torch::Tensor& rgb);

  std::vector<Loaded> members_;
  int classes_ = 0;
  torch::Device device_ = torch::kCPU;
};

// height x width x 3 bytes -> float [1,3,height,width] in 0..1.
torch::Tensor RgbTensor(const TrainSample& sample);

}  // namespace stac
