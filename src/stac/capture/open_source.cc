#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "stac/capture/ffmpeg_source.h"
#include "stac/capture/frame_source.h"
#include "stac/capture/image_folder.h"
#include "stac/capture/synthetic_scene.h"

namespace stac {
namespace {

constexpr std::string_view kSynthetic = "synthetic:";

Result<std::unique_ptr<FrameSource>> OpenSynthetic(const std::string& location,
                                                   const SourceOptions& options) {
  SyntheticOptions scene;
  unsigned long long seed = 1;
  int used = 0;
  const char* text = location.c_str() + kSynthetic.size();
  int fields = std::sscanf(text, "%5dx%5d@%lf%n", &scene.width, &scene.height, &scene.fps, &used);
  if (fields == 3 && text[used] == ':') {
    int more = 0;
    fields += std::sscanf(text + used, ":%llu%n", &seed, &more);
    used += more;
  }
  if (fields < 3 || text[used] != '\0' || !(scene.fps > 0 && scene.fps <= 1000)) {
    return Fail("'{}' is not synthetic:WIDTHxHEIGHT@FPS[:SEED], for example synthetic:640x384@15",
                location);
  }
  if (scene.width < 16 || scene.height < 16 || scene.width > 16384 || scene.height > 16384) {
    return Fail("'{}': width and height must be 16 to 16384", location);
  }
  scene.width = EvenFloor(scene.width);
  scene.height = EvenFloor(scene.height);
  scene.seed = seed;
  // The street never ends; without a limit, half a minute of it is shown.
  scene.frame_count = static_cast<int>(std::min(30 * scene.fps + 0.5, 1e6));
  if (options.max_frames >= 0) {
    const double wanted = static_cast<double>(std::max<int64_t>(options.first_frame, 0)) +
                          static_cast<double>(options.max_frames) * std::max(options.frame_step, 1);
    scene.frame_count = static_cast<int>(std::min(wanted, 1e9));
  }
  return MakeSyntheticSource(scene, options);
}

}  // namespace

Result<std::unique_ptr<FrameSource>> OpenSource(const std::string& location,
                                                const SourceOptions& options) {
  if (location.empty()) return Fail("no input given: name a video file, a URL or a folder");
  if (location.starts_with(kSynthetic)) return OpenSynthetic(location, options);
  std::error_code ignored;
  if (std::filesystem::is_directory(location, ignored)) return OpenImageFolder(location, options);
  return OpenFfmpegSource(location, options);
}

}  // namespace stac
