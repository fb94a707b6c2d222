#include <algorithm>
#include <cmath>

#include "stac/base/file.h"
#include "stac/base/file_name.h"
#include "stac/lab/analysis_internal.h"
#include "stac/lab/result_row.h"
#include "stac/quant/block_dct.h"

namespace stac {
namespace {

constexpr int kBlock = 4;
constexpr int kFrames = 3;

Grid<float> Samples(const PlaneView& plane) {
  Grid<float> samples(plane.width, plane.height);
  for (int y = 0; y < plane.height; ++y) {
    for (int x = 0; x < plane.width; ++x) samples(x, y) = plane.At(x, y);
  }
  return samples;
}

}  // namespace

Result<std::string> GradientMapLines(Workbench& bench, size_t network, size_t clip,
                                     const std::filesystem::path& out) {
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, bench.Network(network));
  const Objective loss{.kind = ObjectiveKind::kFakeLabelLoss};
  STAC_ASSIGN_OR_RETURN(const Segmentation result,
                        segmenter->RunWithGradient(bench.clips()[clip].frames.front(), loss));
  const Grid<double> sums = SumMagnitudes(result.gradients.front().y, kBlock);
  double low = INFINITY, high = -INFINITY;
  std::string data;
  for (int y = 0; y < sums.height(); ++y) {
    for (int x = 0; x < sums.width(); ++x) {
      const double value = std::log10(std::max(sums(x, y) / (kBlock * kBlock), 1e-12));
      low = std::min(low, value);
      high = std::max(high, value);
      data += fmt::format("{}{:.2f}", x == 0 ? "" : " ", value);
    }
    data += '\n';
  }
  const std::string& network_name = bench.experiment().networks[network].name;
  const std::string& clip_name = bench.clips()[clip].name;
  const std::string file =
      FileNameOf(fmt::format("gradient_{}_{}", network_name, clip_name)) + ".dat";
  STAC_RETURN_IF_ERROR(WriteFile(out / file, data));
  return fmt::format("{},{},{},{},{},{:.2f},{:.2f}\n", CsvField(network_name), CsvField(clip_name),
                     file, sums.width(), sums.height(), low, high);
}

Result<std::string> FakeLossLines(Workbench& bench, size_t network, size_t clip_index,
                                  const LabTools& tools) {
  const Clip& clip = bench.clips()[clip_index];
  STAC_ASSIGN_OR_RETURN(Segmenter * segmenter, bench.Network(network));
  STAC_ASSIGN_OR_RETURN(const auto* reference, bench.Reference(network, clip_index));
  const RegionGrid grid{.frame_width = clip.width(), .frame_height = clip.height()};
  const size_t count = std::min<size_t>(kFrames, clip.frames.size());
  std::string lines;
  for (int qp = 12; qp <= 50; qp += 2) {
    EncoderOptions options{.width = clip.width(),
                           .height = clip.height(),
                           .fps = clip.fps,
                           .color = clip.frames.front().color(),
                           .keyint_max = 1};
    STAC_ASSIGN_OR_RETURN(const auto encoder, tools.make_encoder(options));
    STAC_ASSIGN_OR_RETURN(const auto decoder, tools.make_decoder({}));
    const QpMap map(grid.mb_columns(), grid.mb_rows(), static_cast<uint8_t>(qp));
    double error = 0, loss_true = 0, loss_fake = 0;
    for (size_t i = 0; i < count; ++i) {
      const Frame& frame =
          clip.frames[i * (clip.frames.size() - 1) / std::max<size_t>(count - 1, 1)];
      STAC_ASSIGN_OR_RETURN(const EncodedFrame coded, encoder->Encode(frame, &map, true));
      STAC_ASSIGN_OR_RETURN(const DecodedFrame decoded, decoder->Decode(coded.access_unit));
      Grid<float> difference = Samples(frame.y());
      const Grid<float> after = Samples(decoded.frame.y());
      for (size_t k = 0; k < difference.size(); ++k) difference[k] -= after[k];
      for (const float s : BlockDct(difference, kBlock)) error += std::abs(s) / count;
      Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};
      STAC_ASSIGN_OR_RETURN(const Segmentation fake,
                            segmenter->RunWithGradient(decoded.frame, objective));
      objective.labels = &(*reference)[frame.id];
      STAC_ASSIGN_OR_RETURN(const Segmentation truth,
                            segmenter->RunWithGradient(decoded.frame, objective));
      loss_fake += fake.objective / count;
      loss_true += truth.objective / count;
    }
    lines += fmt::format("{},{},{},{:.6g},{:.6g},{:.6g}\n",
                         CsvField(bench.experiment().networks[network].name), CsvField(clip.name),
                         qp, error, loss_true, loss_fake);
  }
  return lines;
}

}  // namespace stac
