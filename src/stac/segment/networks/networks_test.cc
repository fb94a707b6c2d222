#include "stac/segment/networks/networks.h"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/serialize.h>

#include <filesystem>
#include <ostream>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/segment/networks/import_weights_internal.h"
#include "stac/segment/networks/layers_internal.h"
#include "stac/segment/networks/stacnet_internal.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

int64_t CountParameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// Statistics as after some training, so that folding has something to fold.
void Disturb(SegmentationNetwork& network) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  for (const auto& buffer : network.named_buffers()) {
    torch::Tensor values = buffer.value();
    if (buffer.key().ends_with("running_mean")) values.normal_(0, 0.1);
    if (buffer.key().ends_with("running_var")) values.uniform_(0.5, 2.0);
  }
  for (const auto& parameter : network.named_parameters())
    if (parameter.key().ends_with("bn.weight") || parameter.key().ends_with("bn.bias"))
      torch::Tensor(parameter.value()).uniform_(0.5, 1.0);
}

struct Published {
  const char* name;
  double millions;  // parameters
  double gigamacs;  // at 2048x1024
  int output_stride;

  friend std::ostream& operator<<(std::ostream& out, const Published& p) { return out << p.name; }
};

class PublishedCost : public ::testing::TestWithParam<Published> {};

TEST_P(PublishedCost, AgreesWithTheLiterature) {
  const auto cost = MeasureNetworkCost(GetParam().name, 19, 2048, 1024);
  ASSERT_TRUE(cost) << cost.error().message;
  EXPECT_NEAR(cost->parameters / 1e6, GetParam().millions, 0.06);
  EXPECT_NEAR(cost->macs / 1e9, GetParam().gigamacs, 0.005 * GetParam().gigamacs);
  EXPECT_EQ(cost->output_stride, GetParam().output_stride);
}

// Parameters: the README of fyu/drn says 16.4 M and 26.5 M with the 1000-class ImageNet layer of
// 513,000, which ours replaces by one of 9,747. Multiply-accumulates: the sums that
// docs/networks.md works out from the layers' shapes.
INSTANTIATE_TEST_SUITE_P(Networks, PublishedCost,
                         ::testing::Values(Published{"drn-d-22", 16.4 - 0.503, 545.07, 8},
                                           Published{"drn-d-38", 26.5 - 0.503, 883.30, 8},
                                           Published{"bisenet", 13.24, 118.31, 8},
                                           Published{"edge", 1.68, 14.61, 4},
                                           Published{"accmpeg", 0.11, 1.933, 16}));

TEST(Networks, UnknownNamesAndClassCountsAreRefused) {
  EXPECT_THAT(MakeNetwork("resnet", 19).error().message, HasSubstr("drn-d-22"));
  EXPECT_THAT(MakeNetwork("edge", 1).error().message, HasSubstr("2 to 255"));
  EXPECT_FALSE(MakeNetwork("edge", 256));
}

TEST(Networks, EveryDefinitionTakesAnyClassCountAndKeepsItsShape) {
  for (const std::string& name : NetworkNames()) {
    auto network = MakeNetwork(name, 5);
    ASSERT_TRUE(network);
    const auto training = (*network)->Forward(torch::rand({2, 3, 64, 96}));
    EXPECT_EQ(training.size(), name == "bisenet" ? 3u : 1u);
    (*network)->eval();
    const auto logits = (*network)->Forward(torch::rand({1, 3, 64, 96}));
    ASSERT_EQ(logits.size(), 1u);
    const int stride = name == "edge" ? 4 : name == "accmpeg" ? 16 : 8;
    EXPECT_EQ(logits[0].sizes(), (std::vector<int64_t>{1, 5, 64 / stride, 96 / stride})) << name;
  }
}

TEST(Networks, OddSizesRun) {
  for (const char* name : {"edge", "bisenet"}) {
    auto network = *MakeNetwork(name, 3);
    network->eval();
    EXPECT_EQ(network->Forward(torch::rand({1, 3, 70, 102}))[0].size(1), 3);
  }
}

