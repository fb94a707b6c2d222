#include "stac/lab/train/teacher_internal.h"
#include "stac/lab/train/validate_internal.h"
#include "stac/segment/networks/layers_internal.h"

namespace stac {
namespace {

LabelMap LabelsOf(const torch::Tensor& logits) {
  const torch::Tensor best = logits.argmax(1).to(torch::kUInt8).cpu().contiguous();
  const auto* data = best.data_ptr<uint8_t>();
  return LabelMap(static_cast<int>(best.size(2)), static_cast<int>(best.size(1)),
                  std::vector<uint8_t>(data, data + best.numel()));
}

}  // namespace

ConfusionMatrix Validate(SegmentationNetwork& network, const std::vector<TrainSample>& pictures,
                         int classes, bool against_teacher, const torch::Device& device) {
  torch::NoGradGuard no_grad;
  ConfusionMatrix confusion(classes);
  for (const TrainSample& picture : pictures) {
    if (against_teacher ? !picture.has_teacher() : !picture.has_labels()) continue;
    const torch::Tensor logits = network.Forward(RgbTensor(picture).to(device)).front();
    if (against_teacher) {
      const int64_t height = picture.height / kTeacherStride,
                    width = picture.width / kTeacherStride;
      const torch::Tensor teacher =
          torch::from_blob(const_cast<uint8_t*>(picture.teacher.data()),
                           {1, picture.teacher_classes, height, width}, torch::kUInt8);
      confusion.Add(LabelsOf(teacher), LabelsOf(ResizeTo(logits, height, width)));
    } else {
      confusion.Add(LabelMap(picture.width, picture.height, picture.labels),
                    LabelsOf(ResizeTo(logits, picture.height, picture.width)));
    }
  }
  return confusion;
}

}  // namespace stac
