#include "stac/lab/simulation/casva_controller.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "stac/base/file.h"

namespace stac {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxActions = 4096;
constexpr size_t kMaxLayers = 8;

// Around 0, of about unit size, for anything between bits of a frame and kilobits of a second.
double LogFeature(double value, double middle) {
  return (std::log2(std::max(value, 1.0)) - middle) / 2;
}

class CasvaController final : public Controller {
 public:
  CasvaController(CasvaPolicy policy, double share) : policy_(std::move(policy)), share_(share) {}

  ControlDecision Decide(const ControlInput& input) override {
    if (input.bandwidth_kbps <= 0) {
      return {input.last_base_qp, input.last_keyframe_fps, input.last_scale};
    }
    ControlInput told = input;
    told.bandwidth_kbps *= share_;
    const auto probabilities = policy_.Probabilities(observer_.Observe(told));
    const auto best = std::max_element(probabilities.begin(), probabilities.end());
    return policy_.actions()[static_cast<size_t>(best - probabilities.begin())];
  }

 private:
  CasvaPolicy policy_;
  CasvaObserver observer_;
  double share_;
};

Result<std::vector<double>> Numbers(const Json& json, const std::string& what, size_t low,
                                    size_t high) {
  if (!json.is_array() || json.size() < low || json.size() > high) {
    return Fail("CASVA weights: {} must be an array of {}..{} numbers", what, low, high);
  }
  std::vector<double> numbers;
  for (const Json& element : json) {
    numbers.push_back(element.is_number() ? element.get<double>() : std::nan(""));
    if (!(std::abs(numbers.back()) <= 1e6)) {
      return Fail("CASVA weights: {} contains something that is no number within +-1e6", what);
    }
  }
  return numbers;
}

const Json& Member(const Json& json, const char* name) {
  static const Json missing;
  if (!json.is_object()) return missing;
  const auto found = json.find(name);
  return found == json.end() ? missing : *found;
}

}  // namespace

Result<CasvaPolicy> CasvaPolicy::FromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (Member(json, "format") != "stac-casva-1") {
    return Fail("CASVA weights: the format must be \"stac-casva-1\"");
  }
  const Json& actions = Member(json, "actions");
  if (!actions.is_array() || actions.empty() || actions.size() > kMaxActions) {
    return Fail("CASVA weights: actions must be an array of 1..{} configurations", kMaxActions);
  }
  CasvaPolicy policy;
  for (const Json& action : actions) {
    STAC_ASSIGN_OR_RETURN(const auto numbers, Numbers(action, "an action", 3, 3));
    if (numbers[0] < 0 || numbers[0] > 51 || numbers[1] <= 0 || numbers[1] > 1000 ||
        numbers[2] < 0.1 || numbers[2] > 1) {
      return Fail("CASVA weights: an action is no base QP, keyframe rate and size");
    }
    policy.actions_.push_back({numbers[0], numbers[1], numbers[2]});
  }
  const Json& layers = Member(json, "layers");
  if (!layers.is_array() || layers.empty() || layers.size() > kMaxLayers) {
    return Fail("CASVA weights: layers must be an array of 1..{}", kMaxLayers);
  }
  std::vector<DenseNetwork::Layer> read;
  size_t inputs = kInputs;
  for (const Json& layer : layers) {
    STAC_ASSIGN_OR_RETURN(auto values, Numbers(Member(layer, "values"), "values", inputs + 1,
                                               (inputs + 1) * kMaxActions));
    const size_t outputs = values.size() / (inputs + 1);
    if (outputs * (inputs + 1) != values.size() || Member(layer, "inputs") != inputs) {
      return Fail("CASVA weights: a layer does not fit the {} outputs before it", inputs);
    }
    read.push_back({static_cast<int>(inputs), static_cast<int>(outputs), std::move(values)});
    inputs = outputs;
  }
  if (inputs != policy.actions_.size()) {
    return Fail("CASVA weights: {} outputs for {} actions", inputs, policy.actions_.size());
  }
  policy.actor_ = DenseNetwork(std::move(read));
  return policy;
}

Result<CasvaPolicy> CasvaPolicy::Read(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, 64u << 20));
  auto policy = FromJson(AsText(bytes));
  if (!policy) return Fail("{}: {}", path.string(), policy.error().message);
  return policy;
}

std::string CasvaPolicy::ToJson(const std::string& origin) const {
  Json json = {{"format", "stac-casva-1"}, {"origin", origin}};
  for (const ControlDecision& action : actions_) {
    json["actions"].push_back({action.base_qp, action.keyframe_fps, action.scale});
  }
  for (const DenseNetwork::Layer& layer : actor_.layers()) {
    Json values = Json::array();
    for (const double value : layer.values) values.push_back(std::round(value * 1e5) / 1e5);
    json["layers"].push_back({{"inputs", layer.inputs}, {"values", std::move(values)}});
  }
  return json.dump() + "\n";
}

std::vector<double> CasvaPolicy::Probabilities(const State& state) const {
  std::vector<double> values = actor_.Evaluate(state);
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
  return values;
}

CasvaPolicy::State CasvaObserver::Observe(const ControlInput& input) {
  bandwidths_.push_front(LogFeature(input.bandwidth_kbps, 8));
  while (bandwidths_.size() < CasvaPolicy::kBandwidths) bandwidths_.push_back(bandwidths_.back());
  if (bandwidths_.size() > CasvaPolicy::kBandwidths) bandwidths_.pop_back();
  CasvaPolicy::State state{};
  std::copy(bandwidths_.begin(), bandwidths_.end(), state.begin());
  auto next = state.begin() + CasvaPolicy::kBandwidths;
  *next++ = LogFeature(input.last_kbps, 8);
  *next++ = LogFeature(input.c, 16);  // bits of a frame
  *next++ = LogFeature(input.d, 14);
  *next++ = (input.last_base_qp - 32) / 8;
  *next++ = LogFeature(input.last_keyframe_fps, 2);
  *next++ = 2 * input.last_scale - 1.5;
  return state;
}

std::unique_ptr<Controller> MakeCasvaController(CasvaPolicy policy, double share) {
  return std::make_unique<CasvaController>(std::move(policy), share);
}

}  // namespace stac
