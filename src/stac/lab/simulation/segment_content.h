#pragma once

#include <map>

#include "stac/adapt/content_metrics.h"
#include "stac/lab/simulation/looped_clip.h"

namespace stac {

// What a controller is told about the content, in ControlInput::c and d.
enum class ContentKind {
  kMetrics,     // c and d of the last second (section VI)
  kWithoutC,    // c is always 1
  kWithoutD,    // d is always 1
  kPreencoded,  // CASVA's: bits of the next frame, coded by itself (c) and after the one before (d)
};
Result<ContentKind> ParseContentKind(const std::string& text);  // content, no-c, no-d, preencoded

// CASVA looks at what is about to be sent: the next frame, coded at a fixed QP.
Result<ContentMetrics> PreencodedBits(const Frame& before, const Frame& now, const LabTools& tools);

// The content that a controller sees of one stream. Not thread-safe.
class SegmentContent {
 public:
  // `frames` and `tools` must outlive it.
  SegmentContent(ContentKind kind, const LoopedClip& frames, const LabTools& tools)
      : kind_(kind), frames_(frames), tools_(tools) {}

  void OnFrame(const Frame& frame);
  // For the second that starts with frame `next` (>= 1) of the stream.
  Result<ContentMetrics> BeforeSecond(FrameId next);

 private:
  ContentKind kind_;
  const LoopedClip& frames_;
  const LabTools& tools_;
  ContentMeter meter_;
  std::map<std::pair<size_t, size_t>, ContentMetrics> preencoded_;  // by the two frames shown
};

}  // namespace stac
