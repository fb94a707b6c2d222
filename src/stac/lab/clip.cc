#include "stac/lab/clip.h"

#include <cmath>

#include "stac/base/bytes.h"
#include "stac/base/check.h"

namespace stac {
namespace {

class StoredFlow final : public OpticalFlow {
 public:
  explicit StoredFlow(const ClipMotion& motion) : motion_(motion) {}
  void Next(const Frame& now, FlowField& field) override {
    STAC_CHECK(now.id < motion_.size());
    field = motion_[now.id];
  }

 private:
  const ClipMotion& motion_;
};

class ZeroFlow final : public OpticalFlow {
 public:
  void Next(const Frame& now, FlowField& field) override {
    constexpr int kStep = 16;
    if (field.frame_width == now.width() && field.frame_height == now.height()) return;
    field = {.then_from_now =
                 Grid<Vec2>((now.width() + kStep - 1) / kStep, (now.height() + kStep - 1) / kStep),
             .step = kStep,
             .frame_width = now.width(),
             .frame_height = now.height()};
  }
};

}  // namespace

Result<Clip> LoadClip(const ClipEntry& entry, const LabTools& tools) {
  SourceOptions options;
  options.max_width = entry.max_width;
  options.first_frame = entry.first;
  options.max_frames = entry.frames > 0 ? entry.frames : -1;
  options.frame_step = entry.step;
  options.folder_fps = entry.folder_fps;
  auto source = tools.open_source(entry.source, options);
  if (!source) return Fail("clip {}: {}", entry.name, source.error().message);
  Clip clip{.name = entry.name, .fps = (*source)->info().fps, .human = entry.human};
  ByteWriter identity;
  while (entry.frames == 0 || clip.frames.size() < static_cast<size_t>(entry.frames)) {
    auto next = (*source)->Next();
    if (!next) return Fail("clip {}: {}", entry.name, next.error().message);
    if (!next->has_value()) break;
    Frame frame = std::move(**next);
    frame.id = static_cast<FrameId>(clip.frames.size());
    frame.pts = static_cast<Micros>(std::llround(frame.id * 1e6 / clip.fps));
    identity.U64(HashPixels(frame));
    clip.frames.push_back(std::move(frame));
    if (entry.human.empty()) continue;
    auto labels = (*source)->Labels();
    if (!labels) {
      return Fail("clip {}: frame {} has no human labels: remove 'human' from the clip", entry.name,
                  clip.frames.size() - 1);
    }
    identity.U64(Hash64({labels->data(), labels->size()}));
    clip.human_labels.push_back(std::move(*labels));
  }
  if (clip.frames.size() < 2) {
    return Fail("clip {}: {} has {} frames from frame {} on; at least 2 are needed", entry.name,
                entry.source, clip.frames.size(), entry.first);
  }
  identity.Append(AsBytes(fmt::format("{}x{} {} {}", clip.width(), clip.height(), clip.fps,
                                      ToString(clip.frames.front().color()))));
  clip.hash = HexHash(identity.bytes());
  return clip;
}

ClipMotion MotionOf(const Clip& clip, const LabTools& tools) {
  ClipMotion motion;
  const auto flow = tools.make_flow();
  for (const Frame& frame : clip.frames) flow->Next(frame, motion.emplace_back());
  return motion;
}

std::unique_ptr<OpticalFlow> MakeStoredFlow(const ClipMotion& motion) {
  return std::make_unique<StoredFlow>(motion);
}

std::unique_ptr<OpticalFlow> MakeZeroFlow() { return std::make_unique<ZeroFlow>(); }

}  // namespace stac
