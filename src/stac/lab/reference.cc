#include "stac/lab/reference.h"

#include <bit>

#include "stac/base/bytes.h"
#include "stac/base/check.h"
#include "stac/base/file.h"
#include "stac/codec/label_coder.h"
#include "stac/lab/accuracy_gradient.h"

namespace stac {
namespace {

namespace fs = std::filesystem;

// Reads maps with `read(reader)` as long as the file has them; nullopt if it is missing or not
// exactly `count` maps.
template <typename Map, typename Read>
std::optional<std::vector<Map>> ReadMaps(const fs::path& path, size_t count, Read&& read) {
  const auto bytes = ReadFile(path);
  if (!bytes) return std::nullopt;
  ByteReader reader(*bytes);
  std::vector<Map> maps;
  while (maps.size() < count) {
    std::optional<Map> map = read(reader);
    if (!map) return std::nullopt;
    maps.push_back(std::move(*map));
  }
  if (reader.left() != 0) return std::nullopt;
  return maps;
}

std::optional<LabelMap> ReadLabels(ByteReader& reader, int width, int height) {
  const auto size = reader.U32();
  if (!size) return std::nullopt;
  const auto coded = reader.Take(*size);
  if (!coded) return std::nullopt;
  auto labels = DecodeLabels(*coded, width, height);
  if (!labels) return std::nullopt;
  return std::move(*labels);
}

std::optional<SensitivityMap> ReadSensitivity(ByteReader& reader, int columns, int rows) {
  SensitivityMap map(columns, rows);
  for (float& value : map) {
    const auto bits = reader.U32();
    if (!bits) return std::nullopt;
    value = std::bit_cast<float>(*bits);
  }
  return map;
}

Result<std::vector<SensitivityMap>> ComputeGradients(const Clip& clip, Segmenter& network,
                                                     const std::vector<LabelMap>& reference,
                                                     const LabTools& tools) {
  const Frame& first = clip.frames.front();
  EncoderOptions options;
  options.width = first.width();
  options.height = first.height();
  options.fps = clip.fps;
  options.color = first.color();
  STAC_ASSIGN_OR_RETURN(const auto encoder, tools.make_encoder(options));
  STAC_ASSIGN_OR_RETURN(const auto decoder, tools.make_decoder({}));
  const RegionGrid grid{.frame_width = first.width(), .frame_height = first.height()};
  const QpMap qp(grid.mb_columns(), grid.mb_rows(), static_cast<uint8_t>(kAccMpegLowQp));
  std::vector<SensitivityMap> maps;
  for (const Frame& frame : clip.frames) {
    STAC_ASSIGN_OR_RETURN(const EncodedFrame coded, encoder->Encode(frame, &qp, frame.id == 0));
    STAC_ASSIGN_OR_RETURN(const DecodedFrame low, decoder->Decode(coded.access_unit));
    Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};
    objective.labels = &reference[frame.id];
    STAC_ASSIGN_OR_RETURN(const Segmentation result, network.RunWithGradient(low.frame, objective));
    maps.push_back(AccuracyGradient(frame, low.frame, result.gradients.front()));
  }
  return maps;
}

}  // namespace

Result<std::vector<LabelMap>> ReferenceLabels(const Clip& clip, Segmenter& network,
                                              const fs::path& cache) {
  const fs::path path = cache / fmt::format("{}-{}.labels", network.info().hash, clip.hash);
  if (auto stored = ReadMaps<LabelMap>(path, clip.frames.size(), [&](ByteReader& reader) {
        return ReadLabels(reader, clip.width(), clip.height());
      })) {
    return std::move(*stored);
  }
  std::vector<LabelMap> labels;
  ByteWriter file;
  for (const Frame& frame : clip.frames) {
    STAC_ASSIGN_OR_RETURN(Segmentation result, network.Run(frame));
    STAC_ASSIGN_OR_RETURN(const Bytes coded, EncodeLabels(result.labels));
    file.U32(static_cast<uint32_t>(coded.size()));
    file.Append(coded);
    labels.push_back(std::move(result.labels));
  }
  STAC_RETURN_IF_ERROR(WriteFile(path, file.bytes()));
  return labels;
}

Result<std::vector<SensitivityMap>> AccuracyGradients(const Clip& clip, Segmenter& network,
                                                      const std::vector<LabelMap>& reference,
                                                      const LabTools& tools,
                                                      const fs::path& cache) {
  STAC_CHECK(reference.size() == clip.frames.size());
  const fs::path path =
      cache / fmt::format("{}-{}-{}.accgrad", network.info().hash, clip.hash, kAccMpegLowQp);
  const RegionGrid grid{.frame_width = clip.width(), .frame_height = clip.height()};
  if (auto stored = ReadMaps<SensitivityMap>(path, clip.frames.size(), [&](ByteReader& reader) {
        return ReadSensitivity(reader, grid.mb_columns(), grid.mb_rows());
      })) {
    return std::move(*stored);
  }
  STAC_ASSIGN_OR_RETURN(auto maps, ComputeGradients(clip, network, reference, tools));
  ByteWriter file;
  for (const SensitivityMap& map : maps) {
    for (const float value : map) file.U32(std::bit_cast<uint32_t>(value));
  }
  STAC_RETURN_IF_ERROR(WriteFile(path, file.bytes()));
  return maps;
}

}  // namespace stac
