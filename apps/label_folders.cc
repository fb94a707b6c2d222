#include "label_folders.h"

#include <filesystem>

#include "stac/base/file_name.h"

namespace stac {

Result<std::string> LabelFolders::Of(const std::string& device, int64_t connection) {
  const std::lock_guard guard(mutex_);
  std::string& folder = folders_[connection];
  if (!folder.empty()) return folder;
  const std::string name = fmt::format("{}/{}", root_, FileNameOf(device));
  for (int number = 1; folder.empty(); ++number) {
    const std::string candidate = number == 1 ? name : fmt::format("{}_{}", name, number);
    std::error_code error;
    if (std::filesystem::create_directory(candidate, error)) folder = candidate;
    if (error) return Fail("cannot make the folder {}: {}", candidate, error.message());
  }
  return folder;
}

}  // namespace stac
