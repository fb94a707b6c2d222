#include "stac/adapt/controller.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "stac/adapt/tuner.h"

namespace stac {
namespace {

using testing::HasSubstr;

ProfileRow Row(double qp, double fps, double accuracy, double kbps) {
  return {{qp, fps, 1}, accuracy, kbps};
}

TEST(ControlInputTest, TellsWhatTheDecidedRateWouldHaveTaken) {
  ControlInput input{.c = 3};
  input.SetSent({.base_qp = 28, .keyframe_fps = 5, .scale = 0.5}, 10, 400, false);
  EXPECT_EQ(input.last_keyframe_fps, 5);
  EXPECT_EQ(input.last_kbps, 200);
  EXPECT_EQ(input.last_base_qp, 28);
  EXPECT_EQ(input.last_scale, 0.5);
  EXPECT_EQ(input.c, 3);
  input.SetSent({.base_qp = 28, .keyframe_fps = 5}, 4, 400, /*held_back=*/true);
  EXPECT_EQ(input.last_keyframe_fps, 5);
  EXPECT_EQ(input.last_kbps, 500);
  input.SetSent({.base_qp = 28, .keyframe_fps = 5}, 4, 400, /*held_back=*/false);
  EXPECT_EQ(input.last_keyframe_fps, 4);
  EXPECT_EQ(input.last_kbps, 400);
}

TEST(ParetoRowsTest, KeepsWhatNothingBeats) {
  const auto rows =
      ParetoRows({Row(20, 5, 0.95, 900), Row(30, 5, 0.90, 400), Row(35, 5, 0.90, 500),
                  Row(40, 1, 0.70, 100), Row(41, 2, 0.60, 100), Row(25, 1, 0.80, 500)});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].configuration.base_qp, 40);
  EXPECT_EQ(rows[1].configuration.base_qp, 30);
  EXPECT_EQ(rows[2].configuration.base_qp, 20);
}

TEST(ProfileTableTest, TakesTheMostAccurateThatFits) {
  const auto controller = MakeProfileTableController(
      {Row(20, 5, 0.95, 900), Row(30, 5, 0.90, 400), Row(40, 1, 0.70, 100)}, 0.5);
  const auto qp_at = [&](double kbps) {
    return controller->Decide({.bandwidth_kbps = kbps, .last_base_qp = 33}).base_qp;
  };
  EXPECT_EQ(qp_at(10'000), 20);
  EXPECT_EQ(qp_at(1800), 20);  // half of it is exactly enough
  EXPECT_EQ(qp_at(1799), 30);
  EXPECT_EQ(qp_at(799), 40);
  EXPECT_EQ(qp_at(10), 40);  // nothing fits: the cheapest
  EXPECT_EQ(qp_at(0), 33);   // unknown: no change
}

TEST(ProfileTableTest, IsReadFromCsvAndChecked) {
  const auto rows = ParseProfileTable(
      "base_qp,keyframe_fps,scale,accuracy,kbps\r\n30,5,0.5,0.9,400\n\n40,1,1,0.7,100\n");
  ASSERT_TRUE(rows.has_value());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].configuration, (ControlDecision{30, 5, 0.5}));
  EXPECT_EQ((*rows)[1].kbps, 100);
  const std::string header = "base_qp,keyframe_fps,scale,accuracy,kbps\n";
  const auto error = [](const std::string& csv) {
    const auto table = ParseProfileTable(csv);
    return table ? "read" : table.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("no rows"));
  EXPECT_THAT(error("qp,fps\n"), HasSubstr("line 1: the header"));
  EXPECT_THAT(error(header + "1,2,3\n"), HasSubstr("line 2: 3 values"));
  EXPECT_THAT(error(header + "30,5,1,0.9,400\n30,nan,1,0.9,400\n"), HasSubstr("line 3: keyframe"));
  EXPECT_THAT(error(header + "30,5,1,1.5,400\n"), HasSubstr("accuracy"));
  EXPECT_THAT(error(header + "30,5,1,0.5,\n"), HasSubstr("kbps"));
}

// One hidden unit: max(0, x_bandwidth - x_last_bits); outputs (-1 times it, half of it).
const std::string kSmallNetwork = R"({
  "format": "stac-tuner-1", "origin": "by hand",
  "input_mean": [0, 0, 5, 0, 0, 0], "input_scale": [1, 1, 2, 1, 1, 1],
  "layers": [{"weights": [[-1, 1, 0, 0, 0, 0]], "bias": [0]},
             {"weights": [[-1], [0.5]], "bias": [0.25, 0]}]})";

TEST(TunerNetworkTest, EvaluatesAsByHand) {
  const auto network = TunerNetwork::FromJson(kSmallNetwork);
  ASSERT_TRUE(network.has_value()) << network.error().message;
  EXPECT_EQ(network->origin(), "by hand");
  EXPECT_EQ(network->flops(), 16u);
  const ControlInput input{.last_kbps = 500, .bandwidth_kbps = 2000, .last_base_qp = 30};
  EXPECT_THAT(network->Evaluate(TunerNetwork::Features(input)),
              testing::ElementsAre(testing::DoubleNear(-1.75, 1e-5), testing::DoubleNear(1, 1e-5)));
}

TEST(TunerNetworkTest, FeaturesAreLogarithms) {
  const auto features = TunerNetwork::Features({.last_kbps = 512,
                                                .bandwidth_kbps = 1024,
                                                .last_base_qp = 30,
                                                .last_keyframe_fps = 4,
                                                .c = 1 << 20,
                                                .d = 0});
  EXPECT_THAT(features, testing::ElementsAre(9, 10, 5, 2, 20, testing::DoubleNear(-9.97, 0.01)));
}

