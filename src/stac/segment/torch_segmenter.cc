#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "stac/base/check.h"
#include "stac/base/clock.h"
#include "stac/segment/torch_errors_internal.h"
#include "stac/segment/torch_ops_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

constexpr int kProbeSize = 256;
constexpr int kMaxClasses = kUnlabelled;
// What gradients in float16 may grow by on their way without overflowing, at first and at most.
// Steps are powers of two, which round nothing.
constexpr double kHeadroom = 16;
constexpr double kHeadroomStep = 256;
constexpr double kMostHeadroom = kHeadroom * kHeadroomStep * kHeadroomStep;
// Networks halve their input three to six times.
constexpr int kMultiples[] = {1, 8, 16, 32, 64};

int RoundUp(int64_t size, int multiple) {
  return static_cast<int>((size + multiple - 1) / multiple * multiple);
}

// Width and height made multiples of `multiple` by repeating the last column and row.
at::Tensor PadToMultiple(const at::Tensor& rgb, int multiple) {
  const int64_t bottom = RoundUp(rgb.size(2), multiple) - rgb.size(2);
  const int64_t right = RoundUp(rgb.size(3), multiple) - rgb.size(3);
  return bottom + right == 0 ? rgb : at::replication_pad2d(rgb, {0, right, 0, bottom});
}

// While it lives, this thread's work for a GPU goes there; nowhere else if there is none.
class OnStream {
 public:
  explicit OnStream(const std::optional<c10::Stream>& stream) {
    if (stream) guard_.reset_stream(*stream);
  }

 private:
  c10::OptionalStreamGuard guard_;
};

// Infinite and undefined numbers have all bits of the exponent set. Integers, so that it takes no
// time worth mentioning.
bool AllFinite(const Grid<float>& values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (const float value : values) {
    bad |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1u : 0u;
  }
  return bad == 0;
}

bool IsFinite(const Segmentation& result) {
  bool finite = AllFinite(result.sums);
  for (const auto& gradient : result.gradients) {
    for (const auto* plane : {&gradient.y, &gradient.cb, &gradient.cr}) {
      finite = finite && AllFinite(*plane);
    }
  }
  return finite;
}

// What is served in one pass: the usual objective, on frames that are alike.
bool InOnePass(std::span<const Frame* const> frames, const Objective* objective,
               const SegmenterOptions& options) {
  if (frames.size() < 2) return false;
  if (objective != nullptr && (objective->kind != ObjectiveKind::kFakeLabelLoss ||
                               objective->labels != nullptr || options.gradient_downscale > 1)) {
    return false;
  }
  return std::all_of(frames.begin() + 1, frames.end(), [&](const Frame* frame) {
    return frame->width() == frames.front()->width() &&
           frame->height() == frames.front()->height() && frame->color() == frames.front()->color();
  });
}

class TorchSegmenter final : public Segmenter {
 public:
  TorchSegmenter(TorchNetwork network, SegmenterOptions options)
      : network_(std::move(network)),
        options_(std::move(options)),
        tensor_options_(at::TensorOptions(network_.device)
                            .dtype(network_.double_precision ? at::kDouble : at::kFloat)) {
    const bool float16 = GradientType(network_.info.precision, network_.device) == at::kHalf;
    headroom_ = usual_headroom_ = float16 ? kHeadroom : 1;
  }

  const NetworkInfo& info() const override { return network_.info; }
  Result<Segmentation> Run(const Frame& frame) override { return Process(frame, nullptr); }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override;
  std::vector<Result<Segmentation>> RunBatch(std::span<const Frame* const> frames,
                                             const Objective* objective) override;
  std::unique_ptr<Segmenter> Clone() const override {
    auto copy = std::make_unique<TorchSegmenter>(*this);
    copy->TakeOwnStream();
    return copy;
  }

  // On a GPU: what this segmenter asks for waits for nobody else's work.
  void TakeOwnStream();

  // Finds out or checks the class count.
  Status Probe();

