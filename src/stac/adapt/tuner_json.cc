#include <cmath>
#include <nlohmann/json.hpp>

#include "stac/adapt/tuner.h"
#include "stac/base/file.h"

namespace stac {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileBytes = 64u << 20;
constexpr size_t kMaxWidth = 1024;
constexpr double kMaxMagnitude = 1e6;

// Appends the `count` numbers of an array.
Status ReadNumbers(const Json& json, const std::string& what, size_t count,
                   std::vector<float>& to) {
  if (!json.is_array() || json.size() != count) {
    return Fail("tuner weights: {} must be an array of {} numbers", what, count);
  }
  for (const Json& element : json) {
    const double value = element.is_number() ? element.get<double>() : std::nan("");
    if (!(std::abs(value) <= kMaxMagnitude)) {
      return Fail("tuner weights: {} contains something that is no number within +-{:g}", what,
                  kMaxMagnitude);
    }
    to.push_back(static_cast<float>(value));
  }
  return OkStatus();
}

const Json& Member(const Json& json, const char* name) {
  static const Json missing;
  const auto found = json.find(name);
  return found == json.end() ? missing : *found;
}

}  // namespace

Result<TunerNetwork> TunerNetwork::FromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Fail("tuner weights: not a JSON object");
  if (Member(json, "format") != "stac-tuner-1") {
    return Fail("tuner weights: the format must be \"stac-tuner-1\"");
  }
  TunerNetwork network;
  if (const Json& origin = Member(json, "origin"); origin.is_string()) {
    network.origin_ = origin.get<std::string>();
  }
  std::vector<float> mean, scale;
  STAC_RETURN_IF_ERROR(ReadNumbers(Member(json, "input_mean"), "input_mean", kInputs, mean));
  STAC_RETURN_IF_ERROR(ReadNumbers(Member(json, "input_scale"), "input_scale", kInputs, scale));
  std::copy(mean.begin(), mean.end(), network.mean_.begin());
  std::copy(scale.begin(), scale.end(), network.scale_.begin());
  for (const float value : network.scale_) {
    if (!(value >= 1e-6f)) return Fail("tuner weights: input_scale must be positive");
  }
  const Json& layers = Member(json, "layers");
  if (!layers.is_array() || layers.empty() || layers.size() > kMaxLayers) {
    return Fail("tuner weights: layers must be an array of 1..{}", kMaxLayers);
  }
  size_t inputs = kInputs;
  for (const Json& element : layers) {
    const std::string name = fmt::format("layer {}", network.layers_.size());
    if (!element.is_object()) return Fail("tuner weights: {} is not an object", name);
    const Json& weights = Member(element, "weights");
    const Json& bias = Member(element, "bias");
    if (!weights.is_array() || weights.empty() || weights.size() > kMaxWidth) {
      return Fail("tuner weights: {} must have 1..{} rows of weights", name, kMaxWidth);
    }
    Layer layer{.inputs = inputs};
    for (const Json& row : weights) {
      STAC_RETURN_IF_ERROR(ReadNumbers(row, name + ", weights", inputs, layer.weights));
    }
    STAC_RETURN_IF_ERROR(ReadNumbers(bias, name + ", bias", weights.size(), layer.bias));
    inputs = weights.size();
    network.layers_.push_back(std::move(layer));
  }
  if (network.outputs() != 2 && network.outputs() != 3) {
    return Fail("tuner weights: {} outputs instead of 2 (B, fps) or 3 (and scale)",
                network.outputs());
  }
  return network;
}

Result<TunerNetwork> TunerNetwork::Read(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes contents, ReadFile(path, kMaxFileBytes));
  auto network = FromJson(AsText(contents));
  if (!network) return Fail("{}: {}", path.string(), network.error().message);
  return network;
}

std::string TunerNetwork::ToJson() const {
  // Five digits are finer than the decisions that come of them.
  const auto numbers = [](const float* from, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += fmt::format("{}{:.5g}", i > 0 ? "," : "", from[i]);
    return "[" + text + "]";
  };
  std::string layers;
  for (const Layer& layer : layers_) {
    std::string rows;
    for (size_t o = 0; o < layer.bias.size(); ++o) {
      rows += (o > 0 ? ",\n" : "") + numbers(&layer.weights[o * layer.inputs], layer.inputs);
    }
    layers += fmt::format("{}{{\"weights\": [{}],\n\"bias\": {}}}", layers.empty() ? "" : ",\n",
                          rows, numbers(layer.bias.data(), layer.bias.size()));
  }
  return fmt::format(
      "{{\"format\": \"stac-tuner-1\",\n\"origin\": {},\n\"input_mean\": {},\n"
      "\"input_scale\": {},\n\"layers\": [{}]}}\n",
      Json(origin_).dump(), numbers(mean_.data(), kInputs), numbers(scale_.data(), kInputs),
      layers);
}

}  // namespace stac
