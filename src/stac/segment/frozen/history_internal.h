#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <memory>
#include <type_traits>
#include <utility>

// For LibTorch code only.

namespace stac {

// Whether nobody will ask for the gradient at x.
inline bool ForwardOnly(const at::Tensor& x) {
  return !(at::GradMode::is_enabled() && x.requires_grad());
}

// Whether nobody else sees x's values, so that they may be overwritten.
inline bool IsOurs(const at::Tensor& x) {
  return x.use_count() == 1 && x.storage().use_count() == 1;
}

// A node of autograd, owned as this version of LibTorch does: 1.13 counts references beside nodes,
// later ones within them.
template <typename Back, typename... Parts>
auto MakeNode(Parts&&... parts) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, Back>) {
    return c10::make_intrusive<Back>(std::forward<Parts>(parts)...);
  } else {
    return std::shared_ptr<Back>(new Back(std::forward<Parts>(parts)...),
                                 [](Back* back) { deleteNode(back); });
  }
}

// What a layer of ours answers to `inputs` (a tensor or several), with `Back` made of `parts` as
// its history: that has Answer(inputs) for the answer, and apply() for the gradients. Less work
// than autograd::Function, which keeps what it needs under names.
template <typename Back, typename Inputs, typename... Parts>
at::Tensor AnswerWithHistory(const Inputs& inputs, Parts&&... parts) {
  const auto back = MakeNode<Back>(std::forward<Parts>(parts)...);
  at::Tensor y;
  {
    const at::NoGradGuard by_the_layer_itself;
    y = back->Answer(inputs);
  }
  back->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::set_history(y, back);
  return y;
}

}  // namespace stac
