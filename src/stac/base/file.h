#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "stac/base/bytes.h"
#include "stac/base/result.h"

namespace stac {

// The whole file. Fails if it does not exist, is not a regular file, or is larger than max_bytes.
Result<Bytes> ReadFile(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 31);

// Writes aside and renames, so that `path` holds either the old or the new contents, never a part.
// Behind a link, what it leads to; devices and pipes are written to. Creates missing parent
// folders.
Status WriteFile(const std::filesystem::path& path, ByteSpan contents);
Status WriteFile(const std::filesystem::path& path, std::string_view contents);

// Creates the folder and its parents; succeeds if it is there already.
Status MakeFolder(const std::filesystem::path& path);

// The folder with the shared real data: $STAC_DATA, or ../shared/data from the current folder,
// or empty where neither exists. Only tests and experiments use it.
std::filesystem::path DataFolder();

}  // namespace stac
