#include <torch/csrc/autograd/custom_function.h>

#include "stac/segment/frozen/layers_internal.h"
#include "stac/segment/networks/accmpeg_network_internal.h"
#include "stac/segment/networks/bisenet_internal.h"
#include "stac/segment/networks/drn_internal.h"
#include "stac/segment/networks/edge_network_internal.h"
#include "stac/segment/networks/networks.h"

namespace stac {

const std::vector<std::string>& NetworkNames() {
  static const std::vector<std::string> names = {"edge", "drn-d-22", "drn-d-38", "bisenet",
                                                 "accmpeg"};
  return names;
}

Result<std::shared_ptr<SegmentationNetwork>> MakeNetwork(const std::string& name, int classes) {
  if (classes < 2 || classes > 255)
    return Fail("a network needs 2 to 255 classes, not {}", classes);
  if (name == "edge") return std::make_shared<EdgeNetwork>(classes);
  if (name == "drn-d-22") return std::make_shared<DrnNetwork>(classes, std::array{2, 2, 2, 2});
  if (name == "drn-d-38") return std::make_shared<DrnNetwork>(classes, std::array{3, 4, 6, 3});
  if (name == "bisenet") return std::make_shared<BiSeNet>(classes);
  if (name == "accmpeg") return std::make_shared<AccMpegNetwork>(classes);
  return Fail("there is no network definition called \"{}\": use one of {}", name,
              fmt::join(NetworkNames(), ", "));
}

void FoldBatchNorm(SegmentationNetwork& network) {
  for (const auto& module : network.modules(/*include_self=*/false))
    if (auto* unit = dynamic_cast<ConvUnit*>(module.get())) unit->Fold();
}

void FreezeConvolutions(SegmentationNetwork& network, torch::ScalarType gradient_type) {
  for (const auto& module : network.modules(/*include_self=*/false))
    if (auto* convolution = dynamic_cast<Convolution*>(module.get()))
      convolution->Freeze(gradient_type);
}

void UnfoldBatchNorm(const SegmentationNetwork& folded, const torch::Tensor& rgb,
                     SegmentationNetwork& network) {
  torch::NoGradGuard no_grad;
  const auto modules = network.named_modules();
  const auto parameters = network.named_parameters();
  for (const auto& item : folded.named_parameters())
    if (const auto* to = parameters.find(item.key())) torch::Tensor(*to).copy_(item.value());
  for (const auto& item : folded.named_modules())
    if (const auto* from = dynamic_cast<const ConvUnit*>(item.value().get()))
      dynamic_cast<ConvUnit&>(*modules[item.key()]).Unfold(*from);
  const auto calibrate = [&modules](bool on) {
    for (const auto& item : modules)
      if (auto* unit = dynamic_cast<ConvUnit*>(item.value().get())) unit->set_calibrating(on);
  };
  network.eval();
  calibrate(true);
  network.Forward(rgb);
  calibrate(false);
  network.train();
}

void LayChannelsLast(SegmentationNetwork& network) {
  torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : network.parameters())
    if (parameter.dim() == 4)
      parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
}

namespace {

// Whether what follows takes one pass instead of three.
bool InOnePass(const torch::Tensor& x, torch::MemoryFormat format) {
  return x.device().is_cpu() && x.scalar_type() == torch::kFloat &&
         format == torch::MemoryFormat::ChannelsLast;
}

// (rgb - zero) * factor, laid out as `format` in numbers of `type`. The arithmetic is done plane by
// plane, where it is fast whatever the layout behind it.
class NormalizeFunction : public torch::autograd::Function<NormalizeFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& rgb,
                               const torch::Tensor& zero, const torch::Tensor& factor,
                               torch::ScalarType type, torch::MemoryFormat format) {
    context->save_for_backward({factor});
    if (InOnePass(rgb, format)) return Standardized(rgb.contiguous(), zero, factor).to(type);
    return (rgb.contiguous() - zero).mul_(factor).contiguous(format).to(type);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& by_output) {
    const torch::Tensor factor = context->get_saved_variables().front();
    const torch::Tensor by_places = by_output.front().to(factor.scalar_type());
    if (InOnePass(by_places, by_places.suggest_memory_format()))
      return {StandardizedGradient(by_places, factor), {}, {}, {}, {}};
    return {by_places.contiguous() * factor, {}, {}, {}, {}};
  }
};