TEST(TunerControllerTest, AppliesFactorsWithinLimits) {
  const ControlLimits limits{.min_base_qp = 12, .max_keyframe_fps = 10};
  const auto controller = MakeTunerController(*TunerNetwork::FromJson(kSmallNetwork), limits);
  ControlInput input{
      .last_kbps = 500, .bandwidth_kbps = 2000, .last_base_qp = 30, .last_keyframe_fps = 2};
  ControlDecision decision = controller->Decide(input);
  EXPECT_NEAR(decision.base_qp, 30 - 6 * 1.75, 1e-4);  // B times 2^-1.75
  EXPECT_NEAR(decision.keyframe_fps, 4, 1e-4);
  EXPECT_EQ(decision.scale, 1);
  input.bandwidth_kbps = 1e9;  // -21 and 10 octaves: limited to 4, then to the limits
  decision = controller->Decide(input);
  EXPECT_EQ(decision.base_qp, 12);
  EXPECT_EQ(decision.keyframe_fps, 10);
  input.bandwidth_kbps = 0;
  EXPECT_EQ(controller->Decide(input), (ControlDecision{30, 2, 1}));
  // Who plans with a quarter of the bandwidth is told a quarter of it.
  input.bandwidth_kbps = 8000;
  const auto quarter = MakeTunerController(*TunerNetwork::FromJson(kSmallNetwork), limits, 0.25);
  EXPECT_NEAR(quarter->Decide(input).base_qp, 30 - 6 * 1.75, 1e-4);
}

TEST(TunerControllerTest, AThirdOutputIsTheScale) {
  std::string text = kSmallNetwork;
  const std::string two = "[[-1], [0.5]], \"bias\": [0.25, 0]";
  text.replace(text.find(two), two.size(), "[[0], [0], [0]], \"bias\": [0, 0, -1]");
  const auto network = TunerNetwork::FromJson(text);
  ASSERT_TRUE(network.has_value()) << network.error().message;
  const auto controller = MakeTunerController(*network, {.min_scale = 0.25});
  const ControlInput input{.last_kbps = 500,
                           .bandwidth_kbps = 500,
                           .last_base_qp = 30,
                           .last_keyframe_fps = 2,
                           .last_scale = 0.8};
  EXPECT_NEAR(controller->Decide(input).scale, 0.4, 1e-6);
}

// Weights that are each within their limits, and together make 0 times infinity.
TEST(TunerControllerTest, NumbersThatOverflowChangeNothing) {
  std::string layers = R"({"weights": [[1e6, 1e6, 1e6, 1e6, 1e6, 1e6]], "bias": [0]})";
  for (int i = 0; i < 6; ++i) layers += R"(, {"weights": [[1e6]], "bias": [0]})";
  layers += R"(, {"weights": [[0], [0]], "bias": [0, 0]})";
  const auto network = TunerNetwork::FromJson(
      R"({"format": "stac-tuner-1", "origin": "", "input_mean": [0, 0, 0, 0, 0, 0],)"
      R"( "input_scale": [1, 1, 1, 1, 1, 1], "layers": [)" +
      layers + "]}");
  ASSERT_TRUE(network.has_value()) << network.error().message;
  ControlInput input{
      .last_kbps = 500, .bandwidth_kbps = 2000, .last_base_qp = 30, .last_keyframe_fps = 2};
  ASSERT_FALSE(std::isfinite(network->Evaluate(TunerNetwork::Features(input)).front()));
  EXPECT_EQ(MakeTunerController(*network, {})->Decide(input), (ControlDecision{30, 2, 1}));
}

TEST(TunerNetworkTest, BadFilesAreErrors) {
  const auto error_after = [](const std::string& from, const std::string& to) {
    std::string text = kSmallNetwork;
    text.replace(text.find(from), from.size(), to);
    const auto network = TunerNetwork::FromJson(text);
    return network ? "read" : network.error().message;
  };
  EXPECT_THAT(error_after("tuner-1", "tuner-9"), HasSubstr("format"));
  EXPECT_THAT(error_after("[0, 0, 5, 0, 0, 0]", "[0, 0]"), HasSubstr("input_mean"));
  EXPECT_THAT(error_after("[1, 1, 2, 1, 1, 1]", "[1, 1, 0, 1, 1, 1]"), HasSubstr("positive"));
  EXPECT_THAT(error_after("[[-1, 1, 0, 0, 0, 0]]", "[[-1, 1]]"), HasSubstr("layer 0, weights"));
  EXPECT_THAT(error_after("[0.25, 0]", "[0.25]"), HasSubstr("layer 1, bias"));
  EXPECT_THAT(error_after("[0.25, 0]", "[0.25, 1e300]"), HasSubstr("no number"));
  EXPECT_THAT(error_after("[0.25, 0]", "[0.25, \"x\"]"), HasSubstr("no number"));
  EXPECT_THAT(error_after("[[-1], [0.5]], \"bias\": [0.25, 0]", "[[-1]], \"bias\": [0.25]"),
              HasSubstr("1 outputs"));
  EXPECT_THAT(error_after("\"layers\"", "\"Layers\""), HasSubstr("layers"));
  EXPECT_THAT(error_after("{", "["), HasSubstr("not a JSON object"));
  std::mt19937 random(2);
  for (int i = 0; i < 3000; ++i) {
    std::string text = kSmallNetwork;
    text[random() % text.size()] = static_cast<char>(random());
    if (const auto network = TunerNetwork::FromJson(text)) {
      EXPECT_GE(network->Evaluate({}).size(), 2u);
    }
  }
}

}  // namespace
}  // namespace stac
