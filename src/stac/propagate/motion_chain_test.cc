#include "stac/propagate/motion_chain.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>

#include "stac/propagate/warp.h"

namespace {
// Allocations of the whole test binary, to prove that the steady state makes none.
std::atomic<int64_t> allocation_count{0};
}  // namespace

void* operator new(std::size_t size) {
  ++allocation_count;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace stac {
namespace {

FlowField Field(int width, int height, int step, Vec2 flow = {}) {
  return {.then_from_now = Grid<Vec2>((width + step - 1) / step, (height + step - 1) / step, flow),
          .step = step,
          .frame_width = width,
          .frame_height = height};
}

TEST(MotionChainTest, TranslationsAddUp) {
  for (const int step : {1, 2, 4}) {
    MotionChain chain;
    chain.AddAnchor(10, 66, 34, 2);
    for (int k = 0; k < 5; ++k) chain.Advance(Field(66, 34, step, {1.25f, -0.5f}));
    ASSERT_NE(chain.Find(10), nullptr);
    EXPECT_EQ(chain.Find(10)->step, 2);
    EXPECT_TRUE(chain.Find(10)->then_from_now.SameSize(33, 17));
    for (const Vec2& cell : chain.Find(10)->then_from_now) {
      ASSERT_EQ(cell, (Vec2{6.25f, -2.5f}));
    }
  }
}

TEST(MotionChainTest, OldMotionIsSampledWhereTheNewOneLeads) {
  MotionChain chain;
  chain.AddAnchor(0, 8, 2, 1);
  FlowField first = Field(8, 2, 1);
  for (int y = 0; y < 2; ++y) {
    for (int x = 0; x < 8; ++x) first.then_from_now(x, y) = {0.5f * x, 10.0f * y};
  }
  chain.Advance(first);
  chain.Advance(Field(8, 2, 1, {1.5f, 0.25f}));
  // At (x, 0): 1.5 + 0.5 (x + 1.5) along, 0.25 + 10 * 0.25 across; clamped beyond the last cells.
  const Grid<Vec2>& flow = chain.Find(0)->then_from_now;
  EXPECT_EQ(flow(0, 0), (Vec2{2.25f, 2.75f}));
  EXPECT_EQ(flow(3, 0), (Vec2{3.75f, 2.75f}));
  EXPECT_EQ(flow(7, 0), (Vec2{5.0f, 2.75f}));
  EXPECT_EQ(flow(2, 1), (Vec2{3.25f, 10.25f}));
}

TEST(MotionChainTest, ZeroMotionChangesNothing) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 5);
  for (const int step : {1, 4}) {
    MotionChain chain;
    chain.AddAnchor(1, 40, 24, 4);
    FlowField field = Field(40, 24, 4);
    for (Vec2& cell : field.then_from_now) cell = {normal(random), normal(random)};
    chain.Advance(field);
    const Grid<Vec2> before = chain.Find(1)->then_from_now;
    EXPECT_EQ(before, field.then_from_now);
    chain.Advance(Field(40, 24, step));
    EXPECT_EQ(chain.Find(1)->then_from_now, before);
  }
}

TEST(MotionChainTest, AnchorsComeAndGo) {
  MotionChain chain(3);
  for (FrameId id = 0; id < 5; ++id) {
    chain.AddAnchor(id, 32, 32, 2);
    chain.Advance(Field(32, 32, 2, {1, 0}));
  }
  EXPECT_EQ(chain.Find(1), nullptr);
  EXPECT_EQ(chain.Find(2)->then_from_now(5, 5), (Vec2{3, 0}));
  chain.DropBefore(4);
  EXPECT_EQ(chain.Find(3), nullptr);
  EXPECT_NE(chain.Find(4), nullptr);
  chain.AddAnchor(5, 32, 32, 2);
  EXPECT_EQ(chain.Find(5)->then_from_now(5, 5), (Vec2{}));  // not what its memory held before
  chain.Drop(4);
  EXPECT_EQ(chain.Find(4), nullptr);
  EXPECT_NE(chain.Find(5), nullptr);
  chain.Clear();
  EXPECT_EQ(chain.Find(5), nullptr);
}

TEST(MotionChainTest, SteadyStateAllocatesNothing) {
  MotionChain chain(3);
  const FlowField motion = Field(128, 96, 2, {0.3f, -0.2f});
  const LabelMap labels(128, 96, 1);
  LabelMap warped;
  const auto frame = [&](FrameId id) {
    chain.Advance(motion);
    if (id % 4 == 0) chain.AddAnchor(id, 128, 96, 2);
    if (id % 11 == 0 && id > 4) chain.DropBefore(id - 4);
    if (const FlowField* flow = chain.Find(id / 4 * 4)) WarpLabels(labels, *flow, warped);
  };
  FrameId id = 0;
  for (; id < 50; ++id) frame(id);
  const int64_t before = allocation_count;
  for (; id < 2050; ++id) frame(id);
  EXPECT_EQ(allocation_count, before);
}

TEST(MotionChainTest, AbsurdMotionIsHarmless) {
  MotionChain chain;
  chain.AddAnchor(0, 32, 32, 2);
  chain.Advance(Field(32, 32, 2, {std::nanf(""), 1e30f}));
  chain.Advance(Field(32, 32, 1, {-1e30f, std::nanf("")}));
  LabelMap now;
  WarpLabels(LabelMap(32, 32, 3), *chain.Find(0), now);
  EXPECT_EQ(now, LabelMap(32, 32, 3));
}

}  // namespace
}  // namespace stac
