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

LoopedClip::LoopedClip(const Clip& clip, double scale, const LabTools& tools) : clip_(clip) {
  const Stopwatch watch;
  forward_ = ScaleClip(clip, scale, tools);
  const size_t count = forward_.frames.size();
  const auto flow = tools.make_flow();
  backward_from_now_.resize(count);
  for (size_t i = count; i-- > 0;) flow->Next(forward_.frames[i], backward_from_now_[i]);
  flow_ms_ = watch.Milliseconds() / static_cast<double>(2 * count);
}

size_t LoopedClip::ClipFrame(FrameId id) const {
  const size_t count = forward_.frames.size();
  const size_t place = id % (2 * (count - 1));
  return place < count ? place : 2 * (count - 1) - place;
}

Frame LoopedClip::At(FrameId id) const {
  Frame frame = forward_.frames[ClipFrame(id)];
  frame.id = id;
  frame.pts = static_cast<Micros>(std::llround(id * 1e6 / clip_.fps));
  return frame;
}

const FlowField& LoopedClip::MotionAt(FrameId id) const {
  const size_t shown = ClipFrame(id);
  const bool forwards = id == 0 || ClipFrame(id - 1) < shown;
  return forwards ? forward_.then_from_now[shown] : backward_from_now_[shown];
}

std::unique_ptr<OpticalFlow> LoopedClip::MakeFlow() const {
  return std::make_unique<LoopedFlow>(
      [this](FrameId id) -> const FlowField& { return MotionAt(id); });
}

}  // namespace stac