 private:
  Result<Segmentation> Process(const Frame& frame, const Objective* objective);
  Status CheckObjective(const Objective& objective) const;
  bool MagnifyLess();
  Result<Segmentation> Checked(Segmentation result) const;
  // These throw.
  std::vector<Segmentation> OnePass(std::span<const Frame* const> frames,
                                    const Objective* objective);
  void AddGradients(const Frame& frame, const at::Tensor& rgb, const Objective& objective,
                    Segmentation& result);
  void AddGradient(at::Tensor by_rgb, double magnified, const Frame& frame,
                   const Objective& objective, Segmentation& result) const;
  double Magnification(double count, const Objective& objective) const;
  at::Tensor Padded(const at::Tensor& rgb);
  NetworkAnswer Answer(const at::Tensor& padded, const at::Tensor& rgb) const;
  int FindMultiple(int64_t height, int64_t width) const;

  TorchNetwork network_;
  SegmenterOptions options_;
  at::TensorOptions tensor_options_;
  std::optional<c10::Stream> stream_;  // of a GPU
  // Of what width and height must be multiples, by height and width of the input.
  std::map<std::pair<int64_t, int64_t>, int> multiples_;
  double usual_headroom_ = 1;
  double headroom_ = 1;  // Magnification is less by so much
};

void TorchSegmenter::TakeOwnStream() {
  if (network_.device.is_cpu()) return;
  torch::cuda::synchronize();  // the weights are there
  stream_ = c10::impl::VirtualGuardImpl(network_.device.type())
                .getStreamFromGlobalPool(network_.device, /*isHighPriority=*/false);
}

Status TorchSegmenter::Probe() {
  PrepareInferenceThread(options_.threads);
  at::NoGradGuard no_gradient;
  at::Tensor logits;
  try {
    logits =
        network_.forward(at::full({1, 3, kProbeSize, kProbeSize}, 0.5, tensor_options_)).Answer();
  } catch (const std::exception& error) {
    return Fail(
        "network {} does not run on an RGB image [1,3,{},{}] of floats: {}; export it with that "
        "input and logits [1,C,H,W] as output",
        network_.info.name, kProbeSize, kProbeSize, TorchMessage(error));
  }
  if (logits.dim() != 4 || logits.size(0) != 1 || logits.size(1) < 2 ||
      logits.size(1) > kMaxClasses) {
    return Fail(
        "network {} answers [1,3,{},{}] with a tensor of shape [{}]; logits [1,C,H,W] with C of "
        "2..{} classes are needed",
        network_.info.name, kProbeSize, kProbeSize, fmt::join(logits.sizes().vec(), ","),
        kMaxClasses);
  }
  const int classes = static_cast<int>(logits.size(1));
  if (const int expected = network_.info.class_count; expected > 0 && expected != classes) {
    return Fail(
        "network {} has {} classes where {} are expected; use a network and class list that belong "
        "together",
        network_.info.name, classes, expected);
  }
  network_.info.class_count = classes;
  network_.info.on_gpu = !network_.device.is_cpu();
  return OkStatus();
}

Status TorchSegmenter::CheckObjective(const Objective& objective) const {
  if (objective.kind == ObjectiveKind::kProjection && objective.projections < 1) {
    return Fail("at least one projection is needed, not {}", objective.projections);
  }
  if (!objective.class_weights.empty() &&
      objective.class_weights.size() != static_cast<size_t>(network_.info.class_count)) {
    return Fail("{} class weights were given for network {} of {} classes",
                objective.class_weights.size(), network_.info.name, network_.info.class_count);
  }
  return OkStatus();
}

Result<Segmentation> TorchSegmenter::RunWithGradient(const Frame& frame,
                                                     const Objective& objective) {
  STAC_RETURN_IF_ERROR(CheckObjective(objective));
  auto result = Process(frame, &objective);
  while (result && !IsFinite(*result) && MagnifyLess()) result = Process(frame, &objective);
  if (!result) return result;
  return Checked(std::move(*result));
}