// An output cell of DRN-D-22 sees exactly this far: the reach of a stack of convolutions is the sum
// of (kernel - 1) / 2 * dilation * the stride so far.
TEST(Networks, DrnSeesAsFarAsItsDilationsSay) {
  const int level_0_to_2 = 3 + 1 + 1, level_3 = 2 + 3 * 4, level_4 = 4 + 3 * 8;
  const int level_5 = 4 * 2 * 8, level_6 = 4 * 4 * 8, level_7_and_8 = 2 * 8 + 8;
  const int reach = level_0_to_2 + level_3 + level_4 + level_5 + level_6 + level_7_and_8;
  auto network = *MakeNetwork("drn-d-22", 2);
  network->eval();
  network->to(torch::kDouble);
  torch::NoGradGuard no_grad;
  for (torch::Tensor parameter : network->parameters())
    if (parameter.dim() == 4) parameter.fill_(0.02);  // positive: nothing cancels
  const int64_t cells = 2 * reach / 8 + 8, centre = cells / 2;
  const torch::Tensor grey = torch::full({1, 3, 8, 8 * cells}, 0.5, torch::kDouble);
  const auto output = [&](const torch::Tensor& rgb) {
    return network->Forward(rgb)[0][0][0][0][centre].item<double>();
  };
  const double unchanged = output(grey);
  const auto sees = [&](int64_t x) {
    torch::Tensor changed = grey.clone();
    changed.select(3, x).fill_(1.0);
    return output(changed) != unchanged;
  };
  EXPECT_TRUE(sees(centre * 8 - reach));
  EXPECT_FALSE(sees(centre * 8 - reach - 1));
  EXPECT_TRUE(sees(centre * 8 + reach));
  EXPECT_FALSE(sees(centre * 8 + reach + 1));
}

TEST(Networks, FoldingKeepsTheOutput) {
  for (const std::string& name : NetworkNames()) {
    auto network = *MakeNetwork(name, 4);
    Disturb(*network);
    network->eval();
    torch::NoGradGuard no_grad;
    const torch::Tensor rgb = torch::rand({1, 3, 64, 64});
    const torch::Tensor before = network->Forward(rgb)[0];
    const int64_t parameters = CountParameters(*network);
    FoldBatchNorm(*network);
    const torch::Tensor after = network->Forward(rgb)[0];
    EXPECT_LT(CountParameters(*network), parameters);
    EXPECT_LT((before - after).abs().max().item<double>(), 1e-3 * before.abs().max().item<double>())
        << name;
  }
}

TEST(Networks, FreezingKeepsTheOutputAndItsGradient) {
  for (const std::string& name : NetworkNames()) {
    auto network = *MakeNetwork(name, 4);
    Disturb(*network);
    network->eval();
    network->DropTrainingHeads();
    FoldBatchNorm(*network);
    network->to(torch::kDouble);
    const torch::Tensor rgb = torch::rand({1, 3, 38, 46}, torch::kDouble).requires_grad_();
    const auto run = [&] {
      const torch::Tensor logits = network->Forward(rgb)[0];
      return std::pair(logits.detach(),
                       torch::autograd::grad({logits.square().sum()}, {rgb}).front());
    };
    const auto [output, gradient] = run();
    FreezeConvolutions(*network, torch::kDouble);
    const auto [frozen_output, frozen_gradient] = run();
    const auto same = [](const torch::Tensor& a, const torch::Tensor& b) {
      return (a - b).abs().max().item<double>() < 1e-10 * b.abs().max().item<double>();
    };
    EXPECT_TRUE(same(frozen_output, output)) << name;
    EXPECT_TRUE(same(frozen_gradient, gradient)) << name;
  }
}

TEST(Networks, UnfoldingGivesTheFoldedOutputInBothModes) {
  for (const std::string& name : NetworkNames()) {
    auto folded = *MakeNetwork(name, 4), unfolded = *MakeNetwork(name, 4);
    Disturb(*folded);
    folded->eval();
    folded->DropTrainingHeads();
    FoldBatchNorm(*folded);
    torch::NoGradGuard no_grad;
    const torch::Tensor rgb = torch::rand({3, 3, 96, 64});
    const torch::Tensor expected = folded->Forward(rgb)[0];
    UnfoldBatchNorm(*folded, rgb, *unfolded);
    EXPECT_TRUE(unfolded->is_training());
    const double tolerance = 1e-3 * expected.abs().max().item<double>();
    const auto difference = [&] {
      return (unfolded->Forward(rgb)[0] - expected).abs().max().item<double>();
    };
    EXPECT_LT(difference(), tolerance) << name;  // normalized by the batch itself
    unfolded->eval();
    // The pass above moved the running statistics, by the batch's unbiased variance.
    EXPECT_LT(difference(), 50 * tolerance) << name;
  }
}

