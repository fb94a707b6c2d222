#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace stac {

// A part of interleaved 8-bit RGB, `whole_width` pixels to the row, as floats [1,3,height,width] in
// 0..1.
torch::Tensor PartOf(const std::vector<uint8_t>& rgb, int whole_width, int x0, int y0, int width,
                     int height);
// Bilinear; smoothed first where it becomes smaller. x: [N,C,H,W].
torch::Tensor Resize(const torch::Tensor& x, int64_t height, int64_t width);

}  // namespace stac
