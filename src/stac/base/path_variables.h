#pragma once

#include <string>
#include <string_view>

#include "stac/base/result.h"

namespace stac {

// A path from a file that a user wrote, with the environment's variables in it: `${NAME}` anywhere,
// and DataFolder() for a first folder `$STAC_DATA`. What a variable holds is taken as it is.
Result<std::string> ExpandVariables(std::string_view path);

}  // namespace stac
