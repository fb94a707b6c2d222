#include "stac/lab/train/tuner_trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "stac/base/check.h"
#include "stac/base/file.h"
#include "stac/base/progress.h"

namespace stac {
namespace {

constexpr int64_t kInputs = TunerNetwork::kInputs;
constexpr int kNormalizationExamples = 20'000;
constexpr int kTestExamples = 8'192;
constexpr int kLogEvery = 100;

struct Batch {
  torch::Tensor features, target;
};

Batch DrawBatch(const TunerData& data, int count, int64_t outputs, std::mt19937_64& random) {
  Batch batch{torch::empty({count, kInputs}), torch::empty({count, outputs})};
  auto* features = batch.features.data_ptr<float>();
  auto* target = batch.target.data_ptr<float>();
  for (int i = 0; i < count; ++i) {
    const TunerData::Example example = data.Draw(random);
    features = std::copy(example.features.begin(), example.features.end(), features);
    target = std::copy_n(example.target.begin(), outputs, target);
  }
  return batch;
}

// The weights of the network's linear layers, in order.
std::vector<TunerNetwork::Layer> LayersOf(const std::vector<torch::nn::Linear>& linear) {
  std::vector<TunerNetwork::Layer> layers;
  for (const auto& from : linear) {
    const torch::Tensor weights = from->weight.detach().contiguous();
    const torch::Tensor bias = from->bias.detach().contiguous();
    const auto* w = weights.data_ptr<float>();
    const auto* b = bias.data_ptr<float>();
    layers.push_back({.inputs = static_cast<size_t>(weights.size(1)),
                      .weights = std::vector<float>(w, w + weights.numel()),
                      .bias = std::vector<float>(b, b + bias.numel())});
  }
  return layers;
}

}  // namespace

Result<TunerTraining> TrainTuner(const TunerData& data, const TunerData& test, size_t outputs,
                                 const TunerTrainOptions& options) {
  STAC_CHECK(outputs == 2 || outputs == 3);
  torch::manual_seed(options.seed);
  std::mt19937_64 random(options.seed);
  const auto output_count = static_cast<int64_t>(outputs);

  const Batch sample = DrawBatch(data, kNormalizationExamples, output_count, random);
  const torch::Tensor mean = sample.features.mean(0);
  // An input that never changes (a table of one rate) must not be divided by 0.
  const torch::Tensor scale = sample.features.std(0).clamp_min(0.1);

  std::vector<torch::nn::Linear> linear;
  torch::nn::Sequential model;
  int64_t width = kInputs;
  for (const int next : options.hidden) {
    linear.emplace_back(width, next);
    model->push_back(linear.back());
    model->push_back(torch::nn::ReLU());
    width = next;
  }
  linear.emplace_back(width, output_count);
  model->push_back(linear.back());

  std::mt19937_64 test_random(options.seed + 1);
  const Batch held_out = DrawBatch(test, kTestExamples, output_count, test_random);
  const auto loss_of = [&](const Batch& batch) {
    return torch::mse_loss(model->forward((batch.features - mean) / scale), batch.target);
  };

  torch::optim::Adam optimizer(model->parameters(),
                               torch::optim::AdamOptions(options.learning_rate));
  TunerTraining result{.network = TunerNetwork(options.origin, {}, {}, LayersOf(linear))};
  std::string log = "step,loss,test_loss\n";
  Progress progress("tuner", options.steps);
  for (int step = 1; step <= options.steps; ++step) {
    if (options.stop != nullptr && *options.stop) return Fail("training was stopped");
    const double share = static_cast<double>(options.steps - step + 1) / options.steps;
    for (auto& group : optimizer.param_groups()) {
      static_cast<torch::optim::AdamOptions&>(group.options()).lr(options.learning_rate * share);
    }
    optimizer.zero_grad();
    const torch::Tensor loss = loss_of(DrawBatch(data, options.batch, output_count, random));
    loss.backward();
    optimizer.step();
    const double now = loss.item<double>();
    result.loss = step == 1 ? now : result.loss + 0.02 * (now - result.loss);
    if (step % kLogEvery != 0 && step != options.steps) continue;
    const torch::NoGradGuard no_grad;
    result.test_loss = loss_of(held_out).item<double>();
    log += fmt::format("{},{:.5g},{:.5g}\n", step, result.loss, result.test_loss);
    progress.Update(step, fmt::format("loss {:.3f}", result.loss));
  }
  progress.Finish();
  if (!std::isfinite(result.loss) || !std::isfinite(result.test_loss)) {
    return Fail("the loss became {}: train with a lower learning rate", result.loss);
  }
  if (!options.log.empty()) STAC_RETURN_IF_ERROR(WriteFile(options.log, log));

  std::array<float, TunerNetwork::kInputs> mean_values{}, scale_values{};
  std::copy_n(mean.data_ptr<float>(), kInputs, mean_values.begin());
  std::copy_n(scale.data_ptr<float>(), kInputs, scale_values.begin());
  result.network = TunerNetwork(options.origin, mean_values, scale_values, LayersOf(linear));
  return result;
}

}  // namespace stac
