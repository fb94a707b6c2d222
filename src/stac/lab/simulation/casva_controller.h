#pragma once

#include <array>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stac/adapt/controller.h"
#include "stac/lab/simulation/dense_network.h"

namespace stac {

// The policy of CASVA (Zhang et al., INFOCOM 2022), as the paper's section VIII-C uses it: a
// network that scores configurations (base QP x keyframe rate x size), from the bandwidths of the
// last seconds including the coming one, the bits of the pre-encoded next frame, and what was sent
// in the last second. Trained by TrainCasva.
class CasvaPolicy {
 public:
  static constexpr int kBandwidths = 5;
  static constexpr int kInputs = kBandwidths + 6;
  using State = std::array<double, kInputs>;

  CasvaPolicy() = default;
  CasvaPolicy(std::vector<ControlDecision> actions, DenseNetwork actor)
      : actions_(std::move(actions)), actor_(std::move(actor)) {}

  // Weight file (JSON), untrusted: {"format": "stac-casva-1", "origin": "how it was trained",
  //   "actions": [[base_qp, keyframe_fps, scale], ...],
  //   "layers": [{"inputs": n, "values": [weights by output, then biases]}, ...]}
  static Result<CasvaPolicy> FromJson(std::string_view json);
  static Result<CasvaPolicy> Read(const std::filesystem::path& path);
  std::string ToJson(const std::string& origin) const;

  const std::vector<ControlDecision>& actions() const { return actions_; }
  DenseNetwork& actor() { return actor_; }
  const DenseNetwork& actor() const { return actor_; }
  // Probabilities of the actions.
  std::vector<double> Probabilities(const State& state) const;

 private:
  std::vector<ControlDecision> actions_;
  DenseNetwork actor_;
};

// What the policy sees of a stream: keeps the bandwidths of the last seconds. c and d of the input
// are ContentKind::kPreencoded.
class CasvaObserver {
 public:
  CasvaPolicy::State Observe(const ControlInput& input);

 private:
  std::deque<double> bandwidths_;
};

// Takes the most probable action. Keeps the last configuration while the bandwidth is unknown.
std::unique_ptr<Controller> MakeCasvaController(CasvaPolicy policy, double share = 1.0);

}  // namespace stac
