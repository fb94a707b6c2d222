#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

// What tests of layers compare.

namespace stac {

inline at::Tensor GradientOf(const std::function<at::Tensor(const at::Tensor&)>& layer,
                             const at::Tensor& at_x, const at::Tensor& by_output) {
  const auto x = at_x.detach().clone().set_requires_grad(true);
  return torch::autograd::grad({layer(x)}, {x}, {by_output}).front();
}

// The largest difference, in shares of the largest expected value.
inline double RelativeError(const at::Tensor& found, const at::Tensor& expected) {
  EXPECT_EQ(found.sizes(), expected.sizes());
  return (found - expected).abs().max().item().toDouble() / expected.abs().max().item().toDouble();
}

}  // namespace stac
