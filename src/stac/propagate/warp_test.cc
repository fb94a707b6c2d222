#include "stac/propagate/warp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "stac/capture/synthetic_scene.h"
#include "stac/flow/optical_flow.h"
#include "stac/propagate/motion_chain.h"

namespace stac {
namespace {

FlowField Field(int width, int height, int step, Vec2 flow = {}) {
  return {.then_from_now = Grid<Vec2>((width + step - 1) / step, (height + step - 1) / step, flow),
          .step = step,
          .frame_width = width,
          .frame_height = height};
}

// WarpLabels as its header and constants say, one pixel at a time: flow in 1/64 pixel, weights in
// 1/16, halves rounded up.
LabelMap PlainWarp(const LabelMap& labels, const FlowField& field) {
  const Grid<Vec2>& flow = field.then_from_now;
  const int s = field.step;
  const auto fixed = [](float value) {
    if (!(value >= -16384)) return -16384 * 64;  // NaN too
    return static_cast<int>(std::floor(std::min(value, 16384.0f) * 64 + 0.5f));
  };
  const auto tap = [s](int x, int& cell, int& weight) {
    const double place = (x - (s - 1) / 2.0) / s;
    cell = static_cast<int>(std::floor(place));
    weight = static_cast<int>(std::floor((place - cell) * 16 + 0.5));
  };
  LabelMap out(labels.width(), labels.height());
  for (int y = 0; y < labels.height(); ++y) {
    for (int x = 0; x < labels.width(); ++x) {
      int i, u, j, v;
      tap(x, i, u);
      tap(y, j, v);
      const Vec2 a = flow.Clamped(i, j), b = flow.Clamped(i + 1, j);
      const Vec2 c = flow.Clamped(i, j + 1), d = flow.Clamped(i + 1, j + 1);
      const auto mix = [&](float p, float q, float r, float t) {
        const int64_t sum = (int64_t{fixed(p)} * (16 - v) + int64_t{fixed(r)} * v) * (16 - u) +
                            (int64_t{fixed(q)} * (16 - v) + int64_t{fixed(t)} * v) * u;
        return static_cast<int>(std::floor(static_cast<double>(sum) / (64 * 256) + 0.5));
      };
      out(x, y) = labels.Clamped(x + mix(a.x, b.x, c.x, d.x), y + mix(a.y, b.y, c.y, d.y));
    }
  }
  return out;
}

LabelMap RandomLabels(int width, int height, std::mt19937& random) {
  LabelMap labels(width, height);
  for (uint8_t& label : labels) label = static_cast<uint8_t>(random() % 19);
  return labels;
}

TEST(WarpLabelsTest, ByHand) {
  const LabelMap then(4, 2,
                      {1, 2, 3, 4,  //
                       5, 6, 7, 8});
  FlowField field = Field(4, 2, 1);
  field.then_from_now = Grid<Vec2>(4, 2,
                                   {{1, 0},
                                    {0, 1},
                                    {-0.6f, 0},
                                    {5, 0},  //
                                    {0, -3},
                                    {0.4f, 0},
                                    {0.5f, 0},
                                    {-2, -1}});
  LabelMap now;
  WarpLabels(then, field, now);
  EXPECT_EQ(now, LabelMap(4, 2,
                          {2, 6, 2, 4,  //
                           1, 6, 8, 2}));
}

TEST(WarpLabelsTest, CoarseFlowIsInterpolated) {
  // Two cells of four pixels: flow 0 and 4. Between their centres, pixels 1.5 and 5.5, it grows
  // by 1 per pixel: at pixels 2, 3, 4, 5 it is 0.5, 1.5, 2.5, 3.5, rounded up.
  const LabelMap then(8, 1, {0, 1, 2, 3, 4, 5, 6, 7});
  FlowField field = Field(8, 1, 4);
  field.then_from_now = Grid<Vec2>(2, 1, {{0, 0}, {4, 0}});
  LabelMap now;
  WarpLabels(then, field, now);
  EXPECT_EQ(now, LabelMap(8, 1, {0, 1, 3, 5, 7, 7, 7, 7}));
}

TEST(WarpLabelsTest, ZeroFlowIsTheIdentity) {
  std::mt19937 random(1);
  for (const int step : {1, 2, 4, 7}) {
    const LabelMap then = RandomLabels(70, 38, random);
    LabelMap now;
    WarpLabels(then, Field(70, 38, step), now);
    EXPECT_EQ(now, then);
  }
}

TEST(WarpLabelsTest, EqualsThePlainRoutineExactly) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  LabelMap now;
  for (const int step : {1, 2, 3, 4, 8, 16}) {
    for (const auto& [width, height] : {std::pair{64, 48}, {66, 34}, {2, 2}, {130, 18}}) {
      for (const float size : {0.7f, 6.0f, 300.0f}) {
        const LabelMap then = RandomLabels(width, height, random);
        FlowField field = Field(width, height, step);
        for (Vec2& cell : field.then_from_now)
          cell = {size * normal(random), size * normal(random)};
        WarpLabels(then, field, now);
        ASSERT_EQ(now, PlainWarp(then, field)) << step << " " << width << " " << size;
      }
    }
  }
}

// Areas of one label and motion by fractions of pixels: what whole blocks are filled from.
TEST(WarpLabelsTest, EqualsThePlainRoutineOnAreas) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  LabelMap now;
  for (const int step : {1, 2, 3, 4, 8, 16, 64}) {
    for (const auto& [width, height] : {std::pair{160, 96}, {202, 130}, {30, 34}}) {
      for (const float size : {0.3f, 3.0f, 40.0f}) {
        LabelMap then(width, height, 7);
        for (int k = 0; k < 6; ++k) {
          const int left = static_cast<int>(random() % static_cast<uint32_t>(width));
          const int top = static_cast<int>(random() % static_cast<uint32_t>(height));
          for (int y = top; y < std::min(top + 40, height); ++y) {
            for (int x = left; x < std::min(left + 60, width); ++x) {
              then(x, y) = static_cast<uint8_t>(k);
            }
          }
        }
        FlowField field = Field(width, height, step);
        const float pan = size * normal(random), tilt = size * normal(random);
        for (Vec2& cell : field.then_from_now) {
          cell = {pan + 0.4f * normal(random), tilt + 0.4f * normal(random)};
        }
        WarpLabels(then, field, now);
        ASSERT_EQ(now, PlainWarp(then, field)) << step << " " << width << " " << size;
      }
    }
  }
}

