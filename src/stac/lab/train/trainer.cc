#include "stac/lab/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>

#include "stac/base/clock.h"
#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/base/revision.h"
#include "stac/lab/train/batch_loader_internal.h"
#include "stac/lab/train/checkpoint_internal.h"
#include "stac/lab/train/losses_internal.h"
#include "stac/lab/train/teacher_internal.h"
#include "stac/lab/train/validate_internal.h"
#include "stac/segment/networks/stacnet_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

constexpr size_t kLossWindow = 20;
constexpr int kMaxLoaders = 12;

Status CheckSamples(const TrainRecipe& recipe, const std::vector<TrainSample>& samples) {
  if (samples.empty()) return Fail("there are no pictures to train on");
  for (const TrainSample& sample : samples) {
    if (sample.has_teacher() && sample.teacher_classes != recipe.classes)
      return Fail("the teachers know {} classes, the network {}: change network.classes",
                  sample.teacher_classes, recipe.classes);
    for (const uint8_t label : sample.labels)
      if (label != kUnknownLabel && label >= recipe.classes)
        return Fail(
            "a label picture holds the value {}, outside the network's {} classes (255 "
            "means unknown): change network.classes or the labels",
            label, recipe.classes);
    if (recipe.augment.paste_share > 0 && !sample.has_teacher())
      return Fail("augment.paste_share needs the teachers' answers for every picture beforehand");
    if (!sample.has_labels() && !sample.has_teacher() && !recipe.live_teacher)
      return Fail("a picture of the training set has neither labels nor a teacher");
  }
  return OkStatus();
}

// The GPU computes while these make the next batches; on a CPU nothing is won.
int LoaderCount(const torch::Device& device) {
  if (!device.is_cuda()) return 0;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) - 2, 1, kMaxLoaders);
}

// While it lives, this thread computes in bfloat16 on a device of that type (every one that has
// numbers of 16 bits is fast with it): half the memory, and
// unlike 16-bit floats it needs no scaling of the loss.
class Autocast {
 public:
  Autocast(const torch::Device& device, bool on) : type_(device.type()), on_(on) {
    if (on_) Set(true);
  }
  ~Autocast() {
    if (!on_) return;
    Set(false);
    at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  void Set(bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_enabled(type_, enabled);
    at::autocast::set_autocast_dtype(type_, at::kBFloat16);
#else
    if (type_ == at::kCUDA) {
      at::autocast::set_enabled(enabled);
      at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    } else {
      at::autocast::set_cpu_enabled(enabled);
      at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    }
#endif
  }
  const at::DeviceType type_;
  const bool on_;
};

class Trainer {
 public:
  Trainer(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
          const std::vector<TrainSample>& validation, const TrainRun& run, torch::Device device,
          TrainState state, std::unique_ptr<Teacher> live_teacher, std::vector<WeightShare> others)
      : recipe_(recipe),
        validation_(validation),
        run_(run),
        device_(device),
        state_(std::move(state)),
        live_teacher_(std::move(live_teacher)),
        others_(std::move(others)),
        end_(run.stop_before < 0 ? recipe.steps : std::min(recipe.steps, run.stop_before)),
        batches_(recipe, samples, run.codec_noise, state_.step, end_, LoaderCount(device)) {}

  Result<TrainReport> Run();

 private:
  Result<double> Step();
  Result<TrainBatch> NextBatch();
  void UpdateAverage();
  void ValidateNow(TrainReport& report);
  Status OpenLog();
  Status SaveNetwork();
  SegmentationNetwork& best() { return state_.average ? *state_.average : *state_.network; }
  std::filesystem::path CheckpointFile() const { return run_.folder / "checkpoint.pt"; }

