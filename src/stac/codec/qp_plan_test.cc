#include "stac/codec/qp_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

double Mean(const Grid<float>& map) {
  double sum = 0;
  for (const float value : map) sum += value;
  return sum / static_cast<double>(map.size());
}

TEST(SnapToParityTest, ValuesOnTheGridStay) {
  const Grid<float> wanted(3, 2, {30, 32, 28, 40, 30, 26});
  EXPECT_EQ(SnapToParity(wanted, 30), QpMap(3, 2, {30, 32, 28, 40, 30, 26}));
  EXPECT_EQ(SnapToParity(wanted, 2), SnapToParity(wanted, 30));  // only the parity counts
}

TEST(SnapToParityTest, TakesOneOfTheTwoGridValuesAroundAndKeepsTheRowsMean) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> qp(10.0f, 45.0f);
  for (const int anchor : {26, 27}) {
    Grid<float> wanted(40, 10);
    for (float& value : wanted) value = qp(random);
    const QpMap snapped = SnapToParity(wanted, anchor);
    for (int y = 0; y < wanted.height(); ++y) {
      double debt = 0;
      for (int x = 0; x < wanted.width(); ++x) {
        EXPECT_EQ((snapped(x, y) ^ anchor) % 2, 0);
        EXPECT_LT(std::abs(snapped(x, y) - wanted(x, y)), 2.0f);
        debt += wanted(x, y) - snapped(x, y);
      }
      EXPECT_LE(std::abs(debt), 3.0);
    }
    EXPECT_NEAR(MeanQp(snapped), Mean(wanted), 0.1);
  }
}

TEST(SnapToParityTest, BetweenTheGridItMakesRunsInsteadOfAlternating) {
  const QpMap snapped = SnapToParity(Grid<float>(60, 1, 31.0f), 30);
  int changes = 0;
  for (int x = 1; x < 60; ++x) changes += snapped(x, 0) != snapped(x - 1, 0);
  EXPECT_LE(changes, 20);
  EXPECT_NEAR(MeanQp(snapped), 31.0, 0.06);
}

TEST(SnapToParityTest, RangeIsClampedToTheGridInside) {
  const Grid<float> wanted(2, 1, {-5.0f, 80.0f});
  EXPECT_EQ(SnapToParity(wanted, 30, 1, 51), QpMap(2, 1, {2, 50}));
  EXPECT_EQ(SnapToParity(wanted, 31, 1, 51), QpMap(2, 1, {1, 51}));
  EXPECT_EQ(SnapToParity(wanted, 30, 20, 40), QpMap(2, 1, {20, 40}));
}

TEST(AnchorQpTest, NearestToTheMeanWithTheMapsParity) {
  EXPECT_EQ(AnchorQp(QpMap(2, 1, {30, 30})), 30);
  EXPECT_EQ(AnchorQp(QpMap(3, 1, {20, 30, 40})), 30);
  EXPECT_EQ(AnchorQp(QpMap(3, 1, {21, 31, 41})), 31);
  EXPECT_EQ(AnchorQp(QpMap(4, 1, {51, 51, 51, 51})), 51);
  EXPECT_EQ(AnchorQp(QpMap(1, 1, {0})), 0);
}

TEST(VarianceAqTest, HandComputed) {
  Frame frame(32, 16);
  for (int i = 0; i < 3; ++i) {
    std::memset(frame.MutablePlane(i), 100,
                static_cast<size_t>(frame.plane(i).stride) * frame.plane(i).height);
  }
  // Right macroblock: luma rows alternate 100, 104: deviation 2 everywhere, energy 256 * 4 = 1024.
  for (int y = 1; y < 16; y += 2) {
    std::memset(frame.MutablePlane(0) + y * frame.y().stride + 16, 104, 16);
  }
  const Grid<float> offsets = VarianceAqOffsets(frame, 1.0);
  EXPECT_NEAR(offsets(0, 0), 1.0397 * (0 - 14.427), 1e-4);
  EXPECT_NEAR(offsets(1, 0), 1.0397 * (10 - 14.427), 1e-4);
  EXPECT_NEAR(VarianceAqOffsets(frame, 0.5)(1, 0), 0.5 * offsets(1, 0), 1e-5);
}

TEST(VarianceAqTest, SamplesRepeatAtTheBorder) {
  Frame frame(18, 16);
  for (int i = 0; i < 3; ++i) {
    for (int y = 0; y < frame.plane(i).height; ++y) {
      for (int x = 0; x < frame.plane(i).width; ++x) {
        frame.MutablePlane(i)[y * frame.plane(i).stride + x] = i == 0 && x == 17   ? 120
                                                               : i == 0 && x == 16 ? 104
                                                                                   : 100;
      }
    }
  }
  // One column of 104 and fifteen of 120: variance 15 * 1 / 256 * 16^2 = 15, times 256 samples.
  EXPECT_NEAR(VarianceAqOffsets(frame, 1.0)(1, 0), 1.0397 * (std::log2(3840.0) - 14.427), 1e-4);
}

