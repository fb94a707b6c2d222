#include "stac/lab/simulation/content_table.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace stac {

Result<std::vector<SegmentRow>> WithContent(std::vector<SegmentRow> rows, ContentKind kind,
                                            const std::vector<Clip>& clips, const LabTools& tools) {
  std::map<std::pair<std::string, int>, ContentMetrics> known;
  for (SegmentRow& row : rows) {
    if (kind == ContentKind::kWithoutC) row.c = 1;
    if (kind == ContentKind::kWithoutD) row.d = 1;
    if (kind != ContentKind::kPreencoded) continue;
    const std::pair second(row.clip, row.segment);
    auto found = known.find(second);
    if (found == known.end()) {
      const auto clip = std::find_if(clips.begin(), clips.end(),
                                     [&](const Clip& c) { return c.name == row.clip; });
      if (clip == clips.end()) {
        return Fail("clip {} of the table is not among the clips of the experiment", row.clip);
      }
      const auto first =
          std::max<size_t>(1, static_cast<size_t>(std::ceil(row.segment * clip->fps - 1e-6)));
      if (first >= clip->frames.size()) {
        return Fail("clip {} has {} frames, but the table has its second {}", row.clip,
                    clip->frames.size(), row.segment);
      }
      STAC_ASSIGN_OR_RETURN(const ContentMetrics bits,
                            PreencodedBits(clip->frames[first - 1], clip->frames[first], tools));
      found = known.emplace(second, bits).first;
    }
    row.c = found->second.c;
    row.d = found->second.d;
  }
  return rows;
}

}  // namespace stac
