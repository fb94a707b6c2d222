#include "stac/base/path_variables.h"

#include <cstdlib>
#include <cstring>

#include "stac/base/file.h"

namespace stac {

Result<std::string> ExpandVariables(std::string_view path) {
  constexpr std::string_view kData = "$STAC_DATA";
  std::string out(path);
  size_t at = 0;
  if (path.substr(0, path.find('/')) == kData) {
    const std::string data = DataFolder().string();
    if (data.empty()) {
      return Fail("the path \"{}\" needs the shared data: set STAC_DATA to its folder", path);
    }
    out.replace(0, kData.size(), data);
    at = data.size();
  }
  while ((at = out.find("${", at)) != std::string::npos) {
    const size_t end = out.find('}', at);
    if (end == std::string::npos) return Fail("the path \"{}\" lacks a closing brace", path);
    const std::string name = out.substr(at + 2, end - at - 2);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      return Fail("the path \"{}\" needs the environment variable {}, which is not set", path,
                  name);
    }
    out.replace(at, end - at + 1, value);
    at += std::strlen(value);
  }
  return out;
}

}  // namespace stac
