#include <algorithm>
#include <opencv2/video/tracking.hpp>
#include <utility>
#include <vector>

#include "stac/base/check.h"
#include "stac/flow/optical_flow.h"

namespace stac {
namespace {

// DIS matches patches of 8x8 on a pyramid; below this many samples in either direction there is
// no room for it.
constexpr int kSmallestSide = 16;

// Mean of blocks of kFactor x kFactor samples, rounded. The last column and row average what lies
// inside the plane. `sums` is work memory.
template <int kFactor>
void Reduce(const PlaneView& plane, std::vector<uint16_t>& sums, Grid<uint8_t>& out) {
  out.Resize((plane.width + kFactor - 1) / kFactor, (plane.height + kFactor - 1) / kFactor);
  sums.resize(static_cast<size_t>(plane.width));
  const int whole_columns = plane.width / kFactor;
  for (int j = 0; j < out.height(); ++j) {
    const int rows = std::min(kFactor, plane.height - j * kFactor);
    uint16_t* __restrict sum = sums.data();
    std::copy_n(plane.Row(j * kFactor), plane.width, sum);
    for (int k = 1; k < rows; ++k) {
      const uint8_t* __restrict row = plane.Row(j * kFactor + k);
      for (int x = 0; x < plane.width; ++x) sum[x] = static_cast<uint16_t>(sum[x] + row[x]);
    }
    uint8_t* __restrict reduced = out.Row(j).data();
    if (rows == kFactor) {
      constexpr int kArea = kFactor * kFactor;
      for (int i = 0; i < whole_columns; ++i) {
        int total = kArea / 2;
        for (int k = 0; k < kFactor; ++k) total += sum[i * kFactor + k];
        reduced[i] = static_cast<uint8_t>(total / kArea);
      }
    }
    for (int i = rows == kFactor ? whole_columns : 0; i < out.width(); ++i) {
      const int columns = std::min(kFactor, plane.width - i * kFactor);
      const int area = columns * rows;
      int total = area / 2;
      for (int k = 0; k < columns; ++k) total += sum[i * kFactor + k];
      reduced[i] = static_cast<uint8_t>(total / area);
    }
  }
}

template <>
void Reduce<1>(const PlaneView& plane, std::vector<uint16_t>&, Grid<uint8_t>& out) {
  // DIS wants rows without padding.
  out.Resize(plane.width, plane.height);
  for (int y = 0; y < plane.height; ++y) {
    std::copy_n(plane.Row(y), plane.width, out.Row(y).data());
  }
}

int CvPreset(FlowPreset preset) {
  switch (preset) {
    case FlowPreset::kUltraFast:
      return cv::DISOpticalFlow::PRESET_ULTRAFAST;
    case FlowPreset::kFast:
      return cv::DISOpticalFlow::PRESET_FAST;
    case FlowPreset::kMedium:
      return cv::DISOpticalFlow::PRESET_MEDIUM;
  }
  return cv::DISOpticalFlow::PRESET_FAST;
}

class DisFlow final : public OpticalFlow {
 public:
  explicit DisFlow(const FlowOptions& options)
      : options_(options), dis_(cv::DISOpticalFlow::create(CvPreset(options.preset))) {
    STAC_CHECK(options.downscale == 1 || options.downscale == 2 || options.downscale == 4);
  }

  void Next(const Frame& now, FlowField& field) override {
    STAC_CHECK(!now.empty());
    std::swap(now_, then_);
    switch (options_.downscale) {
      case 1:
        Reduce<1>(now.y(), sums_, now_);
        break;
      case 2:
        Reduce<2>(now.y(), sums_, now_);
        break;
      default:
        Reduce<4>(now.y(), sums_, now_);
        break;
    }
    field.step = options_.downscale;
    field.frame_width = now.width();
    field.frame_height = now.height();
    field.then_from_now.Resize(now_.width(), now_.height());
    // DIS starts from what the field holds; motion of the frame before would be a worse start
    // than none wherever something stopped or was uncovered, and the result would depend on it.
    std::fill(field.then_from_now.begin(), field.then_from_now.end(), Vec2{});
    const bool same_size = now.width() == width_ && now.height() == height_;
    width_ = now.width();
    height_ = now.height();
    if (!same_size || std::min(now_.width(), now_.height()) < kSmallestSide) return;

    const cv::Mat now_image = Image(now_);
    const cv::Mat then_image = Image(then_);
    static_assert(sizeof(Vec2) == 2 * sizeof(float));
    cv::Mat flow(now_.height(), now_.width(), CV_32FC2, field.then_from_now.data());
    dis_->calc(now_image, then_image, flow);
    // calc() keeps a buffer of the right size and type, so the field has been written in place.
    STAC_CHECK(reinterpret_cast<Vec2*>(flow.data) == field.then_from_now.data());
    if (options_.downscale == 1) return;
    const auto scale = static_cast<float>(options_.downscale);
    for (Vec2& cell : field.then_from_now) cell = {cell.x * scale, cell.y * scale};
  }

 private:
  static cv::Mat Image(Grid<uint8_t>& plane) {
    return cv::Mat(plane.height(), plane.width(), CV_8UC1, plane.data());
  }

  FlowOptions options_;
  cv::Ptr<cv::DISOpticalFlow> dis_;
  Grid<uint8_t> now_, then_;  // reduced luma
  std::vector<uint16_t> sums_;
  int width_ = 0;  // of the frame before
  int height_ = 0;
};

}  // namespace

std::unique_ptr<OpticalFlow> MakeDisFlow(const FlowOptions& options) {
  return std::make_unique<DisFlow>(options);
}

}  // namespace stac
