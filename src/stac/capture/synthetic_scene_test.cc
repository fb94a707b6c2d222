#include "stac/capture/synthetic_scene.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace stac {
namespace {

constexpr SyntheticOptions kSmall{.width = 320, .height = 192, .noise = 0};

TEST(SyntheticSceneTest, FramesAreAPureFunctionOfTheirNumber) {
  const SyntheticScene scene({.width = 160, .height = 96});
  const auto once = scene.Render(7);
  scene.Render(3);
  const auto again = SyntheticScene({.width = 160, .height = 96}).Render(7);
  EXPECT_TRUE(SamePixels(once.frame, again.frame));
  EXPECT_EQ(once.labels, again.labels);
  EXPECT_EQ(once.frame.id, 7u);
  EXPECT_EQ(once.frame.pts, 466667);
  const auto other = SyntheticScene({.width = 160, .height = 96, .seed = 2}).Render(7);
  EXPECT_FALSE(SamePixels(once.frame, other.frame));
}

TEST(SyntheticSceneTest, ShowsAStreet) {
  const auto picture = SyntheticScene(kSmall).Render(20);
  std::set<int> labels(picture.labels.begin(), picture.labels.end());
  for (const int needed : {0, 1, 2, 5, 8, 10, 11, 13}) EXPECT_TRUE(labels.count(needed)) << needed;
  EXPECT_EQ(picture.labels(160, 2), 10);   // sky above
  EXPECT_EQ(picture.labels(160, 190), 0);  // road below
}

// Labels and pictures of the frame before, moved by the exact flow, give those of this frame,
// except where something was uncovered.
TEST(SyntheticSceneTest, FlowLeadsBackToTheSamePoint) {
  const SyntheticScene scene(kSmall);
  for (const int index : {5, 60}) {
    const auto then = scene.Render(index - 1);
    const auto now = scene.Render(index);
    int64_t inside = 0, same_label = 0, same_luma = 0;
    for (int y = 0; y < 192; ++y) {
      for (int x = 0; x < 320; ++x) {
        const Vec2 flow = now.then_from_now.then_from_now(x, y);
        const auto from_x = static_cast<int>(std::lround(x + flow.x));
        const auto from_y = static_cast<int>(std::lround(y + flow.y));
        if (from_x < 0 || from_y < 0 || from_x >= 320 || from_y >= 192) continue;
        ++inside;
        same_label += then.labels(from_x, from_y) == now.labels(x, y);
        same_luma += std::abs(then.frame.y().At(from_x, from_y) - now.frame.y().At(x, y)) <= 12;
      }
    }
    EXPECT_GT(inside, 320 * 192 * 9 / 10);
    EXPECT_GT(static_cast<double>(same_label) / inside, 0.97);
    EXPECT_GT(static_cast<double>(same_luma) / inside, 0.93);
  }
}

TEST(SyntheticSceneTest, WithoutCameraMotionTheHousesStandStill) {
  SyntheticOptions options = kSmall;
  options.camera_moves = false;
  const auto picture = SyntheticScene(options).Render(9);
  bool something_moves = false;
  for (size_t i = 0; i < picture.labels.size(); ++i) {
    const Vec2 flow = picture.then_from_now.then_from_now[i];
    const double length = std::hypot(flow.x, flow.y);
    if (picture.labels[i] == 2) {
      ASSERT_LT(length, 1e-3);
    }
    something_moves = something_moves || length > 0.5;
  }
  EXPECT_TRUE(something_moves);
}

TEST(SyntheticSceneTest, FirstFrameHasNoFlow) {
  const auto picture = SyntheticScene(kSmall).Render(0);
  for (const Vec2& flow : picture.then_from_now.then_from_now) ASSERT_EQ(flow, Vec2{});
}

TEST(SyntheticSceneTest, NoiseHasTheAskedDeviation) {
  SyntheticOptions options = kSmall;
  const Frame clean = SyntheticScene(options).Render(3).frame;
  options.noise = 3;
  const Frame noisy = SyntheticScene(options).Render(3).frame;
  double sum = 0, squares = 0;
  for (int y = 0; y < 192; ++y) {
    for (int x = 0; x < 320; ++x) {
      const double difference = noisy.y().At(x, y) - clean.y().At(x, y);
      sum += difference;
      squares += difference * difference;
    }
  }
  const double count = 320 * 192;
  EXPECT_NEAR(sum / count, 0, 0.1);
  EXPECT_NEAR(std::sqrt(squares / count), 3, 0.15);
}

TEST(SyntheticSourceTest, DeliversChosenFramesWithLabels) {
  const auto source = MakeSyntheticSource({.width = 128, .height = 64, .fps = 30, .frame_count = 9},
                                          {.max_width = 64, .first_frame = 1, .frame_step = 3});
  EXPECT_EQ(source->info().width, 64);
  EXPECT_EQ(source->info().height, 32);
  EXPECT_DOUBLE_EQ(source->info().fps, 10);
  EXPECT_EQ(source->info().frame_count, 3);  // 1, 4, 7
  for (FrameId id = 0; id < 3; ++id) {
    const auto frame = source->Next();
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->id, id);
    EXPECT_EQ((*frame)->pts, id * 100000);
    ASSERT_TRUE(source->Labels());
    EXPECT_TRUE(source->Labels()->SameSize(64, 32));
  }
  const auto end = source->Next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

}  // namespace
}  // namespace stac
