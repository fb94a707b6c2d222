#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <vector>

#include "stac/segment/fake_cuda/fake_cuda_internal.h"

namespace stac {
namespace {

class FakeCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (!InstallFakeCuda()) GTEST_SKIP() << "skipped: LibTorch has a CUDA of its own";
    TakeFakeCudaWork();
  }
  static at::Tensor Numbers() { return at::arange(12, at::kFloat).view({3, 4}) - 5; }
  static at::Tensor There(const at::Tensor& values) { return values.to(at::kCUDA); }
  static at::Tensor Back(const at::Tensor& values) { return values.to(at::kCPU); }
};

TEST_F(FakeCuda, ComputesWhatTheCpuComputes) {
  const auto x = Numbers(), there = There(x);
  EXPECT_TRUE(torch::cuda::is_available());
  EXPECT_TRUE(there.is_cuda());
  EXPECT_TRUE(at::equal(Back(there), x));
  EXPECT_TRUE(at::equal(Back(there.t().relu() + 1), x.t().relu() + 1));
  EXPECT_TRUE(at::equal(Back(at::cat({there, there.exp()}, 1)), at::cat({x, x.exp()}, 1)));
  EXPECT_TRUE(at::equal(Back(at::arange(5, at::kCUDA)), at::arange(5)));
  EXPECT_EQ(there.argmax().item().toLong(), 11);
}

TEST_F(FakeCuda, ViewsShareMemory) {
  const auto there = There(Numbers());
  there.select(0, 1).narrow(0, 1, 2).add_(100);
  auto expected = Numbers();
  expected.select(0, 1).narrow(0, 1, 2).add_(100);
  EXPECT_TRUE(at::equal(Back(there), expected));
}

// As weights do that are read from a file.
TEST_F(FakeCuda, TensorsTakeOthersMemory) {
  const auto there = There(Numbers());
  const auto whole = at::empty({0}, at::kCUDA).set_(there);
  const auto part = at::empty({0}, at::kCUDA).set_(there.storage(), 2, {3}, {4});
  there.fill_(7);
  EXPECT_TRUE(at::equal(Back(whole), at::full({3, 4}, 7.0f)));
  EXPECT_TRUE(at::equal(Back(part), at::full({3}, 7.0f)));
}

TEST_F(FakeCuda, DifferentiatesConvolutions) {
  const auto weight = at::arange(18, at::kFloat).view({2, 1, 3, 3}) / 10;
  const auto gradient = [&](at::Tensor x, const at::Tensor& kernel) {
    x.set_requires_grad(true);
    const auto y = at::conv2d(x, kernel, {}, 1, 1).relu();
    return torch::autograd::grad({y}, {x}, {at::ones_like(y)}).front();
  };
  const auto x = Numbers().view({1, 1, 3, 4});
  EXPECT_TRUE(at::equal(Back(gradient(There(x), There(weight))), gradient(x, weight)));
}

TEST_F(FakeCuda, HalvesStayHalves) {
  const auto there = There(Numbers()).to(at::kHalf);
  const auto third = there / 3;
  EXPECT_EQ(third.scalar_type(), at::kHalf);
  EXPECT_TRUE(at::equal(Back(third), (Numbers() / 3).to(at::kHalf)));
  there.mul_(2);
  EXPECT_TRUE(at::equal(Back(there).to(at::kFloat), Numbers() * 2));
  EXPECT_EQ(at::log_softmax(there, 1, at::kFloat).scalar_type(), at::kFloat);
}

TEST_F(FakeCuda, RefusesOperandsElsewhere) {
  const auto there = There(Numbers());
  EXPECT_THROW(there + Numbers(), c10::Error);
  EXPECT_NO_THROW(there + at::scalar_tensor(2));
}

using FakeCudaDeathTest = FakeCuda;

TEST_F(FakeCudaDeathTest, HostCannotRead) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto there = There(Numbers());
  EXPECT_DEATH(
      {
        volatile float value = *there.data_ptr<float>();
        (void)value;
      },
      "");
}

TEST_F(FakeCuda, StreamsMustWait) {
  const c10::impl::VirtualGuardImpl device(at::kCUDA);
  const c10::Device first(at::kCUDA, 0);
  const auto made = There(Numbers());
  {
    const c10::StreamGuard other(device.getStreamFromGlobalPool(first));
    EXPECT_THROW(made + 1, c10::Error);
  }
  c10::Event event(at::kCUDA);
  event.record(device.getStream(first));
  const auto later = There(Numbers());
  {
    const c10::StreamGuard other(device.getStreamFromGlobalPool(first));
    event.block(device.getStream(first));
    EXPECT_NO_THROW(made + 1);
    EXPECT_THROW(later + 1, c10::Error);
  }
  torch::cuda::synchronize();
  const c10::StreamGuard other(device.getStreamFromGlobalPool(first));
  EXPECT_NO_THROW(made + 1);
}

TEST_F(FakeCuda, CountsWhatCrosses) {
  const auto there = There(Numbers());
  const auto sum = (there.t() * 2).sum();
  Back(there);
  sum.item();
  const FakeCudaWork work = TakeFakeCudaWork();
  EXPECT_EQ(work.uploads, 1);
  EXPECT_EQ(work.uploaded_bytes, 48);
  EXPECT_EQ(work.downloads, 2);
  EXPECT_EQ(work.downloaded_bytes, 48 + 8);
  EXPECT_GE(work.operations, 2);
  EXPECT_EQ(TakeFakeCudaWork().operations, 0);
}

}  // namespace
}  // namespace stac
