#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "stac/capture/synthetic_scene.h"
#include "stac/flow/optical_flow.h"

namespace stac {
namespace {

// A smooth random pattern, moved by (dx, dy): the content of (x, y) comes from (x - dx, y - dy).
Frame Moved(int width, int height, int dx, int dy) {
  Frame frame(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double u = x - dx, v = y - dy;
      const double value = 128 + 40 * std::sin(u * 0.21 + 2 * std::sin(v * 0.07)) +
                           35 * std::sin(v * 0.17 + 1.5 * std::sin(u * 0.11)) +
                           20 * std::sin(u * 0.53) * std::cos(v * 0.47);
      frame.MutablePlane(0)[y * frame.y().stride + x] = static_cast<uint8_t>(value);
    }
  }
  for (int i = 1; i < 3; ++i) {
    std::fill_n(frame.MutablePlane(i), frame.plane(i).stride * frame.plane(i).height, uint8_t{128});
  }
  return frame;
}

TEST(DisFlowTest, PresetNames) {
  EXPECT_EQ(*ParseFlowPreset("medium"), FlowPreset::kMedium);
  EXPECT_FALSE(ParseFlowPreset("slow"));
}

TEST(DisFlowTest, FirstFrameAndChangesOfSizeGiveZeroFlow) {
  const auto flow = MakeDisFlow({.downscale = 4});
  FlowField field;
  flow->Next(Moved(202, 118, 0, 0), field);
  EXPECT_EQ(field.step, 4);
  EXPECT_EQ(field.frame_width, 202);
  EXPECT_EQ(field.frame_height, 118);
  EXPECT_TRUE(field.then_from_now.SameSize(51, 30));  // the last cells reach over the border
  for (const Vec2& cell : field.then_from_now) ASSERT_EQ(cell, Vec2{});
  flow->Next(Moved(128, 96, 0, 0), field);
  EXPECT_TRUE(field.then_from_now.SameSize(32, 24));
  for (const Vec2& cell : field.then_from_now) ASSERT_EQ(cell, Vec2{});
}

TEST(DisFlowTest, TranslationIsFoundInFramePixelsAtEveryDownscale) {
  for (const int downscale : {1, 2, 4}) {
    const auto flow = MakeDisFlow({.preset = FlowPreset::kMedium, .downscale = downscale});
    FlowField field;
    flow->Next(Moved(256, 192, 0, 0), field);
    flow->Next(Moved(256, 192, 6, -3), field);  // content moves right and up
    std::vector<float> xs, ys;
    for (const Vec2& cell : field.then_from_now) {
      xs.push_back(cell.x);
      ys.push_back(cell.y);
    }
    std::nth_element(xs.begin(), xs.begin() + xs.size() / 2, xs.end());
    std::nth_element(ys.begin(), ys.begin() + ys.size() / 2, ys.end());
    EXPECT_NEAR(xs[xs.size() / 2], -6, 0.4) << downscale;
    EXPECT_NEAR(ys[ys.size() / 2], 3, 0.4) << downscale;
  }
}

TEST(DisFlowTest, BuffersAreReusedAndMotionThatStopsIsNoticed) {
  const auto flow = MakeDisFlow({.downscale = 2});
  FlowField field;
  flow->Next(Moved(128, 96, 0, 0), field);
  const Vec2* memory = field.then_from_now.data();
  for (int i = 1; i < 6; ++i) flow->Next(Moved(128, 96, 4 * i, 0), field);
  EXPECT_NEAR(field.then_from_now(32, 24).x, -4, 0.5);
  flow->Next(Moved(128, 96, 20, 0), field);
  EXPECT_NEAR(field.then_from_now(32, 24).x, 0, 0.5);
  EXPECT_EQ(field.then_from_now.data(), memory);
}

TEST(DisFlowTest, CoarserGridsAreCoarser) {
  const SyntheticScene scene({.width = 640, .height = 384});
  const auto then = scene.Render(39);
  const auto now = scene.Render(40);
  double last = 0;
  for (const int grid : {2, 4, 8}) {
    const auto flow = MakeDisFlow({.downscale = 2, .grid = 32});
    flow->SetGrid(grid);
    FlowField field;
    flow->Next(then.frame, field);
    flow->Next(now.frame, field);
    double error = 0;
    for (int y = 0; y < 384; ++y) {
      for (int x = 0; x < 640; ++x) {
        const Vec2 found = field.then_from_now(x / 2, y / 2);
        const Vec2 exact = now.then_from_now.then_from_now(x, y);
        error += std::min(std::hypot(found.x - exact.x, found.y - exact.y), 3.0f);
      }
    }
    EXPECT_GT(error, last) << grid;
    RecordProperty(fmt::format("mean_error_{}", grid), fmt::format("{:.3f}", error / (640 * 384)));
    last = error;
  }
}

TEST(DisFlowTest, TinyAndUnevenFramesAreTaken) {
  for (const int downscale : {1, 2, 4}) {
    for (const auto& [width, height] : {std::pair{16, 16}, {64, 16}, {16, 640}, {66, 70}}) {
      const auto flow = MakeDisFlow({.downscale = downscale});
      FlowField field;
      flow->Next(Moved(width, height, 0, 0), field);
      flow->Next(Moved(width, height, 1, 0), field);
      EXPECT_EQ(field.then_from_now.width(), (width + downscale - 1) / downscale);
      for (const Vec2& cell : field.then_from_now) {
        ASSERT_TRUE(std::isfinite(cell.x) && std::isfinite(cell.y));
      }
    }
  }
}

// Close to the exact motion of a street, noise included.
TEST(DisFlowTest, SyntheticStreet) {
  const SyntheticScene scene({.width = 320, .height = 192});
  for (const int downscale : {1, 2}) {
    const auto flow = MakeDisFlow({.downscale = downscale});
    FlowField field;
    flow->Next(scene.Render(39).frame, field);
    const auto now = scene.Render(40);
    flow->Next(now.frame, field);
    std::vector<double> errors, motion;
    for (int y = 0; y < 192; ++y) {
      for (int x = 0; x < 320; ++x) {
        const Vec2 found = field.then_from_now(x / downscale, y / downscale);
        const Vec2 exact = now.then_from_now.then_from_now(x, y);
        errors.push_back(std::hypot(found.x - exact.x, found.y - exact.y));
        motion.push_back(std::hypot(exact.x, exact.y));
      }
    }
    std::sort(errors.begin(), errors.end());
    std::sort(motion.begin(), motion.end());
    RecordProperty(fmt::format("median_error_{}", downscale),
                   fmt::to_string(errors[errors.size() / 2]));
    RecordProperty(fmt::format("p90_{}", downscale),
                   fmt::to_string(errors[errors.size() * 9 / 10]));
    RecordProperty("median_motion", fmt::to_string(motion[motion.size() / 2]));
    RecordProperty("p90_motion", fmt::to_string(motion[motion.size() * 9 / 10]));
    EXPECT_LT(errors[errors.size() / 2], 0.5 * motion[motion.size() / 2]);
    EXPECT_LT(errors[errors.size() * 9 / 10], motion[motion.size() * 9 / 10]);
  }
}

}  // namespace
}  // namespace stac