  const TrainRecipe& recipe_;
  const std::vector<TrainSample>& validation_;
  const TrainRun& run_;
  torch::Device device_;
  TrainState state_;
  std::unique_ptr<Teacher> live_teacher_;  // null: the samples bring the answers along
  std::vector<WeightShare> others_;        // in what is saved at the end
  const int64_t end_;                      // of the steps of this run
  BatchLoader batches_;
  std::ofstream log_;
};

// On the trainer's device.
Result<TrainBatch> Trainer::NextBatch() {
  STAC_ASSIGN_OR_RETURN(TrainBatch batch, batches_.Next());
  for (torch::Tensor* tensor : {&batch.rgb, &batch.labels, &batch.teacher})
    if (tensor->defined()) *tensor = tensor->to(device_);
  if (live_teacher_) {
    STAC_ASSIGN_OR_RETURN(batch.teacher, live_teacher_->Probabilities(batch.rgb));
  }
  if (batch.teacher.defined()) batch.teacher = Sharpened(batch.teacher, recipe_.sharpen);
  batch.rgb = batch.rgb.contiguous(torch::MemoryFormat::ChannelsLast);
  return batch;
}

Result<double> Trainer::Step() {
  STAC_ASSIGN_OR_RETURN(const TrainBatch batch, NextBatch());
  const double rate = LearningRate(recipe_, state_.step);
  for (auto& group : state_.optimizer->param_groups())
    static_cast<torch::optim::AdamWOptions&>(group.options()).lr(rate);

  std::vector<torch::Tensor> outputs;
  {
    const Autocast autocast(device_, recipe_.mixed_precision && HalfType(device_).has_value());
    outputs = state_.network->Forward(batch.rgb);
  }

  torch::Tensor loss = torch::zeros({}, device_);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double weight = i == 0 ? 1 : recipe_.auxiliary_loss;
    if (batch.teacher.defined())
      loss = loss + weight * recipe_.teacher_loss *
                        TeacherLoss(outputs[i], batch.teacher, recipe_.balance);
    if (batch.labels.defined() && recipe_.labels_loss > 0)
      loss = loss + weight * recipe_.labels_loss * LabelsLoss(outputs[i], batch.labels);
  }
  const double value = loss.item<double>();
  if (!std::isfinite(value))
    return Fail(
        "the loss became {} at step {}: lower train.learning_rate; the last checkpoint is "
        "kept",
        value, state_.step);
  state_.optimizer->zero_grad();
  loss.backward();
  state_.optimizer->step();
  ++state_.step;
  UpdateAverage();
  return value;
}

void Trainer::UpdateAverage() {
  if (!state_.average) return;
  torch::NoGradGuard no_grad;
  // Short memory at first, so that the random start is forgotten.
  const auto done = static_cast<double>(state_.step);
  const double keep = std::min(recipe_.ema_decay, (1 + done) / (10 + done));
  const auto blend = [keep](const auto& from, const auto& to) {
    for (const auto& item : from) {
      torch::Tensor target = to[item.key()];
      if (target.is_floating_point())
        target.lerp_(item.value(), 1 - keep);
      else
        target.copy_(item.value());
    }
  };
  blend(state_.network->named_parameters(), state_.average->named_parameters());
  blend(state_.network->named_buffers(), state_.average->named_buffers());
}

void Trainer::ValidateNow(TrainReport& report) {
  if (validation_.empty()) return;
  best().eval();
  const ConfusionMatrix confusion =
      Validate(best(), validation_, recipe_.classes, recipe_.distilled(), device_);
  if (!state_.average) state_.network->train();
  report.pixel_accuracy = confusion.PixelAccuracy();
  report.mean_iou = confusion.MeanIou();
}

Status Trainer::OpenLog() {
  const std::filesystem::path file = run_.folder / "log.csv";
  // What a killed run logged behind its last checkpoint is done, and logged, again.
  std::string kept = "step,learning_rate,loss,seconds,pixel_accuracy,mean_iou\n";
  if (state_.step > 0) {
    std::ifstream before(file);
    std::string line;
    std::getline(before, line);
    while (std::getline(before, line))
      if (std::atoll(line.c_str()) <= state_.step) kept += line + "\n";
  }
  log_.open(file, std::ios::trunc);
  log_ << kept << std::flush;
  if (!log_) return Fail("cannot write {}", file.string());
  return OkStatus();
}

Status Trainer::SaveNetwork() {
  const std::string note = fmt::format("trained by stac {} with recipe {}, {} steps",
                                       CodeRevision(), HexHash(AsBytes(recipe_.text)), state_.step);
  STAC_ASSIGN_OR_RETURN(const Bytes bytes,
                        EncodeStacnet(best(), recipe_.network, recipe_.classes, note,
                                      /*half=*/true, others_));
  return WriteFile(run_.folder / "network.stacnet", bytes);
}