TEST(WarpLabelsTest, AbsurdFlowStaysInside) {
  std::mt19937 random(3);
  const LabelMap then = RandomLabels(32, 16, random);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float absurd[] = {std::nanf(""), kInfinity, -kInfinity, 1e30f, -1e30f};
  for (const int step : {1, 2, 4}) {
    FlowField field = Field(32, 16, step);
    for (Vec2& cell : field.then_from_now) cell = {absurd[random() % 5], absurd[random() % 5]};
    LabelMap now;
    WarpLabels(then, field, now);
    EXPECT_EQ(now, PlainWarp(then, field));
  }
}

TEST(WarpLabelsTest, ExactFlowOfAStreetGivesItsLabels) {
  const SyntheticScene scene({.width = 320, .height = 192});
  const auto then = scene.Render(29);
  const auto now = scene.Render(30);
  LabelMap warped;
  WarpLabels(then.labels, now.then_from_now, warped);
  int same = 0;
  for (size_t i = 0; i < warped.size(); ++i) same += warped[i] == now.labels[i];
  EXPECT_GT(static_cast<double>(same) / warped.size(), 0.97);
}

// Found motion, composed over five frames, carries labels better than holding them.
TEST(WarpLabelsTest, LabelsFollowTheFoundMotion) {
  const SyntheticScene scene({.width = 320, .height = 192});
  const auto flow = MakeDisFlow({.downscale = 2});
  FlowField field;
  MotionChain chain;
  const LabelMap first = scene.Render(40).labels;
  flow->Next(scene.Render(40).frame, field);
  chain.AddAnchor(40, 320, 192, 2);
  SyntheticScene::Picture now;
  for (int i = 41; i <= 45; ++i) {
    now = scene.Render(i);
    flow->Next(now.frame, field);
    chain.Advance(field);
  }
  LabelMap moved;
  WarpLabels(first, *chain.Find(40), moved);
  int held_right = 0, moved_right = 0;
  for (size_t i = 0; i < moved.size(); ++i) {
    held_right += first[i] == now.labels[i];
    moved_right += moved[i] == now.labels[i];
  }
  const auto count = static_cast<int>(moved.size());
  EXPECT_GT(moved_right, count * 94 / 100);
  EXPECT_LT(count - moved_right, (count - held_right) * 3 / 4);
  RecordProperty("held", fmt::format("{:.4f}", static_cast<double>(held_right) / count));
  RecordProperty("moved", fmt::format("{:.4f}", static_cast<double>(moved_right) / count));
}

TEST(WarpLevelsTest, ZeroFlowIsTheIdentity) {
  std::mt19937 random(4);
  for (const int step : {1, 2, 4}) {
    const RegionGrid regions{.frame_width = 90, .frame_height = 50, .region_size = 16};
    LevelMap then(regions.columns(), regions.rows());
    for (uint8_t& level : then) level = static_cast<uint8_t>(random() % 32);
    EXPECT_EQ(WarpLevels(then, Field(90, 50, step), regions), then);
  }
}

TEST(WarpLevelsTest, MeansAreRoundedAndUncoveredRegionsTakeTheNearest) {
  const RegionGrid regions{.frame_width = 64, .frame_height = 16, .region_size = 16};
  const LevelMap then(4, 1, {10, 20, 31, 4});
  // Everything comes from 8 pixels further right: half of each of two regions.
  EXPECT_EQ(WarpLevels(then, Field(64, 16, 2, {8, 0}), regions), LevelMap(4, 1, {15, 26, 18, 4}));
  // From 32 pixels further right: the right half comes from outside and takes its neighbour's.
  EXPECT_EQ(WarpLevels(then, Field(64, 16, 2, {32, 0}), regions), LevelMap(4, 1, {31, 4, 4, 4}));
  // Nothing is left: the old levels stay.
  EXPECT_EQ(WarpLevels(then, Field(64, 16, 2, {0, 99}), regions), then);
  EXPECT_EQ(WarpLevels(then, Field(64, 16, 2, {std::nanf(""), 0}), regions), then);
}

TEST(WarpLevelsTest, NearestIsByDistanceBetweenRegions) {
  const RegionGrid regions{.frame_width = 80, .frame_height = 80, .region_size = 16};
  LevelMap then(5, 5, 1);
  then(4, 2) = 9;
  // Only the regions (4, 2) and (0, 0) are covered, each by itself.
  FlowField field = Field(80, 80, 4, {0, 1000});
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 4; ++i) {
      field.then_from_now(i, j) = {};
      field.then_from_now(16 + i, 8 + j) = {};
    }
  }
  const LevelMap now = WarpLevels(then, field, regions);
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 5; ++x) {
      const int to_first = x * x + y * y;
      const int to_second = (x - 4) * (x - 4) + (y - 2) * (y - 2);
      if (to_first != to_second) {
        EXPECT_EQ(now(x, y), to_second < to_first ? 9 : 1) << x << "," << y;
      }
    }
  }
}

}  // namespace
}  // namespace stac
