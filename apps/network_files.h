#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/quant/profile.h"
#include "stac/segment/classes.h"
#include "stac/segment/segmenter.h"

namespace stac {

// The network that ships with the program; empty if it is not found beside it.
std::filesystem::path DefaultNetwork();

// Where a network's profile is looked for when none is named: network.pt -> network.profile.json.
std::filesystem::path ProfileBeside(const std::filesystem::path& network);

// The profile of a network: the one named, or the one beside it, or an uncalibrated one (logged).
// Fails if it was made for another network.
Result<Profile> LoadProfile(const std::string& named, const std::filesystem::path& network_path,
                            const NetworkInfo& network);

// Weights for Objective::class_weights from "name=weight" (names as in `classes`, or indices).
Result<std::vector<float>> ParseClassWeights(const std::vector<std::string>& texts,
                                             const ClassList& classes);

}  // namespace stac
