#include "stac/lab/train/agreement.h"

#include <algorithm>
#include <optional>

#include "stac/base/progress.h"
#include "stac/video/accuracy.h"

namespace stac {

Result<Agreement> MeasureAgreement(FrameSource& source, Segmenter& reference, Segmenter& network,
                                   const std::atomic<bool>* stop) {
  if (reference.info().class_count != network.info().class_count)
    return Fail("{} has {} classes, {} has {}: they cannot be compared", reference.info().name,
                reference.info().class_count, network.info().name, network.info().class_count);
  ConfusionMatrix confusion(reference.info().class_count);
  Agreement out;
  Progress progress(network.info().name, std::max<int64_t>(source.info().frame_count, 1));
  while (true) {
    if (stop != nullptr && *stop) return Fail("interrupted after {} frames", out.frames);
    STAC_ASSIGN_OR_RETURN(const std::optional<Frame> frame, source.Next());
    if (!frame) break;
    STAC_ASSIGN_OR_RETURN(const Segmentation truth, reference.Run(*frame));
    STAC_ASSIGN_OR_RETURN(const Segmentation answer, network.Run(*frame));
    confusion.Add(truth.labels, answer.labels);
    out.forward_ms += answer.forward_ms;
    progress.Update(++out.frames);
  }
  if (out.frames == 0) return Fail("{} holds no frames", source.info().name);
  out.forward_ms /= static_cast<double>(out.frames);
  out.pixel_accuracy = confusion.PixelAccuracy();
  out.mean_iou = confusion.MeanIou();
  for (int i = 0; i < confusion.class_count(); ++i) out.iou.push_back(confusion.Iou(i));
  return out;
}

}  // namespace stac
