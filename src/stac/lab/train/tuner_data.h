#pragma once

#include <array>
#include <random>
#include <string>
#include <vector>

#include "stac/adapt/segment_table.h"
#include "stac/adapt/tuner.h"
#include "stac/base/result.h"

namespace stac {

struct TunerDataOptions {
  SegmentBits bits = SegmentBits::kUplink;
  bool scale = false;  // rows of other sizes too, as a third output; else they are ignored
  // Examples are varied, so that few clips stand for many: a picture of 2^x times the area has 2^x
  // times the bits, c and d, x uniform in this range,
  double min_area_log2 = 0;
  double max_area_log2 = 0;
  // all bits of an example times 2^y, y uniform within +- this,
  double bits_log2 = 0;
  // and c and d, each by itself, times 2^z, z uniform within +- this.
  double content_log2 = 0;
};

// The paper's training pairs: a second with any configuration, then a second of the same clip with
// one that nothing beats at its bits; those bits are the bandwidth that the network is told, and
// the step from the first configuration to the second is what it has to say. First seconds of
// clips are left out: their IDR is not what a running stream costs.
class TunerData {
 public:
  struct Example {
    std::array<float, TunerNetwork::kInputs> features;  // TunerNetwork::Features
    std::array<float, 3> target;                        // log2 of the factors of B, fps and scale
  };

  // Fails if nothing is left after the first seconds.
  static Result<TunerData> Make(const std::vector<SegmentRow>& rows,
                                const TunerDataOptions& options);
  Example Draw(std::mt19937_64& random) const;
  size_t pairs() const;

 private:
  struct ClipRows {
    std::vector<SegmentRow> all;
    std::vector<SegmentRow> best;
  };
  TunerDataOptions options_;
  std::vector<ClipRows> clips_;  // per system, network and clip
};

}  // namespace stac
