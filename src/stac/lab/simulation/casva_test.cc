#include <gmock/gmock.h>

#include <cmath>

#include "stac/lab/simulation/casva_training.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

double Loss(const DenseNetwork& network, const std::vector<double>& inputs) {
  const auto out = network.Evaluate(inputs);
  return 0.5 * out[0] * out[0] + 2 * out[1];
}

TEST(DenseNetworkTest, GradientIsThatOfFiniteDifferences) {
  DenseNetwork network({3, 5, 4, 2}, 7);
  for (auto& layer : network.layers()) {
    for (double& value : layer.values) value = value * 3 + 0.05;
  }
  const std::vector<double> inputs = {0.3, -0.7, 1.1};
  const auto out = network.Evaluate(inputs);
  network.AddGradient(inputs, std::vector<double>{out[0], 2});
  for (size_t l = 0; l < network.layers().size(); ++l) {
    for (size_t i = 0; i < network.layers()[l].values.size(); ++i) {
      constexpr double kStep = 1e-5;
      DenseNetwork more = network, less = network;
      more.layers()[l].values[i] += kStep;
      less.layers()[l].values[i] -= kStep;
      const double slope = (Loss(more, inputs) - Loss(less, inputs)) / (2 * kStep);
      EXPECT_NEAR(network.gradient()[l][i], slope, 1e-5) << l << " " << i;
    }
  }
}

TEST(DenseNetworkTest, AdamReachesAMinimum) {
  DenseNetwork network({1, 8, 1}, 1);
  const std::vector<double> input = {1};
  for (int i = 0; i < 500; ++i) {
    network.AddGradient(input, std::vector<double>{network.Evaluate(input)[0] - 3});
    network.Step(0.02, 10);
  }
  EXPECT_NEAR(network.Evaluate(input)[0], 3, 0.01);
}

// Two clips, one configuration at 100 kb/s and a better one at 400; the second clip needs twice
// the bits, which its pre-encoded frames tell.
std::vector<SegmentRow> Rows() {
  std::vector<SegmentRow> rows;
  for (int clip = 0; clip < 2; ++clip) {
    for (int segment = 0; segment < 4; ++segment) {
      for (int better = 0; better < 2; ++better) {
        SegmentRow row{.system = "casva", .network = "n", .clip = clip == 0 ? "easy" : "hard"};
        row.segment = segment;
        row.configuration = {.base_qp = better ? 26.0 : 38.0, .keyframe_fps = 5};
        row.accuracy = better ? 0.95 : 0.85;
        row.kbps = row.video_kbps = (better ? 400 : 100) * (clip + 1);
        row.c = 60'000 * (clip + 1);
        row.d = 15'000 * (clip + 1);
        rows.push_back(row);
      }
    }
  }
  return rows;
}

double ChosenQp(const CasvaPolicy& policy, double bandwidth, int clip) {
  const auto controller = MakeCasvaController(policy);
  return controller
      ->Decide({.last_kbps = 100,
                .bandwidth_kbps = bandwidth,
                .last_base_qp = 38,
                .last_keyframe_fps = 5,
                .c = 60'000.0 * (clip + 1),
                .d = 15'000.0 * (clip + 1)})
      .base_qp;
}

TEST(CasvaTest, LearnsWhatFitsTheBandwidthAndTheContent) {
  const std::atomic<bool> stop = false;
  std::vector<Trace> traces;
  for (const double kbps : {150.0, 250.0, 500.0, 600.0, 1000.0}) {
    traces.push_back(ConstantTrace(kbps));
  }
  CasvaTrainingReport report;
  const auto policy =
      TrainCasva(Rows(), traces, {.episodes = 1500, .rate = 3e-3}, &report, {}, stop);
  ASSERT_TRUE(policy.has_value()) << policy.error().message;
  EXPECT_GT(report.last_reward, report.first_reward + 0.02);
  EXPECT_EQ(ChosenQp(*policy, 1000, 0), 26);
  EXPECT_EQ(ChosenQp(*policy, 150, 0), 38);
  EXPECT_EQ(ChosenQp(*policy, 550, 0), 26);
  EXPECT_EQ(ChosenQp(*policy, 550, 1), 38);  // would need 800
  // Stored and read again it decides the same.
  const auto again = CasvaPolicy::FromJson(policy->ToJson("a test"));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(ChosenQp(*again, 550, 0), 26);
  EXPECT_EQ(ChosenQp(*again, 550, 1), 38);
}

TEST(CasvaTest, KeepsItsConfigurationWithoutAnEstimate) {
  CasvaPolicy policy({{20, 5, 1}, {40, 2, 0.5}}, DenseNetwork({CasvaPolicy::kInputs, 2}, 1));
  const auto controller = MakeCasvaController(policy);
  const ControlDecision kept = controller->Decide(
      {.bandwidth_kbps = 0, .last_base_qp = 33, .last_keyframe_fps = 3, .last_scale = 0.75});
  EXPECT_EQ(kept, (ControlDecision{33, 3, 0.75}));
}

TEST(CasvaTest, RefusesTablesAndWeightsThatMakeNoSense) {
  const std::atomic<bool> stop = false;
  EXPECT_FALSE(TrainCasva({}, {ConstantTrace(1)}, {}, nullptr, {}, stop).has_value());
  EXPECT_FALSE(TrainCasva(Rows(), {}, {}, nullptr, {}, stop).has_value());
  for (
      const char* text : {
          "",
          "[]",
          "{}",
          R"({"format": "stac-casva-1"})",
          R"({"format": "stac-casva-1", "actions": [[30, 5]], "layers": []})",
          R"({"format": "stac-casva-1", "actions": [[30, 5, 1]], "layers": [{"inputs": 3, "values": [1, 2, 3, 4]}]})",
          R"({"format": "stac-casva-1", "actions": [[30, -5, 1]], "layers": [7]})",
      }) {
    const auto policy = CasvaPolicy::FromJson(text);
    ASSERT_FALSE(policy.has_value()) << text;
    EXPECT_THAT(policy.error().message, HasSubstr("CASVA weights"));
  }
}

}  // namespace
}  // namespace stac
