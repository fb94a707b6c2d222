#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <string>
#include <vector>

#include "stac/segment/fake_cuda/memory_internal.h"
#include "stac/segment/fake_cuda/operations_internal.h"

namespace stac::fake_cuda {
namespace {

using c10::IValue;

constexpr c10::DispatchKeySet kOnHost(c10::DispatchKey::CPU);
constexpr c10::DispatchKeySet kOnDevice(c10::DispatchKey::CUDA);

at::Tensor MakeTensor(const c10::Storage& storage, c10::DispatchKeySet where,
                      const at::Tensor& like) {
  auto tensor =
      at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), where, like.dtype());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(),
                                                      like.storage_offset());
  return tensor;
}

c10::Storage HostStorage(const c10::Storage& storage) {
  return {c10::Storage::use_byte_size_t(), storage.nbytes(),
          c10::DataPtr(OnHost(storage), c10::Device(c10::DeviceType::CPU)),
          /*allocator=*/nullptr, /*resizable=*/false};
}

at::Tensor EmptyLike(const at::Tensor& values) {
  return at::Tensor(at::detail::empty_strided_generic(
      values.sizes(), values.strides(), DeviceMemory(), kOnDevice, values.scalar_type()));
}

// The operands of one operation as the CPU sees them, and its results as the device has them.
class Operands {
 public:
  // halves_are_floats: as many of the CPU's operations know no halves.
  explicit Operands(bool halves_are_floats) : halves_are_floats_(halves_are_floats) {}

  at::Tensor Host(const at::Tensor& tensor, bool written) {
    if (!tensor.defined()) return tensor;
    if (tensor.is_cpu()) {
      TORCH_CHECK(tensor.dim() == 0, "an operand of shape ", tensor.sizes(),
                  " lies on the host, others on the device");
      return tensor;
    }
    CheckIsMade(tensor.storage());
    Operand operand{.device = tensor, .written = written};
    // What is empty and written grows.
    operand.seen = written && tensor.numel() == 0 ? at::empty({0}, tensor.scalar_type())
                                                  : MakeTensor(StorageFor(tensor), kOnHost, tensor);
    operand.host = operand.seen;
    if (halves_are_floats_ && tensor.scalar_type() == at::kHalf) {
      some_halves_ = true;
      operand.host = operand.seen.to(at::kFloat);
    }
    operand.memory = operand.host.storage();
    operands_.push_back(operand);
    return operands_.back().host;
  }

  // After the operation.
  void WriteBack() {
    for (Operand& operand : operands_) {
      if (!operand.written) continue;
      TORCH_CHECK(operand.host.storage().is_alias_of(operand.memory),
                  "an operation that gives a tensor other memory is not known here");
      if (!operand.host.is_same(operand.seen)) {
        operand.seen.resize_(operand.host.sizes()).copy_(operand.host);
      }
      if (operand.device.numel() == 0 && operand.seen.numel() > 0) {
        const at::Tensor grown = Upload(operand.seen);
        auto* impl = operand.device.unsafeGetTensorImpl();
        impl->set_storage_keep_dtype(grown.storage());
        impl->set_sizes_and_strides(grown.sizes(), grown.strides());
      }
      NoteMade(operand.device.storage());
    }
  }

  at::Tensor Device(const at::Tensor& result, bool keep_type) const {
    if (!result.defined()) return result;
    for (const Operand& operand : operands_) {
      if (result.is_same(operand.host)) return operand.device;
      if (result.storage().is_alias_of(operand.seen.storage()))
        return MakeTensor(operand.device.storage(), kOnDevice, result);
    }
    const bool narrow = some_halves_ && !keep_type && result.scalar_type() == at::kFloat;
    return Upload(narrow ? result.to(at::kHalf) : result);
  }

 private:
  struct Operand {
    at::Tensor device;
    at::Tensor seen;      // its bytes
    at::Tensor host;      // the same, or its halves as floats
    c10::Storage memory;  // of `host`
    bool written;
  };

  static at::Tensor Upload(const at::Tensor& values) {
    const at::Tensor device = EmptyLike(values);
    MakeTensor(HostStorage(device.storage()), kOnHost, device).copy_(values);
    NoteMade(device.storage());
    return device;
  }

  // Operands that share memory share it on the host.
  c10::Storage StorageFor(const at::Tensor& tensor) const {
    for (const Operand& operand : operands_)
      if (operand.device.storage().is_alias_of(tensor.storage())) return operand.seen.storage();
    return HostStorage(tensor.storage());
  }

  std::vector<Operand> operands_;
  bool halves_are_floats_;
  bool some_halves_ = false;
};

