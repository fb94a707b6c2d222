#include "stac/codec/test_pictures.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "stac/base/check.h"
#include "stac/base/file.h"

namespace stac {
namespace {

std::vector<std::filesystem::path> CamVidFiles(const char* kind, int count, int first) {
  const std::filesystem::path folder = DataFolder() / "camvid" / "seq_0016E5_15fps" / kind;
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  files.erase(files.begin(), files.begin() + std::min<size_t>(first, files.size()));
  if (files.size() > static_cast<size_t>(count)) files.resize(count);
  return files;
}

std::vector<uint8_t> ReadPng(const std::filesystem::path& path, uint32_t format, int& width,
                             int& height) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  STAC_CHECK(png_image_begin_read_from_file(&image, path.c_str()));
  image.format = format;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  STAC_CHECK(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  width = static_cast<int>(image.width);
  height = static_cast<int>(image.height);
  return pixels;
}

uint8_t Sample(double value) {
  return static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
}

Frame FromRgb(const std::vector<uint8_t>& rgb, int width, int height) {
  Frame frame(width, height, {ColorMatrix::kBt601, ColorRange::kLimited});
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const uint8_t* p = &rgb[(static_cast<size_t>(y) * width + x) * 3];
      frame.MutablePlane(0)[y * frame.y().stride + x] =
          Sample(16 + 0.257 * p[0] + 0.504 * p[1] + 0.098 * p[2]);
      if (y % 2 != 0 || x % 2 != 0) continue;
      const int at = y / 2 * frame.plane(1).stride + x / 2;
      frame.MutablePlane(1)[at] = Sample(128 - 0.148 * p[0] - 0.291 * p[1] + 0.439 * p[2]);
      frame.MutablePlane(2)[at] = Sample(128 + 0.439 * p[0] - 0.368 * p[1] - 0.071 * p[2]);
    }
  }
  return frame;
}

}  // namespace

std::vector<Frame> MovingTexture(int width, int height, int count, double noise, ColorSpec color) {
  std::mt19937 random(7);
  std::normal_distribution<double> gauss(0, std::max(noise, 1e-9));
  std::vector<Frame> frames;
  for (int t = 0; t < count; ++t) {
    Frame frame(width, height, color);
    frame.id = static_cast<FrameId>(t);
    for (int i = 0; i < 3; ++i) {
      const int scale = i == 0 ? 1 : 2;
      const PlaneView& plane = frame.plane(i);
      for (int y = 0; y < plane.height; ++y) {
        for (int x = 0; x < plane.width; ++x) {
          const bool square = std::abs(x * scale - width / 2 + 4 * t) < width / 8 &&
                              std::abs(y * scale - height / 2) < height / 6;
          const double u = (x * scale + (square ? 4 : -3) * t) * 0.11;
          const double v = (y * scale - (square ? 0 : 1) * t) * 0.07;
          const double texture = std::sin(u + i) * std::cos(v * 1.7) + 0.6 * std::sin(2.3 * u + v);
          frame.MutablePlane(i)[y * plane.stride + x] =
              Sample(120 + (i == 0 ? 45 : 15) * texture + (square ? 20 : 0) + gauss(random));
        }
      }
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

std::vector<Frame> CamVidFrames(int count, int first) {
  std::vector<Frame> frames;
  for (const auto& path : CamVidFiles("images", count, first)) {
    int width = 0;
    int height = 0;
    const auto rgb = ReadPng(path, PNG_FORMAT_RGB, width, height);
    frames.push_back(FromRgb(rgb, EvenFloor(width), EvenFloor(height)));
    frames.back().id = static_cast<FrameId>(frames.size() - 1);
  }
  return frames;
}

std::vector<LabelMap> CamVidLabels(int count, int first) {
  std::vector<LabelMap> maps;
  for (const auto& path : CamVidFiles("labels", count, first)) {
    int width = 0;
    int height = 0;
    auto grey = ReadPng(path, PNG_FORMAT_GRAY, width, height);
    maps.emplace_back(width, height, std::move(grey));
  }
  return maps;
}

Frame Crop(const Frame& frame, int width, int height) {
  Frame cropped(width, height, frame.color());
  cropped.id = frame.id;
  for (int i = 0; i < 3; ++i) {
    for (int y = 0; y < cropped.plane(i).height; ++y) {
      std::memcpy(cropped.MutablePlane(i) + y * cropped.plane(i).stride, frame.plane(i).Row(y),
                  cropped.plane(i).width);
    }
  }
  return cropped;
}

}  // namespace stac
