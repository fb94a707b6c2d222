#include <filesystem>

#include "stac/base/file.h"
#include "stac/base/progress.h"
#include "stac/lab/train/dataset.h"
#include "stac/lab/train/teacher_internal.h"
#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

torch::Tensor RgbTensor(const TrainSample& sample) {
  return torch::from_blob(const_cast<uint8_t*>(sample.rgb.data()), {sample.height, sample.width, 3},
                          torch::kUInt8)
      .permute({2, 0, 1})
      .unsqueeze(0)
      .to(torch::kFloat)
      .div_(255);
}

Result<std::unique_ptr<Teacher>> Teacher::Load(const std::vector<TeacherSpec>& members, int classes,
                                               const torch::Device& device) {
  auto teacher = std::make_unique<Teacher>();
  teacher->classes_ = classes;
  teacher->device_ = device;
  for (const TeacherSpec& member : members) {
    auto network = OpenNetwork(member.file, device, Precision::kFloat, Passes::kForward);
    if (!network) return Fail("cannot load the teacher: {}", network.error().message);
    teacher->members_.push_back({std::move(network->forward), member.weight, member.file});
  }
  return teacher;
}

Result<torch::Tensor> Teacher::Logits(Loaded& member, const torch::Tensor& rgb) {
  try {
    const torch::Tensor logits = member.forward(rgb).Answer();
    if (logits.dim() != 4 || logits.size(1) != classes_)
      return Fail(
          "the teacher {} has {} classes, the recipe says {}: change network.classes or "
          "the teacher",
          member.file, logits.dim() == 4 ? logits.size(1) : 0, classes_);
    return logits;
  } catch (const std::exception& e) {
    return Fail("the teacher {} failed on a picture of {}x{}: {}", member.file, rgb.size(3),
                rgb.size(2), std::string(e.what()).substr(0, 200));
  }
}

Result<torch::Tensor> Teacher::Probabilities(const torch::Tensor& rgb) {
  torch::NoGradGuard no_grad;
  torch::Tensor mean;
  double total = 0;
  for (Loaded& member : members_) {
    STAC_ASSIGN_OR_RETURN(const torch::Tensor logits, Logits(member, rgb));
    const torch::Tensor share =
        torch::avg_pool2d(ResizeLike(logits, rgb).softmax(1), kTeacherStride) * member.weight;
    mean = mean.defined() ? mean + share : share;
    total += member.weight;
  }
  return mean / total;
}

Status Teacher::Label(TrainSample& sample) {
  STAC_ASSIGN_OR_RETURN(const torch::Tensor mean, Probabilities(RgbTensor(sample).to(device_)));
  const torch::Tensor bytes = (mean * 255).round().to(torch::kUInt8).cpu().contiguous();
  const auto* data = bytes.data_ptr<uint8_t>();
  sample.teacher.assign(data, data + bytes.numel());
  sample.teacher_classes = classes_;
  return OkStatus();
}

namespace {

// What the probabilities depend on besides the picture.
Result<std::string> TeachersKey(const TrainRecipe& recipe) {
  std::string key = std::to_string(recipe.classes);
  for (const TeacherSpec& teacher : recipe.teachers) {
    STAC_ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(teacher.file));
    key += fmt::format(" {} {}", HexHash(bytes), teacher.weight);
  }
  return key;
}

std::filesystem::path CacheFile(const std::filesystem::path& folder, const std::string& key,
                                const TrainSample& sample) {
  ByteWriter identity;
  identity.Append(AsBytes(fmt::format("{} {}x{} ", key, sample.width, sample.height)));
  identity.Append(sample.rgb);
  return folder / (HexHash(identity.bytes()) + ".sample");
}

bool TakeFromCache(const std::filesystem::path& file, TrainSample& sample) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return false;
  const auto bytes = ReadFile(file);
  if (!bytes) return false;
  auto cached = DecodeSample(*bytes);  // a broken file is simply made again
  if (!cached || cached->rgb != sample.rgb || !cached->has_teacher()) return false;
  sample.teacher_classes = cached->teacher_classes;
  sample.teacher = std::move(cached->teacher);
  return true;
}

}  // namespace

Status Distil(const TrainRecipe& recipe, const std::filesystem::path& cache_folder,
              std::vector<TrainSample>& samples, const std::atomic<bool>* stop) {
  if (!recipe.distilled()) return OkStatus();
  STAC_ASSIGN_OR_RETURN(const torch::Device device, ChooseDevice(recipe.device));
  PrepareInferenceThread(0);
  STAC_ASSIGN_OR_RETURN(const auto teacher, Teacher::Load(recipe.teachers, recipe.classes, device));
  STAC_ASSIGN_OR_RETURN(const std::string key, TeachersKey(recipe));
  Progress progress("asking the teachers", static_cast<int64_t>(samples.size()));
  for (size_t i = 0; i < samples.size(); ++i) {
    if (stop != nullptr && *stop)
      return Fail("interrupted; the teachers answered for {} of {} pictures{}", i, samples.size(),
                  cache_folder.empty() ? "" : ", and their answers are kept");
    const std::filesystem::path file = CacheFile(cache_folder, key, samples[i]);
    if (cache_folder.empty() || !TakeFromCache(file, samples[i])) {
      STAC_RETURN_IF_ERROR(teacher->Label(samples[i]));
      if (!cache_folder.empty()) {
        TrainSample kept = samples[i];
        kept.labels.clear();
        STAC_RETURN_IF_ERROR(WriteFile(file, EncodeSample(kept)));
      }
    }
    progress.Update(static_cast<int64_t>(i + 1));
  }
  return OkStatus();
}

}  // namespace stac
