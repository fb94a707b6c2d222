#include "stac/lab/label_mapping.h"

#include <algorithm>
#include <array>

namespace stac {
namespace {

constexpr int kCityscapesCount = 19;
constexpr int kCamVidCount = 11;

// CamVid: sky 0, building 1, pole 2, road 3, pavement 4, tree 5, sign 6, fence 7, car 8,
// pedestrian 9, bicyclist 10.
constexpr std::array<uint8_t, kCityscapesCount> kCamVidFromCityscapes = {
    3,   // road
    4,   // sidewalk
    1,   // building
    1,   // wall
    7,   // fence
    2,   // pole
    6,   // traffic light
    6,   // traffic sign
    5,   // vegetation
    5,   // terrain
    0,   // sky
    9,   // person
    10,  // rider
    8,   // car
    8,   // truck
    8,   // bus
    8,   // train
    10,  // motorcycle
    10,  // bicycle
};

LabelMap Look(const LabelMap& labels, const uint8_t (&table)[256]) {
  LabelMap out(labels.width(), labels.height());
  for (size_t i = 0; i < labels.size(); ++i) out[i] = table[labels[i]];
  return out;
}

}  // namespace

Result<LabelMapping> LabelMapping::Make(const std::string& human, int network_classes) {
  const int human_classes = human == "camvid11" ? kCamVidCount : kCityscapesCount;
  LabelMapping mapping;
  mapping.class_count_ = human_classes;
  std::fill(std::begin(mapping.from_network_), std::end(mapping.from_network_), kUnlabelled);
  std::fill(std::begin(mapping.from_human_), std::end(mapping.from_human_), kUnlabelled);
  for (int i = 0; i < human_classes; ++i) mapping.from_human_[i] = static_cast<uint8_t>(i);
  if (network_classes == human_classes) {
    for (int i = 0; i < human_classes; ++i) mapping.from_network_[i] = static_cast<uint8_t>(i);
  } else if (network_classes == kCityscapesCount && human_classes == kCamVidCount) {
    std::copy(kCamVidFromCityscapes.begin(), kCamVidFromCityscapes.end(), mapping.from_network_);
  } else {
    return Fail(
        "a network of {} classes cannot be scored on '{}' labels of {} classes: remove "
        "'human' from the clip",
        network_classes, human, human_classes);
  }
  return mapping;
}

LabelMap LabelMapping::FromNetwork(const LabelMap& labels) const {
  return Look(labels, from_network_);
}

LabelMap LabelMapping::FromHuman(const LabelMap& labels) const { return Look(labels, from_human_); }

}  // namespace stac
