#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stac/adapt/controller.h"

namespace stac {

// The tuner network f of section VI: <Bit_{t-1}, Bit^_t, B_{t-1}, fps_{t-1}, c_{t-1}, d_{t-1}> ->
// <alpha_t, beta_t>, where B_t = alpha_t B_{t-1} and fps_t = beta_t fps_{t-1}; with a third output
// the scale is multiplied too. A small fully connected network with ReLU between its layers.
//
// It works on logarithms to base 2: its inputs are log2(Bit_{t-1} in kb/s), log2(Bit^_t in kb/s),
// base QP / 6 (B doubles every 6 QP), log2(fps_{t-1}), log2(c), log2(d), each of at least 1e-3
// before the logarithm, then (x - mean) / scale; its outputs are log2 alpha and log2 beta.
//
// Weight file (JSON):
//   {"format": "stac-tuner-1", "origin": "how it was trained",
//    "input_mean": [6 numbers], "input_scale": [6 numbers > 0],
//    "layers": [{"weights": [[a row per output]], "bias": [...]}, ...]}
class TunerNetwork {
 public:
  static constexpr size_t kInputs = 6;
  static constexpr size_t kMaxLayers = 8;
  struct Layer {
    size_t inputs = 0;
    std::vector<float> weights;  // a row of `inputs` per output
    std::vector<float> bias;
  };

  // From trained values, which must be what FromJson accepts. `scale` divides.
  TunerNetwork(std::string origin, const std::array<float, kInputs>& mean,
               const std::array<float, kInputs>& scale, std::vector<Layer> layers);
  // Untrusted: sizes and numbers are checked, at most kMaxLayers of at most 1024.
  static Result<TunerNetwork> FromJson(std::string_view json);
  static Result<TunerNetwork> Read(const std::filesystem::path& path);
  // The weight file.
  std::string ToJson() const;

  // log2 alpha, log2 beta and, if there is a third output, log2 of the scale's factor. Thread-safe.
  std::vector<double> Evaluate(const std::array<double, kInputs>& features) const;
  // The network's inputs before mean and scale.
  static std::array<double, kInputs> Features(const ControlInput& input);

  size_t outputs() const { return layers_.back().bias.size(); }
  // Multiplications and additions of one evaluation.
  size_t flops() const;
  const std::string& origin() const { return origin_; }

 private:
  TunerNetwork() = default;
  std::string origin_;
  std::array<float, kInputs> mean_{};
  std::array<float, kInputs> scale_{};
  std::vector<Layer> layers_;
};

// Applies the network's factors to the last configuration, each limited to a factor of 16, and
// the result to `limits`. Keeps the last configuration while the bandwidth is unknown. `share` of
// the estimate is what the network is told.
std::unique_ptr<Controller> MakeTunerController(TunerNetwork network, const ControlLimits& limits,
                                                double share = 1.0);

}  // namespace stac
