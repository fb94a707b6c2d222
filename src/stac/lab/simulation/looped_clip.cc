#include "stac/lab/simulation/looped_clip.h"

#include <cmath>

namespace stac {
namespace {

class LoopedFlow final : public OpticalFlow {
 public:
  using Motion = std::function<const FlowField&(FrameId)>;
  explicit LoopedFlow(Motion motion) : motion_(std::move(motion)) {}
  void Next(const Frame& now, FlowField& field) override { field = motion_(now.id); }

 private:
  Motion motion_;
};

}  // namespace

LoopedClip::LoopedClip(const Clip& clip, const LabTools& tools) : clip_(clip) {
  const Stopwatch watch;
  forward_ = MotionOf(clip, tools);
  const size_t count = clip.frames.size();
  const auto flow = tools.make_flow();
  backward_.resize(count);
  for (size_t i = count; i-- > 0;) flow->Next(clip.frames[i], backward_[i]);
  flow_ms_ = watch.Milliseconds() / static_cast<double>(2 * count);
}

size_t LoopedClip::ClipFrame(FrameId id) const {
  const size_t count = clip_.frames.size();
  const size_t place = id % (2 * (count - 1));
  return place < count ? place : 2 * (count - 1) - place;
}

Frame LoopedClip::At(FrameId id) const {
  Frame frame = clip_.frames[ClipFrame(id)];
  frame.id = id;
  frame.pts = static_cast<Micros>(std::llround(id * 1e6 / clip_.fps));
  return frame;
}

const FlowField& LoopedClip::MotionAt(FrameId id) const {
  const size_t shown = ClipFrame(id);
  const bool forwards = id == 0 || ClipFrame(id - 1) < shown;
  return forwards ? forward_[shown] : backward_[shown];
}

std::unique_ptr<OpticalFlow> LoopedClip::MakeFlow() const {
  return std::make_unique<LoopedFlow>(
      [this](FrameId id) -> const FlowField& { return MotionAt(id); });
}

}  // namespace stac
