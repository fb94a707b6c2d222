#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/segment/fake_cuda/fake_cuda_internal.h"
#include "stac/segment/networks/networks.h"
#include "stac/segment/segmenter.h"
#include "stac/segment/test_frame.h"

// A GPU's way through the segmenter, on the device that is none: against the CPU's.

namespace stac {
namespace {

constexpr int kClasses = 19;

// A network of random weights, or a file of STAC_DATA.
struct Network {
  std::string name;
  friend std::ostream& operator<<(std::ostream& out, const Network& network) {
    return out << network.name;
  }
};

class OnCuda : public testing::TestWithParam<Network> {
 protected:
  void SetUp() override {
    if (!InstallFakeCuda()) GTEST_SKIP() << "skipped: LibTorch has a CUDA of its own";
    const std::string& name = GetParam().name;
    if (const auto known = NetworkNames(); std::count(known.begin(), known.end(), name) > 0) {
      path_ = (folder_ / (name + ".stacnet")).string();
      ASSERT_TRUE(WriteFile(path_, UntrainedNetwork(name, kClasses).value()));
      return;
    }
    const auto data = DataFolder();
    if (data.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
    path_ = (data / "models" / (name + ".pt")).string();
  }

  std::unique_ptr<Segmenter> Load(SegmenterOptions options) const {
    auto segmenter = LoadSegmenter(path_, options);
    EXPECT_TRUE(segmenter) << segmenter.error().message;
    return std::move(*segmenter);
  }

  const TestFolder folder_;
  std::string path_;
};

double ShareAlike(const LabelMap& a, const LabelMap& b) {
  size_t alike = 0;
  for (size_t i = 0; i < a.size(); ++i) alike += a[i] == b[i];
  return static_cast<double>(alike) / static_cast<double>(a.size());
}

// Root mean square of the difference over that of `b`.
double Difference(const Grid<float>& a, const Grid<float>& b) {
  EXPECT_TRUE(a.SameSize(b));
  double difference = 0, all = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(a[i] - b[i], 2);
    all += std::pow(b[i], 2);
  }
  EXPECT_GT(all, 0);
  return std::sqrt(difference / all);
}

void ExpectAlike(const Result<Segmentation>& got, const Result<Segmentation>& wanted) {
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_TRUE(wanted) << wanted.error().message;
  EXPECT_GT(ShareAlike(got->labels, wanted->labels), 0.999);
  EXPECT_NEAR(got->objective, wanted->objective, 0.002 * std::abs(wanted->objective));
  ASSERT_EQ(got->gradients.size(), wanted->gradients.size());
  // Of undecided pixels and of values near zero, rounding decides.
  constexpr double kSmall = 0.05;
  for (size_t i = 0; i < got->gradients.size(); ++i) {
    EXPECT_LT(Difference(got->gradients[i].y, wanted->gradients[i].y), kSmall);
    EXPECT_LT(Difference(got->gradients[i].cb, wanted->gradients[i].cb), kSmall);
    EXPECT_LT(Difference(got->gradients[i].cr, wanted->gradients[i].cr), kSmall);
  }
  if (!wanted->sums.empty()) {
    EXPECT_LT(Difference(got->sums, wanted->sums), kSmall);
  }
}

constexpr int kWidth = 128, kHeight = 64;

// Blocks of several colours, with noise: networks are sure of much of it, and not of all.
Frame Blocks(int width, int height) {
  Frame frame = RandomFrame(width, height);
  for (int i = 0; i < 3; ++i) {
    const int block = i == 0 ? 16 : 8;
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y)
      for (int x = 0; x < plane.width; ++x)
        frame.MutablePlane(i)[y * plane.stride + x] +=
            static_cast<uint8_t>((x / block * 37 + y / block * 59 + i * 83) % 160 - 80);
  }
  return frame;
}

const Objective kLoss = {.kind = ObjectiveKind::kFakeLabelLoss};
// As a server asks.
const Objective kForAServer = {
    .kind = ObjectiveKind::kFakeLabelLoss, .chroma = false, .sums = {.region_size = 16}};

TEST_P(OnCuda, GivesWhatTheCpuGives) {
  const auto there = Load({.device = "cuda"}), here = Load({.device = "cpu"});
  EXPECT_TRUE(there->info().on_gpu);
  EXPECT_FALSE(here->info().on_gpu);
  const Frame frame = Blocks(kWidth, kHeight);
  for (const auto kind :
       {ObjectiveKind::kFakeLabelLoss, ObjectiveKind::kMargin, ObjectiveKind::kProjection}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const Objective objective{.kind = kind, .projections = 1};
    ExpectAlike(there->RunWithGradient(frame, objective), here->RunWithGradient(frame, objective));
  }
  const Frame padded = Blocks(kWidth - 10, kHeight + 2);
  ExpectAlike(there->RunWithGradient(padded, kLoss), here->RunWithGradient(padded, kLoss));
}

TEST_P(OnCuda, ReducedGradientsAreTheCpusToo) {
  const auto there = Load({.device = "cuda", .gradient_downscale = 2});
  const auto here = Load({.device = "cpu", .gradient_downscale = 2});
  const Frame frame = Blocks(kWidth, kHeight);
  ExpectAlike(there->RunWithGradient(frame, kLoss), here->RunWithGradient(frame, kLoss));
}

TEST_P(OnCuda, HalvesCostLittle) {
  const Frame frame = Blocks(kWidth, kHeight);
  const auto wanted = Load({.device = "cuda"})->RunWithGradient(frame, kForAServer);
  ASSERT_TRUE(wanted) << wanted.error().message;
  const auto gradient = Load({.device = "cuda", .precision = Precision::kHalfGradient})
                            ->RunWithGradient(frame, kForAServer);
  ASSERT_TRUE(gradient) << gradient.error().message;
  EXPECT_EQ(gradient->labels, wanted->labels);
  EXPECT_LT(Difference(gradient->sums, wanted->sums), 0.002);
  const auto all =
      Load({.device = "cuda", .precision = Precision::kHalf})->RunWithGradient(frame, kForAServer);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_GT(ShareAlike(all->labels, wanted->labels), 0.99);
  EXPECT_LT(Difference(all->sums, wanted->sums), 0.1);
}

TEST_P(OnCuda, SeveralAtOnce) {
  const auto there = Load({.device = "cuda"});
  const Frame frame = Blocks(kWidth, kHeight);
  const auto alone = there->RunWithGradient(frame, kForAServer);
  const Frame* frames[] = {&frame, &frame};
  for (const auto& one : there->RunBatch(frames, &kForAServer)) ExpectAlike(one, alone);
  // Each on a stream of its own.
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto own = there->Clone();
      ExpectAlike(own->RunWithGradient(frame, kForAServer), alone);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What crosses is small, and the host waits no oftener than it must.
TEST_P(OnCuda, PicturesGoThereAndLabelsAndSumsComeBack) {
  const auto there = Load({.device = "cuda"});
  const Frame frame = Blocks(kWidth, kHeight);
  ASSERT_TRUE(there->RunWithGradient(frame, kForAServer));  // finds out about sizes
  TakeFakeCudaWork();
  ASSERT_TRUE(there->RunWithGradient(frame, kForAServer));
  const FakeCudaWork work = TakeFakeCudaWork();
  constexpr int kPixels = kWidth * kHeight, kConstants = 1000;
  EXPECT_LE(work.uploaded_bytes, kPixels * 3 / 2 + kConstants);
  EXPECT_EQ(work.downloads, 3) << "labels, sums and the objective";
  EXPECT_EQ(work.downloaded_bytes, kPixels + kPixels / 256 * sizeof(float) + sizeof(double));
  ASSERT_TRUE(there->Run(frame));
  EXPECT_EQ(TakeFakeCudaWork().downloads, 1);
}

INSTANTIATE_TEST_SUITE_P(Networks, OnCuda,
                         testing::Values(Network{"edge"}, Network{"bisenet"}, Network{"drn-d-22"},
                                         Network{"deeplab_edge_city"}, Network{"espnet_city"},
                                         Network{"espnetv2_city"}),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace stac