TEST(Networks, ContrastAboveTheLimitMakesNoDifference) {
  for (const std::string& name : NetworkNames()) {
    auto network = *MakeNetwork(name, 4);
    Disturb(*network);
    network->eval();
    torch::NoGradGuard no_grad;
    const torch::Tensor strong = torch::rand({2, 3, 64, 64}).round() * 0.8 + 0.1;
    const torch::Tensor middle = strong.slice(2, 0, 64, 4).slice(3, 0, 64, 4).mean({1, 2, 3}, true);
    const auto with_contrast = [&](double share) { return (strong - middle) * share + middle; };
    const double contrast =
        strong[0].slice(1, 0, 64, 4).slice(2, 0, 64, 4).mean(0).std(false).item<double>();
    const auto difference = [](const torch::Tensor& a, const torch::Tensor& b) {
      return ((a - b).abs().max() / b.abs().max()).item<double>();
    };
    const torch::Tensor free = network->Forward(strong)[0];
    EXPECT_GT(difference(network->Forward(with_contrast(0.6))[0], free), 1e-3) << name;
    network->set_contrast_limit(contrast / 2);
    const torch::Tensor limited = network->Forward(strong)[0];
    EXPECT_LT(difference(network->Forward(with_contrast(0.6))[0], limited), 1e-4) << name;
    EXPECT_GT(difference(network->Forward(with_contrast(0.3))[0], limited), 1e-3) << name;
    network->set_contrast_limit(2 * contrast);
    EXPECT_LT(difference(network->Forward(strong)[0], free), 1e-4) << name;
    EXPECT_TRUE(
        network->Forward(torch::full({1, 3, 64, 64}, 0.5))[0].isfinite().all().item<bool>());
  }
}

TEST(Networks, EachPictureHasItsOwnContrast) {
  auto network = *MakeNetwork("edge", 3);
  Disturb(*network);
  network->eval();
  network->set_contrast_limit(0.1);
  torch::NoGradGuard no_grad;
  torch::Tensor pictures = torch::rand({2, 3, 64, 64});
  pictures[1] *= 0.3;
  const torch::Tensor together = network->Forward(pictures)[0];
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(
        torch::allclose(together[i], network->Forward(pictures.narrow(0, i, 1))[0][0], 1e-3, 1e-4));
}

Bytes SmallFile(bool half = true) {
  auto network = *MakeNetwork("edge", 3);
  Disturb(*network);
  return *EncodeStacnet(*network, "edge", 3, "a test", half);
}

TEST(Stacnet, RoundTripGivesTheSameOutput) {
  auto network = *MakeNetwork("edge", 3);
  Disturb(*network);
  network->set_contrast_limit(0.2);
  const auto bytes = EncodeStacnet(*network, "edge", 3, "a test", false);
  ASSERT_TRUE(bytes);
  EXPECT_TRUE(IsStacnet(*bytes));
  const auto file = DecodeStacnet(*bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->definition, "edge");
  EXPECT_EQ(file->classes, 3);
  EXPECT_EQ(file->note, "a test");
  EXPECT_EQ(file->network->contrast_limit(), 0.2);
  torch::NoGradGuard no_grad;
  network->eval();
  const torch::Tensor rgb = torch::rand({1, 3, 64, 64});
  const torch::Tensor expected = network->Forward(rgb)[0];
  EXPECT_LT((file->network->Forward(rgb)[0] - expected).abs().max().item<double>(),
            1e-3 * expected.abs().max().item<double>());
  EXPECT_TRUE(network->named_buffers().size() > 0);  // the original is not folded
}

// The logits of a picture that requires a gradient, and one by them.
std::pair<torch::Tensor, torch::Tensor> OutputAndGradient(const TorchNetwork& network,
                                                          const torch::Tensor& rgb) {
  const torch::Tensor logits = network.forward(rgb).Answer();
  return {logits.detach(), torch::autograd::grad({logits.square().sum()}, {rgb}).front()};
}

