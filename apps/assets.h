#pragma once

#include <filesystem>
#include <string>

namespace stac {

// A file that ships with the program, in the source tree's assets/ or an installation's share/stac;
// empty if it is not found beside the program.
std::filesystem::path FindAsset(const std::string& name);

}  // namespace stac
