#pragma once

#include <optional>
#include <string>

#include "stac/base/result.h"
#include "stac/video/maps.h"

namespace stac {

// Brings a network's labels and a clip's human labels to the same classes, so that they can be
// counted against each other.
class LabelMapping {
 public:
  // human: "camvid11" (the 11 classes of the SegNet split of CamVid, void 11) or "train_ids"
  // (Cityscapes). Networks with as many classes as the human labels have are taken as they are; 19
  // Cityscapes classes go to CamVid's 11 as CamVid's own grouping of its 32 classes does: wall to
  // building, terrain to tree, traffic light to sign, truck, bus and train to car, rider,
  // motorcycle and bicycle to bicyclist. Fails for other combinations.
  static Result<LabelMapping> Make(const std::string& human, int network_classes);

  int class_count() const { return class_count_; }
  LabelMap FromNetwork(const LabelMap& labels) const;
  // Void becomes kUnlabelled and is not counted.
  LabelMap FromHuman(const LabelMap& labels) const;

 private:
  int class_count_ = 0;
  uint8_t from_network_[256];
  uint8_t from_human_[256];
};

}  // namespace stac
