#pragma once

#include <cstdint>
#include <vector>

#include "stac/adapt/controller.h"
#include "stac/adapt/segment_table.h"

namespace stac {

// How a controller does on seconds whose every configuration has been measured.
struct ControllerScore {
  int seconds = 0;
  double accuracy = 0;       // mean, 0..1
  double best_accuracy = 0;  // mean of the best measured row that fits the bandwidth
  double use = 0;            // mean of min(sent, bandwidth) / bandwidth
  double overshoot = 0;      // share of seconds in which more than the bandwidth was sent
  double miss_octaves = 0;   // mean of |log2(sent / bandwidth)|
};

// Walks over each clip of a segment table forwards and backwards for `seconds` seconds, with a new
// bandwidth every second, log-uniform between the least and the most that the best rows of that
// second take; the controller knows it, as an oracle. Accuracy and bits of configurations between
// the measured ones are interpolated (log bits; linear in QP and the logs of rate and scale), those
// outside are brought inside. The clips' first seconds do not count; a table without others gives a
// score of 0 seconds. Deterministic.
ControllerScore ScoreController(Controller& controller, const std::vector<SegmentRow>& rows,
                                SegmentBits bits, int seconds, uint64_t seed);

}  // namespace stac
