#include "stac/propagate/motion_chain.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "stac/base/check.h"

namespace stac {
namespace {

// A flow grid to be sampled between its cells, bilinearly, clamped at the border.
class Sampler {
 public:
  explicit Sampler(const Grid<Vec2>& grid)
      : cells_(grid.data()),
        stride_(grid.width()),
        last_column_(grid.width() - 1),
        last_row_(grid.height() - 1),
        last_x_(static_cast<float>(last_column_)),
        last_y_(static_cast<float>(last_row_)) {}

  // (x, y) in cells; NaN counts as 0. At a cell's own place the result is exactly that cell.
  Vec2 At(float x, float y) const {
    x = std::min(std::max(0.0f, x), last_x_);
    y = std::min(std::max(0.0f, y), last_y_);
    const int column = static_cast<int>(x);
    const int row = static_cast<int>(y);
    const float u = x - static_cast<float>(column);
    const float v = y - static_cast<float>(row);
    const int right = column < last_column_ ? 1 : 0;
    const Vec2* p = cells_ + static_cast<size_t>(row) * stride_ + column;
    const Vec2* q = row < last_row_ ? p + stride_ : p;
    const Vec2 a = p[0], b = p[right], c = q[0], d = q[right];
    const float top_x = a.x + (b.x - a.x) * u, bottom_x = c.x + (d.x - c.x) * u;
    const float top_y = a.y + (b.y - a.y) * u, bottom_y = c.y + (d.y - c.y) * u;
    return {top_x + (bottom_x - top_x) * v, top_y + (bottom_y - top_y) * v};
  }

 private:
  const Vec2* cells_;
  int stride_;
  int last_column_, last_row_;
  float last_x_, last_y_;
};

// then2_from_now(p) = then_from_now(p) + then2_from_then(p + then_from_now(p)), on the grid of
// `then2_from_then`, whose step may differ from that of `then_from_now`.
void Compose(const FlowField& then_from_now, const FlowField& then2_from_then, Grid<Vec2>& out) {
  const Grid<Vec2>& near = then_from_now.then_from_now;
  const Grid<Vec2>& far = then2_from_then.then_from_now;
  out.Resize(far.width(), far.height());
  const Sampler sample_far(far);
  const float per_cell = 1.0f / static_cast<float>(then2_from_then.step);
  if (then_from_now.step == then2_from_then.step) {
    for (int y = 0; y < far.height(); ++y) {
      const Vec2* in = near.data() + static_cast<size_t>(y) * near.width();
      Vec2* row = out.data() + static_cast<size_t>(y) * out.width();
      for (int x = 0; x < far.width(); ++x) {
        const Vec2 f = in[x];
        const Vec2 g = sample_far.At(static_cast<float>(x) + f.x * per_cell,
                                     static_cast<float>(y) + f.y * per_cell);
        row[x] = {f.x + g.x, f.y + g.y};
      }
    }
    return;
  }
  const Sampler sample_near(near);
  const float ratio = static_cast<float>(then2_from_then.step) / then_from_now.step;
  for (int y = 0; y < far.height(); ++y) {
    for (int x = 0; x < far.width(); ++x) {
      // Centres of cells: (i + 1/2) * step on either grid.
      const Vec2 f = sample_near.At((x + 0.5f) * ratio - 0.5f, (y + 0.5f) * ratio - 0.5f);
      const Vec2 g = sample_far.At(static_cast<float>(x) + f.x * per_cell,
                                   static_cast<float>(y) + f.y * per_cell);
      out(x, y) = {f.x + g.x, f.y + g.y};
    }
  }
}

}  // namespace

MotionChain::MotionChain(int max_anchors) : max_anchors_(static_cast<size_t>(max_anchors)) {
  STAC_CHECK_GE(max_anchors, 1);
  anchors_.reserve(max_anchors_);
  spare_.reserve(max_anchors_);
}

void MotionChain::Advance(const FlowField& then_from_now) {
  for (Anchor& anchor : anchors_) {
    STAC_CHECK(anchor.anchor_from_now.frame_width == then_from_now.frame_width &&
               anchor.anchor_from_now.frame_height == then_from_now.frame_height);
    Compose(then_from_now, anchor.anchor_from_now, scratch_);
    std::swap(scratch_, anchor.anchor_from_now.then_from_now);
  }
}

void MotionChain::AddAnchor(FrameId id, int frame_width, int frame_height, int step) {
  STAC_CHECK(step >= 1 && frame_width > 0 && frame_height > 0);
  if (anchors_.size() == max_anchors_) Forget(1);
  Anchor anchor{.id = id};
  if (!spare_.empty()) {
    anchor.anchor_from_now.then_from_now = std::move(spare_.back());
    spare_.pop_back();
  }
  anchor.anchor_from_now.step = step;
  anchor.anchor_from_now.frame_width = frame_width;
  anchor.anchor_from_now.frame_height = frame_height;
  Grid<Vec2>& grid = anchor.anchor_from_now.then_from_now;
  grid.Resize((frame_width + step - 1) / step, (frame_height + step - 1) / step);
  std::fill(grid.begin(), grid.end(), Vec2{});
  anchors_.push_back(std::move(anchor));
}

void MotionChain::Drop(FrameId id) {
  std::erase_if(anchors_, [&](const Anchor& anchor) { return anchor.id == id; });
}

void MotionChain::DropBefore(FrameId id) {
  size_t count = 0;
  while (count < anchors_.size() && anchors_[count].id < id) ++count;
  Forget(count);
}

void MotionChain::Clear() { Forget(anchors_.size()); }

void MotionChain::Forget(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    spare_.push_back(std::move(anchors_[i].anchor_from_now.then_from_now));
  }
  anchors_.erase(anchors_.begin(), anchors_.begin() + static_cast<ptrdiff_t>(count));
}

const FlowField* MotionChain::Find(FrameId anchor) const {
  for (const Anchor& held : anchors_) {
    if (held.id == anchor) return &held.anchor_from_now;
  }
  return nullptr;
}

}  // namespace stac