TEST(Stacnet, HalfPrecisionAnswersNearlyTheSame) {
  if (!HalfType(at::kCPU)) GTEST_SKIP() << "skipped: this processor has no AVX512_BF16";
  const TestFolder folder;
  const std::string file = (folder / "small.stacnet").string();
  ASSERT_TRUE(WriteFile(file, SmallFile()));
  const auto plain = OpenStacnet(file, at::kCPU);
  const auto half = OpenStacnet(file, at::kCPU, Precision::kHalf);
  ASSERT_TRUE(plain && half);
  const torch::Tensor rgb = torch::rand({1, 3, 64, 96}).requires_grad_();
  const auto [expected, expected_gradient] = OutputAndGradient(*plain, rgb);
  const auto [found, gradient] = OutputAndGradient(*half, rgb);
  EXPECT_EQ(found.scalar_type(), torch::kFloat);
  EXPECT_EQ(gradient.scalar_type(), torch::kFloat);
  const auto error = [](const torch::Tensor& a, const torch::Tensor& b) {
    return ((a - b).norm() / a.norm()).item<double>();
  };
  EXPECT_LT(error(expected, found), 0.03);
  EXPECT_GT(error(expected, found), 0);                 // it is not the same network
  EXPECT_LT(error(expected_gradient, gradient), 0.25);  // some ReLUs change sides
}

TEST(Stacnet, AHalfGradientLeavesTheOutputAsItIs) {
  if (!HalfType(at::kCPU)) GTEST_SKIP() << "skipped: this processor has no AVX512_BF16";
  const TestFolder folder;
  const std::string file = (folder / "small.stacnet").string();
  ASSERT_TRUE(WriteFile(file, SmallFile()));
  const auto plain = OpenStacnet(file, at::kCPU);
  const auto half = OpenStacnet(file, at::kCPU, Precision::kHalfGradient);
  ASSERT_TRUE(plain && half);
  const torch::Tensor rgb = torch::rand({1, 3, 64, 96}).requires_grad_();
  const auto [expected, expected_gradient] = OutputAndGradient(*plain, rgb);
  const auto [found, gradient] = OutputAndGradient(*half, rgb);
  EXPECT_TRUE(torch::equal(found, expected));
  const double error =
      ((gradient - expected_gradient).norm() / expected_gradient.norm()).item<double>();
  EXPECT_GT(error, 1e-5);  // it was computed in fewer bits
  EXPECT_LT(error, 0.03);
}

TEST(Stacnet, BrokenFilesAreRefused) {
  const Bytes good = SmallFile();
  const auto error = [](Bytes bytes) { return DecodeStacnet(bytes).error().message; };
  EXPECT_THAT(error({}), HasSubstr("does not begin"));
  for (const size_t size : {size_t{8}, size_t{11}, size_t{100}, good.size() / 2, good.size() - 1})
    EXPECT_FALSE(DecodeStacnet(ByteSpan(good).first(size))) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_THAT(error(longer), HasSubstr("too many"));
  Bytes huge_header = good;
  huge_header[8] = huge_header[9] = huge_header[10] = huge_header[11] = 0xff;
  EXPECT_THAT(error(huge_header), HasSubstr("length"));

  const auto with_header = [&](const std::string& from, const std::string& to) {
    const uint32_t length = good[8] | good[9] << 8 | good[10] << 16;
    std::string text(AsText(ByteSpan(good).subspan(12, length)));
    text.replace(text.find(from), from.size(), to);
    const auto size = static_cast<uint32_t>(text.size());
    std::string out(AsText(ByteSpan(good).first(8)));
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift);
    out += text;
    out += AsText(ByteSpan(good).subspan(12 + length));
    return Bytes(out.begin(), out.end());
  };
  EXPECT_THAT(error(with_header("\"edge\"", "\"other\"")), HasSubstr("no network definition"));
  EXPECT_THAT(error(with_header("\"classes\":3", "\"classes\":4")), HasSubstr("shape"));
  EXPECT_THAT(error(with_header("\"classes\":3", "\"classes\":900")), HasSubstr("2 to 255"));
  EXPECT_THAT(error(with_header("\"classes\":3", "\"classes\":{}")), HasSubstr("broken"));
  EXPECT_THAT(error(with_header("[16,3,3,3]", "[99999,99999,9,9]")), HasSubstr("shape"));
  EXPECT_THAT(error(with_header("\"f16\"", "\"f64\"")), HasSubstr("type"));
  EXPECT_THAT(error(with_header("stem.conv.weight", "stem.conv.weighs")), HasSubstr("lacks"));
  Bytes not_finite = good;
  not_finite[good.size() - 1] = 0x7e;  // the last half becomes a NaN
  not_finite[good.size() - 2] = 0xff;
  EXPECT_THAT(error(not_finite), HasSubstr("finite"));
}

