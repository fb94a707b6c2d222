#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "stac/base/result.h"

namespace stac {

// Fails unless `text` is UTF-8 of at most max_characters without control characters. `what` names
// the field in the error; line breaks and tabs pass if `lines`.
Status CheckText(std::string_view text, std::string_view what, size_t max_characters,
                 bool lines = false);

// Replaces what CheckText refuses by '?' and cuts after max_characters.
std::string CleanText(std::string_view text, size_t max_characters);

}  // namespace stac