std::vector<Result<Segmentation>> TorchSegmenter::RunBatch(std::span<const Frame* const> frames,
                                                           const Objective* objective) {
  const bool refused = objective != nullptr && !CheckObjective(*objective);
  if (refused || !InOnePass(frames, objective, options_)) {
    return Segmenter::RunBatch(frames, objective);
  }
  PrepareInferenceThread(options_.threads);
  std::vector<Result<Segmentation>> results;
  const OnStream on_stream(stream_);
  try {
    auto pass = OnePass(frames, objective);
    while (!std::all_of(pass.begin(), pass.end(), IsFinite) && MagnifyLess()) {
      pass = OnePass(frames, objective);
    }
    for (Segmentation& result : pass) results.push_back(Checked(std::move(result)));
  } catch (const std::exception& error) {
    const Error failed{fmt::format("network {} failed on {} frames of {}x{}: {}",
                                   network_.info.name, frames.size(), frames.front()->width(),
                                   frames.front()->height(), TorchMessage(error))};
    results.assign(frames.size(), tl::unexpected<Error>(failed));
  }
  return results;
}

std::vector<Segmentation> TorchSegmenter::OnePass(std::span<const Frame* const> frames,
                                                  const Objective* objective) {
  const auto count = static_cast<int64_t>(frames.size());
  const Frame& first = *frames.front();
  std::vector<Segmentation> results(frames.size());
  Stopwatch watch;
  at::NoGradGuard no_gradient;
  std::vector<at::Tensor> pictures;
  for (const Frame* frame : frames) {
    pictures.push_back(RgbTensor(*frame, tensor_options_));
  }
  const auto input =
      Padded(at::cat(pictures)).detach().set_requires_grad(/*requires_grad=*/objective != nullptr);
  at::AutoGradMode with_gradient(objective != nullptr);
  const NetworkAnswer answer = Answer(input, pictures.front());
  {
    at::NoGradGuard labels_only;
    for (int64_t i = 0; i < count; ++i) results[i].labels = answer.Labels(i);
  }
  const double forward_ms = watch.Lap() / static_cast<double>(count);
  for (Segmentation& result : results) result.forward_ms = forward_ms;
  if (objective == nullptr) return results;

  const double magnified = Magnification(answer.LossCount(), *objective);
  std::vector<at::Tensor> values, by_logits;
  for (int64_t i = 0; i < count; ++i) {
    const LossGradient loss = answer.Loss(i, objective->class_weights, magnified);
    values.push_back(loss.value);
    by_logits.push_back(loss.by_logits);
  }
  const auto by_input =
      torch::autograd::grad({answer.LossLogits()}, {input}, {at::cat(by_logits)}).front();
  for (int64_t i = 0; i < count; ++i) {
    results[i].objective = values[i].item().toDouble();
    AddGradient(by_input.narrow(0, i, 1), magnified, first, *objective, results[i]);
  }
  const double gradient_ms = watch.Lap() / static_cast<double>(count);
  for (Segmentation& result : results) result.gradient_ms = gradient_ms;
  return results;
}

Result<Segmentation> TorchSegmenter::Process(const Frame& frame, const Objective* objective) {
  STAC_CHECK(!frame.empty());
  PrepareInferenceThread(options_.threads);
  Segmentation result;
  const OnStream on_stream(stream_);
  try {
    at::NoGradGuard no_gradient;
    const Stopwatch watch;
    const auto rgb = RgbTensor(frame, tensor_options_);
    if (objective == nullptr || options_.gradient_downscale > 1) {
      result.labels = Answer(Padded(rgb), rgb).Labels(0);
      result.forward_ms = watch.Milliseconds();
    }
    if (objective != nullptr) AddGradients(frame, rgb, *objective, result);
  } catch (const std::exception& error) {
    return Fail("network {} failed on a frame of {}x{}: {}", network_.info.name, frame.width(),
                frame.height(), TorchMessage(error));
  }
  return result;
}

