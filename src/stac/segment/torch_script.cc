#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <sstream>

#include "stac/base/bytes.h"
#include "stac/base/file.h"
#include "stac/segment/torch_errors_internal.h"
#include "stac/segment/torch_script_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

// The logits in a network's output: the tensor itself, the first entry of a tuple or list, or the
// entry "out" (else the first one) of a dictionary.
at::Tensor LogitsFromOutput(const c10::IValue& output) {
  if (output.isTensor()) return output.toTensor();
  if (output.isTuple() && !output.toTupleRef().elements().empty()) {
    return LogitsFromOutput(output.toTupleRef().elements()[0]);
  }
  if (output.isList() && !output.toListRef().empty())
    return LogitsFromOutput(output.toListRef()[0]);
  if (output.isGenericDict() && !output.toGenericDict().empty()) {
    const auto entries = output.toGenericDict();
    for (const auto& entry : entries) {
      if (entry.key().isString() && entry.key().toStringRef() == "out") {
        return LogitsFromOutput(entry.value());
      }
    }
    return LogitsFromOutput(entries.begin()->value());
  }
  TORCH_CHECK(false, "its output is a ", output.tagKind(), ", not a tensor");
}

}  // namespace

Result<TorchNetwork> OpenTorchScript(const std::string& path, const at::Device& device,
                                     Precision precision, Passes passes) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path));
  TorchNetwork network;
  network.device = device;
  network.info.name = std::filesystem::path(path).stem().string();
  network.info.hash = HexHash(bytes);
  try {
    std::istringstream stream{std::string(AsText(bytes))};
    torch::jit::Module module = torch::jit::load(stream, device);
    module.eval();
    network.info.precision = precision;
    if (precision == Precision::kHalf) module.to(at::kHalf);
    for (at::Tensor parameter : module.parameters()) {
      network.info.parameters += parameter.numel();
      parameter.set_requires_grad(false);
    }
    bool enlarges = false;
    if (passes == Passes::kForwardAndBackward) {
      module = torch::jit::freeze(module);
      enlarges = TakeOffEnlargement(module);
      SkipUnusedClasses(module);
      SkipWholeSlices(module);
      ReplaceLayers(module, device, GradientType(precision, device));
    } else if (device.is_cpu()) {
      module = torch::jit::optimize_for_inference(module);
    }
    network.forward = [module, enlarges](const at::Tensor& rgb) mutable -> NetworkOutput {
      // The profiling executor compiles anew for every size and for runs with and without gradient
      // (seconds each), and is then no faster on a CPU than plain interpretation.
      torch::jit::GraphOptimizerEnabledGuard plain(false);
      const c10::IValue output = module.forward({rgb});
      if (enlarges) return OutputWithEnlargement(output);
      return LogitsFromOutput(output);
    };
    if (precision == Precision::kHalf)
      network.forward = InHalfPrecision(std::move(network.forward));
  } catch (const std::exception& error) {
    return Fail(
        "{} is not a TorchScript network ({}): save it with torch.jit.save, and check that "
        "the file is complete",
        path, TorchMessage(error));
  }
  return network;
}

}  // namespace stac
