#include <torch/nn/functional/upsampling.h>

#include "stac/lab/train/pictures_internal.h"

namespace stac {

torch::Tensor PartOf(const std::vector<uint8_t>& rgb, int whole_width, int x0, int y0, int width,
                     int height) {
  const int64_t whole_height = static_cast<int64_t>(rgb.size()) / 3 / whole_width;
  return torch::from_blob(const_cast<uint8_t*>(rgb.data()), {whole_height, whole_width, 3},
                          torch::kUInt8)
      .narrow(0, y0, height)
      .narrow(1, x0, width)
      .permute({2, 0, 1})
      .to(torch::kFloat)
      .contiguous()
      .unsqueeze(0)
      .div_(255);
}

torch::Tensor Resize(const torch::Tensor& x, int64_t height, int64_t width) {
  if (x.size(2) == height && x.size(3) == width) return x;
  namespace F = torch::nn::functional;
  return F::interpolate(x, F::InterpolateFuncOptions()
                               .size(std::vector<int64_t>{height, width})
                               .mode(torch::kBilinear)
                               .align_corners(false)
                               .antialias(x.size(2) > height));
}

}  // namespace stac
