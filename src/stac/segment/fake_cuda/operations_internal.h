#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

// What the device that is none computes.

namespace stac::fake_cuda {

// Any operation: the CPU's, on the device's memory.
void OnCpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack);

// aten::copy_, also from the host and to it.
at::Tensor& Copy(at::Tensor& to, const at::Tensor& from, bool non_blocking);

// aten::empty and aten::empty_strided.
void Empty(const c10::OperatorHandle& operation, torch::jit::Stack* stack);

// aten::set_ to another tensor's memory, or to a storage's with sizes and strides.
void Set(const c10::OperatorHandle& operation, torch::jit::Stack* stack);

}  // namespace stac::fake_cuda
