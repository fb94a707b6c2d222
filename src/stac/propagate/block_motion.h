#pragma once

#include "stac/codec/motion_coder.h"
#include "stac/video/maps.h"

namespace stac {

// labels_in_now(p) = labels_in_then(p + shift of p's block), clamped at the border. Whole pixels
// and whole blocks: the same on every machine. `labels_in_now` is resized.
void MoveLabels(const LabelMap& labels_in_then, const BlockMotion& motion, LabelMap& labels_in_now);

// How many pixels of a block may go wrong before its motion is said, at a base QP: 12 below 24, 24
// below 31, else 48. The coarser the video, the less labels are worth (docs/results.md).
int MotionTolerance(double base_qp);

// The cheapest motion that carries `labels_in_then` to `labels_in_now` closely enough: what
// differs between two motions only where labels are alike need not be said. Each block takes the
// motion that the coder expects (ExpectedShift) if at most `tolerance` pixels of the block go
// wrong that the best motion at hand would have got right; otherwise that best motion: the
// block's median flow or one pixel beside it.
// `flow`: the dense motion that made labels_in_now, step 1, 2, 4, 8 or 16; all of one frame size.
BlockMotion FitBlockMotion(const LabelMap& labels_in_then, const LabelMap& labels_in_now,
                           const FlowField& flow, const BlockMotion* previous, int tolerance);

}  // namespace stac