TEST(VarianceAqTest, EqualsThePlainRoutineExactly) {
  std::mt19937 random(4);
  for (const auto& [width, height] : {std::pair{64, 48}, {50, 38}, {18, 16}, {16, 100}}) {
    Frame frame(width, height);
    for (int i = 0; i < 3; ++i) {
      for (int k = 0; k < frame.plane(i).stride * frame.plane(i).height; ++k) {
        frame.MutablePlane(i)[k] = static_cast<uint8_t>(random());
      }
    }
    const Grid<float> offsets = VarianceAqOffsets(frame, 0.7);
    for (int j = 0; j < offsets.height(); ++j) {
      for (int i = 0; i < offsets.width(); ++i) {
        uint32_t energy = 0;
        for (int p = 0; p < 3; ++p) {
          const PlaneView plane = frame.plane(p);
          const uint32_t size = p == 0 ? 16 : 8;
          uint64_t sum = 0, squares = 0;
          for (uint32_t y = j * size; y < (j + 1) * size; ++y) {
            for (uint32_t x = i * size; x < (i + 1) * size; ++x) {
              const uint64_t sample =
                  plane.At(std::min<int>(static_cast<int>(x), plane.width - 1),
                           std::min<int>(static_cast<int>(y), plane.height - 1));
              sum += sample;
              squares += sample * sample;
            }
          }
          energy += static_cast<uint32_t>(squares - sum * sum / (size * size));
        }
        EXPECT_EQ(offsets(i, j),
                  static_cast<float>(0.7 * 1.0397 * (std::log2(std::max(energy, 1u)) - 14.427)));
      }
    }
  }
}

TEST(AuditQpTest, TellsApartCodedInheritedAndMismatched) {
  const QpMap planned(6, 1, {30, 32, 32, 34, 36, 30});
  // Second inherits 30, third carries its 32, fourth inherits, fifth carries 38: not planned.
  const QpMap decoded(6, 1, {30, 30, 32, 32, 38, 30});
  const QpAudit audit = AuditQp(planned, decoded, 28);
  EXPECT_EQ(audit.macroblocks, 6);
  EXPECT_EQ(audit.coded, 3);
  EXPECT_EQ(audit.followed, 3);
  EXPECT_EQ(audit.inherited, 2);
  EXPECT_EQ(audit.mismatched, 1);
}

TEST(AuditQpTest, SlicesRestartAtTheFirstQpAndRawMacroblocksKeepTheOneBefore) {
  EXPECT_EQ(AuditQp(QpMap(2, 2, {30, 30, 32, 32}), QpMap(2, 2, {30, 30, 28, 28}), 28).inherited, 2);
  EXPECT_EQ(AuditQp(QpMap(2, 1, {30, 30}), QpMap(2, 1, {28, 30}), 28).mismatched, 0);
  const QpAudit raw = AuditQp(QpMap(3, 1, {10, 12, 12}), QpMap(3, 1, {10, 0, 10}), 10);
  EXPECT_EQ(raw.inherited, 2);
  EXPECT_EQ(raw.mismatched, 0);
}

TEST(AuditQpTest, AnIgnoredPlanFollowsNothing) {
  const QpMap planned(4, 1, {26, 34, 26, 34});
  const QpAudit audit = AuditQp(planned, QpMap(4, 1, 30), 30);
  EXPECT_EQ(audit.coded, 0);
  EXPECT_EQ(audit.followed, 0);
  EXPECT_EQ(audit.inherited, 4);
}

TEST(RoundedQpTest, StaysWithinWhatEncodersTake) {
  EXPECT_EQ(RoundedQp(Grid<float>(4, 1, std::vector<float>{-3, 0.4f, 30.6f, 70})),
            QpMap(4, 1, {1, 1, 31, 51}));
}

TEST(AuditQpTest, AuditsAddUp) {
  QpAudit sum{.macroblocks = 1, .coded = 2, .inherited = 3, .mismatched = 4, .followed = 5};
  sum.Add({.macroblocks = 10, .coded = 20, .inherited = 30, .mismatched = 40, .followed = 50});
  EXPECT_EQ(sum.macroblocks, 11);
  EXPECT_EQ(sum.coded, 22);
  EXPECT_EQ(sum.inherited, 33);
  EXPECT_EQ(sum.mismatched, 44);
  EXPECT_EQ(sum.followed, 55);
}

TEST(ScalingMatricesTest, StandardLists) {
  const ScalingMatrices jvt = JvtMatrices();
  EXPECT_EQ(jvt.intra_y4, (std::array<uint8_t, 16>{6, 13, 20, 28, 13, 20, 28, 32, 20, 28, 32, 37,
                                                   28, 32, 37, 42}));
  EXPECT_EQ(jvt.inter_c4[15], 34);
  // Table 7-4 in zigzag order starts 6 10 10 13 11 13 and 9 13 13 15 13 15.
  EXPECT_EQ((std::array{jvt.intra_y8[0], jvt.intra_y8[1], jvt.intra_y8[8], jvt.intra_y8[16],
                        jvt.intra_y8[9], jvt.intra_y8[2]}),
            (std::array<uint8_t, 6>{6, 10, 10, 13, 11, 13}));
  EXPECT_EQ((std::array{jvt.inter_y8[0], jvt.inter_y8[1], jvt.inter_y8[8], jvt.inter_y8[16],
                        jvt.inter_y8[9], jvt.inter_y8[2], jvt.inter_y8[63]}),
            (std::array<uint8_t, 7>{9, 13, 13, 15, 13, 15, 35}));
  EXPECT_EQ(FlatMatrices().intra_y8[63], 16);
}

}  // namespace
}  // namespace stac
