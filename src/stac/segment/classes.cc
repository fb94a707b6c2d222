#include "stac/segment/classes.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "stac/base/check.h"
#include "stac/base/file.h"
#include "stac/video/maps.h"

namespace stac {
namespace {

// A colour of full saturation; hue in turns.
ClassInfo HueClass(std::string name, double hue, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6.0);
    const double level = value * (1 - std::clamp(std::min(k, 4 - k), 0.0, 1.0) * 0.8);
    return static_cast<uint8_t>(std::lround(level * 255));
  };
  return {std::move(name), channel(5), channel(3), channel(1)};
}

// The class in entry `index` of the file, or what is wrong with it.
Result<ClassInfo> ParseClass(const nlohmann::json& entry, size_t index,
                             const std::filesystem::path& file) {
  if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string()) {
    return Fail("{}: entry {} has no \"name\" (expected {{\"name\": .., \"color\": [r, g, b]}})",
                file.string(), index);
  }
  ClassInfo info;
  info.name = entry["name"].get<std::string>();
  const auto color = entry.find("color");
  if (color == entry.end() || !color->is_array() || color->size() != 3) {
    return Fail("{}: class {} (\"{}\") needs \"color\": [r, g, b]", file.string(), index,
                info.name);
  }
  uint8_t* const channels[] = {&info.r, &info.g, &info.b};
  for (int i = 0; i < 3; ++i) {
    const auto& value = (*color)[i];
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > 255) {
      return Fail("{}: the colour of class {} (\"{}\") must be three integers of 0..255",
                  file.string(), index, info.name);
    }
    *channels[i] = value.get<uint8_t>();
  }
  return info;
}

}  // namespace

ClassList CityscapesClasses() {
  return {{"road", 128, 64, 128},
          {"sidewalk", 244, 35, 232},
          {"building", 70, 70, 70},
          {"wall", 102, 102, 156},
          {"fence", 190, 153, 153},
          {"pole", 153, 153, 153},
          {"traffic light", 250, 170, 30},
          {"traffic sign", 220, 220, 0},
          {"vegetation", 107, 142, 35},
          {"terrain", 152, 251, 152},
          {"sky", 70, 130, 180},
          {"person", 220, 20, 60},
          {"rider", 255, 0, 0},
          {"car", 0, 0, 142},
          {"truck", 0, 0, 70},
          {"bus", 0, 60, 100},
          {"train", 0, 80, 100},
          {"motorcycle", 0, 0, 230},
          {"bicycle", 119, 11, 32}};
}

ClassList CamVidClasses() {
  return {{"sky", 128, 128, 128},    {"building", 128, 0, 0},   {"pole", 192, 192, 128},
          {"road", 128, 64, 128},    {"pavement", 60, 40, 222}, {"tree", 128, 128, 0},
          {"sign", 192, 128, 128},   {"fence", 64, 64, 128},    {"car", 64, 0, 128},
          {"pedestrian", 64, 64, 0}, {"bicyclist", 0, 128, 192}};
}

ClassList DefaultClasses(int class_count) {
  STAC_CHECK_GE(class_count, 0);
  if (class_count == 19) return CityscapesClasses();
  if (class_count == 11) return CamVidClasses();
  ClassList classes;
  // Steps of the golden ratio around the circle keep neighbours in the list apart.
  for (int i = 0; i < class_count; ++i) {
    classes.push_back(HueClass(fmt::format("class {}", i), std::fmod(i * 0.6180339887, 1.0),
                               i % 2 == 0 ? 0.95 : 0.65));
  }
  return classes;
}

Result<ClassList> ReadClasses(const std::filesystem::path& json_file) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(json_file, size_t{1} << 20));
  ClassList classes;
  try {
    const auto json = nlohmann::json::parse(bytes.begin(), bytes.end());
    if (!json.is_array() || json.empty() || json.size() > kUnlabelled) {
      return Fail("{}: expected a list of 1..{} classes", json_file.string(), int{kUnlabelled});
    }
    for (size_t i = 0; i < json.size(); ++i) {
      STAC_ASSIGN_OR_RETURN(ClassInfo info, ParseClass(json[i], i, json_file));
      classes.push_back(std::move(info));
    }
  } catch (const nlohmann::json::exception& error) {
    return Fail("{}: not valid JSON ({})", json_file.string(), error.what());
  }
  return classes;
}

}  // namespace stac
