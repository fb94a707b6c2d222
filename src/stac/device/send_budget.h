#pragma once

#include <cstddef>

#include "stac/base/clock.h"

namespace stac {

// Whether another keyframe still fits what the link carries in the running segment (a second of
// section VI), asked before it is coded: so a configuration that turns out to need too much costs
// keyframes instead of a queue, and references stay valid. Bits may be spent as the segment goes
// on, a quarter of a second ahead; what a keyframe will need is expected from those before it
// (each counts half of what came later), by halving per 6 QP and by BitsAtScale, and the last one
// must fit if it needs 30 % more. Times are the caller's. Not thread-safe.
class SendBudget {
 public:
  // A segment starts in which the link carries `kbps`; 0: unknown, everything is allowed.
  void StartSegment(Micros now, double kbps);
  // By how many QP keyframes like the last ones must be coded coarser for `rate` of them a second
  // to fit what the link carries; 0: they fit, or nothing is known yet.
  double CoarserBy(double base_qp, double scale, double rate) const;
  // The first keyframe of a segment is always allowed.
  bool Allows(Micros now, double base_qp, double scale = 1) const;
  void OnCoded(size_t bytes, double base_qp, bool idr, double scale = 1);

 private:
  double ExpectedKb(double base_qp, double scale) const;

  Micros start_ = 0;
  double kbps_ = 0;
  double spent_kb_ = 0;
  double last_kb_ = 0;  // expected, at last_qp_ and last_scale_; 0: nothing yet
  double last_qp_ = 0;
  double last_scale_ = 1;
  bool last_was_idr_ = false;
};

}  // namespace stac
