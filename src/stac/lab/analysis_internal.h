#pragma once

#include <filesystem>
#include <string>

#include "stac/lab/workbench.h"

namespace stac {

// Each examines one network on one clip and returns lines of CSV, without the header
// (analysis_columns_internal.h); every line begins with network and clip.

// Fig. 4: writes out/gradient_NETWORK_CLIP.dat, log10 of the mean |gradient| of the fake-label loss
// in each 4x4 block of the first raw frame; returns the file's name and its range.
Result<std::string> GradientMapLines(Workbench& bench, size_t network, size_t clip,
                                     const std::filesystem::path& out);

// Fig. 6: estimated size V and loss increments of STAC's levels and of the uniform table of the
// same size (equations (3) to (6)), for several B, on a few frames.
Result<std::string> LossGapLines(Workbench& bench, size_t network, size_t clip);

// Fig. 7: loss against the raw frame's labels (true) and against the coded frame's own (fake) over
// the total quantization error, means over a few frames coded as single pictures.
Result<std::string> FakeLossLines(Workbench& bench, size_t network, size_t clip,
                                  const LabTools& tools);

// Fig. 9: share of macroblocks whose propagated level differs from the newly computed one by at
// most `deviation`, by distance in frames, for Algorithm 1 and for our rule.
Result<std::string> LevelDeviationLines(Workbench& bench, size_t network, size_t clip);

// Bits and accuracy of a few frames coded as single pictures with a uniform QP, with our rule, and
// with what a search finds that knows the truth and changes one region at a time: how far an
// allocation could get.
Result<std::string> AllocationBoundLines(Workbench& bench, size_t network, size_t clip,
                                         const LabTools& tools);

}  // namespace stac
