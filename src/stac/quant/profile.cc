#include "stac/quant/profile.h"

#include <cmath>

#include "stac/base/file.h"
#include "stac/base/revision.h"

namespace stac {

Result<Profile> ReadProfile(const std::filesystem::path& path) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path, size_t{1} << 24));
  auto profile = ProfileFromJson(AsText(bytes));
  if (!profile) return Fail("{}: {}", path.string(), profile.error().message);
  return profile;
}

Status WriteProfile(const std::filesystem::path& path, const Profile& profile) {
  return WriteFile(path, ToJson(profile));
}

std::string ProfileHash(const Profile& profile) {
  // Who calibrated it changes nothing: a new revision would make every result another one's.
  Profile content = profile;
  content.revision.clear();
  const std::string json = ToJson(content);
  return HexHash(AsBytes(json));
}

Profile UncalibratedProfile(const std::string& network, const std::string& network_hash,
                            int class_count) {
  Profile profile;
  profile.network = network;
  profile.network_hash = network_hash;
  profile.class_count = class_count;
  profile.revision = CodeRevision();
  // Nothing is known: every frequency counts alike, and budgets are in units of their own.
  for (auto* list : {&profile.gradients.luma4, &profile.gradients.chroma4}) list->fill(1);
  for (auto* list : {&profile.gradients.luma8, &profile.gradients.cb8, &profile.gradients.cr8}) {
    list->fill(1);
  }
  profile.gradient_matrices = JvtMatrices();
  profile.budget_of_level0 = 1;
  profile.typical_sensitivity = 1;
  return profile;
}

}  // namespace stac
