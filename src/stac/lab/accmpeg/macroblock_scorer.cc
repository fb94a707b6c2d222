#include "stac/lab/accmpeg/macroblock_scorer.h"

#include <torch/types.h>

#include "stac/base/file.h"
#include "stac/capture/image_io.h"
#include "stac/segment/networks/stacnet_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

Result<SensitivityMap> Score(SegmentationNetwork& network, const Frame& frame) {
  PrepareInferenceThread(0);
  torch::NoGradGuard no_grad;
  RgbImage image = RgbFromFrame(frame);
  const RegionGrid grid{.frame_width = frame.width(), .frame_height = frame.height()};
  const int columns = grid.mb_columns(), rows = grid.mb_rows();
  torch::Tensor rgb =
      torch::from_blob(image.data(), {1, frame.height(), frame.width(), 3}, torch::kUInt8)
          .permute({0, 3, 1, 2})
          .to(torch::kFloat)
          .div_(255);
  // Whole macroblocks: the border is repeated, as encoders do.
  rgb = at::replication_pad2d(
      rgb, {0, columns * kMacroblock - frame.width(), 0, rows * kMacroblock - frame.height()});
  const torch::Tensor score =
      network.Forward(rgb).front().softmax(1).select(1, 1).squeeze(0).contiguous();
  if (score.size(0) != rows || score.size(1) != columns) {
    return Fail("the network answered {}x{} cells for {}x{} macroblocks", score.size(1),
                score.size(0), columns, rows);
  }
  SensitivityMap map(columns, rows);
  const float* values = score.data_ptr<float>();
  std::copy(values, values + map.size(), map.begin());
  return map;
}

}  // namespace

Result<MacroblockScorer> LoadMacroblockScorer(const std::string& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path));
  auto file = DecodeStacnet(bytes);
  if (!file) return Fail("cannot use {}: {}", path, file.error().message);
  if (file->definition != "accmpeg" || file->classes != 2) {
    return Fail(
        "{} is the network {} with {} classes, not one for macroblocks: train one with "
        "stac train accmpeg",
        path, file->definition, file->classes);
  }
  return [network = file->network, path](const Frame& frame) -> Result<SensitivityMap> {
    try {
      return Score(*network, frame);
    } catch (const std::exception& e) {
      return Fail("{} failed on a frame of {}x{}: {}", path, frame.width(), frame.height(),
                  std::string(e.what()).substr(0, 200));
    }
  };
}

}  // namespace stac
