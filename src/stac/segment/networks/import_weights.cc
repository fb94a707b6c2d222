#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/serialize.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "stac/base/file.h"
#include "stac/segment/networks/import_weights_internal.h"

namespace stac {
namespace {

void TakeEntries(const c10::IValue& value, NamedTensors& out) {
  if (!value.isGenericDict()) return;
  for (const auto& entry : value.toGenericDict()) {
    if (!entry.key().isString()) continue;
    const std::string name = entry.key().toStringRef();
    if (entry.value().isTensor())
      out[name] = entry.value().toTensor();
    else if (name == "state_dict" || name == "model" || name == "model_state")
      TakeEntries(entry.value(), out);
  }
}

Result<NamedTensors> FromPickle(const Bytes& bytes) {
  NamedTensors out;
  TakeEntries(torch::pickle_load(std::vector<char>(bytes.begin(), bytes.end())), out);
  return out;
}

Result<NamedTensors> FromTorchScript(const Bytes& bytes) {
  std::istringstream stream{std::string(AsText(bytes))};
  const torch::jit::Module module = torch::jit::load(stream, torch::kCPU);
  NamedTensors out;
  for (const auto& item : module.named_parameters()) out[item.name] = item.value;
  for (const auto& item : module.named_buffers()) out[item.name] = item.value;
  return out;
}

// LibTorch believes what an archive says of a tensor's place in its storage.
bool LiesInItsStorage(const torch::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != torch::kStrided || !tensor.device().is_cpu())
    return false;
  int64_t last = tensor.storage_offset();
  if (last < 0) return false;
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.size(i) == 0) return true;
    int64_t extent = 0;
    if (tensor.size(i) < 0 || tensor.stride(i) < 0 ||
        __builtin_mul_overflow(tensor.size(i) - 1, tensor.stride(i), &extent) ||
        __builtin_add_overflow(last, extent, &last)) {
      return false;
    }
  }
  const auto held = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
  return last < held;
}

// https://github.com/huggingface/safetensors: a 64-bit length, a JSON header with the type, shape
// and place of each tensor, the values.
Result<NamedTensors> FromSafetensors(ByteSpan bytes) {
  ByteReader in(bytes);
  const uint64_t length = *in.U64();
  const auto header =
      nlohmann::json::parse(AsText(*in.Take(static_cast<size_t>(length))), nullptr, false);
  if (!header.is_object()) return Fail("the safetensors header is broken");
  const ByteSpan values = in.Rest();
  static const std::map<std::string, torch::ScalarType> kTypes = {{"F32", torch::kFloat},
                                                                  {"F16", torch::kHalf},
                                                                  {"BF16", torch::kBFloat16},
                                                                  {"I64", torch::kLong}};
  NamedTensors out;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto type = kTypes.find(entry.at("dtype").get<std::string>());
    if (type == kTypes.end())
      return Fail("the tensor {} has the type {}, which is not known here", name,
                  entry.at("dtype").dump());
    const auto shape = entry.at("shape").get<std::vector<int64_t>>();
    const auto place = entry.at("data_offsets").get<std::vector<uint64_t>>();
    uint64_t size = c10::elementSize(type->second);
    for (const int64_t side : shape) {
      if (side < 0 || (side > 0 && size > values.size() / static_cast<uint64_t>(side)))
        return Fail("the tensor {} is larger than its file", name);
      size *= static_cast<uint64_t>(side);
    }
    if (place.size() != 2 || place[0] > place[1] || place[1] > values.size() ||
        place[1] - place[0] != size)
      return Fail("the tensor {} does not lie inside its file", name);
    torch::Tensor tensor = torch::empty(shape, type->second);
    if (size > 0) std::memcpy(tensor.data_ptr(), values.data() + place[0], size);
    out[name] = tensor;
  }
  return out;
}

bool IsZip(ByteSpan bytes) { return bytes.size() > 4 && AsText(bytes.first(4)) == "PK\x03\x04"; }

