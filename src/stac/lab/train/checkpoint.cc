#include <torch/serialize/archive.h>
#include <torch/utils.h>

#include <sstream>

#include "stac/base/file.h"
#include "stac/base/log.h"
#include "stac/lab/train/checkpoint_internal.h"
#include "stac/segment/networks/import_weights_internal.h"
#include "stac/segment/networks/networks.h"

namespace stac {
namespace {

std::unique_ptr<torch::optim::AdamW> MakeOptimizer(const TrainRecipe& recipe,
                                                   SegmentationNetwork& network) {
  // Weight decay is for convolution kernels only: on biases and normalizations it does harm.
  std::vector<torch::Tensor> kernels, others;
  for (const torch::Tensor& parameter : network.parameters())
    (parameter.dim() > 1 ? kernels : others).push_back(parameter);
  using torch::optim::AdamWOptions;
  const auto options = [&](double decay) {
    return std::make_unique<AdamWOptions>(AdamWOptions(recipe.learning_rate).weight_decay(decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(kernels, options(recipe.weight_decay));
  groups.emplace_back(others, options(0));
  return std::make_unique<torch::optim::AdamW>(groups, AdamWOptions(recipe.learning_rate));
}

Status TakeInitialWeights(const TrainRecipe& recipe, const torch::Tensor& rgb,
                          SegmentationNetwork& network) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(recipe.initial));
  if (!IsStacnet(bytes)) {
    if (recipe.initial_share > 0) return Fail("network.initial_share is for .stacnet files");
    STAC_ASSIGN_OR_RETURN(const NamedTensors weights, ReadNamedTensors(recipe.initial));
    return ImportWeights(weights, /*backbone_only=*/true, network);
  }
  STAC_ASSIGN_OR_RETURN(const Stacnet file, DecodeStacnet(bytes));
  if (file.definition != recipe.network || file.classes != recipe.classes)
    return Fail("it is {} with {} classes, the recipe wants {}", file.definition, file.classes,
                recipe.classes);
  UnfoldBatchNorm(*file.network, rgb, network);
  return OkStatus();
}

}  // namespace

Result<TrainState> MakeTrainState(const TrainRecipe& recipe, const torch::Tensor& rgb,
                                  const torch::Device& device) {
  torch::manual_seed(recipe.seed);
  TrainState state;
  STAC_ASSIGN_OR_RETURN(state.network, MakeNetwork(recipe.network, recipe.classes));
  state.network->set_contrast_limit(recipe.contrast_limit);
  if (!recipe.initial.empty()) {
    if (Status status = TakeInitialWeights(recipe, rgb, *state.network); !status)
      return Fail("{} does not fit {}: {}", recipe.initial.string(), recipe.network,
                  status.error().message);
  }
  state.network->to(device);
  if (recipe.ema_decay > 0) {
    STAC_ASSIGN_OR_RETURN(state.average, MakeNetwork(recipe.network, recipe.classes));
    state.average->set_contrast_limit(recipe.contrast_limit);
    state.average->to(device);
    torch::NoGradGuard no_grad;
    const auto copy = [](const auto& from, const auto& to) {
      for (const auto& item : from) torch::Tensor(to[item.key()]).copy_(item.value());
    };
    copy(state.network->named_parameters(), state.average->named_parameters());
    copy(state.network->named_buffers(), state.average->named_buffers());
    state.average->eval();
  }
  state.optimizer = MakeOptimizer(recipe, *state.network);
  return state;
}

Result<std::vector<WeightShare>> LoadAverages(const TrainRecipe& recipe) {
  std::vector<AverageSpec> specs = recipe.averages;
  if (recipe.initial_share > 0) specs.push_back({recipe.initial.string(), recipe.initial_share});
  std::vector<WeightShare> averages;
  for (const AverageSpec& spec : specs) {
    STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(spec.file));
    const auto file = DecodeStacnet(bytes);
    if (!file) return Fail("cannot average with {}: {}", spec.file, file.error().message);
    if (file->definition != recipe.network || file->classes != recipe.classes)
      return Fail("cannot average with {}: it is {} with {} classes, the recipe wants {} with {}",
                  spec.file, file->definition, file->classes, recipe.network, recipe.classes);
    averages.push_back({file->network, spec.share});
  }
  return averages;
}

Status SaveCheckpoint(const std::filesystem::path& file, const TrainRecipe& recipe,
                      const TrainState& state) {
  std::ostringstream out;
  try {
    torch::serialize::OutputArchive archive, network, average, optimizer;
    archive.write("step", c10::IValue(state.step));
    archive.write("definition", c10::IValue(recipe.network));
    archive.write("classes", c10::IValue(int64_t{recipe.classes}));
    archive.write("averaged", c10::IValue(state.average != nullptr));
    archive.write("recipe", c10::IValue(recipe.text));
    state.network->save(network);
    archive.write("network", network);
    if (state.average) {
      state.average->save(average);
      archive.write("average", average);
    }
    state.optimizer->save(optimizer);
    archive.write("optimizer", optimizer);
    archive.save_to(out);
  } catch (const std::exception& e) {
    return Fail("cannot write a checkpoint: {}", e.what());
  }
  return WriteFile(file, out.view());
}

Status LoadCheckpoint(const std::filesystem::path& file, const TrainRecipe& recipe,
                      TrainState& state) {
  STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(file));
  try {
    torch::serialize::InputArchive archive, network, average, optimizer;
    archive.load_from(reinterpret_cast<const char*>(bytes.data()), bytes.size(),
                      state.network->parameters().front().device());
    c10::IValue step, definition, classes, averaged, text;
    archive.read("step", step);
    archive.read("definition", definition);
    archive.read("classes", classes);
    archive.read("averaged", averaged);
    archive.read("recipe", text);
    if (definition.toStringRef() != recipe.network || classes.toInt() != recipe.classes)
      return Fail(
          "the checkpoint {} is of {} with {} classes, the recipe trains {} with {}: use "
          "another output folder",
          file.string(), definition.toStringRef(), classes.toInt(), recipe.network, recipe.classes);
    if (averaged.toBool() != (state.average != nullptr))
      return Fail("the checkpoint {} was made {} averaged weights: set train.ema_decay as it was",
                  file.string(), averaged.toBool() ? "with" : "without");
    if (text.toStringRef() != recipe.text)
      spdlog::warn("the recipe has changed since {} was written: going on with the new one",
                   file.string());
    archive.read("network", network);
    state.network->load(network);
    if (state.average) {
      archive.read("average", average);
      state.average->load(average);
    }
    archive.read("optimizer", optimizer);
    state.optimizer->load(optimizer);
    state.step = step.toInt();
  } catch (const std::exception& e) {
    return Fail("the checkpoint {} is broken or cut off: delete it to start again ({})",
                file.string(), std::string(e.what()).substr(0, 120));
  }
  return OkStatus();
}

}  // namespace stac
