#include "stac/lab/train/dataset.h"

#include <algorithm>
#include <array>
#include <optional>

#include "stac/base/log.h"
#include "stac/capture/frame_source.h"
#include "stac/capture/image_io.h"

namespace stac {
namespace {

constexpr int kCamVidClasses = 11;
constexpr int kCityscapesClasses = 19;

// From a source's label values to the network's classes.
using LabelTable = std::array<uint8_t, 256>;

Result<LabelTable> TableFor(const TrainDataSpec& source, int classes) {
  LabelTable table;
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i);
  if (source.kind != "camvid") return table;
  table[kCamVidClasses] = kUnlabelled;  // void
  if (classes == kCamVidClasses) return table;
  if (classes != kCityscapesClasses)
    return Fail(
        "CamVid labels fit networks of 11 or 19 classes, not of {}: change "
        "network.classes, or set loss.labels to 0",
        classes);
  // sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist
  constexpr std::array<uint8_t, kCamVidClasses> kTrainIds = {10, 2, 5,  0,  1,          8,
                                                             7,  4, 13, 11, kUnlabelled};
  std::copy(kTrainIds.begin(), kTrainIds.end(), table.begin());
  return table;
}

Result<TrainSample> MakeSample(const Frame& frame, const std::optional<LabelMap>& labels,
                               const LabelTable& table, int classes) {
  TrainSample sample;
  sample.width = frame.width() / kTeacherStride * kTeacherStride;
  sample.height = frame.height() / kTeacherStride * kTeacherStride;
  const RgbImage image = RgbFromFrame(frame);
  sample.rgb.reserve(static_cast<size_t>(sample.width) * sample.height * 3);
  for (int y = 0; y < sample.height; ++y)
    for (int x = 0; x < sample.width; ++x) {
      const Rgb& pixel = image(x, y);
      sample.rgb.insert(sample.rgb.end(), {pixel.r, pixel.g, pixel.b});
    }
  if (!labels) return sample;
  sample.labels.reserve(static_cast<size_t>(sample.width) * sample.height);
  for (int y = 0; y < sample.height; ++y)
    for (int x = 0; x < sample.width; ++x) {
      const uint8_t given = (*labels)(x, y);
      const uint8_t label = table[given];
      if (label != kUnlabelled && label >= classes)
        return Fail(
            "a label has the value {}, outside the network's {} classes (255 means "
            "unknown): change network.classes or the labels",
            given, classes);
      sample.labels.push_back(label);
    }
  return sample;
}

Status LoadSource(const TrainRecipe& recipe, const TrainDataSpec& spec,
                  std::vector<TrainSample>& out) {
  SourceOptions options;
  options.frame_step = spec.step;
  options.first_frame = spec.first;
  options.max_frames = spec.max_pictures > 0 ? spec.max_pictures : -1;
  options.max_width = spec.max_width;
  options.exclude = spec.exclude;
  const std::string location = spec.kind == "synthetic" ? "synthetic:" + spec.path : spec.path;
  STAC_ASSIGN_OR_RETURN(const auto source, OpenSource(location, options));
  LabelTable table{};
  if (recipe.uses_labels()) {
    STAC_ASSIGN_OR_RETURN(table, TableFor(spec, recipe.classes));
  }
  int64_t pictures = 0;
  while (true) {
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source->Next());
    if (!frame) break;
    std::optional<LabelMap> labels;
    if (recipe.uses_labels()) labels = source->Labels();
    if (!labels && !recipe.distilled())
      return Fail("picture {} of {} has no labels, and the recipe names no [[teacher]]", pictures,
                  location);
    auto sample = MakeSample(*frame, labels, table, recipe.classes);
    if (!sample) return Fail("picture {} of {}: {}", pictures, location, sample.error().message);
    out.push_back(std::move(*sample));
    ++pictures;
  }
  if (pictures == 0) return Fail("{} holds no pictures", location);
  spdlog::info("{} pictures of {}x{} from {}", pictures, source->info().width,
               source->info().height, location);
  return OkStatus();
}

}  // namespace

Result<std::vector<TrainSample>> LoadTrainData(const TrainRecipe& recipe,
                                               const std::vector<TrainDataSpec>& sources) {
  std::vector<TrainSample> samples;
  for (const TrainDataSpec& source : sources)
    STAC_RETURN_IF_ERROR(LoadSource(recipe, source, samples));
  return samples;
}

}  // namespace stac