IValue HostArgument(const IValue& value, bool written, Operands& operands) {
  if (value.isTensor()) return operands.Host(value.toTensor(), written);
  if (value.isDevice()) return c10::Device(c10::DeviceType::CPU);
  if (value.isTensorList()) {
    c10::List<at::Tensor> hosts;
    for (const at::Tensor& tensor : value.toTensorVector())
      hosts.push_back(operands.Host(tensor, written));
    return hosts;
  }
  if (value.isOptionalTensorList()) {
    auto tensors = value.toOptionalTensorVector();
    for (auto& tensor : tensors)
      if (tensor) tensor = operands.Host(*tensor, written);
    return c10::List<decltype(tensors)::value_type>(tensors);
  }
  return value;
}

IValue DeviceResult(const IValue& value, bool keep_type, const Operands& operands) {
  if (value.isTensor()) return operands.Device(value.toTensor(), keep_type);
  if (value.isTensorList()) {
    c10::List<at::Tensor> devices;
    for (const at::Tensor& tensor : value.toTensorVector())
      devices.push_back(operands.Device(tensor, keep_type));
    return devices;
  }
  CountDownload(sizeof(double));  // a number
  return value;
}

bool IsView(const c10::FunctionSchema& schema) {
  for (const c10::Argument& result : schema.returns())
    if (result.alias_info() != nullptr && !result.alias_info()->isWrite()) return true;
  return false;
}

// Whether the caller says in what numbers the result is wanted. The CPU does not know all the ways.
bool TakeType(const c10::FunctionSchema& schema, IValue* arguments) {
  bool named = false;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const std::string& name = schema.arguments()[i].name();
    named = named || (name == "dtype" && !arguments[i].isNone());
    if (name != "half_to_float") continue;
    named = named || arguments[i].toBool();
    arguments[i] = false;
  }
  return named;
}

}  // namespace

void OnCpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowADInplaceOrView values_only;
  const c10::FunctionSchema& schema = operation.schema();
  const bool view = IsView(schema);
  const size_t count = schema.arguments().size();
  IValue* arguments = stack->data() + (stack->size() - count);
  const bool keep_type = TakeType(schema, arguments);
  Operands operands(/*halves_are_floats=*/!view);
  for (size_t i = 0; i < count; ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    arguments[i] = HostArgument(arguments[i], alias != nullptr && alias->isWrite(), operands);
  }
  if (!view) CountOperation();
  operation.redispatchBoxed(kOnHost, stack);
  operands.WriteBack();
  const size_t results = schema.returns().size();
  for (size_t i = stack->size() - results; i < stack->size(); ++i)
    (*stack)[i] = DeviceResult((*stack)[i], keep_type, operands);
}

at::Tensor& Copy(at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  const at::AutoDispatchBelowADInplaceOrView values_only;
  const auto bytes = [](const at::Tensor& tensor) {
    if (tensor.is_cpu()) return tensor;
    CheckIsMade(tensor.storage());
    return MakeTensor(HostStorage(tensor.storage()), kOnHost, tensor);
  };
  at::Tensor target = bytes(to);
  target.copy_(bytes(from));
  if (to.is_cpu()) {
    TORCH_CHECK(!non_blocking, "the host would read what may not have come yet");
    CountDownload(to.nbytes());
    return to;
  }
  NoteMade(to.storage());
  if (from.is_cpu())
    CountUpload(from.nbytes());
  else
    CountOperation();
  return to;
}

void Empty(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = operation.schema();
  const auto values = torch::jit::pop(*stack, schema.arguments().size());
  const auto argument = [&](const char* name) {
    const auto index = schema.argumentIndexWithName(name);
    return index ? values[*index] : IValue();
  };
  const auto size = argument("size").toIntVector();
  const IValue type = argument("dtype"), strides = argument("stride"),
               format = argument("memory_format");
  const auto number = type.isNone() ? at::kFloat : type.toScalarType();
  const auto empty = strides.isNone()
                         ? at::detail::empty_generic(size, DeviceMemory(), kOnDevice, number,
                                                     format.isNone() ? at::MemoryFormat::Contiguous
                                                                     : format.toMemoryFormat())
                         : at::detail::empty_strided_generic(size, strides.toIntVector(),
                                                             DeviceMemory(), kOnDevice, number);
  torch::jit::push(*stack, at::Tensor(empty));
}

void Set(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto values = torch::jit::pop(*stack, operation.schema().arguments().size());
  const at::Tensor tensor = values[0].toTensor();
  auto* impl = tensor.unsafeGetTensorImpl();
  if (values[1].isTensor()) {
    const at::Tensor source = values[1].toTensor();
    impl->set_storage_keep_dtype(source.storage());
    impl->set_sizes_and_strides(source.sizes(), source.strides(), source.storage_offset());
  } else {
    impl->set_storage_keep_dtype(values[1].toStorage());
    impl->set_sizes_and_strides(values[3].toIntVector(), values[4].toIntVector(),
                                values[2].toInt());
  }
  torch::jit::push(*stack, tensor);
}

}  // namespace stac::fake_cuda