Result<TrainReport> Trainer::Run() {
  STAC_RETURN_IF_ERROR(OpenLog());
  TrainReport report;
  for (const torch::Tensor& parameter : state_.network->parameters())
    report.parameters += parameter.numel();
  Progress progress("training " + recipe_.network, recipe_.steps);
  std::deque<double> losses;
  const auto mean = [&losses] {
    return losses.empty() ? NAN
                          : std::accumulate(losses.begin(), losses.end(), 0.0) /
                                static_cast<double>(losses.size());
  };
  Stopwatch watch;
  int64_t steps_here = 0;
  state_.network->train();
  while (state_.step < end_) {
    STAC_ASSIGN_OR_RETURN(const double loss, Step());
    losses.push_back(loss);
    if (losses.size() > kLossWindow) losses.pop_front();
    if (++steps_here <= static_cast<int64_t>(kLossWindow)) report.first_loss = mean();
    const bool last = state_.step == end_;
    const bool validate =
        last || (recipe_.validate_every > 0 && state_.step % recipe_.validate_every == 0);
    if (validate) ValidateNow(report);
    if (validate || state_.step % 20 == 0) {
      log_ << fmt::format("{},{:.3e},{:.5f},{:.1f},", state_.step,
                          LearningRate(recipe_, state_.step - 1), mean(),
                          watch.Milliseconds() / 1000);
      if (validate && !validation_.empty())
        log_ << fmt::format("{:.4f},{:.4f}", report.pixel_accuracy, report.mean_iou);
      else
        log_ << ",";
      log_ << std::endl;
    }
    const bool stopped = run_.stop != nullptr && *run_.stop;
    if (last || stopped || state_.step % recipe_.checkpoint_every == 0)
      STAC_RETURN_IF_ERROR(SaveCheckpoint(CheckpointFile(), recipe_, state_));
    if (stopped) break;
    if (run_.show_progress) progress.Update(state_.step, fmt::format("loss {:.4f}", mean()));
  }
  report.steps = state_.step;
  report.last_loss = mean();
  report.finished = state_.step >= recipe_.steps;
  if (steps_here == 0) ValidateNow(report);
  if (report.finished) STAC_RETURN_IF_ERROR(SaveNetwork());
  return report;
}

}  // namespace

Result<TrainReport> TrainNetwork(const TrainRecipe& recipe, const std::vector<TrainSample>& samples,
                                 const std::vector<TrainSample>& validation, const TrainRun& run) {
  STAC_RETURN_IF_ERROR(CheckSamples(recipe, samples));
  if (recipe.augment.codec_share > 0 && !run.codec_noise)
    return Fail("augment.codec_share needs a program that was built with STAC_DEVICE (x264)");
  STAC_RETURN_IF_ERROR(MakeFolder(run.folder));
  STAC_ASSIGN_OR_RETURN(const torch::Device device, ChooseDevice(recipe.device));
  PrepareInferenceThread(0);
  STAC_ASSIGN_OR_RETURN(const TrainBatch first,
                        BatchMaker(recipe, samples, run.codec_noise).Make(0));
  STAC_ASSIGN_OR_RETURN(TrainState state, MakeTrainState(recipe, first.rgb, device));
  STAC_ASSIGN_OR_RETURN(std::vector<WeightShare> others, LoadAverages(recipe));
  const std::filesystem::path file = run.folder / "checkpoint.pt";
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    if (!run.resume)
      return Fail("{} is there already: resume it, or choose another output folder", file.string());
    STAC_RETURN_IF_ERROR(LoadCheckpoint(file, recipe, state));
  } else if (run.resume) {
    spdlog::warn("there is no {} to go on from: training begins", file.string());
  }
  try {
    LayChannelsLast(*state.network);
    if (device.is_cuda())
      at::globalContext().setBenchmarkCuDNN(true);  // all batches are of one size
    std::unique_ptr<Teacher> live_teacher;
    if (recipe.live_teacher) {
      STAC_ASSIGN_OR_RETURN(live_teacher, Teacher::Load(recipe.teachers, recipe.classes, device));
    }
    return Trainer(recipe, samples, validation, run, device, std::move(state),
                   std::move(live_teacher), std::move(others))
        .Run();
  } catch (const std::exception& e) {
    return Fail("training stopped: {}; the last checkpoint is kept",
                std::string(e.what()).substr(0, 300));
  }
}

}  // namespace stac
