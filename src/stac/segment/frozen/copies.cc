#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "stac/base/wide_vectors.h"
#include "stac/segment/frozen/history_internal.h"
#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

using torch::autograd::variable_list;

STAC_WIDE_VECTORS
void Add(const float* from, int64_t count, float* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

at::Tensor SumInSteps(const variable_list& terms) {
  at::Tensor sum = terms.front();
  for (size_t i = 1; i < terms.size(); ++i) sum = sum + terms[i];
  return sum;
}

// Of plain maps laid out alike: in the place of one of them, if it is ours.
at::Tensor SumInOnePass(variable_list terms) {
  const auto ours = std::find_if(terms.begin(), terms.end(), IsOurs);
  if (ours != terms.end())
    std::iter_swap(terms.begin(), ours);
  else
    terms.front() = terms.front().clone();
  constexpr int64_t kPart = 4096;  // values, which stay in the cache while they are added to
  float* sum = terms.front().data_ptr<float>();
  at::parallel_for(0, terms.front().numel(), 4 * kPart, [&](int64_t begin, int64_t end) {
    for (int64_t start = begin; start < end; start += kPart)
      for (size_t i = 1; i < terms.size(); ++i)
        Add(terms[i].data_ptr<float>() + start, std::min(kPart, end - start), sum + start);
  });
  return terms.front();
}

class CopiesBack final : public torch::autograd::Node {
 public:
  explicit CopiesBack(at::MemoryFormat format) : format_(format) {}

  variable_list apply(variable_list&& by_copies) override {
    const at::NoGradGuard once;
    variable_list terms;
    for (at::Tensor& by : by_copies)
      if (by.defined()) terms.push_back(std::move(by));
    if (terms.empty()) return {at::Tensor()};
    if (terms.size() == 1 || !std::all_of(terms.begin(), terms.end(), IsPlainMap))
      return {SumInSteps(terms)};
    for (at::Tensor& by : terms) by = LaidOut(by, format_);
    return {SumInOnePass(std::move(terms))};
  }
  std::string name() const override { return "CopiesBack"; }

 private:
  const at::MemoryFormat format_;
};

}  // namespace

std::vector<at::Tensor> Copies(const at::Tensor& x, int64_t count) {
  variable_list copies(count, x);
  if (ForwardOnly(x)) return copies;
  for (at::Tensor& copy : copies) copy = x.variable_data();
  const auto back = MakeNode<CopiesBack>(FormatOf(x));
  back->set_next_edges(torch::autograd::collect_next_edges(x));
  torch::autograd::set_history(copies, back);
  return copies;
}

}  // namespace stac
