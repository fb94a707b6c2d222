#pragma once

#include <optional>
#include <vector>

#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// Carries what was learnt about past frames to the current one. For each anchor frame (a keyframe
// whose labels and levels are known or awaited) it keeps the composed backward flow
// anchor_from_now, extended by one adjacent-frame flow per captured frame (section V-B): labels of
// an anchor are then one look-up per pixel away, however old it is.
// Not thread-safe. No allocation in steady state.
class MotionChain {
 public:
  // At most `max_anchors` are kept; adding one more forgets the oldest.
  explicit MotionChain(int max_anchors = 8);

  // The current frame advances by one: `then_from_now` leads back to the frame before.
  void Advance(const FlowField& then_from_now);
  // Makes the current frame an anchor (its own composed flow is zero).
  void AddAnchor(FrameId id, int frame_width, int frame_height, int step);
  // Forgets one anchor (a keyframe that was lost).
  void Drop(FrameId id);
  // Forgets all anchors older than `id`.
  void DropBefore(FrameId id);
  void Clear();

  // Composed flow from the current frame back to the anchor; null if it is not held.
  const FlowField* Find(FrameId anchor) const;

 private:
  struct Anchor {
    FrameId id;
    FlowField anchor_from_now;
  };
  void Forget(size_t count);  // the `count` oldest

  size_t max_anchors_;
  std::vector<Anchor> anchors_;    // oldest first
  std::vector<Grid<Vec2>> spare_;  // memory of forgotten anchors
  Grid<Vec2> scratch_;
};

}  // namespace stac
