#include "stac/lab/bd_rate.h"

#include <gmock/gmock.h>

#include <cmath>

#include "stac/lab/monotone_cubic.h"

namespace stac {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<RatePoint> Points(const std::vector<double>& kbps,
                              const std::vector<double>& accuracy) {
  std::vector<RatePoint> points;
  for (size_t i = 0; i < kbps.size(); ++i) points.push_back({kbps[i], accuracy[i]});
  return points;
}

// The other way to compute it: dense samples of each curve, trapezoids, no closed form.
double SampledBdRate(const std::vector<RatePoint>& reference, const std::vector<RatePoint>& tested,
                     auto log_rate_at) {
  const double low = std::max(reference.front().accuracy, tested.front().accuracy);
  const double high = std::min(reference.back().accuracy, tested.back().accuracy);
  constexpr int kSteps = 20000;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double accuracy = low + (high - low) * (i + 0.5) / kSteps;
    sum += log_rate_at(tested, accuracy) - log_rate_at(reference, accuracy);
  }
  return 100 * (std::exp(sum / kSteps) - 1);
}

double LinearLogRate(const std::vector<RatePoint>& curve, double accuracy) {
  size_t i = 1;
  while (i + 1 < curve.size() && curve[i].accuracy < accuracy) ++i;
  const RatePoint &a = curve[i - 1], &b = curve[i];
  const double t = (accuracy - a.accuracy) / (b.accuracy - a.accuracy);
  return std::log(a.kbps) * (1 - t) + std::log(b.kbps) * t;
}

// Bjontegaard's own method, written from VCEG-M33: one cubic through the four points of log rate
// over quality, the difference integrated over the range that both cover. Three Gauss points
// integrate a cubic exactly.
double VcegM33BdRate(const std::vector<RatePoint>& reference,
                     const std::vector<RatePoint>& tested) {
  const auto cubic = [](const std::vector<RatePoint>& curve, double at) {
    double sum = 0;
    for (size_t i = 0; i < 4; ++i) {
      double term = std::log10(curve[i].kbps);
      for (size_t k = 0; k < 4; ++k) {
        if (k == i) continue;
        term *= (at - curve[k].accuracy) / (curve[i].accuracy - curve[k].accuracy);
      }
      sum += term;
    }
    return sum;
  };
  const double low = std::max(reference.front().accuracy, tested.front().accuracy);
  const double high = std::min(reference.back().accuracy, tested.back().accuracy);
  double mean = 0;
  for (const auto& [node, weight] :
       {std::pair{-std::sqrt(0.6), 5.0 / 18}, {0.0, 8.0 / 18}, {std::sqrt(0.6), 5.0 / 18}}) {
    const double at = (low + high) / 2 + node * (high - low) / 2;
    mean += weight * (cubic(tested, at) - cubic(reference, at));
  }
  return 100 * (std::pow(10, mean) - 1);
}

// Rate-PSNR points of public implementations: the README of FAU-LMS/bjontegaard, and the sample of
// Anserw/Bjontegaard_metric.
const std::vector<RatePoint> kAnchor =
    Points({1358.24, 2486.44, 4593.60, 9487.76}, {34.851, 36.845, 38.615, 40.037});
const std::vector<RatePoint> kTest =
    Points({1356.24, 2451.52, 4469.00, 9787.80}, {34.987, 36.970, 38.651, 40.121});
const std::vector<RatePoint> kFirst =
    Points({85.95, 157.11, 309.58, 686.76}, {31.42, 34.24, 37.18, 40.28});
const std::vector<RatePoint> kSecond =
    Points({112.75, 204.93, 407.8, 893.34}, {31.24, 34.17, 37.21, 40.39});

TEST(MonotoneCubic, InterpolatesAndReproducesLines) {
  const std::vector<double> x = {0, 1, 3, 4}, y = {1, 3, 7, 9};
  const MonotoneCubic line(x, y);
  for (const double at : {0.0, 0.3, 1.0, 2.2, 3.5, 4.0})
    EXPECT_NEAR(line.At(at), 1 + 2 * at, 1e-12);
  EXPECT_NEAR(line.Integral(0.5, 3.5), (2 + 8) * 3 / 2.0, 1e-12);
}

