#pragma once

#include <string>

namespace stac {

// The version and git revision this program was built from, for example "0.1.0 (1a2b3c4d5e)".
// A revision built from changed files ends in "-dirty".
const std::string& CodeRevision();

}  // namespace stac
