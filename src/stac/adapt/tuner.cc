#include "stac/adapt/tuner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stac/base/check.h"

namespace stac {
namespace {

// A single decision changes B and the rate by at most this factor (log2).
constexpr double kMostLog2Change = 4;

double SafeLog2(double value) { return std::log2(std::max(value, 1e-3)); }

class TunerController final : public Controller {
 public:
  TunerController(TunerNetwork network, const ControlLimits& limits, double share)
      : network_(std::move(network)), limits_(limits), share_(share) {}

  ControlDecision Decide(const ControlInput& input) override {
    const ControlDecision last{input.last_base_qp, input.last_keyframe_fps, input.last_scale};
    if (input.bandwidth_kbps <= 0) return Clamp(last, limits_);
    ControlInput told = input;
    told.bandwidth_kbps *= share_;
    std::vector<double> change = network_.Evaluate(TunerNetwork::Features(told));
    for (double& log2 : change) {
      if (!std::isfinite(log2))
        return Clamp(last, limits_);  // weights too large for what they meet
      log2 = std::clamp(log2, -kMostLog2Change, kMostLog2Change);
    }
    ControlDecision next = last;
    next.base_qp += 6 * change[0];
    next.keyframe_fps *= std::exp2(change[1]);
    if (change.size() > 2) next.scale *= std::exp2(change[2]);
    return Clamp(next, limits_);
  }

 private:
  TunerNetwork network_;
  ControlLimits limits_;
  double share_;
};

}  // namespace

TunerNetwork::TunerNetwork(std::string origin, const std::array<float, kInputs>& mean,
                           const std::array<float, kInputs>& scale, std::vector<Layer> layers)
    : origin_(std::move(origin)), mean_(mean), scale_(scale), layers_(std::move(layers)) {
  STAC_CHECK(!layers_.empty());
}

std::array<double, TunerNetwork::kInputs> TunerNetwork::Features(const ControlInput& input) {
  return {SafeLog2(input.last_kbps), SafeLog2(input.bandwidth_kbps),
          input.last_base_qp / 6,    SafeLog2(input.last_keyframe_fps),
          SafeLog2(input.c),         SafeLog2(input.d)};
}

std::vector<double> TunerNetwork::Evaluate(const std::array<double, kInputs>& features) const {
  std::vector<float> values(kInputs);
  for (size_t i = 0; i < kInputs; ++i) {
    values[i] = (static_cast<float>(features[i]) - mean_[i]) / scale_[i];
  }
  std::vector<float> next;
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    next.assign(layer.bias.begin(), layer.bias.end());
    for (size_t o = 0; o < next.size(); ++o) {
      const float* row = layer.weights.data() + o * layer.inputs;
      for (size_t i = 0; i < layer.inputs; ++i) next[o] += row[i] * values[i];
      if (l + 1 < layers_.size()) next[o] = std::max(next[o], 0.0f);
    }
    values.swap(next);
  }
  return std::vector<double>(values.begin(), values.end());
}

size_t TunerNetwork::flops() const {
  size_t count = 0;
  for (const Layer& layer : layers_) count += 2 * layer.weights.size();
  return count;
}

std::unique_ptr<Controller> MakeTunerController(TunerNetwork network, const ControlLimits& limits,
                                                double share) {
  return std::make_unique<TunerController>(std::move(network), limits, share);
}

}  // namespace stac