TEST(MonotoneCubic, HasTheSlopesOfPchip) {
  // Slopes by hand: d = 1, 4, 1 on intervals of 1; inner slopes are 2/(1/1+1/4) = 1.6 and 1.6;
  // the ends (3 * d0 - d1) / 2 change sign, so they are 0.
  const std::vector<double> x = {0, 1, 2, 3}, y = {0, 1, 5, 6};
  const MonotoneCubic curve(x, y);
  // Hermite at t = 1/2: (y0 + y1) / 2 + h (m0 - m1) / 8.
  EXPECT_NEAR(curve.At(0.5), 0.5 + (0 - 1.6) / 8, 1e-12);
  EXPECT_NEAR(curve.At(1.5), 3.0, 1e-12);
  EXPECT_NEAR(curve.At(2.5), 5.5 + (1.6 - 0) / 8, 1e-12);
}

TEST(MonotoneCubic, NeverOvershoots) {
  const std::vector<double> x = {0, 1, 2, 3, 4}, y = {0, 0, 0.1, 5, 5};
  const MonotoneCubic curve(x, y);
  double before = curve.At(0);
  for (double at = 0; at <= 4; at += 0.01) {
    EXPECT_GE(curve.At(at), before - 1e-12);
    EXPECT_LE(curve.At(at), 5.0 + 1e-12);
    before = curve.At(at);
  }
}

TEST(MonotoneCubic, IntegralAgreesWithASum) {
  const std::vector<double> x = {0, 0.7, 2, 2.5}, y = {0, 4, 4.5, 9};
  const MonotoneCubic curve(x, y);
  double sum = 0;
  constexpr int kSteps = 100000;
  for (int i = 0; i < kSteps; ++i) sum += curve.At(0.2 + 2.1 * (i + 0.5) / kSteps) * 2.1 / kSteps;
  EXPECT_NEAR(curve.Integral(0.2, 2.3), sum, 1e-7);
}

TEST(LowerHull, KeepsOnlyWhatSwitchingCannotBeat) {
  // (300, 0.8) lies below the line from (100, 0.7) to (400, 0.95); (200, 0.6) is dominated.
  EXPECT_THAT(LowerHull(Points({400, 200, 100, 300, 500}, {0.95, 0.6, 0.7, 0.8, 0.95})),
              ElementsAre(RatePoint{100, 0.7}, RatePoint{400, 0.95}));
  EXPECT_THAT(LowerHull(Points({100, 200, 400}, {0.7, 0.85, 0.95})),
              ElementsAre(RatePoint{100, 0.7}, RatePoint{200, 0.85}, RatePoint{400, 0.95}));
  EXPECT_TRUE(LowerHull(Points({0, -1}, {0.5, 0.6})).empty());
}

TEST(CompareCurves, AConstantFactorIsThatFactorEverywhere) {
  auto half = kAnchor;
  for (RatePoint& point : half) point.kbps *= 0.5;
  const auto result = CompareCurves(kAnchor, half);
  ASSERT_TRUE(result.has_value());
  EXPECT_NEAR(result->bd_rate_percent, -50, 1e-9);
  EXPECT_NEAR(result->mean_saving_percent, 50, 1e-9);
  EXPECT_NEAR(result->max_saving_percent, 50, 1e-9);
  const auto back = CompareCurves(half, kAnchor);
  EXPECT_NEAR(back->bd_rate_percent, 100, 1e-9);
}

TEST(CompareCurves, AConstantGainIsThatGainEverywhere) {
  const auto low = Points({100, 200, 400}, {0.80, 0.85, 0.90});
  const auto high = Points({100, 200, 400}, {0.83, 0.88, 0.93});
  const auto result = CompareCurves(low, high);
  ASSERT_TRUE(result.has_value());
  EXPECT_NEAR(result->mean_gain_points, 3, 1e-9);
  EXPECT_NEAR(result->max_gain_points, 3, 1e-9);
  // log2(kbps) rises by 1 per 0.05: 0.03 more accuracy is worth 2^-0.6 of the rate.
  EXPECT_NEAR(result->bd_rate_percent, 100 * (std::exp2(-0.6) - 1), 1e-9);
  EXPECT_NEAR(result->low_accuracy, 0.83, 1e-12);
  EXPECT_NEAR(result->high_accuracy, 0.90, 1e-12);
}

