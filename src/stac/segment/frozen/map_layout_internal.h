#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// How maps lie in memory. For LibTorch code only; all of it may throw.

namespace stac {

// Whether a map [N,C,H,W] lies without gaps, the channels of a place side by side; false where that
// is also the order of [N,C,H,W].
bool ChannelsSideBySide(const at::Tensor& x);

// Whether x is floats [N,C,H,W] on the CPU without gaps, in either order.
bool IsPlainMap(const at::Tensor& x);

// In which order x lies; of what lies otherwise, the one that ATen suggests. ATen also takes a
// picture cut out of a batch for one in the order of [N,C,H,W].
at::MemoryFormat FormatOf(const at::Tensor& x);

// x in that order, itself if it is already. Several times faster than ATen from one order to the
// other.
at::Tensor LaidOut(const at::Tensor& x, at::MemoryFormat format);

// Of `count` places: from values that lie channel by channel, `step` apart, to places' values side
// by side, and back.
void PlacesFromPlanes(const float* planes, int64_t step, int64_t channels, int64_t count,
                      float* places);
void PlanesFromPlaces(const float* places, int64_t channels, int64_t count, float* planes,
                      int64_t step);

}  // namespace stac