// (rgb - middle) * share + middle brings a picture's contrast down to the limit.
struct Contrast {
  torch::Tensor middle, share;  // [N,1,1,1]
};

Contrast Limited(const torch::Tensor& rgb, double limit) {
  constexpr int kEvery = 4;  // pixel each way is looked at
  torch::NoGradGuard no_grad;
  const torch::Tensor seen = rgb.slice(2, 0, rgb.size(2), kEvery).slice(3, 0, rgb.size(3), kEvery);
  const torch::Tensor grey = seen.mean(1).flatten(1);
  const torch::Tensor contrast = grey.std(1, /*unbiased=*/false);
  const auto shape = [](const torch::Tensor& x) { return x.view({-1, 1, 1, 1}); };
  return {shape(grey.mean(1)), shape((limit / contrast.clamp_min(1e-6)).clamp_max(1))};
}

}  // namespace

torch::Tensor SegmentationNetwork::Normalized(const torch::Tensor& rgb,
                                              const std::array<double, 3>& mean,
                                              const std::array<double, 3>& deviation) const {
  const auto options = torch::TensorOptions().dtype(rgb.dtype()).device(rgb.device());
  const auto channels = [&](const std::array<double, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}, options).view({1, 3, 1, 1});
  };
  torch::Tensor zero = channels(mean), factor = 1 / channels(deviation);
  if (contrast_limit_ > 0) {
    const Contrast contrast = Limited(rgb, contrast_limit_);
    factor = contrast.share / channels(deviation);
    zero = contrast.middle + (zero - contrast.middle) / contrast.share;
  }
  const torch::Tensor kernel = parameters().front();
  return NormalizeFunction::apply(rgb, zero, factor, kernel.scalar_type(),
                                  kernel.suggest_memory_format());
}

void ReplacePart(std::string& name, const std::string& part, const std::string& by) {
  if (const size_t at = name.find(part); at != std::string::npos) name.replace(at, part.size(), by);
}

void ReplaceBlockParts(std::string& name) {
  ReplacePart(name, ".first.conv.", ".conv1.");
  ReplacePart(name, ".first.bn.", ".bn1.");
  ReplacePart(name, ".second.conv.", ".conv2.");
  ReplacePart(name, ".second.bn.", ".bn2.");
  ReplacePart(name, ".shortcut.conv.", ".downsample.0.");
  ReplacePart(name, ".shortcut.bn.", ".downsample.1.");
}

Result<NetworkCost> MeasureNetworkCost(const std::string& name, int classes, int width,
                                       int height) {
  if (width % 32 != 0 || height % 32 != 0 || width < 32 || height < 32)
    return Fail("the size {}x{} is not a multiple of 32", width, height);
  STAC_ASSIGN_OR_RETURN(const auto network, MakeNetwork(name, classes));
  torch::NoGradGuard no_grad;
  network->eval();
  network->DropTrainingHeads();
  NetworkCost cost;
  for (const torch::Tensor& parameter : network->parameters()) cost.parameters += parameter.numel();
  // Every map but the global ones grows with the picture, so a small picture that divides the
  // large one in area gives the count exactly.
  const int small = 64;
  MacCounter counter;
  const torch::Tensor logits = network->Forward(torch::zeros({1, 3, small, small})).front();
  cost.output_stride = static_cast<int>(small / logits.size(3));
  cost.macs =
      counter.global_macs() + static_cast<int64_t>(static_cast<double>(counter.spatial_macs()) *
                                                   width * height / (small * small));
  return cost;
}

}  // namespace stac