TEST(CompareCurves, AgreesWithAnIndependentIntegration) {
  for (const auto& [a, b] : {std::pair{kAnchor, kTest}, std::pair{kFirst, kSecond}}) {
    const auto result = CompareCurves(a, b);
    ASSERT_TRUE(result.has_value());
    const auto cubic = [](const std::vector<RatePoint>& curve, double accuracy) {
      std::vector<double> x, y;
      for (const RatePoint& p : curve) x.push_back(p.accuracy), y.push_back(std::log(p.kbps));
      return MonotoneCubic(x, y).At(accuracy);
    };
    EXPECT_NEAR(result->bd_rate_percent, SampledBdRate(a, b, cubic), 1e-6);
    // A different interpolation of the same four points differs little.
    EXPECT_NEAR(result->bd_rate_percent, SampledBdRate(a, b, LinearLogRate), 0.8);
  }
}

// Four-point curves and BD-rates of JCTVC-E137 by piecewise cubics, as the tests of Netflix's VMAF
// library and of Android's compatibility suite (BdRateCalculatorTests) quote them.
TEST(CompareCurves, GivesThePublishedBdRates) {
  const auto first = CompareCurves(
      Points({18883.6928, 33905.6656, 61279.976, 108048.8736}, {34.2911, 37.247, 40.3953, 43.6471}),
      Points({18910.912, 33928.7472, 61299.9936, 108061.2784},
             {34.3147, 37.2761, 40.4232, 43.6768}));
  ASSERT_TRUE(first.has_value());
  EXPECT_NEAR(first->bd_rate_percent, -0.465215420752807, 1e-9);
  const auto second = CompareCurves(
      Points({1017.6184, 2394.488, 7622.7456, 40433.8848}, {32.0603, 33.8977, 35.3756, 37.5761}),
      Points({1017.0984, 2390.0944, 7587.0024, 40370.12}, {32.0822, 33.9194, 35.4025, 37.5982}));
  ASSERT_TRUE(second.has_value());
  EXPECT_NEAR(second->bd_rate_percent, -1.8779823450567612, 1e-9);
}

TEST(CompareCurves, AgreesWithTheMethodOfVcegM33) {
  // What numpy's polyfit and polyint give for the same points.
  EXPECT_NEAR(VcegM33BdRate(kFirst, kSecond), 31.397374054908013, 1e-6);
  EXPECT_NEAR(VcegM33BdRate(kAnchor, kTest), -4.420462706090111, 1e-6);
  // On curves as smooth as these, monotone cubics differ by hundredths of a percent.
  EXPECT_NEAR(CompareCurves(kFirst, kSecond)->bd_rate_percent, VcegM33BdRate(kFirst, kSecond),
              0.02);
  EXPECT_NEAR(CompareCurves(kAnchor, kTest)->bd_rate_percent, VcegM33BdRate(kAnchor, kTest), 0.02);
}

TEST(CompareCurves, SaysWhenNothingOverlaps) {
  const auto low = Points({100, 200}, {0.5, 0.6});
  const auto high = Points({100, 200}, {0.7, 0.8});
  EXPECT_THAT(CompareCurves(low, high).error().message, HasSubstr("no accuracy that both reach"));
  EXPECT_THAT(CompareCurves(Points({1}, {1}), low).error().message, HasSubstr("two points"));
  const auto cheap = Points({1, 2}, {0.5, 0.6});
  const auto apart = CompareCurves(low, cheap);
  ASSERT_TRUE(apart.has_value());
  EXPECT_TRUE(std::isnan(apart->mean_gain_points));
  EXPECT_NEAR(apart->bd_rate_percent, -99, 1e-9);
}

}  // namespace
}  // namespace stac
