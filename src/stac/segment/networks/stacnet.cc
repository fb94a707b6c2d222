#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>

#include "stac/base/file.h"
#include "stac/segment/networks/networks.h"
#include "stac/segment/networks/stacnet_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kMagic = "STACNET1";
constexpr uint32_t kMaxHeader = 1 << 20;

// The definition as it is stored and run.
Result<std::shared_ptr<SegmentationNetwork>> MakeFolded(const std::string& definition,
                                                        int classes) {
  STAC_ASSIGN_OR_RETURN(auto network, MakeNetwork(definition, classes));
  network->eval();
  network->DropTrainingHeads();
  FoldBatchNorm(*network);
  for (torch::Tensor parameter : network->parameters()) parameter.set_requires_grad(false);
  return network;
}

Status ReadTensor(const json& entry, const std::string& name, ByteReader& in,
                  torch::Tensor& target) {
  if (!entry.is_object() || entry.value("name", "") != name)
    return Fail("the weight file lacks the tensor {} at its place", name);
  const std::string type = entry.value("type", "");
  if (type != "f16" && type != "f32")
    return Fail("the tensor {} of the weight file has the unknown type \"{}\"", name, type);
  if (entry.value("shape", std::vector<int64_t>()) != target.sizes().vec())
    return Fail("the tensor {} of the weight file does not have the definition's shape", name);
  const bool half = type == "f16";
  const auto values = in.Take(static_cast<size_t>(target.numel()) * (half ? 2 : 4));
  if (!values) return Fail("the weight file is cut off in the tensor {}", name);
  torch::Tensor read = torch::empty(target.sizes(), half ? torch::kHalf : torch::kFloat);
  std::memcpy(read.data_ptr(), values->data(), values->size());
  if (!read.to(torch::kFloat).isfinite().all().item<bool>())
    return Fail("the tensor {} of the weight file holds values that are not finite", name);
  target.copy_(read);
  return OkStatus();
}

Result<Stacnet> DecodeUnguarded(ByteSpan bytes) {
  ByteReader in(bytes);
  const auto magic = in.Take(kMagic.size());
  const auto length = in.U32();
  if (!magic || AsText(*magic) != kMagic || !length)
    return Fail("it does not begin as a weight file");
  if (*length > kMaxHeader || *length > in.left())
    return Fail("the weight file is cut off, or its header's length ({}) is broken", *length);
  const auto header = json::parse(AsText(*in.Take(*length)), nullptr, false);
  if (!header.is_object() || !header.contains("tensors") || !header["tensors"].is_array())
    return Fail("the weight file's header is broken");
  Stacnet out;
  out.definition = header.value("definition", "");
  out.classes = header.value("classes", 0);
  out.note = header.value("note", "");
  if (out.definition.empty()) return Fail("the weight file's header names no definition");
  STAC_ASSIGN_OR_RETURN(out.network, MakeFolded(out.definition, out.classes));
  const double limit = header.value("contrast_limit", 0.0);
  if (!(limit >= 0 && limit <= 1))
    return Fail("the weight file's contrast_limit is {}, not within 0 and 1", limit);
  out.network->set_contrast_limit(limit);
  torch::NoGradGuard no_grad;
  const auto parameters = out.network->named_parameters();
  const auto& tensors = header["tensors"];
  if (tensors.size() != parameters.size())
    return Fail("the weight file holds {} tensors, the definition {} has {}", tensors.size(),
                out.definition, parameters.size());
  size_t index = 0;
  for (const auto& parameter : parameters) {
    torch::Tensor target = parameter.value();
    STAC_RETURN_IF_ERROR(ReadTensor(tensors[index++], parameter.key(), in, target));
  }
  if (in.left() != 0) return Fail("the weight file has {} bytes too many", in.left());
  return out;
}

}  // namespace

