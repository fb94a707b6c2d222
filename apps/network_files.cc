#include "network_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "assets.h"
#include "stac/base/log.h"

namespace stac {
namespace fs = std::filesystem;

fs::path DefaultNetwork() { return FindAsset("edge_city19.stacnet"); }

fs::path ProfileBeside(const fs::path& network) {
  fs::path profile = network;
  return profile.replace_extension(".profile.json");
}

Result<Profile> LoadProfile(const std::string& named, const fs::path& network_path,
                            const NetworkInfo& network) {
  fs::path path = named;
  if (path.empty()) {
    path = ProfileBeside(network_path);
    std::error_code error;
    if (!fs::exists(path, error)) {
      spdlog::info(
          "{} was not calibrated: using the standard's matrices (stac calibrate makes a "
          "profile)",
          network.name);
      return UncalibratedProfile(network.name, network.hash, network.class_count);
    }
  }
  STAC_ASSIGN_OR_RETURN(Profile profile, ReadProfile(path));
  if (profile.network_hash != network.hash || profile.class_count != network.class_count) {
    return Fail(
        "the profile {} was made for network {} ({}, {} classes), not for {} ({}, {} "
        "classes); run stac calibrate",
        path.string(), profile.network, profile.network_hash, profile.class_count, network.name,
        network.hash, network.class_count);
  }
  return profile;
}

Result<std::vector<float>> ParseClassWeights(const std::vector<std::string>& texts,
                                             const ClassList& classes) {
  std::vector<float> weights;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const auto found = std::find_if(classes.begin(), classes.end(),
                                    [&](const ClassInfo& info) { return info.name == name; });
    float weight = -1;
    if (equals != std::string::npos) {
      const char* end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data() + equals + 1, end, weight);
      if (parsed.ec != std::errc{} || parsed.ptr != end) weight = -1;
    }
    if (found == classes.end() || !(weight >= 0 && weight <= 1000)) {
      std::string names;
      for (const ClassInfo& info : classes) names += (names.empty() ? "" : ", ") + info.name;
      return Fail("cannot use --class-weight {}: write NAME=WEIGHT, weight 0..1000, NAME one of {}",
                  text, names);
    }
    weights.resize(classes.size(), 1.0f);
    weights[found - classes.begin()] = weight;
  }
  return weights;
}

}  // namespace stac
