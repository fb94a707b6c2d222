#pragma once

#include "stac/segment/segmenter.h"
#include "stac/video/maps.h"

namespace stac {

// AccMPEG's low quality, at which its accuracy gradients are taken.
inline constexpr int kAccMpegLowQp = 40;

// AccMPEG's accuracy gradient (Du et al., MLSys 2022, section 4): per macroblock the sum over its
// luma and chroma samples of |d loss / dx| * |x_high - x_low|. `gradient` is taken at `low`, which
// shows the same picture as `high` after coarse quantization; all of one size.
SensitivityMap AccuracyGradient(const Frame& high, const Frame& low, const InputGradient& gradient);

}  // namespace stac