class StacnetOnDisk : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(WriteFile(path_, SmallFile())); }
  const TestFolder folder_;
  const std::filesystem::path path_ = folder_ / "small.stacnet";
};

// As LoadSegmenter does it, for our own files.
Result<std::unique_ptr<Segmenter>> LoadStacnet(const std::string& path) {
  STAC_ASSIGN_OR_RETURN(TorchNetwork network, OpenStacnet(path, at::kCPU));
  return MakeTorchSegmenter(std::move(network), {});
}

TEST_F(StacnetOnDisk, IsASegmenter) {
  auto segmenter = LoadStacnet(path_.string());
  ASSERT_TRUE(segmenter) << segmenter.error().message;
  EXPECT_EQ((*segmenter)->info().class_count, 3);
  EXPECT_EQ((*segmenter)->info().name, "small");
  Frame frame(96, 64);
  for (int plane = 0; plane < 3; ++plane)
    std::fill_n(frame.MutablePlane(plane), frame.plane(plane).stride * frame.plane(plane).height,
                100);
  const auto result = (*segmenter)->RunWithGradient(frame, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->labels.SameSize(96, 64));
  EXPECT_EQ(result->gradients.size(), 2u);
}

TEST(ImportWeights, PublishedNamesAreThoseOfTheirAuthors) {
  const auto drn = *MakeNetwork("drn-d-22", 19);
  EXPECT_EQ(drn->PublishedName("layer0.0.conv.weight"), "base.0.0.weight");
  EXPECT_EQ(drn->PublishedName("layer2.0.bn.running_var"), "base.2.1.running_var");
  EXPECT_EQ(drn->PublishedName("layer3.1.first.conv.weight"), "base.3.1.conv1.weight");
  EXPECT_EQ(drn->PublishedName("layer6.0.shortcut.bn.bias"), "base.6.0.downsample.1.bias");
  EXPECT_EQ(drn->PublishedName("classifier.conv.bias"), "seg.bias");
  const auto bisenet = *MakeNetwork("bisenet", 19);
  EXPECT_EQ(bisenet->PublishedName("stem.0.bn.weight"), "cp.resnet.bn1.weight");
  EXPECT_EQ(bisenet->PublishedName("layer2.0.shortcut.conv.weight"),
            "cp.resnet.layer2.0.downsample.0.weight");
  EXPECT_EQ(bisenet->PublishedName("refine32.gate.conv.weight"), "cp.arm32.conv_atten.weight");
  EXPECT_EQ(bisenet->PublishedName("refine16.conv.bn.bias"), "cp.arm16.conv.bn.bias");
  EXPECT_EQ(bisenet->PublishedName("out.conv.conv.weight"), "conv_out.conv.conv.weight");
  EXPECT_EQ(bisenet->PublishedName("out.conv_out.conv.weight"), "conv_out.conv_out.weight");
}

NamedTensors AsPublished(const SegmentationNetwork& network) {
  NamedTensors out;
  for (const auto& item : network.named_parameters())
    out[network.PublishedName(item.key())] = item.value();
  for (const auto& item : network.named_buffers())
    out[network.PublishedName(item.key())] = item.value();
  return out;
}

bool SameWeights(const SegmentationNetwork& a, const SegmentationNetwork& b) {
  const auto other = b.named_parameters();
  for (const auto& item : a.named_parameters())
    if (!item.value().equal(other[item.key()])) return false;
  return true;
}

