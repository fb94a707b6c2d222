#include "stac/lab/train/tuner_data.h"

#include <cmath>
#include <map>
#include <tuple>

namespace stac {

Result<TunerData> TunerData::Make(const std::vector<SegmentRow>& rows,
                                  const TunerDataOptions& options) {
  std::map<std::tuple<std::string, std::string, std::string>, ClipRows> clips;
  for (const SegmentRow& row : rows) {
    if (row.segment == 0 || (!options.scale && row.configuration.scale != 1)) continue;
    if (!(KbpsOf(row, options.bits) > 0)) continue;  // nothing was sent: no step leads there
    clips[{row.system, row.network, row.clip}].all.push_back(row);
  }
  TunerData data;
  data.options_ = options;
  for (auto& [name, clip] : clips) {
    clip.best = FilterSegments(clip.all, options.bits);
    data.clips_.push_back(std::move(clip));
  }
  if (data.clips_.empty()) {
    return Fail(
        "the segment table has no rows to train from: none later than its clips' first second{}",
        options.scale ? "" : " at full size");
  }
  return data;
}

size_t TunerData::pairs() const {
  size_t count = 0;
  for (const ClipRows& clip : clips_) count += clip.all.size() * clip.best.size();
  return count;
}

TunerData::Example TunerData::Draw(std::mt19937_64& random) const {
  // Not std::uniform_*_distribution: its numbers differ between standard libraries.
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  const auto pick = [&](const auto& list) -> const auto& {
    return list[static_cast<size_t>(uniform() * static_cast<double>(list.size()))];
  };
  const ClipRows& clip = pick(clips_);
  const SegmentRow& last = pick(clip.all);
  const SegmentRow& next = pick(clip.best);
  const double area = std::exp2(options_.min_area_log2 +
                                uniform() * (options_.max_area_log2 - options_.min_area_log2));
  const auto vary = [&](double log2) { return std::exp2((2 * uniform() - 1) * log2); };
  const double bits = area * vary(options_.bits_log2);
  const auto features =
      TunerNetwork::Features({.last_kbps = bits * KbpsOf(last, options_.bits),
                              .bandwidth_kbps = bits * KbpsOf(next, options_.bits),
                              .last_base_qp = last.configuration.base_qp,
                              .last_keyframe_fps = last.configuration.keyframe_fps,
                              .c = area * last.c * vary(options_.content_log2),
                              .d = area * last.d * vary(options_.content_log2)});
  Example example;
  for (size_t i = 0; i < features.size(); ++i) {
    example.features[i] = static_cast<float>(features[i]);
  }
  const ControlDecision &from = last.configuration, &to = next.configuration;
  example.target = {static_cast<float>((to.base_qp - from.base_qp) / 6),
                    static_cast<float>(std::log2(to.keyframe_fps / from.keyframe_fps)),
                    static_cast<float>(std::log2(to.scale / from.scale))};
  return example;
}

}  // namespace stac
