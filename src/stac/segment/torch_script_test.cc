#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/api/module.h>

#include <cmath>
#include <string>
#include <vector>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/segment/segmenter.h"
#include "stac/segment/test_frame.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {
namespace {

class TorchScriptTest : public testing::Test {
 protected:
  std::string Path() const { return (folder_ / "tiny.pt").string(); }
  Result<std::unique_ptr<Segmenter>> LoadSource(const std::string& source) const {
    Save(Module(source));
    return LoadSegmenter(Path());
  }
  static torch::jit::Module Module(const std::string& source) {
    torch::jit::Module module("Tiny");
    module.register_parameter("w", at::ones({1, 3, 1, 1}), false);
    module.register_attribute("runs", c10::IntType::get(), 0);
    module.define(source + "\n");
    return module;
  }
  void Save(const torch::jit::Module& module) const { module.save(Path()); }
  const TestFolder folder_;
};

TEST_F(TorchScriptTest, TakesTensorsTuplesAndDictionaries) {
  const Frame frame = RandomFrame(32, 16);
  LabelMap labels;
  for (const char* output :
       {"y", "(y, x)", "[y, x]", "[y, x][:1]", "{'out': y}", "{'aux': x[:, :2], 'out': y}",
        "{'first': y, 'second': x}", "({'out': y}, x)"}) {
    const auto segmenter =
        LoadSource(std::string("def forward(self, x):\n  y = x * self.w\n  return ") + output);
    ASSERT_TRUE(segmenter) << output << ": " << segmenter.error().message;
    EXPECT_EQ((*segmenter)->info().class_count, 3);
    EXPECT_EQ((*segmenter)->info().parameters, 3);
    EXPECT_EQ((*segmenter)->info().name, "tiny");
    EXPECT_EQ((*segmenter)->info().hash.size(), 16u);
    const auto result = (*segmenter)->RunWithGradient(frame, {});
    ASSERT_TRUE(result) << result.error().message;
    if (labels.empty()) labels = result->labels;
    EXPECT_EQ(result->labels, labels) << output;
  }
}

// A network with all that is put in the place of its own layers, ending as `ending` says: logits y
// of 5 classes, an eighth as large as x.
torch::jit::Module Layered(const std::string& ending) {
  at::manual_seed(11);
  torch::jit::Module module("Layered");
  const auto add = [&](const char* name, at::IntArrayRef sizes, double scale) {
    module.register_parameter(name, at::randn(sizes) * scale, false);
  };
  add("stem", {8, 3, 3, 3}, 0.3);
  add("stem_bias", {8}, 0.3);
  add("depthwise", {8, 1, 3, 3}, 0.4);
  add("down", {8, 1, 3, 3}, 0.4);
  add("slope", {8}, 0.5);
  add("wide", {12, 8, 3, 3}, 0.2);
  add("dilated", {12, 12, 3, 3}, 0.15);
  add("up", {12, 4, 2, 2}, 0.4);
  for (const char* name : {"norm_weight", "norm_bias", "norm_mean"}) add(name, {20}, 0.5);
  module.register_parameter("norm_variance", at::rand({20}) + 0.5, false);
  add("slopes", {20}, 0.5);
  add("head", {6, 20, 1, 1}, 0.8);
  add("head_bias", {6}, 0.4);
  add("up_head", {6, 7, 2, 2}, 0.5);
  module.define(R"(
def forward(self, x):
  y = torch.conv2d(x * 2 - 1, self.stem, self.stem_bias, [2, 2], [1, 1], [1, 1], 1)
  y = torch.prelu(y, self.slope)
  y = y + torch.conv2d(y, self.depthwise, None, [1, 1], [2, 2], [2, 2], 8)
  y = torch.prelu(torch.conv2d(y, self.down, None, [2, 2], [1, 1], [1, 1], 8), self.slope)
  y = torch.relu(torch.conv2d(y, self.wide, None, [2, 2], [1, 1], [1, 1], 1))
  z = torch._convolution(y, self.dilated, None, [1, 1], [2, 2], [2, 2], False, [0, 0], 1,
                         False, False, True, True)  # as traced networks have it
  y = torch.relu(z) - 0.2 * z
  z = torch.relu(torch.conv_transpose2d(y, self.up, None, [2, 2], [0, 0], [0, 0], 1, [1, 1]))
  small = torch.avg_pool2d(x, [8, 8])  # whose channels are not side by side
  y = torch.cat([y, torch.avg_pool2d(z, [2, 2]), small[:, :, :, :], small[:, :1]], 1)
  y = torch.batch_norm(y[:, :, :y.size(2) + 1], self.norm_weight, self.norm_bias, self.norm_mean,
                       self.norm_variance, False, 0.1, 0.001, True)
  z = torch.batch_norm(torch.prelu(y, self.slopes), self.norm_weight, self.norm_bias,
                       self.norm_mean, self.norm_variance, False, 0.1, 0.001, True)
  y = torch.batch_norm(y + z, None, self.norm_bias, self.norm_mean,
                       self.norm_variance, False, 0.1, 0.001, True)
  y = torch.batch_norm(y, self.norm_weight, None, self.norm_mean,
                       self.norm_variance, False, 0.1, 0.001, True)
  y = torch.prelu(y, self.slopes)
  n, c, h, w = y.shape
  y = torch.reshape(torch.transpose(y.view([n, 4, c // 4, h, w]), 1, 2), [n, c, h, w])
  z = torch.adaptive_avg_pool2d(y, [(h + 1) // 2, 3])
  z = torch.upsample_bilinear2d(z, [h, w], True) * torch.adaptive_avg_pool2d(y, [1, 1])
  y = (y + z) * 0.1
  y = torch.conv2d(y, self.head, self.head_bias, [1, 1], [0, 0], [1, 1], 1)
)" + ending + "\n");
  module.eval();
  return module;
}

struct NetworkEnding {
  std::string source;
  bool enlarges = false;  // seen, and left to do
};
const std::vector<NetworkEnding> kEndings = {
    // Enlarged by 8, with and without aligned corners, and one class cut off.
    {"  return torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False, None, None)[:, :5]",
     true},
    {"  y = torch.upsample_bilinear2d(y, [8 * y.size(2) - 7, 8 * y.size(3) - 7], True)\n"
     "  return y[:, :5, :x.size(2) - 8, :x.size(3) - 8]",
     true},
    {"  y = torch.upsample_bilinear2d(y, [8 * y.size(2), 8 * y.size(3)], False)\n"
     "  return y[:, :, :-1, :x.size(3) - 1]",
     true},
    {"  y = torch.upsample_bilinear2d(y, [16 * y.size(2) - 15, 16 * y.size(3) - 15], True)\n"
     "  return y[:, :5, :x.size(2), :x.size(3)]",
     true},
    // By no whole factor.
    {"  y = torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], True)\n"
     "  return y[:, :, :, :]",
     true},
    // Enlarged, but not at the end, not to a size, not from the first class on, or in a dictionary.
    {"  return torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False) * 0.9"},
    {"  return torch.upsample_bilinear2d(y, None, False, [8., 8.])"},
    {"  return torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False)[:, 1:]"},
    {"  return {'out': torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False)}"},
    // Changed in place behind it, or before.
    {"  z = torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False)\n"
     "  z.mul_(0.5)\n"
     "  return z"},
    {"  y.mul_(0.5)\n"
     "  return torch.upsample_bilinear2d(y, [x.size(2), x.size(3)], False)"},
    // Classes cut off behind other layers, and where they are looked at elsewhere.
    {"  y = torch.conv_transpose2d(y, self.up_head, None, [2, 2], [0, 0], [0, 0], 1, [1, 1])\n"
     "  return y[:, :, :y.size(2) - 1, :][:, :5]"},
    {"  return torch.upsample_bilinear2d(torch.relu(y)[:, :5], [x.size(2), x.size(3)], False)",
     true},
    {"  z = y[:, :5]\n"
     "  return torch.upsample_bilinear2d(z + y[:, 1:], [x.size(2), x.size(3)], False)",
     true},
    {"  y = y[:, :5]\n"
     "  return torch.upsample_bilinear2d(y[:, :3], [x.size(2), x.size(3)], False)",
     true},
    // Not enlarged.
    {"  return y"}};

// What is put in the place of a network's own layers changes its answers and gradients by rounding
// only.
TEST_F(TorchScriptTest, FasterLayersGiveWhatTheNetworkGives) {
  at::manual_seed(12);
  for (const auto& [ending, enlarges] : kEndings) {
    const torch::jit::Module module = Layered(ending);
    Save(module);
    const auto network = OpenTorchScript(Path(), at::kCPU);
    ASSERT_TRUE(network) << ending << ": " << network.error().message;
    for (const auto& [height, width] : {std::pair(64, 96), std::pair(48, 40)}) {
      const auto rgb = at::rand({2, 3, height, width});
      const auto run = [&](const auto& forward) {
        const auto x = rgb.clone().set_requires_grad(true);
        const at::Tensor logits = forward(x);
        const auto by_x = torch::autograd::grad({logits.square().sum()}, {x}).front();
        return std::pair(logits.detach(), by_x);
      };
      const auto [expected, expected_by_x] = run([&module](const at::Tensor& x) {
        torch::jit::Module copy = module;
        const c10::IValue output = copy.forward({x});
        return output.isTensor() ? output.toTensor() : output.toGenericDict().at("out").toTensor();
      });
      const auto [found, by_x] =
          run([&network](const at::Tensor& x) { return network->forward(x).Answer(); });
      ASSERT_EQ(found.sizes(), expected.sizes()) << ending;
      EXPECT_EQ(network->forward(rgb).enlargement.has_value(), enlarges) << ending;
      const auto error = [](const at::Tensor& a, const at::Tensor& b) {
        return ((a - b).abs().max() / b.abs().max()).item().toDouble();
      };
      EXPECT_LT(error(found, expected), 1e-5) << ending;
      EXPECT_LT(error(by_x, expected_by_x), 1e-4) << ending;
    }
  }
}

// Whose maps lie in unusual ways, or come and go.
TEST_F(TorchScriptTest, AwkwardNetworksGiveWhatTheyGive) {
  at::manual_seed(13);
  const char* const bodies[] = {
      // A picture cut out of a batch whose channels lie side by side.
      "  y = torch.avg_pool2d(y[0].unsqueeze(0), [2, 2])\n  return y",
      "  return torch.adaptive_avg_pool2d(y.squeeze(0).unsqueeze(0), [5, 4])",
      "  return torch.upsample_bilinear2d(y[0].unsqueeze(0), [9, 9], False) * 0.5",
      "  return torch.prelu(y[0].unsqueeze(0), self.slope) * 2",
      "  return torch.relu(torch.batch_norm(y, None, None, self.mean, self.mean, False, 0.1, 1.0, "
      "True))",
      // Answers of branches that need not be there.
      "  if y.size(2) > 4:\n    if y.size(3) > 400:\n      return y\n    y = y * 2\n"
      "  z = y + 1\n  return z * y + z",
      "  for i in range(3):\n    if y.size(2) == i:\n      return y\n    z = y * 0.5\n"
      "    y = z + y + z * z\n  return y * y",
      // A shuffle that is a view, changed.
      "  n, c, h, w = y.shape\n"
      "  z = torch.reshape(torch.transpose(y.view([n, 1, c, h, w]), 1, 2), [n, c, h, w])\n"
      "  z.mul_(0.5)\n  return y * z + y"};
  for (const char* body : bodies) {
    torch::jit::Module module("Awkward");
    module.register_parameter("w", at::randn({6, 3, 3, 3}) * 0.4, false);
    module.register_parameter("slope", at::randn({6}), false);
    module.register_parameter("mean", at::rand({6}) + 0.1, false);
    module.define(std::string("def forward(self, x):\n"
                              "  y = torch.conv2d(x, self.w, None, [1, 1], [1, 1], [1, 1], 1)\n") +
                  body + "\n");
    module.eval();
    Save(module);
    const auto network = OpenTorchScript(Path(), at::kCPU);
    ASSERT_TRUE(network) << body << ": " << network.error().message;
    const auto rgb = at::rand({1, 3, 16, 12});
    const auto run = [&](const auto& forward) {
      const auto x = rgb.clone().set_requires_grad(true);
      const at::Tensor y = forward(x);
      return std::pair(y.detach(), torch::autograd::grad({y.square().sum()}, {x}).front());
    };
    const auto [expected, expected_by_x] =
        run([&](const at::Tensor& x) { return module.forward({x}).toTensor(); });
    const auto [found, by_x] =
        run([&](const at::Tensor& x) { return network->forward(x).Answer(); });
    EXPECT_TRUE(at::allclose(found, expected, 1e-4, 1e-4)) << body;
    EXPECT_TRUE(at::allclose(by_x, expected_by_x, 1e-3, 1e-3)) << body;
  }
}

// What no network can mean is refused as ATen refuses it, when it is run.
TEST_F(TorchScriptTest, ImpossibleLayersAreErrors) {
  const char* const layers[] = {
      "torch.conv2d(x, self.w, None, [0, 0], [0, 0], [1, 1], 1)",
      "torch.conv2d(x, self.w, None, [1, 1], [0, 0], [0, 0], 1)",
      "torch.conv_transpose2d(x, self.deep, None, [2, 2], [0, 0], [0, 0], 64, [1, 1])",
      "torch.conv_transpose2d(x, self.three, None, [0, 0], [0, 0], [0, 0], 3, [1, 1])",
      "torch.conv_transpose2d(x, self.three, None, [2, 2], [0, 0], [7, 7], 3, [1, 1])",
      "torch.adaptive_avg_pool2d(x, [1 << 40, 1 << 40])",
      "torch.upsample_bilinear2d(x, [1 << 40, 1 << 40], False) * 2"};
  for (const char* layer : layers) {
    torch::jit::Module module("Impossible");
    module.register_parameter("w", at::ones({4, 3, 3, 3}), false);
    module.register_parameter("three", at::ones({3, 1, 2, 2}), false);
    module.register_parameter("deep", at::ones({64, 1, 2, 2}), false);
    module.define(std::string("def forward(self, x):\n  return ") + layer + "\n");
    module.eval();
    Save(module);
    EXPECT_FALSE(LoadSegmenter(Path(), {.device = "cpu"})) << layer;
  }
}

// Networks that change themselves keep doing so.
TEST_F(TorchScriptTest, ANetworkWithAMemoryRuns) {
  torch::jit::Module module = Module(R"(
def forward(self, x):
  self.runs = self.runs + 1
  return torch.conv2d(x, self.w.expand([4, 3, 1, 1])) * self.runs
)");
  module.eval();
  Save(module);
  const auto network = OpenTorchScript(Path(), at::kCPU);
  ASSERT_TRUE(network) << network.error().message;
  const auto rgb = at::rand({1, 3, 8, 8});
  const at::Tensor first = network->forward(rgb).Answer(), second = network->forward(rgb).Answer();
  EXPECT_TRUE(at::allclose(second, 2 * first));
}

TEST_F(TorchScriptTest, ANetworkThatTakesPicturesOneByOneRuns) {
  torch::jit::Module module = Module(R"(
def forward(self, x):
  return torch.conv2d(x[0], self.w).unsqueeze(0)
)");
  module.eval();
  Save(module);
  const auto network = OpenTorchScript(Path(), at::kCPU);
  ASSERT_TRUE(network) << network.error().message;
  const auto rgb = at::rand({1, 3, 8, 8}).set_requires_grad(true);
  const at::Tensor logits = network->forward(rgb).Answer();
  EXPECT_TRUE(at::allclose(logits, rgb.sum(1, /*keepdim=*/true)));
  const auto by_rgb = torch::autograd::grad({logits.sum()}, {rgb}).front();
  EXPECT_TRUE(at::equal(by_rgb, at::ones_like(rgb)));
}

// Labels and the loss come from the small logits where that is possible.
TEST_F(TorchScriptTest, TheLossIsThatOfTheWholeAnswer) {
  for (const auto& [ending, enlarges] : kEndings) {
    if (ending == "  return y") continue;  // whose loss is that of the small logits
    const torch::jit::Module module = Layered(ending);
    Save(module);
    const auto segmenter = LoadSegmenter(Path(), {.device = "cpu"});
    ASSERT_TRUE(segmenter) << segmenter.error().message;
    const Frame frame = RandomFrame(96, 64);
    const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};
    const auto result = (*segmenter)->RunWithGradient(frame, objective);
    ASSERT_TRUE(result) << result.error().message;
    const auto network = OpenTorchScript(Path(), at::kCPU);
    const auto planes = PlanesFromFrame(frame, at::kFloat);
    const auto luma = planes.luma.set_requires_grad(true);
    const auto rgb = RgbFromPlanes(planes, frame.color());
    const auto logits = network->forward(rgb).Answer();
    if (logits.size(2) != 64 || logits.size(3) != 96) continue;  // the frame is padded for it
    const auto value = ObjectiveValue(logits, objective, 0);
    const auto by_luma = torch::autograd::grad({value}, {luma}).front();
    EXPECT_NEAR(result->objective, value.item().toDouble(), 1e-5) << ending;
    const auto found = at::from_blob(const_cast<float*>(result->gradients[0].y.data()),
                                     {1, 1, 64, 96}, at::kFloat);
    EXPECT_LT(((found - by_luma).abs().max() / by_luma.abs().max()).item().toDouble(), 1e-4)
        << ending;
    const LabelMap expected = LabelsFromLogits(logits);
    int different = 0;
    for (int y = 0; y < 64; ++y)
      for (int x = 0; x < 96; ++x) different += result->labels(x, y) != expected(x, y);
    EXPECT_LE(different, 1) << ending;
  }
}

// Where 16 bits are fast; elsewhere the default is floats.
TEST_F(TorchScriptTest, ByDefaultOnlyTheGradientMayBeInFewerBits) {
  at::manual_seed(12);
  torch::jit::Module module("Wide");
  module.register_parameter("stem", at::randn({32, 3, 3, 3}) * 0.3, false);
  module.register_parameter("wide", at::randn({32, 32, 3, 3}) * 0.1, false);
  module.register_parameter("head", at::randn({5, 32, 1, 1}), false);
  module.define(R"(
def forward(self, x):
  y = torch.relu(torch.conv2d(x, self.stem, None, [1, 1], [1, 1], [1, 1], 1))
  y = torch.relu(torch.conv2d(y, self.wide, None, [1, 1], [1, 1], [1, 1], 1))
  return torch.conv2d(y, self.head, None, [1, 1], [0, 0], [1, 1], 1)
)");
  module.eval();
  Save(module);
  const auto plain = LoadSegmenter(Path(), {.device = "cpu"});
  const auto automatic = LoadSegmenter(Path(), {.device = "cpu", .precision = Precision::kAuto});
  ASSERT_TRUE(plain && automatic);
  const bool half = HalfType(at::kCPU).has_value();
  EXPECT_EQ((*plain)->info().precision, Precision::kFloat);
  EXPECT_EQ((*automatic)->info().precision, half ? Precision::kHalfGradient : Precision::kFloat);
  const Frame frame = RandomFrame(96, 64);
  const Objective objective{.kind = ObjectiveKind::kFakeLabelLoss};
  const auto expected = (*plain)->RunWithGradient(frame, objective);
  const auto found = (*automatic)->RunWithGradient(frame, objective);
  ASSERT_TRUE(expected && found);
  EXPECT_EQ(found->labels, expected->labels);
  const Grid<float>&a = expected->gradients[0].y, &b = found->gradients[0].y;
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(b.data()[i] - a.data()[i], 2);
    size += std::pow(a.data()[i], 2);
  }
  EXPECT_LT(error, 1e-3 * size);
  EXPECT_EQ(error > 0, half);
}

TEST_F(TorchScriptTest, HalfPrecisionNeedsAGpu) {
  ASSERT_TRUE(LoadSource("def forward(self, x):\n  return x * self.w"));
  const auto refused = LoadSegmenter(Path(), {.device = "cpu", .precision = Precision::kHalf});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("half precision"), std::string::npos)
      << refused.error().message;
}

TEST_F(TorchScriptTest, SaysWhatIsWrongWithAFile) {
  const auto expect = [](const Result<std::unique_ptr<Segmenter>>& segmenter,
                         const std::string& part) {
    ASSERT_FALSE(segmenter);
    const std::string& message = segmenter.error().message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  };
  expect(LoadSegmenter("/nowhere/net.pt"), "/nowhere/net.pt");
  ASSERT_TRUE(WriteFile(Path(), "this is not a network"));
  expect(LoadSegmenter(Path()), "is not a TorchScript network");
  ASSERT_TRUE(WriteFile(Path(), ""));
  expect(LoadSegmenter(Path()), "is not a TorchScript network");
  ASSERT_TRUE(WriteFile(Path(), "STACNET1"));
  expect(LoadSegmenter(Path()), Path());
  expect(LoadSource("def forward(self, x):\n  return x[:, 0]"), "shape [1,256,256]");
  expect(LoadSource("def forward(self, x):\n  return 3"), "not a tensor");
  expect(LoadSource("def forward(self, x):\n  assert x.shape[1] == 4, 'four channels'\n"
                    "  return x"),
         "four channels");
  // Truncated in the middle.
  ASSERT_TRUE(LoadSource("def forward(self, x):\n  return x"));
  auto bytes = ReadFile(Path());
  ASSERT_TRUE(bytes);
  bytes->resize(bytes->size() / 2);
  ASSERT_TRUE(WriteFile(Path(), *bytes));
  expect(LoadSegmenter(Path()), "is not a TorchScript network");
  expect(LoadSegmenter(Path(), {.device = "tpu"}), "unknown device 'tpu'");
}

}  // namespace
}  // namespace stac
