#include "stac/base/file.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <system_error>

namespace stac {
namespace fs = std::filesystem;

Result<Bytes> ReadFile(const fs::path& path, size_t max_bytes) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return Fail("cannot read {}: {}", path.string(),
                fs::exists(path) ? "it is not a regular file" : "no such file");
  }
  const auto size = fs::file_size(path, error);
  if (error) return Fail("cannot read {}: {}", path.string(), error.message());
  if (size > max_bytes) {
    return Fail("{} is {} bytes long, more than the {} accepted here", path.string(), size,
                max_bytes);
  }
  Bytes contents(size);
  std::ifstream in(path, std::ios::binary);
  if (!in.read(reinterpret_cast<char*>(contents.data()), static_cast<std::streamsize>(size)) &&
      size > 0) {
    return Fail("cannot read {}: the read stopped early; check permissions", path.string());
  }
  return contents;
}

Status WriteFile(const fs::path& path, ByteSpan contents) {
  if (path.has_parent_path()) STAC_RETURN_IF_ERROR(MakeFolder(path.parent_path()));
  static std::atomic<int> calls{0};  // of threads that write the same file
  const fs::path aside = path.string() + fmt::format(".{}.{}.part", ::getpid(), ++calls);
  std::error_code error;
  {
    std::ofstream out(aside, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(contents.data()),
              static_cast<std::streamsize>(contents.size()));
    out.flush();
    if (!out) {
      out.close();
      fs::remove(aside, error);
      return Fail("cannot write {}: check free space and permissions", path.string());
    }
  }
  fs::rename(aside, path, error);
  if (error) {
    const std::string reason = error.message();
    fs::remove(aside, error);
    return Fail("cannot write {}: {}", path.string(), reason);
  }
  return OkStatus();
}

Status WriteFile(const fs::path& path, std::string_view contents) {
  return WriteFile(path, AsBytes(contents));
}

Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Fail("cannot create the folder {}: {}", path.string(), error.message());
  return OkStatus();
}

fs::path DataFolder() {
  if (const char* folder = std::getenv("STAC_DATA")) return fs::is_directory(folder) ? folder : "";
  const fs::path beside = "../shared/data";
  std::error_code error;
  return fs::is_directory(beside, error) ? beside : fs::path{};
}

}  // namespace stac
