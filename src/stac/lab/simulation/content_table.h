#pragma once

#include <vector>

#include "stac/adapt/segment_table.h"
#include "stac/lab/clip.h"
#include "stac/lab/simulation/segment_content.h"

namespace stac {

// The rows with what controllers of another kind see in c and d: kWithoutC and kWithoutD set them
// to 1, kPreencoded replaces them by the bits of the second's first frame, for which the clips must
// be those of the rows, by name.
Result<std::vector<SegmentRow>> WithContent(std::vector<SegmentRow> rows, ContentKind kind,
                                            const std::vector<Clip>& clips, const LabTools& tools);

}  // namespace stac
