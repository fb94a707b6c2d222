#pragma once

#include "stac/lab/lab_tools.h"

namespace stac {

// The real codecs and flow, synthetic clips, and a fake network of 8 classes under any path.
LabTools TestTools();

}  // namespace stac
