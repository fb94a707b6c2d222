// What the labels of every frame cost in server-consumer mode: coded label maps, each predicted
// from the one before, against the motion of blocks, and the pixel accuracy of both against the
// network on the raw frame.
//   upstream_motion_bench NETWORK CLIP [FRAMES_BETWEEN_KEYFRAMES [FRAMES]]
#include <fmt/format.h>

#include <cstdlib>

#include "stac/base/clock.h"
#include "stac/capture/frame_source.h"
#include "stac/codec/label_coder.h"
#include "stac/flow/optical_flow.h"
#include "stac/propagate/block_motion.h"
#include "stac/propagate/motion_chain.h"
#include "stac/propagate/warp.h"
#include "stac/segment/segmenter.h"

namespace stac {
namespace {

constexpr int kTolerances[] = {0, 6, 12, 18, 24};

struct Way {
  double bytes = 0;
  double accuracy = 0;
  double ms = 0;
};

double Share(const LabelMap& a, const LabelMap& b) {
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return 100.0 * static_cast<double>(equal) / static_cast<double>(a.size());
}

Status Measure(const std::string& network, const std::string& clip, int interval, int frames) {
  STAC_ASSIGN_OR_RETURN(const auto segmenter, LoadSegmenter(network));
  STAC_ASSIGN_OR_RETURN(const auto source, OpenSource(clip, {.max_width = 480}));
  const auto optical_flow = MakeDisFlow();
  MotionChain chain;
  FlowField flow;
  LabelMap labels, now, before, moved;
  FrameId anchor = 0;
  Way maps;
  std::vector<Way> ways(std::size(kTolerances));
  std::vector<std::optional<BlockMotion>> sent(ways.size());
  int count = 0;
  for (int i = 0; i < frames; ++i) {
    STAC_ASSIGN_OR_RETURN(std::optional<Frame> frame, source->Next());
    if (!frame) break;
    frame->id = static_cast<FrameId>(i);
    optical_flow->Next(*frame, flow);
    chain.Advance(flow);
    STAC_ASSIGN_OR_RETURN(const Segmentation truth, segmenter->Run(*frame));
    if (i % interval == 0) {
      labels = before = truth.labels;
      anchor = frame->id;
      chain.Clear();
      chain.AddAnchor(anchor, frame->width(), frame->height(), flow.step);
      sent.assign(sent.size(), std::nullopt);
      continue;
    }
    const FlowField& since = *chain.Find(anchor);
    WarpLabels(labels, since, now);
    ++count;
    Stopwatch watch;
    STAC_ASSIGN_OR_RETURN(const Bytes coded, EncodeLabels(now, &before));
    maps.ms += watch.Lap();
    maps.bytes += static_cast<double>(coded.size());
    maps.accuracy += Share(now, truth.labels);
    before = now;
    for (size_t k = 0; k < ways.size(); ++k) {
      const BlockMotion* previous = sent[k] ? &*sent[k] : nullptr;
      watch.Lap();
      BlockMotion motion = FitBlockMotion(labels, now, since, previous, kTolerances[k]);
      const Bytes bytes = EncodeMotion(motion, previous);
      ways[k].ms += watch.Lap();
      ways[k].bytes += static_cast<double>(bytes.size());
      MoveLabels(labels, motion, moved);
      ways[k].accuracy += Share(moved, truth.labels);
      sent[k] = std::move(motion);
    }
  }
  if (count == 0) return Fail("{} has no frames between keyframes", clip);
  const auto print = [&](const std::string& name, const Way& way) {
    fmt::print("{:16} {:7.0f} bytes {:6.1f} %  accuracy {:.2f} %  {:.2f} ms\n", name,
               way.bytes / count, 100 * way.bytes / maps.bytes, way.accuracy / count,
               way.ms / count);
  };
  print("label maps", maps);
  for (size_t k = 0; k < ways.size(); ++k) {
    print(fmt::format("motion, {} pixels", kTolerances[k]), ways[k]);
  }
  return OkStatus();
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: {} NETWORK CLIP [FRAMES_BETWEEN_KEYFRAMES [FRAMES]]\n", argv[0]);
    return 2;
  }
  const int interval = argc > 3 ? std::max(2, std::atoi(argv[3])) : 3;
  const int frames = argc > 4 ? std::atoi(argv[4]) : 60;
  const stac::Status status = stac::Measure(argv[1], argv[2], interval, frames);
  if (!status) fmt::print(stderr, "{}\n", status.error().message);
  return status ? 0 : 1;
}
