#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stac/base/grid.h"
#include "stac/base/result.h"
#include "stac/video/frame.h"
#include "stac/video/maps.h"

namespace stac {

// The numbers that networks compute with. Those of 16 bits need a GPU or a processor with
// AVX512_BF16 and are refused elsewhere; what they gain and cost: docs/results.md.
enum class Precision {
  kAuto,          // kHalfGradient on processors with AVX512_BF16, otherwise kFloat
  kFloat,         // 32 bits
  kHalfGradient,  // labels as with kFloat; convolutions find the gradient in 16 bits
  kHalf,          // 16 bits; on a CPU for weight files of our own only
};
// "auto", "float", "half-gradient", "half", in that order.
const std::vector<std::string>& PrecisionNames();
const std::string& PrecisionName(Precision precision);
// Nothing for other names.
std::optional<Precision> PrecisionFromName(std::string_view name);

struct NetworkInfo {
  std::string name;  // file name without extension, or the definition's name
  std::string hash;  // of the file's bytes: 16 hexadecimal digits
  int class_count = 0;
  int64_t parameters = 0;
  bool on_gpu = false;
  Precision precision = Precision::kFloat;  // never kAuto
};

// What the backward pass differentiates.
enum class ObjectiveKind {
  kFakeLabelLoss,  // mean cross-entropy against the output's own argmax, at its size (IV-B)
  kMargin,         // mean difference between the two largest logits
  kProjection,     // <r, softmax(logits)> with r Gaussian, fixed by the seed: one pass for each
};
// Sums of gradients over regions, where no more is wanted (allocate/sensitivity.h).
struct RegionSums {
  int region_size = 0;       // pixels, a multiple of 16; 0: the gradients themselves are wanted
  int block_size = 8;        // of the DCT: 4 or 8
  double chroma_weight = 0;  // > 0 needs Objective::chroma
  friend bool operator==(const RegionSums&, const RegionSums&) = default;
};

struct Objective {
  ObjectiveKind kind = ObjectiveKind::kProjection;
  int projections = 2;
  uint64_t seed = 1;
  // Per-class weights on each pixel's share, by its predicted class; empty: all 1.
  std::vector<float> class_weights;
  // false: only luma's gradients are wanted, and cb and cr may stay empty: a shorter way back from
  // a GPU.
  bool chroma = true;
  // A network on a GPU answers with these instead of gradients, which would be megabytes; any other
  // with gradients all the same.
  RegionSums sums;
  // kFakeLabelLoss: take the loss against these labels (frame size, every pixel a class of the
  // network) instead of the output's own: the true loss. Borrowed for the call.
  const LabelMap* labels = nullptr;
};

// d objective / d sample, in units of one 8-bit sample step, per plane at the plane's own size.
struct InputGradient {
  Grid<float> y, cb, cr;
};

struct Segmentation {
  LabelMap labels;
  // One per backward pass (kProjection: `projections` of them, otherwise one); empty if none asked.
  std::vector<InputGradient> gradients;
  // Objective::sums, where gradients were not wanted: for each region the sum over backward passes
  // and coefficients of |DCT of the gradient|, chroma weighted. Empty: the gradients are there.
  Grid<float> sums;
  double objective = 0;  // value of the first objective
  double forward_ms = 0;
  double gradient_ms = 0;
};

// A segmentation network on I420 frames: colour conversion as the frame's ColorSpec says (chroma
// repeated to full size), forward, labels, and the gradient back to the samples. Not thread-safe:
// one Segmenter for each thread; several may share weights through Clone().
class Segmenter {
 public:
  virtual ~Segmenter() = default;
  virtual const NetworkInfo& info() const = 0;
  // Labels only.
  virtual Result<Segmentation> Run(const Frame& frame) = 0;
  // Labels and gradients of the objective.
  virtual Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) = 0;
  // The same for several frames (objective null: labels only), in one pass where that is possible;
  // otherwise, as here, one after the other. The results are those of single frames up to the
  // rounding of sums; times are shares of the pass.
  virtual std::vector<Result<Segmentation>> RunBatch(std::span<const Frame* const> frames,
                                                     const Objective* objective);
  virtual std::unique_ptr<Segmenter> Clone() const = 0;
};

struct SegmenterOptions {
  int threads = 0;              // at least 2 are used; 0: all cores
  std::string device = "auto";  // auto, cpu, cuda
  Precision precision = Precision::kFloat;
  // The gradient is taken on a frame reduced by this factor (1, 2, 4) and spread back: cheaper,
  // and a little less exact.
  int gradient_downscale = 1;
};

// Loads a TorchScript file (input RGB float [N,3,H,W] in 0..1, output logits [N,C,H,W] or a tuple
// or dictionary whose first entry is that) or one of our own weight files (.stacnet).
Result<std::unique_ptr<Segmenter>> LoadSegmenter(const std::string& path,
                                                 const SegmenterOptions& options = {});

}  // namespace stac
