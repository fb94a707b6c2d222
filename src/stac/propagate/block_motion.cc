#include "stac/propagate/block_motion.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

struct Block {
  int left, top, right, bottom;
};

Block BlockAt(int column, int row, const LabelMap& labels) {
  return {.left = column * kMotionBlock,
          .top = row * kMotionBlock,
          .right = std::min((column + 1) * kMotionBlock, labels.width()),
          .bottom = std::min((row + 1) * kMotionBlock, labels.height())};
}

// now[left .. right) of row y.
void MoveRow(const LabelMap& then, const Block& block, int y, Shift shift, uint8_t* now) {
  const uint8_t* row = then.Row(std::clamp(y + shift.y, 0, then.height() - 1)).data();
  if (block.left + shift.x >= 0 && block.right + shift.x <= then.width()) {
    std::copy(row + block.left + shift.x, row + block.right + shift.x, now);
    return;
  }
  for (int x = block.left; x < block.right; ++x) {
    *now++ = row[std::clamp(x + shift.x, 0, then.width() - 1)];
  }
}

// Pixels of the block that get another label than they have in `now`.
int WrongPixels(const LabelMap& then, const LabelMap& now, const Block& block, Shift shift) {
  uint8_t moved[kMotionBlock];
  int wrong = 0;
  for (int y = block.top; y < block.bottom; ++y) {
    MoveRow(then, block, y, shift, moved);
    const uint8_t* wanted = now.Row(y).data() + block.left;
    for (int i = 0; i < block.right - block.left; ++i) wrong += moved[i] != wanted[i];
  }
  return wrong;
}

int16_t Whole(float pixels) {
  // Written so that NaN becomes the lower limit instead of an undefined conversion.
  const float limited = std::min(std::max(-float{kMaxShift}, pixels), float{kMaxShift});
  return static_cast<int16_t>(std::lround(limited));
}

// The component-wise median of the flow in a block: the motion of what fills most of it.
Shift MedianShift(const FlowField& flow, int column, int row) {
  const Grid<Vec2>& fine = flow.then_from_now;
  const int cells = kMotionBlock / flow.step;
  float x[kMotionBlock * kMotionBlock], y[kMotionBlock * kMotionBlock];
  int count = 0;
  for (int v = row * cells; v < std::min((row + 1) * cells, fine.height()); ++v) {
    for (int u = column * cells; u < std::min((column + 1) * cells, fine.width()); ++u) {
      x[count] = fine(u, v).x;
      y[count++] = fine(u, v).y;
    }
  }
  std::nth_element(x, x + count / 2, x + count);
  std::nth_element(y, y + count / 2, y + count);
  return {Whole(x[count / 2]), Whole(y[count / 2])};
}

constexpr Shift kBeside[] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};

Shift Sum(Shift a, Shift b) {
  return {Whole(static_cast<float>(a.x + b.x)), Whole(static_cast<float>(a.y + b.y))};
}

}  // namespace

void MoveLabels(const LabelMap& labels_in_then, const BlockMotion& motion,
                LabelMap& labels_in_now) {
  STAC_CHECK(&labels_in_then != &labels_in_now);
  STAC_CHECK(labels_in_then.SameSize(motion.frame_width, motion.frame_height));
  labels_in_now.Resize(motion.frame_width, motion.frame_height);
  for (int row = 0; row < motion.then_from_now.height(); ++row) {
    for (int column = 0; column < motion.then_from_now.width(); ++column) {
      const Block block = BlockAt(column, row, labels_in_then);
      for (int y = block.top; y < block.bottom; ++y) {
        MoveRow(labels_in_then, block, y, motion.then_from_now(column, row),
                labels_in_now.Row(y).data() + block.left);
      }
    }
  }
}

int MotionTolerance(double base_qp) { return base_qp < 24 ? 12 : base_qp < 31 ? 24 : 48; }

BlockMotion FitBlockMotion(const LabelMap& labels_in_then, const LabelMap& labels_in_now,
                           const FlowField& flow, const BlockMotion* previous, int tolerance) {
  STAC_CHECK(labels_in_then.SameSize(labels_in_now));
  STAC_CHECK(labels_in_then.SameSize(flow.frame_width, flow.frame_height));
  STAC_CHECK(flow.step >= 1 && kMotionBlock % flow.step == 0);
  BlockMotion motion = StillBlocks(flow.frame_width, flow.frame_height);
  Grid<Shift>& shifts = motion.then_from_now;
  const Grid<Shift>* before = previous != nullptr ? &previous->then_from_now : nullptr;
  for (int row = 0; row < shifts.height(); ++row) {
    for (int column = 0; column < shifts.width(); ++column) {
      const Block block = BlockAt(column, row, labels_in_now);
      const Shift expected = ExpectedShift(shifts, before, column, row);
      shifts(column, row) = expected;
      const int wrong = WrongPixels(labels_in_then, labels_in_now, block, expected);
      if (wrong <= tolerance) continue;
      int least = wrong;
      const auto consider = [&](Shift shift, int price) {
        const int count = WrongPixels(labels_in_then, labels_in_now, block, shift) + price;
        if (count >= least) return;
        least = count;
        shifts(column, row) = shift;
      };
      for (const Shift step : kBeside) consider(Sum(expected, step), tolerance * 3 / 4);
      const Shift median = MedianShift(flow, column, row);
      consider(median, tolerance);
      for (const Shift step : kBeside) consider(Sum(median, step), tolerance);
    }
  }
  return motion;
}

}  // namespace stac
