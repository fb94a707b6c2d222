#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/version.h>

#include <memory>

#include "stac/segment/fake_cuda/fake_cuda_internal.h"
#include "stac/segment/fake_cuda/memory_internal.h"
#include "stac/segment/fake_cuda/operations_internal.h"

namespace stac {
namespace fake_cuda {
namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::Stream;

constexpr const char* kHooks = "CUDAHooks";

#if TORCH_VERSION_MAJOR >= 2
using Index = DeviceIndex;
#define STAC_INIT_CUDA init
#define STAC_DEFAULT_GENERATOR getDefaultGenerator
#else
using Index = int64_t;
#define STAC_INIT_CUDA initCUDA
#define STAC_DEFAULT_GENERATOR getDefaultCUDAGenerator
#endif

// What LibTorch asks of a CUDA library beside operations.
struct Hooks final : at::CUDAHooksInterface {
  void STAC_INIT_CUDA() const override {}
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return 1; }
  Index current_device() const override { return 0; }
  bool hasPrimaryContext(Index) const override { return true; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  // To be seeded only: random numbers come from the CPU's own.
  const at::Generator& STAC_DEFAULT_GENERATOR(DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
  void deviceSynchronize(Index) const override { WaitOnHostForAll(); }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  Device getDevice() const override { return {DeviceType::CUDA, 0}; }
  Device exchangeDevice(Device) const override { return getDevice(); }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}

  static Stream StreamOf(c10::StreamId id) {
    return Stream(Stream::UNSAFE, Device(DeviceType::CUDA, 0), id);
  }
  Stream getStream(Device) const noexcept override { return StreamOf(CurrentStream()); }
  Stream getDefaultStream(Device) const override { return StreamOf(0); }
  Stream getStreamFromGlobalPool(Device, bool) const override { return StreamOf(NewStream()); }
  Stream exchangeStream(Stream stream) const noexcept override {
    return StreamOf(ExchangeCurrentStream(stream.id()));
  }
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream& stream) const override { WaitOnHost(stream.id()); }

  void record(void** event, const Stream& stream, DeviceIndex, c10::EventFlag) const override {
    if (*event == nullptr) *event = new Progress;
    *static_cast<Progress*>(*event) = RecordEvent(stream.id());
  }
  void block(void* event, const Stream& stream) const override {
    if (event != nullptr) WaitForEvent(stream.id(), *static_cast<Progress*>(event));
  }
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void* event, DeviceIndex) const noexcept override {
    delete static_cast<Progress*>(event);
  }
};

bool Install() {
  if (at::CUDAHooksRegistry()->Has(kHooks) || c10::impl::hasDeviceGuardImpl(DeviceType::CUDA))
    return false;
  at::CUDAHooksRegistry()->Register(
      kHooks, [](at::CUDAHooksArgs) -> std::unique_ptr<at::CUDAHooksInterface> {
        return std::make_unique<Hooks>();
      });
  static const c10::impl::DeviceGuardImplRegistrar guard(DeviceType::CUDA, new Guard);
  c10::SetAllocator(DeviceType::CUDA, DeviceMemory());

  // Never taken back.
  static auto* all =
      new torch::Library(torch::Library::IMPL, "_", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  all->fallback(torch::CppFunction::makeFromBoxedFunction<&OnCpu>());
  static auto* some =
      new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  some->impl("copy_", TORCH_FN(Copy));
  some->impl("empty.memory_format", torch::CppFunction::makeFromBoxedFunction<&Empty>());
  some->impl("empty_strided", torch::CppFunction::makeFromBoxedFunction<&Empty>());
  for (const char* which : {"set_.source_Tensor", "set_.source_Storage_storage_offset"})
    some->impl(which, torch::CppFunction::makeFromBoxedFunction<&Set>());
  // LibTorch has ones for all devices, which ask for parts of a CUDA library.
  for (const char* whole : {"convolution", "convolution_backward"})
    some->impl(whole, torch::CppFunction::makeFromBoxedFunction<&OnCpu>());
  return true;
}

}  // namespace
}  // namespace fake_cuda

bool InstallFakeCuda() {
  static const bool installed = fake_cuda::Install();
  return installed;
}

}  // namespace stac
