#include <algorithm>
#include <bit>
#include <cmath>
#include <opencv2/video/tracking.hpp>
#include <utility>
#include <vector>

#include "stac/base/check.h"
#include "stac/flow/optical_flow.h"

namespace stac {
namespace {

// DIS matches patches of 8x8 samples; below this many in either direction it has no room.
constexpr int kSmallestSide = 12;

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
    SetGrid(options.grid);
  }

  void SetGrid(int grid) override {
    STAC_CHECK(grid >= 1 && grid <= 32 && std::has_single_bit(static_cast<unsigned>(grid)));
    options_.grid = grid;
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
    const bool same_size = now.width() == width_ && now.height() == height_;
    width_ = now.width();
    height_ = now.height();
    if (!same_size || std::min(now_.width(), now_.height()) < kSmallestSide) {
      flow_.release();
      std::fill(field.then_from_now.begin(), field.then_from_now.end(), Vec2{});
      return;
    }
    // A flow of the right size is what calc() starts from: the motion of the frame before, kept
    // in samples. On CamVid 0016E5 it gains 0.1 to 0.2 % of pixels at a distance of 4 to 8.
    if (flow_.empty()) flow_ = cv::Mat::zeros(now_.height(), now_.width(), CV_32FC2);
    dis_->setFinestScale(FinestLevel());
    dis_->calc(Image(now_), Image(then_), flow_);
    const auto scale = static_cast<float>(options_.downscale);
    const auto* found = flow_.ptr<cv::Vec2f>();
    Vec2* cells = field.then_from_now.data();
    for (size_t i = 0; i < field.then_from_now.size(); ++i) {
      cells[i] = {found[i][0] * scale, found[i][1] * scale};
    }
  }

 private:
  // Level n of the pyramid has one sample in 2^n. OpenCV starts at the level where the longer
  // side has about 4 patches and the shorter at least one; asked to end above that, it would
  // choose other parameters altogether.
  int FinestLevel() const {
    constexpr double kPatch = 8;
    const int samples = std::max(options_.grid / options_.downscale, 1);
    const int wanted = std::countr_zero(static_cast<unsigned>(samples));
    const double longer = std::max(now_.width(), now_.height());
    const double shorter = std::min(now_.width(), now_.height());
    const int coarsest = std::min(static_cast<int>(std::log2(longer / (4 * kPatch)) + 0.5),
                                  static_cast<int>(std::log2(shorter / kPatch)));
    return std::clamp(wanted, 0, std::max(coarsest, 0));
  }

  static cv::Mat Image(Grid<uint8_t>& plane) {
    return cv::Mat(plane.height(), plane.width(), CV_8UC1, plane.data());
  }

  FlowOptions options_;
  cv::Ptr<cv::DISOpticalFlow> dis_;
  Grid<uint8_t> now_, then_;  // reduced luma
  std::vector<uint16_t> sums_;
  cv::Mat flow_;   // between the last two frames, in samples of the reduced planes
  int width_ = 0;  // of the frame before
  int height_ = 0;
};

}  // namespace

std::unique_ptr<OpticalFlow> MakeDisFlow(const FlowOptions& options) {
  return std::make_unique<DisFlow>(options);
}

}  // namespace stac
