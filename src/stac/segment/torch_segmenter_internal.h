#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "stac/segment/network_answer_internal.h"
#include "stac/segment/segmenter.h"

// For LibTorch code only.

namespace stac {

// RGB [1,3,H,W] in 0..1 -> logits [1,C,h,w]. May throw. Must be callable from several threads at
// once (clones share it), and must carry the gradient back to its input; parameters are frozen
// (requires_grad false) and layers in evaluation mode.
using TorchForward = std::function<NetworkOutput(const at::Tensor&)>;

struct TorchNetwork {
  NetworkInfo info;  // class_count 0: found out by a probe run; otherwise checked by it
  TorchForward forward;
  at::Device device = at::kCPU;   // where the parameters are
  bool double_precision = false;  // parameters and arithmetic in double, for tests
};

// A Segmenter around a LibTorch network. Runs it once on a small grey frame: fails if it throws,
// if its output is not [1,C,h,w] with 2 <= C <= 255, or if C is not the expected class count.
// Any frame size works: where the network cannot take a size as it is, the frame is padded by
// repeating its border and the logits are cropped; logits smaller than the input are enlarged
// bilinearly.
Result<std::unique_ptr<Segmenter>> MakeTorchSegmenter(TorchNetwork network,
                                                      const SegmenterOptions& options);

// "auto" (CUDA where there is one), "cpu" or "cuda".
Result<at::Device> ChooseDevice(const std::string& name);

// kForward: no gradient will be asked for, which lets LibTorch rearrange a TorchScript network for
// the CPU.
enum class Passes { kForwardAndBackward, kForward };

// `precision`, or what kAuto stands for on that device; fails where it cannot be had.
Result<Precision> ChoosePrecision(Precision precision, const at::Device& device);

// A TorchScript file as LoadSegmenter describes it. Not kAuto.
Result<TorchNetwork> OpenTorchScript(const std::string& path, const at::Device& device,
                                     Precision precision = Precision::kFloat,
                                     Passes passes = Passes::kForwardAndBackward);

// Either kind of file that LoadSegmenter takes, by its first bytes. Any precision.
Result<TorchNetwork> OpenNetwork(const std::string& path, const at::Device& device,
                                 Precision precision = Precision::kFloat,
                                 Passes passes = Passes::kForwardAndBackward);

// The numbers of 16 bits that networks run fast with there: float16 on CUDA, bfloat16 on processors
// with AVX512_BF16. None: no such numbers.
std::optional<at::ScalarType> HalfType(const at::Device& device);

// The numbers in which convolutions of a network of floats, loaded at `precision`, find their
// gradient.
at::ScalarType GradientType(Precision precision, const at::Device& device);

// A network whose parameters were made float16, as one of floats.
TorchForward InHalfPrecision(TorchForward forward);

// Prepares the calling thread for inference: freed tensors' memory is kept for the next ones,
// denormal numbers become zero (also in the worker threads), and `threads` threads (0: all cores)
// but at least 2 work on an operation, because ATen 1.13 does not use oneDNN for single images with
// one thread. Cheap when already done.
void PrepareInferenceThread(int threads);

}  // namespace stac
