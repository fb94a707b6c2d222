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
  const fs::file_status status = fs::status(path, error);
  if (!fs::is_regular_file(status)) {
    return Fail("cannot read {}: {}", path.string(),
                fs::exists(status)                          ? "it is not a regular file"
                : status.type() == fs::file_type::not_found ? "no such file"
                                                            : error.message());
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

namespace {

bool WriteThrough(const fs::path& path, ByteSpan contents) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(contents.data()),
            static_cast<std::streamsize>(contents.size()));
  out.flush();
  return out.good();
}

// What links lead to, be it there or not.
fs::path BehindLinks(fs::path path) {
  constexpr int kMostLinks = 40;  // as Linux follows
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(path, error); ++i) {
    path = path.parent_path() / fs::read_symlink(path, error);
  }
  return path;
}

}  // namespace

Status WriteFile(const fs::path& path, ByteSpan contents) {
  if (path.has_parent_path()) STAC_RETURN_IF_ERROR(MakeFolder(path.parent_path()));
  const auto fail = [&] {
    return Fail("cannot write {}: check free space and permissions", path.string());
  };
  const fs::path target = BehindLinks(path);
  std::error_code error;
  if (fs::is_symlink(target, error)) {
    return Fail("cannot write {}: its symbolic links lead nowhere", path.string());
  }
  // Devices and pipes are no files that could be replaced.
  if (fs::is_other(fs::status(target, error)))
    return WriteThrough(target, contents) ? OkStatus() : fail();
  static std::atomic<int> calls{0};  // of threads that write the same file
  const fs::path aside = target.string() + fmt::format(".{}.{}.part", ::getpid(), ++calls);
  if (!WriteThrough(aside, contents)) {
    fs::remove(aside, error);
    return fail();
  }
  fs::rename(aside, target, error);
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
  std::error_code error;
  if (const char* folder = std::getenv("STAC_DATA"))
    return fs::is_directory(folder, error) ? folder : "";
  const fs::path beside = "../shared/data";
  return fs::is_directory(beside, error) ? beside : fs::path{};
}

}  // namespace stac
