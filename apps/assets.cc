#include "assets.h"

namespace stac {
namespace fs = std::filesystem;

fs::path FindAsset(const std::string& name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  for (const char* place : {"../assets", "../share/stac"}) {
    const fs::path file = (program.parent_path() / place / name).lexically_normal();
    if (fs::exists(file, error)) return file;
  }
  return {};
}

}  // namespace stac