// After a gradient that did not fit 16 bits; false: that was not the reason, and small gradients of
// later frames must not vanish for it.
bool TorchSegmenter::MagnifyLess() {
  const bool hopeless = network_.info.precision == Precision::kFloat || headroom_ >= kMostHeadroom;
  headroom_ = hopeless ? usual_headroom_ : headroom_ * kHeadroomStep;
  return !hopeless;
}

Result<Segmentation> TorchSegmenter::Checked(Segmentation result) const {
  if (IsFinite(result)) return result;
  return Fail("the gradient of network {} has infinite or undefined values; check its weights",
              network_.info.name);
}

// The network is differentiated, not what comes before it: that is undone in one pass over the
// gradient at its input.
void TorchSegmenter::AddGradients(const Frame& frame, const at::Tensor& rgb,
                                  const Objective& objective, Segmentation& result) {
  Stopwatch watch;
  const int downscale = options_.gradient_downscale;
  const auto seen = downscale > 1 ? at::avg_pool2d(rgb, {downscale, downscale}) : rgb;
  const auto input = Padded(seen).detach().set_requires_grad(true);
  const auto add = [&](const torch::autograd::variable_list& by_input, double magnified) {
    AddGradient(by_input.front(), magnified, frame, objective, result);
  };
  at::AutoGradMode with_gradient(true);
  const NetworkAnswer answer = Answer(input, seen);
  if (result.labels.empty()) {
    at::NoGradGuard no_gradient;
    result.labels = answer.Labels(0);
    result.forward_ms = watch.Lap();
  }
  if (objective.kind == ObjectiveKind::kFakeLabelLoss && objective.labels == nullptr) {
    const double magnified = Magnification(answer.LossCount(), objective);
    const LossGradient loss = answer.Loss(0, objective.class_weights, magnified);
    add(torch::autograd::grad({answer.LossLogits()}, {input}, {loss.by_logits}), magnified);
    result.objective = loss.value.item().toDouble();
    result.gradient_ms = watch.Milliseconds();
    return;
  }
  const auto logits = answer.OfPixels();
  const bool projection = objective.kind == ObjectiveKind::kProjection;
  const int passes = projection ? objective.projections : 1;
  for (int pass = 0; pass < passes; ++pass) {
    const auto value = ObjectiveValue(logits, objective, pass);
    if (pass == 0) result.objective = value.item().toDouble();
    const double magnified =
        Magnification(static_cast<double>(logits.size(2) * logits.size(3)), objective);
    add(torch::autograd::grad({value}, {input}, {at::full_like(value, magnified)},
                              /*retain_graph=*/pass + 1 < passes),
        magnified);
  }
  result.gradient_ms = watch.Milliseconds();
}

// One pass's, in the form that is wanted. by_rgb: [1,3,H,W], of the network's input, so many times
// as large.
void TorchSegmenter::AddGradient(at::Tensor by_rgb, double magnified, const Frame& frame,
                                 const Objective& objective, Segmentation& result) const {
  const InputSource source = {frame.color(), frame.width(), frame.height(),
                              options_.gradient_downscale};
  if (network_.info.on_gpu && objective.sums.region_size > 0) {
    AddRegionSums(std::move(by_rgb), source, 1 / magnified, objective.sums, result.sums);
    return;
  }
  result.gradients.push_back(
      GradientFromRgb(std::move(by_rgb), source, 1 / magnified, objective.chroma));
}

// By how much the objective must be larger on its way through the network: a mean over `count`
// pixels has gradients that 16-bit numbers cannot hold. Less than that, as sums over many pixels
// inside a network do not fit float16 either.
double TorchSegmenter::Magnification(double count, const Objective& objective) const {
  const bool mean = objective.kind != ObjectiveKind::kProjection;
  if (network_.info.precision == Precision::kFloat || !mean) return 1;
  return std::max(1.0, count / headroom_);
}

