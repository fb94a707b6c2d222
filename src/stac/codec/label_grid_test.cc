#include "stac/codec/label_grid.h"

#include <gmock/gmock.h>

#include <vector>

#include "stac/codec/label_coder.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

LabelMap Map(int width, int height, std::vector<uint8_t> labels) {
  return LabelMap(width, height, std::move(labels));
}

// A disc of label 2 on label 1.
LabelMap Disc(int width, int height) {
  LabelMap map(width, height, 1);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int dx = 2 * x - width, dy = 2 * y - height;
      if (dx * dx + dy * dy < height * height / 2) map(x, y) = 2;
    }
  }
  return map;
}

double ShareOfEqual(const LabelMap& a, const LabelMap& b) {
  int equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return equal / static_cast<double>(a.size());
}

TEST(ReduceLabels, TakesTheCommonestLabelOfEachCell) {
  // Cells: {1,1,1,2}, {3,3,2,2} (a tie: the smaller), and a cut column {5,7}.
  const LabelMap map = Map(5, 2,
                           {1, 1, 3, 3, 7,  //
                            1, 2, 2, 2, 5});
  EXPECT_EQ(ReduceLabels(map, 2), Map(3, 1, {1, 2, 5}));
  EXPECT_EQ(ReduceLabels(map, 1), map);
}

TEST(EnlargeLabels, KeepsStraightEdgesAndCutsCorners) {
  // A vertical edge between columns of cells stays where it is.
  const LabelMap edge = EnlargeLabels(Map(2, 2, {1, 2, 1, 2}), 3, 6, 6);
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 6; ++x) EXPECT_EQ(edge(x, y), x < 3 ? 1 : 2) << x << ' ' << y;
  }
  // A cell alone in a corner of four loses its own corner to the other three.
  const LabelMap corner = EnlargeLabels(Map(2, 2, {1, 2, 2, 2}), 4, 8, 8);
  EXPECT_EQ(corner(0, 0), 1);
  EXPECT_EQ(corner(3, 3), 2);
}

TEST(EnlargeLabels, OneLabelStaysAloneAtAnySize) {
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {16, 9}}) {
    for (int grid = 1; grid <= 4; ++grid) {
      const LabelMap flat(width, height, 9);
      EXPECT_EQ(EnlargeLabels(ReduceLabels(flat, grid), grid, width, height), flat);
    }
  }
}

TEST(EnlargeLabels, InventsNoLabelAndBringsBackASmoothShape) {
  const LabelMap disc = Disc(97, 61);
  EXPECT_EQ(EnlargeLabels(ReduceLabels(disc, 1), 1, 97, 61), disc);
  for (int grid = 2; grid <= 4; ++grid) {
    const LabelMap back = EnlargeLabels(ReduceLabels(disc, grid), grid, 97, 61);
    EXPECT_GT(ShareOfEqual(back, disc), 0.98) << grid;
    // Copying each cell to its pixels would do worse.
    LabelMap copied(97, 61);
    const LabelMap cells = ReduceLabels(disc, grid);
    for (int y = 0; y < 61; ++y) {
      for (int x = 0; x < 97; ++x) copied(x, y) = cells(x / grid, y / grid);
    }
    EXPECT_GT(ShareOfEqual(back, disc), ShareOfEqual(copied, disc)) << grid;
  }
}

TEST(EncodeLabelsAtGrid, DecodesToWhatItSaysIsShown) {
  const LabelMap before = Disc(97, 61);
  LabelMap now(97, 61, 1);
  for (int y = 0; y < 61; ++y) {
    for (int x = 2; x < 97; ++x) now(x, y) = before(x - 2, y);
  }
  for (int grid = 1; grid <= kMaxLabelGrid; ++grid) {
    for (const LabelMap* prediction : {static_cast<const LabelMap*>(nullptr), &before}) {
      const auto coded = EncodeLabelsAtGrid(now, grid, prediction);
      ASSERT_TRUE(coded);
      const auto decoded = DecodeLabels(coded->bytes, 97, 61, prediction);
      ASSERT_TRUE(decoded) << decoded.error().message;
      EXPECT_EQ(*decoded, coded->shown);
    }
  }
  EXPECT_EQ(EncodeLabelsAtGrid(now, 1)->bytes, *EncodeLabels(now));
  EXPECT_LT(EncodeLabelsAtGrid(now, 3)->bytes.size(), EncodeLabels(now)->size());
  EXPECT_LT(EncodeLabelsAtGrid(now, 3, &now)->bytes.size(),
            EncodeLabelsAtGrid(now, 3)->bytes.size());
}

TEST(LabelGridForTest, FollowsTheBaseQp) {
  EXPECT_EQ(LabelGridFor(23.9), 1);
  EXPECT_EQ(LabelGridFor(24), 2);
  EXPECT_EQ(LabelGridFor(30.9), 2);
  EXPECT_EQ(LabelGridFor(31), 3);
}

TEST(EncodeLabelsAtGrid, UnknownMethodsAreRefused) {
  Bytes bytes = EncodeLabelsAtGrid(Disc(32, 32), 2)->bytes;
  bytes[0] |= 0x0f;
  EXPECT_THAT(DecodeLabels(bytes, 32, 32).error().message, HasSubstr("unknown method"));
}

}  // namespace
}  // namespace stac
