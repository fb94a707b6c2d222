#include <gmock/gmock.h>

#include <cmath>

#include "stac/lab/jpeg_stream.h"
#include "stac/lab/label_mapping.h"
#include "stac/lab/two_level_plan.h"

namespace stac {
namespace {

TEST(LabelMapping, GroupsCityscapesAsCamVidDoes) {
  const auto mapping = LabelMapping::Make("camvid11", 19);
  ASSERT_TRUE(mapping.has_value());
  EXPECT_EQ(mapping->class_count(), 11);
  const LabelMap network(5, 1, std::vector<uint8_t>{0, 3, 14, 18, 200});
  EXPECT_EQ(mapping->FromNetwork(network),
            LabelMap(5, 1, std::vector<uint8_t>{3, 1, 8, 10, kUnlabelled}));
  const LabelMap human(3, 1, std::vector<uint8_t>{0, 10, 11});
  EXPECT_EQ(mapping->FromHuman(human), LabelMap(3, 1, std::vector<uint8_t>{0, 10, kUnlabelled}));
}

TEST(LabelMapping, EqualClassesStayAndOthersAreRefused) {
  const LabelMap labels(2, 1, std::vector<uint8_t>{0, 10});
  EXPECT_EQ(LabelMapping::Make("camvid11", 11)->FromNetwork(labels), labels);
  EXPECT_EQ(LabelMapping::Make("train_ids", 19)->FromNetwork(labels), labels);
  EXPECT_FALSE(LabelMapping::Make("train_ids", 11).has_value());
  EXPECT_FALSE(LabelMapping::Make("camvid11", 21).has_value());
}

TEST(GraceTables, AreOneShapeTimesB) {
  FrequencyGradients gradients;
  for (int i = 0; i < 64; ++i) {
    gradients.luma8[i] = 1.0 / (1 + i % 8);
    gradients.cb8[i] = 0.5 * gradients.luma8[i];
    gradients.cr8[i] = 1e-12;
  }
  const JpegTables tables = GraceTables(gradients, 20);
  double mean_log = 0;
  for (const uint8_t q : tables.luma) mean_log += std::log(q) / 64;
  EXPECT_NEAR(std::exp(mean_log), 20, 0.5);
  EXPECT_NEAR(tables.luma[7], 8.0 * tables.luma[0], 4);  // q_n |g_n| is constant
  EXPECT_NEAR(tables.cb[0], 2.0 * tables.luma[0], 1);    // across components too
  EXPECT_EQ(tables.cr[0], 255);
  for (const uint8_t q : GraceTables(gradients, 1).luma) EXPECT_GE(q, 1);
}

TEST(AccMpegQp, ProtectsTheMostImportantMacroblocksAndTheirNeighbours) {
  SensitivityMap importance(10, 1, 0.0f);
  for (int x = 0; x < 10; ++x) importance(x, 0) = static_cast<float>(x == 4 ? 100 : x);
  const auto spec = SystemSpec::Parse("accmpeg:qp=30,delta=8,fraction=0.1,dilate=1").value();
  const Grid<float> qp = AccMpegQp(importance, spec);
  const std::vector<float> expected = {38, 38, 38, 30, 30, 30, 38, 38, 38, 38};
  EXPECT_THAT(std::vector<float>(qp.begin(), qp.end()), ::testing::ElementsAreArray(expected));

  const auto coarse = spec.With({{"qp", "48"}}).value();  // 56 is no QP
  EXPECT_EQ(AccMpegQp(importance, coarse)(0, 0), 51);
  EXPECT_EQ(AccMpegQp(importance, coarse)(4, 0), 48);
}

TEST(BoundaryQp, ProtectsMacroblocksNearBoundaries) {
  LabelMap labels(64, 16, 0);
  for (int y = 0; y < 16; ++y) {
    for (int x = 32; x < 64; ++x) labels(x, y) = 1;
  }
  const auto spec = SystemSpec::Parse("boundary:qp=30,delta=6,distance=4").value();
  const Grid<float> qp = BoundaryQp(labels, spec);
  const std::vector<float> expected = {36, 30, 30, 36};
  EXPECT_THAT(std::vector<float>(qp.begin(), qp.end()), ::testing::ElementsAreArray(expected));
  EXPECT_EQ(BoundaryQp(labels, spec.With({{"qp", "51"}}).value())(0, 0), 51);
}

}  // namespace
}  // namespace stac