TEST(ImportWeights, StateDictsLoadFromPickleAndSafetensors) {
  const TestFolder folder;
  for (const char* name : {"drn-d-22", "bisenet"}) {
    const auto original = *MakeNetwork(name, 19);
    c10::Dict<std::string, torch::Tensor> dict;
    std::string header;
    ByteWriter values;
    for (const auto& [key, tensor] : AsPublished(*original)) {
      dict.insert("module." + key, tensor);
      header +=
          fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                      header.empty() ? "" : ",", key, tensor.is_floating_point() ? "F32" : "I64",
                      fmt::join(tensor.sizes(), ","), values.bytes().size(),
                      values.bytes().size() + tensor.nbytes());
      values.Append({static_cast<const uint8_t*>(tensor.data_ptr()), tensor.nbytes()});
    }
    const std::vector<char> pickle = torch::pickle_save(dict);
    ByteWriter safetensors;
    safetensors.U64(header.size() + 2);
    safetensors.Append(AsBytes("{" + header + "}"));
    safetensors.Append(values.bytes());
    const ByteSpan pickled = AsBytes({pickle.data(), pickle.size()});
    for (const ByteSpan bytes : {pickled, ByteSpan(safetensors.bytes())}) {
      const auto path = folder / "weights";
      ASSERT_TRUE(WriteFile(path, bytes));
      const auto tensors = ReadNamedTensors(path);
      ASSERT_TRUE(tensors) << tensors.error().message;
      const auto copy = *MakeNetwork(name, 19);
      ASSERT_FALSE(SameWeights(*copy, *original));
      const Status status = ImportWeights(*tensors, false, *copy);
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_TRUE(SameWeights(*copy, *original));
      EXPECT_THAT(ImportWeights(*tensors, false, **MakeNetwork(name, 11)).error().message,
                  HasSubstr("class count"));
    }
  }
}

TEST(ImportWeights, ATrunkAloneIsTakenOnlyWhenAskedFor) {
  const auto original = *MakeNetwork("drn-d-22", 19);
  NamedTensors trunk;
  for (const auto& [name, tensor] : AsPublished(*original))
    if (name.starts_with("base.")) trunk["layer" + name.substr(5)] = tensor;
  const auto copy = *MakeNetwork("drn-d-22", 11);
  EXPECT_THAT(ImportWeights(trunk, false, *copy).error().message, HasSubstr("seg."));
  EXPECT_TRUE(ImportWeights(trunk, true, *copy));
  EXPECT_TRUE(copy->named_parameters()["layer6.1.second.conv.weight"].equal(
      original->named_parameters()["layer6.1.second.conv.weight"]));
}

// What torch.save writes of a tensor, with a storage of less than its sizes say: LibTorch 1.13
// reads such archives.
TEST(ImportWeights, TensorsBeyondTheirStorageAreRefused) {
  const TestFolder folder;
  const auto whole = torch::arange(12, torch::kFloat).view({3, 4});
  const auto refused = [&](const torch::Tensor& tensor) {
    c10::Dict<std::string, torch::Tensor> dict;
    dict.insert("layer0.conv.weight", tensor);
    const std::vector<char> pickle = torch::pickle_save(dict);
    EXPECT_TRUE(WriteFile(folder / "weights", AsBytes({pickle.data(), pickle.size()})));
    const auto tensors = ReadNamedTensors(folder / "weights");
    return tensors ? std::string("no error") : tensors.error().message;
  };
  EXPECT_EQ(refused(whole), "no error");
  EXPECT_EQ(refused(whole.t()), "no error");
  EXPECT_EQ(refused(whole.narrow(0, 1, 2)), "no error");
  EXPECT_EQ(refused(whole.narrow(0, 1, 0)), "no error");
  const auto shrink = [](torch::Tensor tensor) {
    tensor.storage().set_nbytes(tensor.storage().nbytes() - 4);
    return tensor;
  };
  EXPECT_THAT(refused(shrink(whole.clone())),
              HasSubstr("layer0.conv.weight does not lie inside its storage"));
}

TEST(ImportWeights, BrokenFilesAreRefused) {
  const TestFolder folder;
  const auto path = folder / "broken";
  for (const std::string& text :
       {std::string(), std::string("PK\x03\x04 and nothing"), std::string("\x80\x02l\x8a"),
        std::string("\x08\0\0\0\0\0\0\0{\"a\":{}}", 16),
        std::string("\x47\0\0\0\0\0\0\0", 8) +
            R"({"a":{"dtype":"F32","shape":[99999999,99999999],"data_offsets":[0,4]}})"}) {
    ASSERT_TRUE(WriteFile(path, text));
    EXPECT_FALSE(ReadNamedTensors(path)) << text;
  }
}

}  // namespace
}  // namespace stac