Result<Bytes> EncodeStacnet(const SegmentationNetwork& network, const std::string& definition,
                            int classes, const std::string& note, bool half,
                            std::span<const WeightShare> others) {
  torch::NoGradGuard no_grad;
  STAC_ASSIGN_OR_RETURN(const auto copy, MakeNetwork(definition, classes));
  const auto assign = [](const auto& from, const auto& to) {
    for (const auto& item : from) torch::Tensor(to[item.key()]).copy_(item.value());
  };
  assign(network.named_parameters(), copy->named_parameters());
  assign(network.named_buffers(), copy->named_buffers());
  copy->eval();
  copy->DropTrainingHeads();
  FoldBatchNorm(*copy);
  double own = 1;
  for (const WeightShare& other : others) own -= other.share;
  for (const auto& parameter : copy->named_parameters()) {
    torch::Tensor average = parameter.value();
    if (!others.empty()) average.mul_(own);
    for (const WeightShare& other : others)
      average.add_(other.network->named_parameters()[parameter.key()], other.share);
  }

  ordered_json header = {{"definition", definition}, {"classes", classes}, {"note", note}};
  if (network.contrast_limit() > 0) header["contrast_limit"] = network.contrast_limit();
  ByteWriter values;
  for (const auto& parameter : copy->named_parameters()) {
    const torch::Tensor stored =
        parameter.value().cpu().to(half ? torch::kHalf : torch::kFloat).contiguous();
    if (!stored.to(torch::kFloat).isfinite().all().item<bool>())
      return Fail("the weights {} are not finite{}: train again, with a lower learning rate",
                  parameter.key(), half ? " as 16-bit numbers" : "");
    header["tensors"].push_back({{"name", parameter.key()},
                                 {"type", half ? "f16" : "f32"},
                                 {"shape", stored.sizes().vec()}});
    values.Append({static_cast<const uint8_t*>(stored.data_ptr()), stored.nbytes()});
  }
  const std::string text = header.dump();
  ByteWriter length;
  length.U32(static_cast<uint32_t>(text.size()));
  Bytes out;
  for (const ByteSpan part :
       {AsBytes(kMagic), ByteSpan(length.bytes()), AsBytes(text), ByteSpan(values.bytes())})
    std::copy(part.begin(), part.end(), std::back_inserter(out));
  return out;
}

Result<Stacnet> DecodeStacnet(ByteSpan bytes) {
  try {
    return DecodeUnguarded(bytes);
  } catch (const nlohmann::json::exception&) {
    return Fail("the weight file's header is broken");
  }
}

Result<Bytes> UntrainedNetwork(const std::string& name, int classes) {
  torch::manual_seed(1);
  STAC_ASSIGN_OR_RETURN(const auto network, MakeNetwork(name, classes));
  return EncodeStacnet(*network, name, classes, "random weights", /*half=*/false);
}

bool IsStacnet(ByteSpan bytes) {
  return bytes.size() >= kMagic.size() && AsText(bytes.first(kMagic.size())) == kMagic;
}

Result<TorchNetwork> OpenStacnet(const std::string& path, const at::Device& device,
                                 Precision precision) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(path));
  auto file = DecodeStacnet(bytes);
  if (!file) return Fail("cannot use {}: {}", path, file.error().message);
  const std::shared_ptr<SegmentationNetwork> module = file->network;
  module->to(device);
  TorchNetwork network;
  network.device = device;
  network.info.name = std::filesystem::path(path).stem().string();
  network.info.hash = HexHash(bytes);
  network.info.class_count = file->classes;
  for (const torch::Tensor& parameter : module->parameters())
    network.info.parameters += parameter.numel();
  LayChannelsLast(*module);
  network.forward = [module](const at::Tensor& rgb) {
    return module->Forward(rgb).front().to(at::kFloat);
  };
  network.info.precision = precision;
  if (precision == Precision::kHalf) module->to(*HalfType(device));
  FreezeConvolutions(*module, GradientType(precision, device));
  return network;
}

}  // namespace stac
