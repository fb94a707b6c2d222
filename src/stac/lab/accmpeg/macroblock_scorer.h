#pragma once

#include <string>

#include "stac/lab/lab_tools.h"

namespace stac {

// Loads a network for macroblocks (a .stacnet of the definition "accmpeg" with two classes, as
// `stac train accmpeg` writes it). The function it returns gives each 16x16 macroblock of a frame
// of any size the probability, 0..1, that it needs high quality. It is for one thread; runs on the
// CPU. Fails on a file that is none or of another definition.
Result<MacroblockScorer> LoadMacroblockScorer(const std::string& path);

}  // namespace stac
