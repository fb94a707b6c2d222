#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "stac/segment/frozen/history_internal.h"
#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/frozen/map_layout_internal.h"

namespace stac {
namespace {

using torch::autograd::variable_list;

constexpr auto kSideBySide = at::MemoryFormat::ChannelsLast;
constexpr int64_t kAtOnce = 1 << 14;  // values, of a thread

bool WantsSideBySide(const at::Tensor& map) {
  return map.dim() == 4 && map.suggest_memory_format() == kSideBySide;
}

int64_t Places(const at::Tensor& map) { return map.size(0) * map.size(2) * map.size(3); }

// ---- Joins ----

// Calls copy(in the one, in a part, channels) for every place and part of a map of all channels, as
// they lie side by side, and parts of fewer.
template <typename Copy>
void ForEachPart(float* whole, int64_t channels, const std::vector<at::Tensor>& parts, Copy copy) {
  struct Part {
    float* values;
    int64_t channels;
  };
  std::vector<Part> lying;
  for (const at::Tensor& part : parts) lying.push_back({part.data_ptr<float>(), part.size(1)});
  at::parallel_for(0, Places(parts.front()), std::max<int64_t>(1, kAtOnce / channels),
                   [&](int64_t begin, int64_t end) {
                     float* at = whole + begin * channels;
                     for (int64_t place = begin; place < end; ++place) {
                       for (const Part& part : lying) {
                         copy(at, part.values + place * part.channels, part.channels);
                         at += part.channels;
                       }
                     }
                   });
}

// Floats [N,C,H,W] of one N, H and W on the CPU.
bool JoinInOnePass(const std::vector<at::Tensor>& maps, int64_t axis) {
  const at::Tensor& one = maps.front();
  return axis == 1 && std::all_of(maps.begin(), maps.end(), [&](const at::Tensor& map) {
           return map.dim() == 4 && map.device().is_cpu() && map.scalar_type() == at::kFloat &&
                  map.size(0) == one.size(0) && map.size(2) == one.size(2) &&
                  map.size(3) == one.size(3);
         });
}

class JoinBack final : public torch::autograd::Node {
 public:
  // The answer, before it has a history.
  at::Tensor Answer(const std::vector<at::Tensor>& maps) {
    std::vector<at::Tensor> alike;
    for (const at::Tensor& map : maps) {
      alike.push_back(LaidOut(map, kSideBySide));
      size_ = map.sizes().vec();
      channels_.push_back(map.size(1));
      all_ += map.size(1);
    }
    size_[1] = all_;
    at::Tensor result =
        at::empty(size_, maps.front().options().requires_grad(false).memory_format(kSideBySide));
    ForEachPart(result.data_ptr<float>(), all_, alike, [](float* to, const float* from, int64_t n) {
      std::memcpy(to, from, n * sizeof(float));
    });
    return result;
  }

  variable_list apply(variable_list&& by_output) override {
    if (!by_output.front().defined()) return variable_list(channels_.size());
    const at::NoGradGuard once;
    const at::Tensor by = LaidOut(by_output.front(), kSideBySide);
    variable_list by_maps;
    for (const int64_t channels : channels_) {
      size_[1] = channels;
      by_maps.push_back(at::empty(size_, by.options().memory_format(kSideBySide)));
    }
    ForEachPart(by.data_ptr<float>(), all_, by_maps, [](const float* from, float* to, int64_t n) {
      std::memcpy(to, from, n * sizeof(float));
    });
    return by_maps;
  }

  std::string name() const override { return "JoinBack"; }

 private:
  std::vector<int64_t> size_, channels_;
  int64_t all_ = 0;  // channels
};

// ---- Shuffles ----

at::Tensor ShuffledInSteps(const at::Tensor& x, int64_t groups) {
  return x.view({x.size(0), groups, x.size(1) / groups, x.size(2), x.size(3)})
      .transpose(1, 2)
      .reshape(x.sizes());
}

// Of a map whose channels lie side by side.
at::Tensor ShuffledInOnePass(const at::Tensor& x, int64_t groups) {
  at::Tensor result = at::empty_like(x);
  const int64_t channels = x.size(1), each = channels / groups;
  const float* from = x.data_ptr<float>();
  float* to = result.data_ptr<float>();
  at::parallel_for(0, Places(x), std::max<int64_t>(1, kAtOnce / channels),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t place = begin; place < end; ++place) {
                       const float* in = from + place * channels;
                       float* __restrict out = to + place * channels;
                       for (int64_t group = 0; group < groups; ++group)
                         for (int64_t i = 0; i < each; ++i)
                           out[i * groups + group] = in[group * each + i];
                     }
                   });
  return result;
}

class ShuffleBack final : public torch::autograd::Node {
 public:
  explicit ShuffleBack(int64_t groups) : groups_(groups) {}

  at::Tensor Answer(const at::Tensor& x) const { return ShuffledInOnePass(x, groups_); }

  variable_list apply(variable_list&& by_output) override {
    const at::Tensor& by = by_output.front();
    if (!by.defined()) return {at::Tensor()};
    const at::NoGradGuard once;
    return {ShuffledInOnePass(LaidOut(by, kSideBySide), by.size(1) / groups_)};
  }
  std::string name() const override { return "ShuffleBack"; }

 private:
  const int64_t groups_;
};

}  // namespace

at::Tensor Joined(const std::vector<at::Tensor>& maps, int64_t axis) {
  if (!std::any_of(maps.begin(), maps.end(), WantsSideBySide)) return at::cat(maps, axis);
  if (!JoinInOnePass(maps, axis)) {
    std::vector<at::Tensor> alike;
    for (const at::Tensor& map : maps)
      alike.push_back(map.dim() == 4 ? map.contiguous(kSideBySide) : map);
    return at::cat(alike, axis);
  }
  if (std::all_of(maps.begin(), maps.end(), ForwardOnly)) return JoinBack().Answer(maps);
  return AnswerWithHistory<JoinBack>(maps);
}

at::Tensor Shuffled(const at::Tensor& x, int64_t groups) {
  if (!IsPlainMap(x) || !ChannelsSideBySide(x)) return ShuffledInSteps(x, groups);
  if (ForwardOnly(x)) return ShuffledInOnePass(x, groups);
  return AnswerWithHistory<ShuffleBack>(x, groups);
}

}  // namespace stac
