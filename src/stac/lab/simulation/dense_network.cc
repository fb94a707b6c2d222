#include "stac/lab/simulation/dense_network.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "stac/base/check.h"

namespace stac {
namespace {

// outputs = weights * inputs + bias
std::vector<double> Apply(const DenseNetwork::Layer& layer, std::span<const double> inputs) {
  STAC_CHECK_EQ(static_cast<int>(inputs.size()), layer.inputs);
  std::vector<double> out(static_cast<size_t>(layer.outputs));
  const double* weights = layer.values.data();
  const double* bias = weights + static_cast<ptrdiff_t>(layer.inputs) * layer.outputs;
  for (int o = 0; o < layer.outputs; ++o) {
    double sum = bias[o];
    for (int i = 0; i < layer.inputs; ++i) sum += weights[i] * inputs[i];
    weights += layer.inputs;
    out[o] = sum;
  }
  return out;
}

void Rectify(std::vector<double>& values) {
  for (double& value : values) value = std::max(value, 0.0);
}

}  // namespace

DenseNetwork::DenseNetwork(const std::vector<int>& sizes, uint64_t seed) {
  STAC_CHECK(sizes.size() >= 2);
  std::mt19937_64 random(seed);
  for (size_t l = 0; l + 1 < sizes.size(); ++l) {
    Layer& layer = layers_.emplace_back(Layer{sizes[l], sizes[l + 1], {}});
    const size_t weights = static_cast<size_t>(layer.inputs) * layer.outputs;
    const bool last = l + 2 == sizes.size();
    std::normal_distribution<double> normal(0, std::sqrt(2.0 / layer.inputs) * (last ? 0.01 : 1));
    layer.values.assign(weights + layer.outputs, 0);
    for (size_t i = 0; i < weights; ++i) layer.values[i] = normal(random);
  }
}

std::vector<double> DenseNetwork::Evaluate(std::span<const double> inputs) const {
  std::vector<double> values(inputs.begin(), inputs.end());
  for (size_t l = 0; l < layers_.size(); ++l) {
    values = Apply(layers_[l], values);
    if (l + 1 < layers_.size()) Rectify(values);
  }
  return values;
}

void DenseNetwork::AddGradient(std::span<const double> inputs, std::span<const double> d_outputs) {
  if (gradient_.empty()) {
    for (const Layer& layer : layers_) gradient_.emplace_back(layer.values.size());
  }
  std::vector<std::vector<double>> seen = {{inputs.begin(), inputs.end()}};  // by each layer
  for (size_t l = 0; l + 1 < layers_.size(); ++l) {
    seen.push_back(Apply(layers_[l], seen.back()));
    Rectify(seen.back());
  }
  std::vector<double> back(d_outputs.begin(), d_outputs.end());
  for (size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    std::vector<double> d_inputs(static_cast<size_t>(layer.inputs));
    double* d_bias = gradient_[l].data() + static_cast<ptrdiff_t>(layer.inputs) * layer.outputs;
    for (int o = 0; o < layer.outputs; ++o) {
      if (back[o] == 0) continue;
      const double* weights = layer.values.data() + static_cast<ptrdiff_t>(o) * layer.inputs;
      double* d_weights = gradient_[l].data() + static_cast<ptrdiff_t>(o) * layer.inputs;
      for (int i = 0; i < layer.inputs; ++i) {
        d_weights[i] += back[o] * seen[l][i];
        d_inputs[i] += back[o] * weights[i];
      }
      d_bias[o] += back[o];
    }
    for (int i = 0; i < layer.inputs; ++i) {
      if (l > 0 && seen[l][i] <= 0) d_inputs[i] = 0;
    }
    back = std::move(d_inputs);
  }
}

void DenseNetwork::Step(double rate, double max_norm) {
  if (gradient_.empty()) return;
  if (mean_.empty()) {
    for (const Layer& layer : layers_) mean_.emplace_back(layer.values.size());
    square_ = mean_;
  }
  constexpr double kMeanDecay = 0.9, kSquareDecay = 0.999, kSmall = 1e-8;
  double norm = 0;
  for (const auto& part : gradient_) {
    for (const double g : part) norm += g * g;
  }
  const double limit = std::min(1.0, max_norm / std::max(std::sqrt(norm), kSmall));
  ++steps_;
  const double mean_unbias = 1 - std::pow(kMeanDecay, static_cast<double>(steps_));
  const double square_unbias = 1 - std::pow(kSquareDecay, static_cast<double>(steps_));
  for (size_t l = 0; l < layers_.size(); ++l) {
    for (size_t i = 0; i < gradient_[l].size(); ++i) {
      const double g = gradient_[l][i] * limit;
      double& mean = mean_[l][i];
      double& square = square_[l][i];
      mean = kMeanDecay * mean + (1 - kMeanDecay) * g;
      square = kSquareDecay * square + (1 - kSquareDecay) * g * g;
      layers_[l].values[i] -=
          rate * (mean / mean_unbias) / (std::sqrt(square / square_unbias) + kSmall);
      gradient_[l][i] = 0;
    }
  }
}

}  // namespace stac