bool IsSafetensors(ByteSpan bytes) {
  const auto length = ByteReader(bytes).U64();
  return length && *length >= 2 && *length <= bytes.size() - 8 && bytes[8] == '{';
}

Result<NamedTensors> Read(const Bytes& bytes) {
  if (IsZip(bytes)) {
    const bool script = AsText(bytes).find("constants.pkl") != std::string_view::npos;
    return script ? FromTorchScript(bytes) : FromPickle(bytes);
  }
  if (IsSafetensors(bytes)) return FromSafetensors(bytes);
  return Fail(
      "it is neither a safetensors file nor a PyTorch archive; save an old checkpoint again "
      "in Python: torch.save(torch.load(old), new)");
}

// A parameter that a checkpoint may lack.
bool MayBeMissing(const std::string& name, bool backbone_only) {
  if (name.starts_with("auxiliary") || name.ends_with("num_batches_tracked")) return true;
  if (!backbone_only) return false;
  // The trunk's parts are called layer<N> and stem; everything else is the head.
  return !name.starts_with("layer") && !name.starts_with("stem");
}

const torch::Tensor* Find(const NamedTensors& tensors, const std::string& name,
                          const SegmentationNetwork& network) {
  std::string published = network.PublishedName(name);
  std::vector<std::string> names = {published, name};
  for (const char* prefix : {"base.", "cp.resnet."})  // trunks on their own lack it
    if (published.starts_with(prefix)) {
      published = published.substr(std::strlen(prefix));
      names.push_back(prefix == std::string("base.") ? "layer" + published : published);
    }
  for (const std::string& candidate : names)
    if (const auto found = tensors.find(candidate); found != tensors.end()) return &found->second;
  return nullptr;
}

}  // namespace

Result<NamedTensors> ReadNamedTensors(const std::filesystem::path& file) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(file));
  Result<NamedTensors> read;
  try {
    read = Read(bytes);
  } catch (const std::exception& error) {
    read = Fail("it does not load ({})", std::string(error.what()).substr(0, 160));
  }
  if (!read) return Fail("cannot read weights from {}: {}", file.string(), read.error().message);
  if (read->empty()) return Fail("{} holds no named tensors", file.string());
  NamedTensors out;
  for (const auto& [name, tensor] : *read) {
    if (!LiesInItsStorage(tensor))
      return Fail("cannot read weights from {}: the tensor {} does not lie inside its storage",
                  file.string(), name);
    out[name.starts_with("module.") ? name.substr(7) : name] = tensor;
  }
  return out;
}

Status ImportWeights(const NamedTensors& tensors, bool backbone_only,
                     SegmentationNetwork& network) {
  torch::NoGradGuard no_grad;
  int64_t copied = 0;
  const auto copy = [&](const auto& items) -> Status {
    for (const auto& item : items) {
      const torch::Tensor* source = Find(tensors, item.key(), network);
      if (source == nullptr) {
        if (MayBeMissing(item.key(), backbone_only)) continue;
        if (item.key().ends_with("conv.bias")) {  // some authors' classifiers have none
          torch::Tensor(item.value()).zero_();
          continue;
        }
        return Fail("the checkpoint lacks {} (ours: {})", network.PublishedName(item.key()),
                    item.key());
      }
      torch::Tensor target = item.value();
      if (source->sizes() != target.sizes())
        return Fail(
            "{} has the shape {} in the checkpoint, the definition wants {}: is the class "
            "count right?",
            network.PublishedName(item.key()), fmt::join(source->sizes(), "x"),
            fmt::join(target.sizes(), "x"));
      target.copy_(*source);
      ++copied;
    }
    return OkStatus();
  };
  STAC_RETURN_IF_ERROR(copy(network.named_parameters()));
  STAC_RETURN_IF_ERROR(copy(network.named_buffers()));
  if (copied == 0) return Fail("no tensor of the checkpoint belongs to this definition");
  return OkStatus();
}

}  // namespace stac
