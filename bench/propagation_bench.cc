// How well labels keep when the optical flow carries them: the human labels of a frame, moved over
// 1, 2, 4 and 8 frames, against those of the later frame; for several settings of the flow, with
// the time of flow, chain and mapping.
//   propagation_bench FOLDER [CLASSES]      (CamVid or Cityscapes layout, labels for every frame)
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <deque>

#include "stac/base/clock.h"
#include "stac/capture/frame_source.h"
#include "stac/flow/optical_flow.h"
#include "stac/propagate/motion_chain.h"
#include "stac/propagate/warp.h"
#include "stac/video/accuracy.h"

namespace stac {
namespace {

constexpr int kDistances[] = {1, 2, 4, 8};
constexpr int kFarthest = 8;

struct Row {
  std::string name;
  std::optional<FlowOptions> flow;  // none: labels held as they are
};

const Row kRows[] = {
    {"labels held as they are", std::nullopt},
    {"ultrafast, 1/4 size, grid 16", FlowOptions{FlowPreset::kUltraFast, 4, 16}},
    {"ultrafast, 1/4 size, grid 8", FlowOptions{FlowPreset::kUltraFast, 4, 8}},
    {"ultrafast, 1/4 size, grid 4 (default)", FlowOptions{FlowPreset::kUltraFast, 4, 4}},
    {"ultrafast, full size, grid 4", FlowOptions{FlowPreset::kUltraFast, 1, 4}},
    {"fast, full size, grid 4", FlowOptions{FlowPreset::kFast, 1, 4}},
    {"ultrafast, 1/2 size, grid 2", FlowOptions{FlowPreset::kUltraFast, 2, 2}},
    {"ultrafast, full size, grid 1", FlowOptions{FlowPreset::kUltraFast, 1, 1}},
};

Status Measure(const std::string& folder, int classes, const Row& row) {
  STAC_ASSIGN_OR_RETURN(const auto source, OpenSource(folder));
  const auto flow = row.flow ? MakeDisFlow(*row.flow) : nullptr;
  std::vector<ConfusionMatrix> agreement(std::size(kDistances), ConfusionMatrix(classes));
  std::deque<LabelMap> before;  // the latest first
  std::vector<double> times;
  MotionChain chain(kFarthest);
  FlowField field;
  LabelMap moved;
  for (FrameId id = 0;; ++id) {
    STAC_ASSIGN_OR_RETURN(std::optional<Frame> frame, source->Next());
    if (!frame) break;
    const std::optional<LabelMap> truth = source->Labels();
    if (!truth) return Fail("{} has no labels for its frame {}", folder, id);
    frame->id = id;
    Stopwatch watch;
    double ms = 0;
    if (flow) {
      flow->Next(*frame, field);
      chain.Advance(field);
      ms = watch.Lap();
    }
    for (size_t k = 0; k < std::size(kDistances); ++k) {
      const int distance = kDistances[k];
      if (before.size() < static_cast<size_t>(distance)) break;
      const LabelMap& then = before[distance - 1];
      watch.Lap();
      if (flow)
        WarpLabels(then, *chain.Find(id - distance), moved);
      else
        moved = then;
      if (distance == 1) times.push_back(ms + watch.Lap());
      agreement[k].Add(*truth, moved);
    }
    if (flow) chain.AddAnchor(id, frame->width(), frame->height(), field.step);
    before.push_front(*truth);
    if (before.size() > kFarthest) before.pop_back();
  }
  if (times.empty()) return Fail("{} has fewer than two frames", folder);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  fmt::print("{:38}", row.name);
  for (const ConfusionMatrix& matrix : agreement)
    fmt::print(" {:5.1f}/{:4.1f}", 100 * matrix.PixelAccuracy(), 100 * matrix.MeanIou());
  fmt::print(" {:6.1f} ms\n", times[times.size() / 2]);
  return OkStatus();
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} FOLDER [CLASSES]\n", argv[0]);
    return 2;
  }
  const int classes = argc > 2 ? std::atoi(argv[2]) : 11;
  if (classes < 2 || classes > 255) {
    fmt::print(stderr, "CLASSES must be 2 to 255, not {}\n", argv[2]);
    return 2;
  }
  fmt::print("{:38}  1 frame    2          4          8\n", "PA/mIoU in % after");
  for (const stac::Row& row : stac::kRows) {
    if (const stac::Status status = stac::Measure(argv[1], classes, row); !status) {
      fmt::print(stderr, "{}\n", status.error().message);
      return 1;
    }
  }
  return 0;
}
