#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stac {

// A fully connected network with ReLU between its layers, its gradient and Adam (Kingma and Ba
// 2015): small enough for plain loops. Deterministic. Not thread-safe.
class DenseNetwork {
 public:
  struct Layer {
    int inputs = 0, outputs = 0;
    std::vector<double> values;  // a row of `inputs` weights per output, then the biases
  };

  DenseNetwork() = default;
  // `sizes`: inputs, hidden layers, outputs. He's initialization, the last layer near zero.
  DenseNetwork(const std::vector<int>& sizes, uint64_t seed);
  // From stored layers, which must fit each other.
  explicit DenseNetwork(std::vector<Layer> layers) : layers_(std::move(layers)) {}

  std::vector<double> Evaluate(std::span<const double> inputs) const;
  // Adds d loss / d parameters, given d loss / d outputs at these inputs.
  void AddGradient(std::span<const double> inputs, std::span<const double> d_outputs);
  // One step of Adam down the sum of the gradients, which is cleared. The gradient's length is
  // limited to `max_norm`.
  void Step(double rate, double max_norm);

  const std::vector<Layer>& layers() const { return layers_; }
  std::vector<Layer>& layers() { return layers_; }
  // As added since the last step; for tests.
  const std::vector<std::vector<double>>& gradient() const { return gradient_; }

 private:
  std::vector<Layer> layers_;
  std::vector<std::vector<double>> gradient_, mean_, square_;
  int64_t steps_ = 0;
};

}  // namespace stac