// The frame at a size that the network takes.
at::Tensor TorchSegmenter::Padded(const at::Tensor& rgb) {
  const std::pair<int64_t, int64_t> size(rgb.size(2), rgb.size(3));
  auto known = multiples_.find(size);
  if (known == multiples_.end())
    known = multiples_.emplace(size, FindMultiple(size.first, size.second)).first;
  return PadToMultiple(rgb, known->second);
}

NetworkAnswer TorchSegmenter::Answer(const at::Tensor& padded, const at::Tensor& rgb) const {
  const NetworkOutput output = network_.forward(padded);
  const at::Tensor& logits = output.logits;
  TORCH_CHECK(logits.dim() == 4 && logits.size(0) == padded.size(0) &&
                  logits.size(1) == network_.info.class_count && logits.numel() > 0,
              "its output changed its shape to ", logits.sizes());
  return {output, SizeOf(padded), SizeOf(rgb)};
}

// The padding with which the network runs and its logits are as large as its input, or smaller by
// a whole factor. Throws what the network threw if it does not run at all.
int TorchSegmenter::FindMultiple(int64_t height, int64_t width) const {
  at::NoGradGuard no_gradient;
  const auto grey = at::full({1, 3, height, width}, 0.5, tensor_options_);
  std::exception_ptr failure;
  int usable = 0;
  for (const int multiple : kMultiples) {
    const auto padded = PadToMultiple(grey, multiple);
    try {
      const TensorSize answer = network_.forward(padded).AnswerSize();
      const int64_t factor = padded.size(2) / std::max<int64_t>(1, answer.height);
      if (factor * answer.height == padded.size(2) && factor * answer.width == padded.size(3)) {
        return multiple;
      }
      if (usable == 0) usable = multiple;
    } catch (const std::exception&) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (usable == 0) std::rethrow_exception(failure);
  return usable;
}

}  // namespace

Result<std::unique_ptr<Segmenter>> MakeTorchSegmenter(TorchNetwork network,
                                                      const SegmenterOptions& options) {
  // Frames keep their size; a server runs a network on every new size before it counts.
  if (network.device.is_cuda()) at::globalContext().setBenchmarkCuDNN(true);
  const int downscale = options.gradient_downscale;
  if (downscale != 1 && downscale != 2 && downscale != 4) {
    return Fail("gradient_downscale must be 1, 2 or 4, not {}", downscale);
  }
  auto segmenter = std::make_unique<TorchSegmenter>(std::move(network), options);
  STAC_RETURN_IF_ERROR(segmenter->Probe());
  segmenter->TakeOwnStream();
  return segmenter;
}

std::optional<at::ScalarType> HalfType(const at::Device& device) {
  if (device.is_cuda()) return at::kHalf;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return at::kBFloat16;
#endif
  return std::nullopt;
}

at::ScalarType GradientType(Precision precision, const at::Device& device) {
  return precision == Precision::kFloat ? at::kFloat : *HalfType(device);
}

Result<Precision> ChoosePrecision(Precision precision, const at::Device& device) {
  const bool half = HalfType(device).has_value();
  if (precision == Precision::kAuto)
    return half && device.is_cpu() ? Precision::kHalfGradient : Precision::kFloat;
  if (precision != Precision::kFloat && !half)
    return Fail(
        "half precision needs a CUDA device or a processor with AVX512_BF16: use precision float");
  return precision;
}

TorchForward InHalfPrecision(TorchForward forward) {
  return [forward = std::move(forward)](const at::Tensor& rgb) {
    auto output = forward(rgb.to(at::kHalf).contiguous(at::MemoryFormat::ChannelsLast));
    output.logits = output.logits.to(at::kFloat);
    return output;
  };
}

Result<at::Device> ChooseDevice(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  if (name != "auto" && name != "cuda") {
    return Fail("unknown device '{}': use auto, cpu or cuda", name);
  }
  if (torch::cuda::is_available()) return at::Device(at::kCUDA);
  if (name == "auto") return at::Device(at::kCPU);
  return Fail("no CUDA device is available to LibTorch: use --device cpu, or a LibTorch with CUDA");
}

}  // namespace stac
