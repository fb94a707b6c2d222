#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "stac/base/result.h"

namespace stac {

struct ClassInfo {
  std::string name;
  uint8_t r = 0, g = 0, b = 0;  // colour in pictures
};
using ClassList = std::vector<ClassInfo>;

ClassList CityscapesClasses();  // the 19 train ids
ClassList CamVidClasses();      // the 11 classes of the SegNet split, void is 11
// Names and colours for a class count: Cityscapes for 19, CamVid for 11, generated otherwise.
ClassList DefaultClasses(int class_count);
// [{"name": "road", "color": [128, 64, 128]}, ...]
Result<ClassList> ReadClasses(const std::filesystem::path& json_file);

}  // namespace stac
