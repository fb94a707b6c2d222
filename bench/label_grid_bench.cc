// What coding labels at a coarser grid saves, and how many pixels stay as they were: a network's
// labels of raw frames, each coded against those of the frame before.
//   label_grid_bench NETWORK CLIP [EVERY_NTH_FRAME [MAPS]]
#include <fmt/format.h>

#include <cstdlib>

#include "stac/capture/frame_source.h"
#include "stac/codec/label_coder.h"
#include "stac/segment/segmenter.h"

namespace stac {
namespace {

constexpr int kGrids[] = {1, 2, 3, 4};

struct Sum {
  double bytes = 0;
  double kept = 0;
  LabelMap before;
};

Status Measure(const std::string& network, const std::string& clip, int step, int maps) {
  STAC_ASSIGN_OR_RETURN(const auto segmenter, LoadSegmenter(network));
  STAC_ASSIGN_OR_RETURN(const auto source, OpenSource(clip, {.frame_step = step}));
  std::vector<Sum> sums(std::size(kGrids));
  int count = -1;  // the first map is not predicted and does not count
  for (; count < maps; ++count) {
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source->Next());
    if (!frame) break;
    STAC_ASSIGN_OR_RETURN(const Segmentation truth, segmenter->Run(*frame));
    for (size_t k = 0; k < sums.size(); ++k) {
      Sum& sum = sums[k];
      STAC_ASSIGN_OR_RETURN(
          CodedLabels coded,
          EncodeLabelsAtGrid(truth.labels, kGrids[k], count < 0 ? nullptr : &sum.before));
      if (count >= 0) {
        size_t equal = 0;
        for (size_t i = 0; i < truth.labels.size(); ++i) equal += truth.labels[i] == coded.shown[i];
        sum.bytes += static_cast<double>(coded.bytes.size());
        sum.kept += static_cast<double>(equal) / static_cast<double>(truth.labels.size());
      }
      sum.before = std::move(coded.shown);
    }
  }
  if (count < 1) return Fail("{} has fewer than two frames", clip);
  for (size_t k = 0; k < sums.size(); ++k)
    fmt::print("grid {}: {:6.0f} bytes per map, {:5.1f} % of the pixels as they were\n", kGrids[k],
               sums[k].bytes / count, 100 * sums[k].kept / count);
  return OkStatus();
}

}  // namespace
}  // namespace stac

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: {} NETWORK CLIP [EVERY_NTH_FRAME [MAPS]]\n", argv[0]);
    return 2;
  }
  const int step = argc > 3 ? std::max(1, std::atoi(argv[3])) : 3;
  const int maps = argc > 4 ? std::max(1, std::atoi(argv[4])) : 30;
  const stac::Status status = stac::Measure(argv[1], argv[2], step, maps);
  if (!status) fmt::print(stderr, "{}\n", status.error().message);
  return status ? 0 : 1;
}
