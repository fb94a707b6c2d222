#include "stac/lab/accmpeg/macroblock_labels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "stac/base/progress.h"
#include "stac/capture/image_io.h"
#include "stac/lab/accuracy_gradient.h"

namespace stac {
namespace {

Result<SensitivityMap> PictureGradient(Segmenter& network,
                                       const DeviceSession::EncoderFactory& make_encoder,
                                       const Frame& frame) {
  STAC_ASSIGN_OR_RETURN(const Segmentation truth, network.Run(frame));
  STAC_ASSIGN_OR_RETURN(const auto encoder, make_encoder({.width = frame.width(),
                                                          .height = frame.height(),
                                                          .color = frame.color(),
                                                          .want_reconstruction = true}));
  const RegionGrid grid{.frame_width = frame.width(), .frame_height = frame.height()};
  const QpMap qp(grid.mb_columns(), grid.mb_rows(), static_cast<uint8_t>(kAccMpegLowQp));
  STAC_ASSIGN_OR_RETURN(const EncodedFrame coded, encoder->Encode(frame, &qp, true));
  Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};
  objective.labels = &truth.labels;
  STAC_ASSIGN_OR_RETURN(const Segmentation low,
                        network.RunWithGradient(coded.reconstruction, objective));
  return AccuracyGradient(frame, coded.reconstruction, low.gradients.front());
}

// 1 for the `share` of cells with the largest values, 0 for the others.
Grid<uint8_t> LargestCells(const SensitivityMap& map, double share) {
  std::vector<size_t> order(map.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return map[a] > map[b]; });
  Grid<uint8_t> out(map.width(), map.height());
  const auto count = static_cast<size_t>(std::lround(share * static_cast<double>(map.size())));
  for (size_t i = 0; i < std::min(count, order.size()); ++i) out[order[i]] = 1;
  return out;
}

}  // namespace

Status LabelMacroblocks(Segmenter& network, double share,
                        const DeviceSession::EncoderFactory& make_encoder,
                        std::vector<TrainSample>& samples, const std::atomic<bool>* stop) {
  Progress progress("accuracy gradients", static_cast<int64_t>(samples.size()));
  int64_t done = 0;
  for (TrainSample& sample : samples) {
    if (stop != nullptr && *stop)
      return Fail("interrupted; macroblocks of {} of {} pictures were labelled", done,
                  samples.size());
    RgbImage image(sample.width, sample.height);
    std::memcpy(image.data(), sample.rgb.data(), sample.rgb.size());
    STAC_ASSIGN_OR_RETURN(const SensitivityMap map,
                          PictureGradient(network, make_encoder, FrameFromRgb(image, {})));
    const Grid<uint8_t> cells = LargestCells(map, share);
    sample.labels.resize(static_cast<size_t>(sample.width) * sample.height);
    for (int y = 0; y < sample.height; ++y) {
      for (int x = 0; x < sample.width; ++x) {
        sample.labels[static_cast<size_t>(y) * sample.width + x] =
            cells(x / kMacroblock, y / kMacroblock);
      }
    }
    progress.Update(++done);
  }
  return OkStatus();
}

}  // namespace stac
